/** What the report says, in German. */
import type { Strings } from "./en.ts";

const numbers = new Intl.NumberFormat("de");
const n = (count: number): string => numbers.format(count);
const records = (count: number): string => (count === 1 ? "1 Datensatz" : `${n(count)} Datensätze`);
const ofRecords = (count: number): string => (count === 1 ? "1 Datensatz" : `${n(count)} Datensätzen`);
function unchangedOf(count: number, isAll: boolean): string {
  if (!isAll) return `${records(count)} ${count === 1 ? "ist" : "sind"}`;
  return count === 1 ? "Der Datensatz ist" : `Jeder der ${records(count)} ist`;
}

export const de: Strings = {
  lang: "de",
  kinds: {
    access: "Zugriffsbericht",
    disclosures: "Aufstellung der Offenlegungen (Accounting of Disclosures)",
    inspection: "Audit-Trail für die Inspektion",
    trace: "Rückverfolgung eines Produkts",
  },
  about: {
    access:
      "Zugriffe, die der Audit-Trail verzeichnet, jeder mit dem, was zeigt, dass sein Datensatz seither nicht verändert wurde.",
    disclosures:
      "Offenlegungen geschützter Gesundheitsdaten, die der Beauftragte als solche gekennzeichnet hat (45 CFR 164.528(b)(2)): Datum, Empfänger, Inhalt und Zweck. Offenlegungen für Behandlung, Abrechnung und Betriebsabläufe gehören nicht in diese Aufstellung (164.528(a)(1)(i)).",
    inspection:
      "Der Audit-Trail des Zeitraums, jeder Eintrag mit dem, was zeigt, dass sein Datensatz seither nicht verändert wurde.",
    trace:
      "Ereignisse, die der Audit-Trail zu einem Produkt verzeichnet (nach GTIN, Charge oder Seriennummer), jedes mit dem, was zeigt, dass sein Datensatz seither nicht verändert wurde.",
  },
  title: (kind, number) => (number === undefined ? kind : `${kind} – Vorgang ${number}`),
  number: n,
  whole: (file) => `hier gekürzt: ${file} enthält alles`,

  verdict: {
    unchanged: (count, isAll, by, isBytes) =>
      `${unchangedOf(count, isAll)} Byte für Byte${isBytes ? "" : " oder, bei kanonisiertem JSON (RFC 8785), Wert für Wert"} das, was ${by === undefined ? "protokolliert wurde. Ein Zeitpunkt ist nicht nachgewiesen." : `spätestens am ${by} protokolliert war.`}`,
    changed: (count) =>
      `${records(count)} ${count === 1 ? "ist" : "sind"} nicht das, was protokolliert wurde, oder ${count === 1 ? "wurde" : "wurden"} nie protokolliert. Welche, steht in der Tabelle.`,
    untold: (count) =>
      `Bei ${ofRecords(count)} ist es noch nicht feststellbar. Bei welchen, und was zu tun ist, steht in der Tabelle.`,
    withheld: (count, by) =>
      `Von ${ofRecords(count)} ist nur der Eintrag gezeigt, der Datensatz ist weggelassen: Der Eintrag steht unverändert im Log${by === undefined ? ", ein Zeitpunkt ist nicht nachgewiesen" : `, spätestens seit dem ${by}`}.`,
    none: "Es wurde kein Datensatz gefunden: Es gibt nichts nachzuweisen.",
    files: (count) =>
      `${count === 1 ? "1 Datei" : `${n(count)} Dateien`} des Beweispakets ${count === 1 ? "ist" : "sind"} nicht so, wie sie gepackt ${count === 1 ? "wurde" : "wurden"}: siehe „Dateien des Pakets“.`,
  },

  case: {
    heading: "Vorgang",
    number: "Vorgangsnummer",
    requestedBy: "Angefragt von",
    reason: "Anlass",
    preparedBy: "Erstellt von",
    period: "Zeitraum",
    filter: "Gesucht",
    lookedThrough: "Durchgesehene Ereignisse",
    found: "Gefundene Zeilen",
    proven: "Nachweislich unverändert",
    notProven: "Nicht nachgewiesen",
    notProvenOf: (changed, untold) =>
      changed + untold === 0
        ? "0"
        : `${n(changed + untold)} (${n(changed)} verändert oder nie protokolliert; ${n(untold)} noch nicht feststellbar)`,
    withheld: "Weggelassen",
    withheldOf: (count) =>
      `Was ${count === 1 ? "1 Datensatz sagt" : `${records(count)} sagen`}, ist weggelassen, für Leser, die keine Patienten sehen dürfen. Commitment und Nachweis sind vorhanden und prüfbar.`,
    asOf: "Stand",
    asOfOf: (time) => `${time}: der neueste Zeitpunkt, den ein Nachweis zeigt`,
    evidence: "Beweismittel, SHA-256",
    evidenceOf: "der Datei EVIDENCE-SHA256 des Pakets; steht auf jeder Seite",
    notSaid: "nicht angegeben",
  },
  period: {
    all: "alles, was vorlag",
    between: (from, to, zone) =>
      `${[...(from === undefined ? [] : [`ab ${from}`]), ...(to === undefined ? [] : [`vor ${to}`])].join(", ")} (${zone})`,
    own: "nach den eigenen Zeiten der Ereignisse",
  },
  filter: {
    all: "jedes Ereignis des Zeitraums",
    user: (text) => `Benutzer ${text}`,
    patient: (text) => `Patient ${text}`,
    action: (text) => `Aktion ${text}`,
    recordType: (text) => `Datensatzart ${text}`,
    breakTheGlass: "nur Notfallzugriffe (Break the Glass)",
    sameSurname: "Benutzer und Patient haben denselben Nachnamen",
    afterHours: ({ from, to }) => `außerhalb von ${from} bis ${to} Uhr, Ortszeit`,
    list: (texts, more) =>
      `einer aus dieser Liste: ${texts.join(", ")}${more > 0 ? ` und ${n(more)} weitere (alle in case.json)` : ""}`,
    gtin: (text) => `GTIN ${text}`,
    lot: (text) => `Charge ${text}`,
    serial: (text) => `Seriennummer ${text}`,
  },

  completeness: {
    heading: "Vollständigkeit: was die Nummerierung zeigt",
    about:
      "Jede Quelle nummeriert ihre Ereignisse, und ein Manifest, stündlich festgeschrieben, sagt, welche Nummern es gibt. Damit werden die Ereignisse in diesem Paket verglichen.",
    maker: "Angabe des Erstellers, für alles, was durchgesehen wurde",
    makerAbout:
      "Das Paket enthält die Ereignisse, um die es geht, nicht alle durchgesehenen. Das Folgende sagt, wer das Paket erstellt hat, über alle; aus dem Paket ist es nicht prüfbar.",
    none: "Kein Datensatz, der in diesem Paket gezeigt ist, hat eine Nummer. Ob Ereignisse fehlen, ist nicht feststellbar.",
    source: "Quelle",
    period: "Zeitraum",
    numbers: "Nummern",
    verdict: "Was gezeigt ist",
    noPeriods: "kein Manifest",
    verdicts: {
      complete: "Vollständig: Jede Nummer ist vorhanden.",
      incomplete: "Nicht vollständig: siehe unten.",
      untold:
        "Nicht feststellbar: Nicht jedes Ereignis dieser Zeit liegt vor, oder auf sein Manifest ist kein Verlass.",
    },
    missing: (source, first, last) =>
      first === last
        ? `${source}: Nummer ${first} fehlt.`
        : `${source}: Nummern ${first} bis ${last} fehlen.`,
    finding: (source, code, where) => `${source}: ${code}${where}.`,
    findings: {
      sequence_repeated: "zwei oder mehr Ereignisse haben dieselbe Nummer",
      gap_seen: "der Agent hat vermerkt, dass etwas fehlt",
      manifest_missing: "ein Manifest fehlt",
      manifest_repeated: "es gibt ein zweites Manifest, das nicht zählt",
      manifest_chain: "ein Manifest folgt nicht auf das vorige",
      manifest_numbers: "ein Manifest setzt nicht dort fort, wo das vorige endete",
      manifest_root: "ein Manifest zählt andere Ereignisse als die vorgelegten",
      manifest_late: "ein Manifest kam verspätet in das Log",
      manifest_malformed: "was als Manifest festgeschrieben wurde, ist keines",
      no_manifest: "es gibt kein Manifest, also ist Vollständigkeit nicht feststellbar",
    },
    otherFinding: (code) => `Befund „${code}“`,
    at: (from, to) => ` (${from} bis ${to})`,
    atNumbers: (first, last) => (first === last ? `, Nummer ${first}` : `, Nummern ${first} bis ${last}`),
    more: (count) => `Und ${n(count)} weitere: gaps.json enthält alle.`,
  },

  files: {
    heading: "Dateien des Pakets",
    about: "Diese Dateien sind nicht so, wie sie gepackt wurden:",
    is: {
      changed: "wurde nach dem Packen verändert",
      missing: "fehlt",
      unlisted: "ist nicht verzeichnet: sie wurde hinzugefügt",
      differs: "ist nicht das, was die Zeilen des Pakets ergeben",
      other_version: "stammt von einer anderen Version der Software; diese muss sie vergleichen",
    },
    file: (name, is) => `${name} ${is}.`,
    more: (count) => `Und ${n(count)} weitere: kedge-verify verify --json nennt alle.`,
  },

  rows: {
    heading: "Die Zeilen",
    about: (zone) =>
      `„Wann“ ist die eigene Zeit des Ereignisses, ${zone === "UTC" ? "in UTC" : `in ${zone} und in UTC`}; kein Nachweis zeigt sie. „Nachweis“ sagt, was vom Datensatz gezeigt ist und wann er spätestens im Log stand. „Log-Eintrag“ ist die Stelle im Log mit den ersten 8 Ziffern des Commitments; im Anhang stehen alle 64. Was ein Bildschirm nicht als Zeichen zeigen würde, steht als sein Code, etwa [U+202E].`,
    none: "Es wurde keine Zeile gefunden.",
    bounded: (shown, all) =>
      `Die ersten ${n(shown)} von ${n(all)} Zeilen. Die Tabelle geht in report.csv weiter, und rows.ndjson des Pakets enthält jede Zeile und jedes Commitment; die Zählungen oben gelten für alle Zeilen.`,
    number: "Nr.",
    when: "Wann",
    user: "Benutzer",
    patient: "Patient oder Gegenstand",
    subjects: "Produkt",
    printed: { gtin: "GTIN", sscc: "SSCC", lot: "Charge", serial: "Seriennummer" },
    action: "Aktion",
    recordType: "Datensatzart",
    workstation: "Arbeitsplatz oder Adresse",
    reason: "Grund",
    outcome: "Ergebnis",
    source: "Quelle",
    evidence: "Nachweis",
    entry: "Log-Eintrag",
    withheld:
      "Weggelassen: für Leser, die keine Patienten sehen dürfen. Commitment und Nachweis sind vorhanden.",
    unreadable: "Das Ereignis ist nicht im Paket oder lässt sich nicht als solches lesen.",
    noOffset: "das Ereignis nennt keinen Versatz: als Zeit dieser Zone gelesen",
    mrn: (text) => `Patientennummer ${text}`,
    by: "im Log spätestens",
    noTime: "kein Zeitpunkt nachgewiesen",
    cut: "… hier gekürzt: vollständig in report.csv und im Ereignis",
    index: (index) => `Eintrag ${index}`,
    notInLog: "kein Eintrag gezeigt",
    moreSubjects: (count) => `und ${n(count)} weitere, in report.csv`,
  },

  disclosures: {
    heading: "Offenlegungen",
    about:
      "Was eine Offenlegung ist und was hier dazu steht, sind Angaben des Beauftragten (45 CFR 164.528(b)(2)); das Datum ist das eigene des Ereignisses.",
    date: "Datum",
    recipient: "Empfänger und, falls bekannt, Anschrift",
    description: "Was offengelegt wurde",
    purpose: "Zweck",
    row: "Zeile",
    notSaid: "nicht ausgefüllt",
  },

  evidence: {
    heading: "Logs, Schlüssel, Zeugen und Zeiten",
    keys: "Schlüssel",
    keysGiven:
      "Die Schlüssel hat vorgegeben, wer dieses Urteil gefällt hat; sie sind nicht dem Paket entnommen.",
    keysPack:
      "Die Schlüssel kamen mit dem Paket. Wer das Paket gemacht hat, könnte auch sie gemacht haben: Vergleichen Sie die Fingerabdrücke mit einer Quelle, der Sie vertrauen, etwa dem Betreiber des Logs oder einem früheren Dokument.",
    badPolicy: "Die Policy des Pakets lässt sich nicht lesen, daher ist kein Schlüssel aufgeführt.",
    key: "Schlüssel",
    keyType: "Art",
    fingerprint: "SHA-256 des Schlüssels, wie er in policy.txt steht",
    log: "Log",
    witness: "Zeuge",
    quorum: (text) => `Quorum der Policy: ${text}.`,
    noQuorum: "Die Policy verlangt keinen Zeugen.",
    checkpoints: "Checkpoints",
    checkpointsAbout:
      "Signierte Baumköpfe, auf denen die Nachweise beruhen, als Text: Name des Logs, Zahl der Einträge, Wurzel, Signaturen. Die Signaturen sind hier gekürzt; checkpoints/ des Pakets enthält sie ganz.",
    noCheckpoints: "Kein Checkpoint: Es ist nichts nachgewiesen.",
    witnesses: "Zeugen",
    witnessesAbout:
      "Unabhängige Stellen, die das Anker-Log mitsigniert haben, nachdem sie geprüft hatten, dass es nur gewachsen ist. Dass sie vom Betreiber unabhängig sind, sagt die Policy.",
    noWitnesses: "Kein Zeuge ist nachgewiesen.",
    witnessOf: (name, count, latest) =>
      `${name}: für ${records(count)}${latest === undefined ? "" : `, zuletzt ${latest}`}`,
    timestamps: "Zeitstempel",
    timestampsAbout:
      "Zeiten von außen über den signierten Baumkopf des Anker-Logs (RFC 3161 oder ein Bitcoin-Block).",
    authorities: {
      given: "Die Zertifikate der Zeitstempeldienste hat vorgegeben, wer dieses Urteil gefällt hat.",
      pack: "Die Zertifikate der Zeitstempeldienste kamen mit dem Paket: Vergleichen Sie sie mit einer Quelle, der Sie vertrauen.",
      none: "Es lag kein Zertifikat eines Zeitstempeldienstes vor.",
    },
    noTimestamps: "Kein Zeitstempel von außen ist nachgewiesen.",
    rfc3161: (by, at, accuracy) => `${by} (RFC 3161): ${at}${accuracy}`,
    accuracy: (seconds) => `, auf ${n(seconds)} s genau`,
    block: (height, at) =>
      `Bitcoin-Block ${height} (OpenTimestamps)${at === undefined ? "" : `: etwa ${at}`}`,
    more: (count, file) => `Und ${n(count)} weitere, in ${file} des Pakets.`,
  },

  clauses: {
    heading: "Vorschriften, und was dieses Dokument zu jeder zeigt",
    rule: "Vorschrift",
    shows: "Was hier gezeigt ist",
    list: [
      [
        "45 CFR 164.312(b) – Audit Controls",
        "Dass die mit „Unverändert“ bezeichneten Datensätze Byte für Byte das sind, was das aufzeichnende System spätestens zu den genannten Zeiten protokolliert hatte. Nicht, dass jede Aktivität aufgezeichnet wurde.",
      ],
      [
        "45 CFR 164.308(a)(1)(ii)(D) – Information System Activity Review",
        "Dass diese Durchsicht stattfand: Zeitraum, Filter, wie viele Ereignisse durchgesehen und gefunden wurden. Nicht, dass solche Durchsichten regelmäßig sind.",
      ],
      [
        "45 CFR 164.316(b)(2) – Aufbewahrung der Dokumentation",
        "Der Stand dieses Dokuments und worauf es beruht, für den, der es als Dokumentation einer Maßnahme oder Bewertung aufbewahrt. Die Vorschrift betrifft Dokumentation; für Audit-Logs setzt sie keine Frist.",
      ],
      [
        "21 CFR 11.10(e) – Audit Trails",
        "Dass Einträge des Audit-Trails nach den gezeigten Zeiten nicht verändert wurden, und, wo eine Quelle ihre Ereignisse nummeriert, welche Nummern fehlen. Nicht, dass die Uhr des aufzeichnenden Systems richtig ging.",
      ],
      [
        "EU-GMP-Leitfaden, Anhang 11, §9 – Audit Trails",
        "Der Audit-Trail des Zeitraums in lesbarer Form, und dass er unter dem obigen Filter durchgesehen wurde. Nicht, ob die verzeichneten Änderungen gerechtfertigt waren.",
      ],
      [
        "DSCSA, Section 582 des FD&C Act – Rückverfolgung",
        "Bei einer Rückverfolgung: die gesuchten Ereignisse des Produkts, unverändert seit den gezeigten Zeiten. Nicht, dass andere Handelspartner die ihren aufgezeichnet haben.",
      ],
      [
        "DSGVO Art. 5 Abs. 1 lit. f und Art. 32 – Integrität, Sicherheit der Verarbeitung",
        "Dass sich die Integrität dieser Datensätze zeigen lässt, ohne dass ihr Inhalt den Verantwortlichen verlässt: Das Log enthält Commitments, die ohne den Schlüssel nicht zuzuordnen sind. Nicht, dass die Verarbeitung als Ganzes sicher ist.",
      ],
    ],
    disclosures: [
      "45 CFR 164.528(b)(2) – Inhalt der Aufstellung",
      "Die vier Angaben, wie der Beauftragte sie eingetragen hat, zu jeder Zeile, die er gekennzeichnet hat. Nicht, dass die Aufstellung vollständig ist.",
    ],
  },

  notShown: {
    heading: "Was nicht gezeigt ist",
    list: [
      "Dass ein Zugriff gerechtfertigt war oder nicht.",
      "Dass wahr ist, was ein Datensatz sagt, seine eigene Zeit und sein Benutzer eingeschlossen: Jemand kann eine fremde Anmeldung benutzt haben.",
      "Dass sonst nichts geschehen ist: Ein Ereignis, das nie aufgezeichnet oder nie festgeschrieben wurde, hinterlässt hier keine Spur. Was die Nummerierung zeigt, steht unter „Vollständigkeit“.",
      "Wann, vor der gezeigten Zeit, ein Datensatz entstand: nur, dass es ihn bis dahin gab.",
      "Dass die Zeugen vom Betreiber unabhängig sind: Das sagt die Policy.",
      "Was eine Offenlegung ist, und wer dieses Dokument warum verlangt hat: Das sind Angaben dessen, der es erstellt hat.",
    ],
  },

  verify: {
    heading: "So prüfen Sie das ohne uns",
    list: [
      "Öffnen Sie verify.html aus dem Paket in einem Browser, ohne Netz, und ziehen Sie das Paket darauf. Die Seite nennt dieselben drei Urteile.",
      "Oder auf einer Kommandozeile: kedge-verify verify pack.zip (das npm-Paket @kedge/verify).",
      "Oder mit Werkzeugen, die nicht von uns sind: README.txt im Paket sagt, wie es mit unzip, sha256sum und OpenSSL oder Python geht.",
      "Nehmen Sie in jedem Fall die Schlüssel aus einer Quelle, der Sie vertrauen, statt aus dem Paket, und vergleichen Sie den SHA-256 am Fuß dieser Seite mit dem von EVIDENCE-SHA256.",
      "Die Kopie von verify.html im Paket könnte mit ihm verändert worden sein: Nehmen Sie eine aus der Veröffentlichung der Software selbst, deren SHA-256 bekannt gegeben ist.",
    ],
    qr: "Der Code führt zur Prüfseite des Log-Betreibers, mit dem Baum, auf dem dieses Dokument beruht. Der Teil nach „#“ wird an keinen Server gesendet und enthält nichts von einem Patienten.",
    qrHost: (host) =>
      `Die Adresse ist die des Betreibers, den das Log nennt: ${host}. Prüfen Sie, ob es die ist, die Sie kennen.`,
    qrAlt: (url) => `QR-Code mit der Adresse ${url}`,
    noQr: "Es gibt keinen QR-Code: Von keinem Datensatz ist nachgewiesen, dass er in einem Log steht.",
  },

  signatures: {
    heading: "Unterschriften",
    about:
      "Die Unterschrift sagt, wer dieses Dokument erstellt und wer es geprüft hat. Die Nachweise hängen nicht davon ab.",
    prepared: ["Erstellt von (Name, Funktion)", "Datum", "Unterschrift"],
    reviewed: ["Geprüft von (Name, Funktion)", "Datum", "Unterschrift"],
  },

  appendix: {
    heading: "Anhang: Commitments",
    about:
      "Ein Commitment ist ein mit einem Schlüssel gebildeter Hash des Ereignisses, und das, was das Log von ihm hat. Ohne den Schlüssel ist es dem Ereignis nicht zuzuordnen.",
    number: "Zeile",
    index: "Eintrag",
    commitment: "Commitment (SHA-256, hexadezimal)",
    verdict: "Urteil",
    more: (count) => `${n(count)} weitere Zeilen: rows.ndjson enthält alle.`,
  },

  footer: {
    evidence: (hash) => `Beweismittel SHA-256 ${hash}`,
    about: (kind, number, software) =>
      `${kind}${number === undefined ? "" : ` · Vorgang ${number}`} · ${software}`,
    page: (page) => `Seite ${n(page)} von`,
  },
  software: (version) => `Kedge ${version}`,
};
