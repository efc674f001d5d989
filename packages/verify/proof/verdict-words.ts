/**
 * The three verdicts in words, in English and German: what a page and a report say first, what stands below it, and what is
 * always said with it. Dates are written here, so that they are the same in every browser.
 */
import type { Conversion } from "./conversions.ts";
import { loggedBy, type RecordVerdict } from "./verdict.ts";
import { kindOf, type SignedTime, type VerifyFailure, type VerifyReport } from "./verify.ts";

/** What a verdict on a record rests on. */
export type RecordFacts = {
  verdict: RecordVerdict;
  /** Absent where there is no proof. */
  report?: VerifyReport;
  /** Why there is no proof, if it is known. */
  noProof?: "pending" | "unknown";
  /** The record itself is not here: left out on purpose, or not to be found. Its entry was judged. */
  record?: "withheld" | "absent";
};

/** A verdict as it is said. `sentence` says what it means, `advice` what to do. */
export type ToldVerdict = { headline: string; sentence: string; advice?: string };

export function tellVerdict(facts: RecordFacts, words: VerdictWords): ToldVerdict {
  const { verdict, report, noProof, record } = facts;
  const { failure } = report ?? {};
  if (verdict === "unchanged" && report !== undefined) {
    const by = words.by(loggedBy(report));
    const same = report.opening?.canonicalisation === "jcs" ? words.sameValues : words.unchanged;
    if (record === undefined) return { headline: words.headlines.unchanged, sentence: same(by) };
    return {
      headline: words.withheldHeadline,
      sentence: words.entryUnchanged(by),
      advice: words.advice.withheld,
    };
  }
  const headline = words.headlines[verdict];
  if (verdict === "changed")
    return { headline, ...(failure ? changed(failure, words) : words.reasons.otherRow) };
  if (failure !== undefined) return { headline, ...untold(failure, words) };
  if (report !== undefined) return { headline, ...words.reasons.recordAbsent };
  return { headline, ...words.reasons[noProof ?? "noProof"] };
}

type Reason = { sentence: string; advice?: string };

function changed(failure: VerifyFailure, { reasons, converted }: VerdictWords): Reason {
  const { step, code } = failure;
  if (code === "converted") return converted(failure.conversions, step === "proof");
  if (code === "two_histories") return reasons.twoHistories;
  if (code === "same_log" || step === "anchor")
    return code === "bad_signature" ? reasons.anchorSignature : reasons.anchor;
  if (step === "policy") return reasons.anchorSignature;
  if (code === "bad_signature") return reasons.logSignature;
  return "opening" in failure && failure.opening !== undefined ? reasons.otherRecord : reasons.otherEntry;
}

function untold(failure: VerifyFailure, { reasons }: VerdictWords): Reason {
  if (kindOf(failure) === "insufficient") return reasons.less;
  if (failure.code === "unknown_key") return reasons.unknownKey;
  if (failure.code === "no_opening") return reasons.noOpening;
  return failure.step === "opening" ? reasons.badOpening : reasons.unreadable;
}

const REASONS = [
  ...([
    "otherRecord",
    "otherEntry",
    "otherRow",
    "logSignature",
    "anchorSignature",
    "anchor",
    "twoHistories",
  ] as const),
  ...([
    "pending",
    "unknown",
    "noProof",
    "recordAbsent",
    "unknownKey",
    "noOpening",
    "badOpening",
    "unreadable",
    "less",
  ] as const),
];

