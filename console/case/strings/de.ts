/** What the page of a case says, in German. */
import type { EvidenceErrorCode } from "@kedge/cli/evidence/error";
import { tellFindingInGerman } from "@kedge/verify/audit/words-de";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { dateIn } from "../dates.ts";
import type { Strings } from "./en.ts";

const number = new Intl.NumberFormat("de");
const rows = (n: number) => (n === 1 ? "1 Zeile" : `${number.format(n)} Zeilen`);
const records = (n: number) => (n === 1 ? "1 Record" : `${number.format(n)} Records`);
const proofs = (n: number) => (n === 1 ? "1 Nachweis" : `${number.format(n)} Nachweise`);

const EVIDENCE: Record<EvidenceErrorCode, string> = {
  empty: "Eine Datei enthält kein Ereignis.",
  not_events: "Eine Datei ist kein Export von Ereignissen.",
  cut: "Eine Datei endet mittendrin: Exportieren Sie sie noch einmal.",
  malformed:
    "Eine Datei ist nicht das, was ihr Name oder ihr Anfang besagt: Exportieren Sie sie noch einmal, und geben Sie sie unbearbeitet.",
  too_large: "Das ist mehr, als auf einmal gelesen wird: Exportieren Sie einen kürzeren Zeitraum.",
  header: "Die erste Zeile einer Tabelle nennt keine Spalten: Exportieren Sie sie mit ihrer Kopfzeile.",
  row: "Eine Zeile hat nicht so viele Felder wie die Kopfzeile: Sie wurde abgeschnitten, verbunden oder bearbeitet. Exportieren Sie die Datei noch einmal.",
  records: "Eine Zeile ist kein Record: Geben Sie die Datei, wie sie geschrieben wurde.",
  proofs: "Die Nachweise sind so nicht verwendbar: Geben Sie die Datei, wie sie geschrieben wurde.",
  filter:
    "Diese Filter passen nicht dazu: Eine Rückverfolgung gilt einer GTIN, einer Charge oder einer Seriennummer, eine Inspektion einem Zeitraum mit Anfang und Ende.",
  disclosure:
    "Die Aufstellung der Offenlegungen ist nicht vollständig: Sie hat mindestens eine gekennzeichnete Zeile, und jede nennt Empfänger, Beschreibung, Zweck und Zeit.",
  case: "Die Angaben zum Vorgang gehen so nicht.",
};

