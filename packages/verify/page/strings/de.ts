/** The page in German. */
import type { PeriodVerdict } from "@kedge/verify/audit/completeness";
import { tellFindingInGerman } from "@kedge/verify/audit/words-de";
import type { FileFinding, PackKind } from "@kedge/verify/pack/pack";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import type { NoReport } from "../check.ts";
import type { FileKind } from "../given.ts";
import { tellInGerman } from "./de-report.ts";
import type { Step, Strings } from "./en.ts";

const number = new Intl.NumberFormat("de-DE");
const plural = (n: number, one: string, many: string): string =>
  `${number.format(n)} ${n === 1 ? one : many}`;

const KINDS: Record<FileKind, string> = {
  event: "Datensatz",
  events: "Datensätze, einer je Zeile",
  proof: "Nachweis",
  proofs: "Nachweise, einer je Zeile",
  records: "Öffnungen, eine je Zeile",
  opening: "Öffnung",
  keys: "Schlüssel oder Policy",
  certificate: "Zertifikat für Zeitstempel",
  pack: "Beweispaket",
  ignored: "nicht verwendet",
};

const PACKS: Record<PackKind, string> = {
  access: "Zugriffsbericht",
  disclosures: "Aufstellung der Offenlegungen",
  inspection: "Inspektion",
  trace: "Rückverfolgung",
};

const WHY: Record<NoReport, string> = {
  no_proof:
    "Fügen Sie seinen Nachweis hinzu, eine Datei, die auf .tlog-proof endet, oder eine Datei mit Nachweisen.",
  untried:
    "Kein Nachweis hat den Namen dieses Datensatzes, und es sind zu viele, um alle zu versuchen. Geben Sie weniger Datensätze auf einmal, oder fügen Sie die Datei der Öffnungen hinzu.",
  no_event: "Fügen Sie den Datensatz hinzu, genau so, wie er übergeben wurde.",
  too_large:
    "Er hat mehr als 64 MiB, und kein Datensatz ist so groß: prüfen Sie, ob seine Zeilen verbunden wurden.",
};

const FINDINGS: Record<FileFinding["is"], string> = {
  changed: "wurde geändert, nachdem das Paket gemacht war",
  missing: "fehlt",
  unlisted: "kam hinzu, nachdem das Paket gemacht war",
  differs: "sagt nicht, was die Zeilen dieses Pakets sagen",
  other_version:
    "macht diese Version anders als die, mit der das Paket gemacht wurde: vergleichen Sie mit jener",
};

const PERIODS: Record<PeriodVerdict, string> = {
  complete: "vollständig",
  incomplete: "unvollständig",
  untold: "nicht zu sagen",
};

const STEPS: Record<Step, string> = {
  log: "Im signierten Log der Einrichtung",
  anchor: "Im öffentlichen Log des Betreibers",
  witnesses: "Von Zeugen mitsigniert",
  timestamp: "Mit Zeitstempel von außen",
};