export type VerdictWords = {
  headlines: Record<RecordVerdict, string>;
  /** In place of a headline for a row whose record is withheld, and whose entry is in the log. */
  withheldHeadline: string;
  /** `by` is what `by` makes, or undefined where no time is shown. */
  unchanged(by: string | undefined): string;
  /** Of JSON that was canonicalised (RFC 8785): no byte was compared, but every value. */
  sameValues(by: string | undefined): string;
  entryUnchanged(by: string | undefined): string;
  /** "14 March 2026, 10:32 UTC", and whose word it is where it is the operator's. */
  by(time: SignedTime | undefined): string | undefined;
  /** RFC 3339 to "14 March 2026, 10:32 UTC". */
  date(at: string): string;
  converted(conversions: readonly Conversion[], ofProof: boolean): Reason;
  conversions: Record<Conversion, string>;
  reasons: Record<(typeof REASONS)[number], Reason>;
  advice: { withheld: string };
  /** Stands below every verdict. */
  notShown: string;
  /** Of packs with rows of tables: their first row is under no proof. */
  columnsNotShown: string;
  /** Whose keys they are: stands beside every verdict. */
  keys: Record<"given" | "pack", string>;
};

const two = (value: number): string => String(value).padStart(2, "0");

function dateIn(
  months: readonly string[],
  format: (day: number, month: string, year: number, clock: string) => string,
) {
  return (at: string): string => {
    const time = new Date(at);
    const clock = `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}`;
    return format(time.getUTCDate(), months[time.getUTCMonth()] ?? "", time.getUTCFullYear(), clock);
  };
}

const dateEn = dateIn(
  "January February March April May June July August September October November December".split(" "),
  (day, month, year, clock) => `${day} ${month} ${year}, ${clock} UTC`,
);
const dateDe = dateIn(
  "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(" "),
  (day, month, year, clock) => `${day}. ${month} ${year}, ${clock} Uhr UTC`,
);