export const de: Strings = {
  number: (n) => number.format(n),
  title: "Einträge beweisen",
  lead: "Legen Sie einen Export Ihres Zugriffsprotokolls ab. Was darin steht, bleibt in diesem Browser: Gesendet werden nur die Commitments der Zeilen, um deren Nachweise zu holen.",
  files: {
    title: "1. Log und Dateien",
    log: "Log",
    noLog: "Keines: nur mit den Dateien arbeiten",
    drop: "Dateien oder Ordner hier ablegen",
    tooMany: (n) => `Mehr als ${number.format(n)} Dateien: Legen Sie weniger auf einmal ab.`,
    or: "oder",
    choose: "Dateien auswählen",
    what: "Ein Export (NDJSON, FHIR, CSV, mit Trennzeichen, XML), dazu seine Records oder Ihr Schlüsselbund; außerdem Nachweise, Manifeste, die Spalten von Tabellen (headers.ndjson), eine Policy mit den Schlüsseln der Logs, ein Zertifikat eines Zeitstempeldienstes.",
    list: "Gegebene Dateien",
    isOf: (name) => `Was ${name} ist`,
    kinds: {
      events: "Export von Ereignissen",
      records: "Records der Ereignisse",
      keys: "Schlüsselbund oder Mandantenschlüssel",
      headers: "Spalten von Tabellen",
      proofs: "Nachweise",
      manifests: "Manifeste",
      policy: "Policy oder Schlüssel der Logs",
      authority: "Zeitstempeldienst",
    },
    remove: "Entfernen",
    removeOf: (name) => `${name} entfernen`,
    passphrase: "Passphrase des Schlüsselbunds, falls er eine hat",
    passphraseHelp: "Sie wird in diesem Browser verwendet und nirgendwohin gesendet.",
    chooseLog: "Wählen Sie das Log",
    needsLog: "Wählen Sie zuerst das Log, an das diese Ereignisse gesendet wurden.",
    needsEvents: "Geben Sie zuerst einen Export von Ereignissen.",
    needsOpening:
      "Geben Sie auch die Records dieser Ereignisse oder Ihren Schlüsselbund: Ohne sie lässt sich keine Zeile nachweisen.",
    begin: "Zeilen nachweisen",
    again: "Dateien erneut lesen",
    others:
      "Was unten steht, gehört zu den zuvor gelesenen Dateien und zum zuvor gewählten Log. Für diese hier drücken Sie „Dateien erneut lesen“.",
    cancel: "Abbrechen",
    bytes: (n) =>
      n < 1_000
        ? `${n} B`
        : n < 1_000_000
          ? `${number.format(Math.round(n / 1_000))} KB`
          : `${number.format(Math.round(n / 100_000) / 10)} MB`,
  },
  progress: {
    stages: {
      reading: "Der Export wird gelesen",
      opening: "Commitments werden berechnet",
      proofs: "Nachweise werden geholt und geprüft",
      verifying: "Nachweise werden geprüft",
      packing: "Das Beweispaket wird erstellt",
    },
    of: (done, total) =>
      total === undefined ? number.format(done) : `${number.format(done)} von ${number.format(total)}`,
  },
  errors: {
    cancelled: "Abgebrochen. Was zuvor da war, bleibt erhalten.",
    unreadable:
      "Diese Datei ist nicht lesbar: Sie ist ein Ordner, wurde verschoben oder nach der Auswahl verändert. Wählen Sie sie erneut aus.",
    authority:
      "Ein Zertifikat eines Zeitstempeldienstes ist nicht lesbar: Verwenden Sie die Datei so, wie Sie sie erhalten haben.",
    keys_malformed:
      "Das ist weder ein Schlüsselbund noch ein Mandantenschlüssel: Verwenden Sie keyring.json oder credentials.json, wie Kedge sie geschrieben hat.",
    keys_sealed:
      "Der Schlüsselbund ist mit einer Passphrase versiegelt: Geben Sie sie oben ein und versuchen Sie es erneut.",
    keys_wrong_passphrase: "Die Passphrase öffnet den Schlüsselbund nicht: Geben Sie sie erneut ein.",
    keys_command:
      "Den Schlüssel zu diesem Schlüsselbund verwahrt ein Programm Ihrer Organisation, das kein Browser ausführen kann. Bitten Sie Ihre Technik um die Records dieser Ereignisse (kedge find --export) und geben Sie diese.",
    policy: "Die Policy ist nicht lesbar: Verwenden Sie die Datei so, wie Sie sie erhalten haben.",
    no_records:
      "Diese Zeile ist kein Record von kedge commit: Verwenden Sie die Datei, wie sie geschrieben wurde.",
    no_proofs: "Diese Zeile ist kein Nachweis: Verwenden Sie die Datei, wie sie geschrieben wurde.",
    network: "Der Dienst ist nicht erreichbar.",
    unauthorized: "Ihre Sitzung ist beendet: Melden Sie sich erneut an.",
    forbidden: "Sie dürfen dieses Log nicht lesen: Wenden Sie sich an Ihre Administration.",
    not_found: "Der Dienst kennt dieses Log nicht.",
    throttled: "Der Dienst ist ausgelastet: Versuchen Sie es in einer Minute erneut.",
    server: "Der Dienst ist gestört: Versuchen Sie es in einer Minute erneut.",
    invalid: "Der Dienst hat die Frage zurückgewiesen.",
    protocol: "Die Antwort ist nicht die von Kedge.",
    pending: "Noch nicht versiegelt: Versuchen Sie es in Kürze erneut.",
    no_verifier:
      "Die Prüfseite war nicht zu laden, und jedes Paket enthält sie: Versuchen Sie es erneut, sobald der Dienst erreichbar ist.",
    worker:
      "Der Hintergrundprozess dieser Seite wurde beendet, vielleicht aus Mangel an Speicher; was er hielt, ist verloren. Laden Sie die Seite neu und geben Sie weniger Dateien auf einmal.",
    fault:
      "Auf dieser Seite ist ein Fehler aufgetreten; gesendet wurde nichts. Laden Sie sie neu und versuchen Sie es erneut.",
  },
  files_problem: (file, message) => `${file}: ${message}`,
  evidence: (code, message) =>
    `${EVIDENCE[code]} (Im Einzelnen, auf Englisch: ${message.replace(/\.$/, "")}.)`,
  verdicts: VERDICT_WORDS.de.headlines,
  states: {
    altered: "stimmt nicht mit seinem Record überein",
    refuted: "stimmt nicht mit dem Nachweis überein",
    unknown: "dem Log nicht bekannt",
    unopened: "weder Record noch Schlüssel",
    unasked: "Nachweis nicht geholt",
    unverified: "Nachweis nicht prüfbar",
    pending: "ausstehend",
    sealed: "versiegelt",
    anchored: "verankert",
    witnessed: "bezeugt",
    timestamped: "mit Zeitstempel",
  },
  found: {
    title: "2. Was gefunden wurde",
    summary: (n) => `${rows(n)} gelesen.`,
    keys: {
      given: "Geprüft mit den Schlüsseln der Datei, die Sie gegeben haben.",
      service:
        "Geprüft mit den Schlüsseln, die der Dienst selbst genannt hat: Das zeigt, dass Nachweise und Dienst übereinstimmen. Geben Sie in einem strittigen Fall eine Policy, die Sie aus anderer Quelle haben.",
      none: "Schlüssel der Logs sind nicht bekannt: Noch lässt sich nichts sagen. Geben Sie eine Policy, oder arbeiten Sie mit dem Dienst.",
    },
    stopped: (missing) =>
      `${missing === 1 ? "1 Nachweis konnte" : `${proofs(missing)} konnten`} noch nicht geholt werden. Was zuvor kam, bleibt erhalten.`,
    offline: (missing) => `${rows(missing)} ohne Nachweis.`,
    elsewhere:
      "Das Log kennt keine dieser Zeilen. Prüfen Sie zuerst, ob Sie das Log gewählt haben, an das sie gesendet wurden, und ob die Records zu diesem Export gehören. Ein Schlüsselbund allein öffnet keine Ereignisse, die eine Quelle nummeriert hat, wie ein Agent es tut: Geben Sie deren Records.",
    resume: "Fortsetzen",
    unopened: (n) =>
      n === 1
        ? "Zu 1 Ereignis gibt es weder Record noch Schlüssel: Ob es protokolliert wurde, ist nicht zu sagen. Geben Sie den Record dieses Ereignisses oder den Schlüsselbund."
        : `Zu ${number.format(n)} Ereignissen gibt es weder Record noch Schlüssel: Ob sie protokolliert wurden, ist nicht zu sagen. Geben Sie die Records dieser Ereignisse oder den Schlüsselbund.`,
    unread: (n) =>
      `Aus ${rows(n)} sind weder Zeit noch Benutzer noch Patient zu lesen. Kein Filter findet sie: Dass nichts gefunden wird, besagt nichts. ${n === 1 ? "Gehört" : "Gehören"} sie zu einer Tabelle, geben Sie auch die Datei headers.ndjson, die neben ${n === 1 ? "ihrem Record" : "ihren Records"} liegt: Sie sagt, was die Spalten sind.`,
    never: VERDICT_WORDS.de.notShown,
  },
  table: {
    title: "3. Zeilen",
    label: "Zeilen des Exports",
    help: "Mit den Pfeiltasten gehen Sie von Zeile zu Zeile, mit der Eingabetaste öffnen Sie eine.",
    columns: {
      when: "Zeit",
      user: "Benutzer",
      patient: "Patient oder Gegenstand",
      action: "Aktion",
      recordType: "Datensatzart",
      workstation: "Arbeitsplatz",
      reason: "Grund",
      outcome: "Ergebnis",
      source: "Quelle",
      evidence: "Nachweis",
    },
    concerns: "Betrifft",
    unreadable: "keine lesbare Zeit",
    mrn: (mrn) => `Pat.-Nr. ${mrn}`,
    printed: { gtin: "GTIN", sscc: "SSCC", lot: "Charge", serial: "Seriennummer" },
    moreSubjects: (n) => `und ${number.format(n)} weitere`,
    count: (found, total) => `${number.format(found)} von ${rows(total)}`,
    counts: (unchanged, changed, untold) =>
      `${number.format(unchanged)} unverändert, ${number.format(changed)} verändert oder nie protokolliert, ${number.format(untold)} noch nicht zu sagen`,
    none: "Mit diesen Filtern bleibt keine Zeile.",
    print: "Diese Zeilen drucken",
    printTooMany: (n) =>
      `Bis zu ${rows(n)} lassen sich hier drucken: Grenzen Sie die Filter ein, oder erstellen Sie das Beweispaket.`,
    date: dateIn("de"),
    sortBy: "Sortieren nach",
    ascending: "aufsteigend",
    descending: "absteigend",
    turnOrder: "Reihenfolge umkehren",
    loading: "…",
  },
  filters: {
    title: "Filter",
    from: "Von",
    to: "Bis einschließlich",
    user: "Benutzer",
    patient: "Patient oder Patientennummer",
    action: "Aktion",
    recordType: "Datensatzart",
    whole:
      "Benutzer, Patient, Aktion und Datensatzart: im Ganzen, wie in der Tabelle. Ein Teil davon findet nichts; von einer Aktion mit Doppelpunkt genügt, was davor steht.",
    breakTheGlass: "Nur Notfallzugriffe (Break-the-Glass)",
    sameSurname: "Gleicher Nachname",
    afterHours: "Außerhalb der Arbeitszeit",
    hoursFrom: "Außerhalb der Arbeitszeit von",
    hoursTo: "bis",
    list: "Meine Liste (Namen, Kennungen oder Patientennummern, je Zeile)",
    verdict: "Nachweis",
    any: "Alle",
    more: "Meine Liste und Produkte",
    gtin: "GTIN",
    lot: "Charge",
    serial: "Seriennummer",
    clear: "Filter zurücksetzen",
    unreadable:
      "Diese Filter ergeben keine Frage, darum steht hier keine Zeile: Ein Zeitraum endet nach seinem Beginn, Stunden sind zwei Uhrzeiten, und eine GTIN hat 8, 12, 13 oder 14 Ziffern, deren letzte die Prüfziffer ist.",
    zone: (zone) => `Ortszeiten gelten für ${zone}; ebenso Zeiten im Export ohne Zeitzone.`,
  },
  detail: {
    titleOf: (n, of) => `Zeile ${number.format(n)} von ${number.format(of)}`,
    close: "Schließen",
    previous: "Vorige Zeile",
    next: "Nächste Zeile",
    event: "Das Ereignis, wie es im Export steht",
    cut: "Gezeigt wird nur das erste Megabyte.",
    what: {
      altered:
        "Nach Namen oder Platz gibt es einen Record dazu, und es ist nicht das Ereignis, zu dem der Record gehört. Zu dem Record gibt es noch keinen Nachweis: Nichts zeigt also, was von beiden verändert wurde oder ob sie zusammengehören. Prüfen Sie, ob die Records zu diesem Export gehören und das Log das richtige ist, und holen Sie weitere Nachweise.",
      unopened:
        "Zu diesem Ereignis gibt es weder Record noch Schlüssel: Geben Sie seinen Record oder den Schlüsselbund.",
      unasked:
        "Sein Nachweis wurde noch nicht geholt: Setzen Sie das Holen fort, oder geben Sie die Nachweise als Datei.",
    },
    more: "Im Einzelnen (auf Englisch)",
    commitment: "Commitment",
    proof: "Nachweis herunterladen",
    secret:
      "Der Nachweis enthält die Öffnung dieses einen Ereignisses: Geben Sie ihn nur weiter, wenn das Ereignis gesehen werden darf.",
    disclosure: "Offenlegung (45 CFR 164.528)",
    recipient: "Empfänger",
    address: "Anschrift, falls bekannt",
    description: "Was offengelegt wurde, in Kürze",
    purpose: "Zweck",
    mark: "Als Offenlegung kennzeichnen",
    unmark: "Kennzeichnung entfernen",
    marked: "Als Offenlegung gekennzeichnet",
  },
  gaps: {
    title: "Lücken in der Nummerierung",
    lead: "Was die Nummern jeder Quelle und ihre Manifeste zeigen.",
    none: "Keine Nummern: Nichts hier sagt, dass eine Quelle diese Ereignisse gezählt hat; eine Lücke ist daher nicht zu erkennen.",
    complete: (source) => `${source}: vollständig, wie die Manifeste zählen`,
    incomplete: (source) => `${source}: nicht vollständig`,
    untold: (source) => `${source}: nicht zu sagen`,
    noManifest:
      "Kein Manifest sagt, wie viele Ereignisse es gab. Zwischen der ersten und der letzten Nummer dieses Exports fehlt keine; was davor oder danach kam, ist nicht zu sagen. Die Manifeste hat, wer den Agenten betreibt: Geben Sie sie hier mit an.",
    period: "Zeitraum",
    count: "Gezählte Ereignisse",
    verdict: "Urteil",
    verdicts: { complete: "vollständig", incomplete: "nicht vollständig", untold: "nicht zu sagen" },
    finding: tellFindingInGerman,
  },
  pack: {
    title: "4. Weitergeben",
    lead: "Ein Beweispaket enthält die Zeilen oben mit ihren Nachweisen, die Schlüssel, einen Bericht und die Prüfseite: Wer es erhält, braucht nichts von uns.",
    kind: "Was es ist",
    kinds: {
      access: "Zugriffsbericht",
      disclosures: "Aufstellung der Offenlegungen (nur gekennzeichnete Zeilen)",
      inspection: "Inspektion (GxP)",
      trace: "Rückverfolgung (DSCSA)",
    },
    language: "Sprache des Berichts",
    languages: { en: "English", de: "Deutsch" },
    number: "Vorgangsnummer",
    requestedBy: "Angefordert von",
    reason: "Anlass",
    preparedBy: "Erstellt von",
    withhold: "Patienten zurückhalten: Ereignisse weglassen, Commitments und Nachweise behalten",
    make: "Beweispaket erstellen",
    proofs: "Alle Nachweise herunterladen",
    patient: "Seite für den Patienten",
    patientHelp:
      "Die Seite für den Patienten gilt einem Patienten: Filtern Sie zuerst nach der Patientennummer.",
    allVerdicts:
      "Ein Paket enthält die Zeilen mit jedem Urteil: Welche wegzulassen, führte die Empfänger irre.",
    made: (name, n, left) =>
      `${name} wurde erstellt: ${rows(n)}.${left === 0 ? "" : ` Nicht enthalten: ${rows(left)}, zu ${left === 1 ? "der" : "denen"} es weder Record noch Schlüssel gibt.`}`,
    noRows: "Es gibt keine Zeile zum Weitergeben: Erweitern Sie die Filter.",
  },
  reconcile: {
    title: "Export mit seinen Records abgleichen",
    lead: "Welche Zeilen verändert wurden, welche nicht im Log stehen und zu welchen Records die Zeile fehlt.",
    run: "Abgleichen",
    none: "Jede Zeile ist unverändert, und zu jedem Record gibt es eine Zeile.",
    unchanged: (n) => `${rows(n)} unverändert.`,
    result: (n) =>
      n === 0 ? "Abgeglichen: Gefunden wurde nichts." : "Abgeglichen: Sehen Sie, was gefunden wurde.",
    more: (n) => `Und ${number.format(n)} weitere.`,
    is: {
      changed: (n) => `${rows(n)} nach dem Protokollieren verändert oder nie so protokolliert`,
      notInLog: (n) =>
        `${rows(n)}, die das Log nicht kennt: verändert, dort nie protokolliert oder noch nicht gesandt`,
      withoutRow: (n) => `${records(n)} ohne Zeile: im Export weggelassen`,
      recordNotInLog: (n) => `${records(n)} ohne Zeile und auch nicht im Log`,
      recordCannotTell: (n) =>
        `${records(n)} ohne Zeile; ob im Log vorhanden, ist noch nicht zu sagen: Gleichen Sie erneut ab, sobald der Dienst erreichbar ist`,
      cannotTell: (n) => `${rows(n)}, zu ${n === 1 ? "der" : "denen"} noch nichts zu sagen ist`,
      copies: (n) => `${rows(n)} doppelt im Export`,
      gap: (n) => `${n === 1 ? "1 Lücke" : `${number.format(n)} Lücken`} in der Nummerierung`,
    },
  },
  review: {
    title: "5. Durchsicht abzeichnen",
    lead: "Hält fest, wer welchen Zeitraum unter welchem Filter durchgesehen hat, mit der Anzahl der Zeilen und deren Wurzel, einem Hash über alle. Die Durchsicht bleibt bei Ihnen; gesendet und wie jedes Ereignis verankert werden nur ihr Commitment und Anzahlen.",
    by: "Durchgesehen von",
    save: "Abzeichnen und herunterladen",
    saved: (n) => `Abgezeichnet: ${rows(n)}. Bewahren Sie die Datei auf: Sie öffnet, was verankert wurde.`,
    needsLog: "Wählen Sie ein Log, um eine Durchsicht abzuzeichnen.",
    needsBy: "Geben Sie an, wer durchgesehen hat.",
    mayNot:
      "Ihre Rolle zeichnet keine Durchsicht ab: Das tut die der Datenschutz- oder Compliance-Verantwortlichen.",
  },
};