export const de: Strings = {
  name: "Deutsch",
  title: "Datensätze prüfen",
  lead: "Stellen Sie fest, ob ein Datensatz eines Audit-Protokolls das ist, was protokolliert wurde. Alles geschieht auf dieser Seite: keine Datei verlässt Ihren Rechner, und nichts wird gespeichert.",
  language: "Sprache",
  working: (done, of) =>
    of === 0 ? "Wird geprüft …" : `Wird geprüft: ${number.format(done)} von ${number.format(of)}`,
  reading: "Die Dateien werden gelesen …",
  number: (n) => number.format(n),
  bytes: (n) => plural(n, "Byte", "Byte"),

  files: {
    title: "Dateien",
    drop: "Dateien hierher ziehen oder auswählen",
    hint: "Ein Datensatz und sein Nachweis, mehrere davon oder ein Beweispaket (.zip). Auch Schlüssel, eine Policy und Zertifikate für Zeitstempel.",
    choose: "Dateien auswählen",
    list: "Dateien, die vorliegen",
    taken: (name) => `Was ${name} ist`,
    kinds: KINDS,
    sha256: "SHA-256",
    remove: (name) => `${name} entfernen`,
    removeShort: "Entfernen",
    clear: "Alle Dateien entfernen",
    twoPacks: "Geprüft wird ein Paket auf einmal: das erste. Entfernen Sie es, um ein anderes zu prüfen.",
    unread: (name, why) => `${name} war nicht zu verwenden. ${why}`,
    tooLarge: "Die Datei war nicht zu lesen: sie ist vielleicht zu groß für diesen Browser oder ein Ordner.",
    beyond:
      "Sie ist größer als jede Datei der Art, für die sie gehalten wurde. Sagen Sie unten, was sie ist, oder geben Sie den Datensatz selbst oder ein Beweispaket.",
  },

  keys: {
    title: "Schlüssel",
    hint: "Fügen Sie die Policy oder die öffentlichen Schlüssel ein, die Sie erhalten haben. Ein Ergebnis ist so viel wert wie die Schlüssel: nehmen Sie sie von jemand anderem als dem, der Ihnen die Datensätze gab, etwa aus einem früheren Vertrag, aus eigenen Unterlagen oder von mehreren, die übereinstimmen. Ein Bitcoin-Block, für OpenTimestamps, steht auf einer eigenen Zeile: seine Höhe, ein Doppelpunkt und sein Header oder seine Merkle-Wurzel in hexadezimalen Ziffern.",
    label: "Policy oder öffentliche Schlüssel",
    none: "Noch keine Schlüssel. Ohne sie lässt sich nichts sagen.",
    given: "Verwendete Schlüssel, von Ihnen vorgelegt",
    fromPack: "Verwendete Schlüssel, aus dem Paket selbst",
    fromPackMeans:
      "Bisher zeigt das Ergebnis nur, dass das Paket in sich stimmig ist: wer es gemacht hat, hätte auch solche Schlüssel machen können. Vergleichen Sie sie mit Schlüsseln aus anderer Quelle, oder fügen Sie diese in das Feld für Schlüssel ein.",
    log: "Log",
    anchor: "Anker-Log",
    witness: "Zeuge",
    fingerprints:
      "Vergleichen Sie die SHA-256 jedes Schlüssels, wie er in policy.txt steht: die kurze Nummer hinter seinem Namen lässt sich nachahmen.",
    leftOut: (names) =>
      `Schlüssel in diesen Dateien gelten nicht, denn im Feld für Schlüssel stehen andere: ${names.join(", ")}.`,
    quorum: (name) => `Verlangte Zeugen: ${name}`,
    blocks: (n) => plural(n, "Bitcoin-Block", "Bitcoin-Blöcke"),
    certificates: (n) => plural(n, "Zertifikat für Zeitstempel", "Zertifikate für Zeitstempel"),
    malformed: (why) =>
      `Diese Schlüssel sind nicht lesbar (${why}). Kopieren Sie sie noch einmal, vollständig.`,
    malformedCertificate: (name, why) => `${name} ist kein verwendbares Zertifikat. ${why}`,
  },

  words: VERDICT_WORDS.de,
  verdict: {
    many: {
      unchanged: (n) => `${plural(n, "Datensatz ist", "Datensätze sind")} unverändert.`,
      changed: (n, of) =>
        `${number.format(n)} von ${plural(of, "Datensatz", "Datensätzen")} ${n === 1 ? "ist" : "sind"} nicht, was protokolliert wurde.`,
      withheld: (n) =>
        `${plural(n, "Eintrag steht", "Einträge stehen")} unverändert im Log, ${n === 1 ? "sein Datensatz ist" : "ihre Datensätze sind"} zurückgehalten.`,
      untold: (n, of) =>
        `Bei ${number.format(n)} von ${plural(of, "Datensatz", "Datensätzen")} lässt es sich noch nicht sagen.`,
      files: (n) =>
        `${plural(n, "Datei", "Dateien")} des Pakets ${n === 1 ? "ist" : "sind"} nicht so, wie gepackt wurde.`,
    },
    whys: WHY,
    failed: (why) =>
      `Die Prüfung kam nicht an ihr Ende: vielleicht reicht diesem Browser der Speicher nicht. Geben Sie weniger Dateien auf einmal, oder nehmen Sie einen anderen Browser. (${why})`,
    tooMany: (max) =>
      `Es liegen mehr als ${number.format(max)} Zeilen vor, und mehr werden nicht auf einmal geprüft: geben Sie einen Teil davon, oder bitten Sie um ein Beweispaket.`,
    noKeys:
      "Es liegen keine Schlüssel vor. Fügen Sie die Policy oder die öffentlichen Schlüssel in das Feld für Schlüssel ein.",
    limitsTitle: "Was dies nicht zeigt",
    limits: "Was nie protokolliert wurde, hat keinen Nachweis und ist nicht unter dem Geprüften.",
    left: (n) =>
      `${plural(n, "Nachweis", "Nachweise")} unter den Dateien ${n === 1 ? "gehört" : "gehören"} zu keinem vorliegenden Datensatz.`,
  },

  scanned: {
    title: "Der Bericht, den Sie gescannt haben",
    ofOne: "Er spricht von diesem einen Datensatz.",
    ofMany: "Er beruht auf diesem Baum des Logs.",
    nothing:
      "Der Code auf dem Papier zeigt für sich allein nichts: geben Sie das Paket oder einen Datensatz und seinen Nachweis, dann wird verglichen.",
    same: (where) =>
      where === undefined
        ? "Der gescannte Bericht spricht von diesem Datensatz: Stelle, Eintrag und Baum sind dieselben."
        : `Der gescannte Bericht spricht von einem Datensatz, der darunter ist: ${where}.`,
    sameTree: "Der gescannte Bericht beruht auf dem Baum des Logs, in dem diese Datensätze stehen.",
    other:
      "Der gescannte Bericht spricht von etwas anderem als dem, was hier vorliegt. Prüfen Sie, ob Papier und Dateien zusammengehören.",
    log: "Log",
    index: "Stelle im Log",
    leaf: "Blatt-Hash",
    root: "Wurzel des Baums",
    size: "Einträge im Baum",
    evidence: "SHA-256 von EVIDENCE-SHA256",
  },

  details: {
    record: "Was der Datensatz sagt",
    unreadable: "Das Format dieses Datensatzes ist hier nicht bekannt. Sein Inhalt steht unten.",
    content: "Der Datensatz selbst",
    cut: (shown, of) => `Gezeigt sind die ersten ${number.format(shown)} von ${number.format(of)} Byte.`,
    withheld: "Der Datensatz liegt nicht hier. Sein Eintrag im Log und sein Nachweis sind da.",
    how: "Wie weit es gezeigt ist",
    steps: STEPS,
    shown: "gezeigt",
    notShown: "nicht gezeigt",
    found: "Alles, was die Prüfung ergab",
    proven: "Gezeigt",
    notProven: "Damit nicht gezeigt",
    technical: "Für Sachverständige",
    technicalHint:
      "Wie diese Werte mit anderen Werkzeugen zu berechnen sind, steht in der Dokumentation unter „Without our tools“.",
    term: {
      log: "Log",
      index: "Stelle im Log",
      size: "Einträge im Baum",
      root: "Wurzel des Baums, Base64",
      commitment: "Commitment",
      leaf: "Blatt-Hash",
      mediaType: "Medientyp",
      canonicalisation: "Kanonisierung",
      source: "Quelle",
      sequence: "Nummer in der Quelle",
      anchor: "Anker-Log",
      anchorIndex: "Stelle im Anker-Log",
      anchorSize: "Einträge in seinem Baum",
      anchorRoot: "Wurzel seines Baums, Base64",
      signers: "Schlüssel, die signiert haben",
      witnesses: "Zeugen, die mitsigniert haben",
      times: "Signierte Zeiten",
      timestamps: "Zeitstempel",
      code: "Fehler",
    },
    columns: {
      when: "Wann",
      user: "Benutzer",
      patient: "Patient",
      action: "Aktion",
      recordType: "Datensatzart",
      workstation: "Arbeitsplatz",
      reason: "Grund",
      outcome: "Ergebnis",
      source: "Quelle",
      subjects: "Ferner genannt",
      disclosure: "Offenlegung",
    },
  },

  table: {
    title: "Datensätze",
    caption: (from, to, of) =>
      `Datensätze ${number.format(from)} bis ${number.format(to)} von ${number.format(of)}`,
    none: "Kein Datensatz hat dieses Urteil.",
    filter: "Zeigen",
    all: "Alle",
    row: "Nr.",
    name: "Datensatz",
    verdict: "Urteil",
    open: (n) => `Einzelheiten zu Datensatz ${n}`,
    details: "Einzelheiten",
    pages: "Seiten der Tabelle",
    first: "Anfang",
    previous: "Zurück",
    next: "Weiter",
    last: "Ende",
    line: (name, line) => `${name}, Zeile ${number.format(line)}`,
    printed: (n, of) =>
      `Gedruckt sind diese ${number.format(n)} von ${plural(of, "Datensatz", "Datensätzen")}. Der Bericht im Paket hat alle.`,
  },

  pack: {
    title: "Das Paket",
    kinds: PACKS,
    number: "Vorgangsnummer",
    requestedBy: "Angefragt von",
    reason: "Grund",
    preparedBy: "Erstellt von",
    lookedFor: "Gesucht",
    filter: {
      ...{ from: "von", to: "bis vor", user: "Benutzer", patient: "Patient", action: "Aktion" },
      ...{
        recordType: "Datensatzart",
        breakTheGlass: "nur Notfallzugriffe",
        sameSurname: "gleicher Nachname",
      },
      ...{ afterHours: "außerhalb der Dienstzeit", list: "einer von", lot: "Charge" },
      serial: "Seriennummer",
    },
    everything: "jedes Ereignis",
    columns: "Nicht gezeigt:",
    makersWord: "Die Angaben zum Vorgang sind die des Erstellers: kein Nachweis bezieht sich auf sie.",
    asOf: "Stand",
    software: "Gemacht mit Kedge",
    lookedThrough: "Durchgesehene Ereignisse",
    rows: "Datensätze im Paket",
    evidence: "SHA-256 von EVIDENCE-SHA256",
    evidenceHint: "Er steht auf jeder Seite des Berichts.",
    ownAuthorities:
      "Zeiten von außen gelten nach Zertifikaten, die mit dem Paket kamen: wer es erstellt hat, könnte auch eine solche Stelle erstellt haben. Vergleichen Sie sie mit denen der Stelle selbst, oder legen Sie diese hier ab.",
    stampsNotChecked:
      "Die Nachweise haben Zeitstempel, die nicht geprüft wurden: neben Ihren Schlüsseln gelten die Zertifikate nicht, die mit dem Paket kamen. Legen Sie das der Stelle selbst hier ab.",
    withheld:
      "Für Leser, die keine Patienten sehen dürfen, wurden Datensätze weggelassen. Ihre Nachweise sind da.",
    filesTitle: "Dateien des Pakets",
    filesGood:
      "Jede Datei stimmt mit den Listen des Pakets überein, und was hier neu gemacht wurde, mit seinen Zeilen.",
    byOwnKeys:
      "Sagt, was die Schlüssel des Pakets zeigen. Nach Ihren sagte es anderes, etwa zu Zeiten: richten Sie sich nach dieser Seite.",
    notMadeAnew:
      "Nur mit den Listen des Pakets selbst verglichen, denn diese Seite kann sie nicht neu machen: wären auch die Listen verändert, sähe man es hier nicht. Der Befehl kedge verify macht den Bericht neu.",
    outsideFilter: (n, rows) =>
      `Nicht das, was laut Paket gesucht wurde: ${plural(n, "Datensatz", "Datensätze")} (Nr. ${rows}).`,
    otherTimes: (n, zone) =>
      `Ortszeiten folgen den Zeitversätzen, die das Paket nennt. Für ${plural(n, "Datensatz", "Datensätze")} hat dieser Browser einen anderen von ${zone}: Eine Regel wurde geändert, seine Daten oder die des Erstellers sind alt, oder das Paket nennt ihn falsch. Richten Sie sich nach UTC, und wo ein Ereignis keinen Versatz nennt, nach seiner eigenen Angabe.`,
    zoneNotKnown: (zone) =>
      `Ortszeiten folgen den Zeitversätzen, die das Paket nennt: Dieser Browser kennt ${zone} nicht und konnte sie nicht vergleichen.`,
    maker: "Was der Ersteller des Pakets über alles Durchgesehene sagt. Es ist seine eigene Angabe.",
    findings: FINDINGS,
    sourcesTitle: "Fehlt etwas?",
    sourcesNone:
      "Das Paket hat keine Manifeste, also lässt sich aus der Nummerierung nicht sagen, ob Datensätze fehlen.",
    sourcesHint:
      "Vollständig heißt: jedes Ereignis, das der Absender in dieser Zeit erhielt, ist in diesem Paket. Was ein System nie übergeben hat, hat keine Nummer.",
    periods: PERIODS,
    period: "Zeitraum",
    events: "Ereignisse",
    numbers: "Nummern",
    result: "Urteil",
    source: (name) => `Quelle ${name}`,
    more: (n) => `${plural(n, "weiterer Zeitraum ist", "weitere Zeiträume sind")} hier nicht aufgeführt.`,
    others: (n) => `${number.format(n)} weitere, die hier nicht aufgeführt sind.`,
    broken: (why) =>
      `Dieses Paket ist nicht lesbar (${why.replace(/\.$/, "")}). Es wurde abgeschnitten oder geändert, oder es ist ein anderes Zip. Fordern Sie es erneut an.`,
  },

  print: "Drucken oder als PDF speichern",
  footer: {
    version: (version) => `Prüfseite von Kedge ${version}.`,
    same: "Sie prüft mit demselben Programm wie der Befehl kedge-verify. Was der Befehl darüber hinaus tut: einen Datensatz mit dem Schlüssel dessen öffnen, der ihn protokolliert hat, und verlangen, wie weit ein Nachweis reichen muss (--require); hier sagen seine Einzelheiten, wie weit er reicht. Ob diese Datei die echte Seite ist: vergleichen Sie ihre SHA-256 mit einer, die Ihnen jemand anderes nennt.",
    licences: "Software in dieser Seite und ihre Lizenzen",
  },

  tell: tellInGerman,
  finding: tellFindingInGerman,
};