const en: VerdictWords = {
  headlines: {
    unchanged: "Unchanged",
    changed: "Changed, or never logged",
    untold: "Cannot tell yet",
  },
  withheldHeadline: "Entry unchanged, record withheld",
  unchanged: (by) =>
    by === undefined
      ? "This record is, byte for byte, what was logged. The proof shows no time."
      : `This record is, byte for byte, what was logged at or before ${by}.`,
  sameValues: (by) =>
    `This record has the values that ${by === undefined ? "were logged. The proof shows no time." : `were logged at or before ${by}.`} White space, the order of members and how numbers are written were not compared.`,
  entryUnchanged: (by) =>
    by === undefined
      ? "The record is withheld. Its entry is in the log as it was; the proof shows no time."
      : `The record is withheld. Its entry was in the log at or before ${by}, and is as it was.`,
  by: (time) =>
    time && `${dateEn(time.at)}${time.kind === "operator" ? ", by the clock of who runs the log" : ""}`,
  date: dateEn,
  converted: (conversions, ofProof) => ({
    sentence: `${ofProof ? "The proof file" : "This record"} is not, byte for byte, ${ofProof ? "as it was made" : "what was logged"}. It is ${conversions.map((one) => en.conversions[one]).join(", ")}: only its form was changed.`,
    advice:
      "Get the file as it was first exported, without a program in between that converts it, and check that one.",
  }),
  conversions: {
    to_utf8: "the same once it is in UTF-8 in place of UTF-16",
    without_bom: "the same without the byte order mark at its start",
    with_bom: "the same with a byte order mark at its start",
    lf: "the same with line endings LF in place of CRLF",
    crlf: "the same with line endings CRLF in place of LF",
    without_final_newline: "the same without the newline at its end",
    with_final_lf: "the same with a newline (LF) at its end",
    with_final_crlf: "the same with a newline (CRLF) at its end",
    with_final_cr: "the same with a carriage return at its end",
    compact_json: "the same as JSON without white space",
    indented_json: "the same as JSON with indented lines",
    without_space_around: "the same without the white space around it",
  },
  reasons: {
    otherRecord: {
      sentence:
        "This record is not the one that the proof is of: the record, its opening or the proof was changed, or they never belonged together. Which of them, no check can tell.",
      advice:
        "Compare the record with the copy in the system that it came from, and see whether the proof is that of another record.",
    },
    otherEntry: {
      sentence:
        "The entry is not the one that the proof is of: one of them was changed, or they never belonged together.",
      advice: "Get the proof again from the log, and compare.",
    },
    otherRow: {
      sentence: "The record and its proof belong together, but to another row than this one.",
      advice: "Get the pack again from who made it, and ask why its rows differ.",
    },
    logSignature: {
      sentence:
        "The signed tree head of the log was changed after it was signed, or it was signed with another key than yours.",
      advice: "Compare the keys with those from a source that you trust; get the proof again.",
    },
    anchorSignature: {
      sentence:
        "The signed tree head of the public log was changed after it was signed, or it was signed with another key than yours.",
      advice: "Compare the keys with those from a source that you trust; get the proof again.",
    },
    anchor: {
      sentence:
        "What the log signed is not what stands in the public log: one of them was changed, or they are not of one proof.",
      advice: "Get the proof again. If it stays so, ask whoever watches the public log.",
    },
    twoHistories: {
      sentence: "The public log has signed two histories that contradict each other.",
      advice: "Keep this proof: it is evidence. Show it to those who watch the public log.",
    },
    pending: {
      sentence: "The record was taken, and is not yet in a signed tree of the log.",
      advice: "Ask for its proof again in some minutes.",
    },
    unknown: {
      sentence:
        "When its proof was asked for, the answer was that the log has no such record: it was changed, or was never logged there, or was not sent yet. That is the word of who runs the log, and no proof can show it.",
      advice:
        "See whether it is the right log, whether the record was sent to it, and whether this file is the one that was sent, byte for byte. Where there is a file of records, give that: a record shows by itself whether the row is its own.",
    },
    noProof: {
      sentence: "There is no proof of this record here.",
      advice: "Ask for its proof, and check the two together.",
    },
    recordAbsent: {
      sentence: "There is an entry in the log, and the record that it is of is not here.",
      advice: "Ask for the record, and check it with this proof.",
    },
    unknownKey: {
      sentence: "The proof is of a log that none of these keys is of.",
      advice:
        "Get the log's keys from a source that you trust, not from who gave you the proof: the log may have a new key.",
    },
    noOpening: {
      sentence: "What opens the entry, its opening, is missing.",
      advice:
        "Ask whoever holds the record for its opening: it is in the file that was made when the record was logged.",
    },
    badOpening: {
      sentence: "What opens the entry, its opening, cannot be read.",
      advice:
        "Ask for the opening that was made when the record was logged; it may need a newer version of this program.",
    },
    unreadable: {
      sentence: "The proof cannot be read: it is no proof, or was changed or cut.",
      advice: "Get the proof again.",
    },
    less: {
      sentence: "The proof holds, and shows less than was asked for.",
      advice: "Ask for the proof again later, or ask for less.",
    },
  },
  advice: {
    withheld: "Whoever has the record and its opening can check that it is the one.",
  },
  columnsNotShown:
    "That the columns of a table mean what they are called here: a row is proven byte for byte, and what stood above it is the word of who made the pack.",
  notShown:
    "This does not show that the access was justified, that the record is true, or that nothing else happened.",
  keys: {
    given: "Checked with the keys that you gave.",
    pack: "Checked with the keys that came with the pack. It is worth as much as they are: compare them with keys from a source that you trust.",
  },
};

const de: VerdictWords = {
  headlines: {
    unchanged: "Unverändert",
    changed: "Verändert oder nie protokolliert",
    untold: "Noch nicht zu sagen",
  },
  withheldHeadline: "Eintrag unverändert, Datensatz zurückgehalten",
  unchanged: (by) =>
    by === undefined
      ? "Dieser Datensatz ist Byte für Byte das, was protokolliert wurde. Der Nachweis zeigt keine Zeit."
      : `Dieser Datensatz ist Byte für Byte das, was spätestens am ${by} protokolliert war.`,
  sameValues: (by) =>
    `Dieser Datensatz hat die Werte, die ${by === undefined ? "protokolliert wurden. Der Nachweis zeigt keine Zeit." : `spätestens am ${by} protokolliert waren.`} Leerraum, Reihenfolge der Felder und Schreibweise von Zahlen wurden nicht verglichen.`,
  entryUnchanged: (by) =>
    by === undefined
      ? "Der Datensatz ist zurückgehalten. Sein Eintrag steht unverändert im Log; der Nachweis zeigt keine Zeit."
      : `Der Datensatz ist zurückgehalten. Sein Eintrag stand spätestens am ${by} im Log und ist unverändert.`,
  by: (time) =>
    time && `${dateDe(time.at)}${time.kind === "operator" ? " (nach der Uhr des Betreibers)" : ""}`,
  date: dateDe,
  converted: (conversions, ofProof) => ({
    sentence: `${ofProof ? "Die Nachweisdatei ist nicht Byte für Byte so, wie sie erstellt wurde" : "Dieser Datensatz ist nicht Byte für Byte das, was protokolliert wurde"}. Gleich ist er ${conversions.map((one) => de.conversions[one]).join(", ")}: nur die Form wurde verändert.`,
    advice:
      "Besorgen Sie die Datei so, wie sie zuerst ausgegeben wurde, ohne ein Programm dazwischen, das sie umwandelt, und prüfen Sie diese.",
  }),
  conversions: {
    to_utf8: "in UTF-8 statt UTF-16",
    without_bom: "ohne die Bytereihenfolge-Marke am Anfang",
    with_bom: "mit einer Bytereihenfolge-Marke am Anfang",
    lf: "mit Zeilenenden LF statt CRLF",
    crlf: "mit Zeilenenden CRLF statt LF",
    without_final_newline: "ohne das Zeilenende am Schluss",
    with_final_lf: "mit einem Zeilenende (LF) am Schluss",
    with_final_crlf: "mit einem Zeilenende (CRLF) am Schluss",
    with_final_cr: "mit einem Wagenrücklauf am Schluss",
    compact_json: "als JSON ohne Leerraum",
    indented_json: "als JSON mit eingerückten Zeilen",
    without_space_around: "ohne den Leerraum davor und danach",
  },
  reasons: {
    otherRecord: {
      sentence:
        "Dieser Datensatz ist nicht der, zu dem der Nachweis gehört: Datensatz, Öffnung oder Nachweis wurde verändert, oder sie gehörten nie zusammen. Was davon, kann keine Prüfung sagen.",
      advice:
        "Vergleichen Sie den Datensatz mit dem im System, aus dem er kam, und sehen Sie nach, ob der Nachweis zu einem anderen Datensatz gehört.",
    },
    otherEntry: {
      sentence:
        "Der Eintrag ist nicht der, zu dem der Nachweis gehört: eines von beiden wurde verändert, oder sie gehörten nie zusammen.",
      advice: "Holen Sie den Nachweis noch einmal vom Log und vergleichen Sie.",
    },
    otherRow: {
      sentence: "Datensatz und Nachweis gehören zusammen, aber zu einer anderen Zeile als dieser.",
      advice: "Lassen Sie sich das Paket noch einmal geben, und fragen Sie, warum die Zeilen abweichen.",
    },
    logSignature: {
      sentence:
        "Der signierte Baumkopf des Logs wurde nach der Signatur verändert, oder er ist mit einem anderen Schlüssel als Ihrem signiert.",
      advice:
        "Vergleichen Sie die Schlüssel mit denen aus einer Quelle, der Sie trauen, und holen Sie den Nachweis noch einmal.",
    },
    anchorSignature: {
      sentence:
        "Der signierte Baumkopf des öffentlichen Logs wurde nach der Signatur verändert, oder er ist mit einem anderen Schlüssel als Ihrem signiert.",
      advice:
        "Vergleichen Sie die Schlüssel mit denen aus einer Quelle, der Sie trauen, und holen Sie den Nachweis noch einmal.",
    },
    anchor: {
      sentence:
        "Was das Log signiert hat, ist nicht das, was im öffentlichen Log steht: eines von beiden wurde verändert, oder sie gehören nicht zu einem Nachweis.",
      advice:
        "Holen Sie den Nachweis noch einmal. Bleibt es dabei, fragen Sie jemanden, der das öffentliche Log beobachtet.",
    },
    twoHistories: {
      sentence: "Das öffentliche Log hat zwei Verläufe signiert, die einander widersprechen.",
      advice:
        "Bewahren Sie diesen Nachweis auf: er ist ein Beweis. Zeigen Sie ihn denen, die das öffentliche Log beobachten.",
    },
    pending: {
      sentence: "Der Datensatz wurde angenommen und ist noch in keinem signierten Baum des Logs.",
      advice: "Holen Sie den Nachweis in einigen Minuten noch einmal.",
    },
    unknown: {
      sentence:
        "Als nach seinem Nachweis gefragt wurde, war die Antwort, dass das Log keinen solchen Datensatz hat: er wurde verändert, oder dort nie protokolliert, oder noch nicht gesandt. Das ist das Wort des Betreibers, und kein Nachweis kann es zeigen.",
      advice:
        "Sehen Sie nach, ob es das richtige Log ist, ob der Datensatz dorthin gesandt wurde, und ob diese Datei Byte für Byte die gesandte ist. Gibt es eine Datei mit Records, so geben Sie diese: ein Record zeigt selbst, ob die Zeile die seine ist.",
    },
    noProof: {
      sentence: "Zu diesem Datensatz liegt hier kein Nachweis.",
      advice: "Holen Sie seinen Nachweis, und prüfen Sie beide zusammen.",
    },
    recordAbsent: {
      sentence: "Im Log steht ein Eintrag, und der Datensatz dazu liegt nicht hier.",
      advice: "Lassen Sie sich den Datensatz geben, und prüfen Sie ihn mit diesem Nachweis.",
    },
    unknownKey: {
      sentence: "Der Nachweis ist von einem Log, zu dem keiner dieser Schlüssel gehört.",
      advice:
        "Besorgen Sie die Schlüssel des Logs aus einer Quelle, der Sie trauen, nicht von dem, der Ihnen den Nachweis gab: das Log kann einen neuen haben.",
    },
    noOpening: {
      sentence: "Was den Eintrag öffnet, seine Öffnung, fehlt.",
      advice:
        "Fragen Sie den, der den Datensatz hat, nach der Öffnung: sie steht in der Datei, die beim Protokollieren entstand.",
    },
    badOpening: {
      sentence: "Was den Eintrag öffnet, seine Öffnung, ist nicht lesbar.",
      advice:
        "Fragen Sie nach der Öffnung, die beim Protokollieren entstand; vielleicht braucht sie eine neuere Version dieses Programms.",
    },
    unreadable: {
      sentence: "Der Nachweis ist nicht lesbar: er ist keiner oder wurde verändert oder abgeschnitten.",
      advice: "Holen Sie den Nachweis noch einmal.",
    },
    less: {
      sentence: "Der Nachweis gilt und zeigt weniger, als verlangt ist.",
      advice: "Holen Sie den Nachweis später noch einmal, oder verlangen Sie weniger.",
    },
  },
  advice: {
    withheld: "Wer den Datensatz und seine Öffnung hat, kann prüfen, dass er es ist.",
  },
  columnsNotShown:
    "Dass die Spalten einer Tabelle bedeuten, was hier über ihnen steht: Nachgewiesen ist die Zeile, Byte für Byte; was über ihr stand, ist die Angabe dessen, der das Paket erstellt hat.",
  notShown:
    "Dies zeigt nicht, dass der Zugriff gerechtfertigt war, dass der Datensatz wahr ist oder dass sonst nichts geschah.",
  keys: {
    given: "Geprüft mit den Schlüsseln, die Sie angegeben haben.",
    pack: "Geprüft mit den Schlüsseln, die mit dem Paket kamen. Das ist so viel wert wie diese: vergleichen Sie sie mit Schlüsseln aus einer Quelle, der Sie trauen.",
  },
};

export const VERDICT_WORDS = { en, de };
