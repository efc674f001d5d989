/** What stands in the files of a pack, in German. */
import type { PackStrings } from "./en.ts";

export const de: PackStrings = {
  columns: {
    row: "Zeile",
    local: "Zeitpunkt (Ortszeit)",
    utc: "Zeitpunkt (UTC)",
    userName: "Benutzer",
    userLogin: "Anmeldename",
    userRole: "Rolle",
    userDepartment: "Abteilung",
    patientName: "Patient",
    patientMrn: "Patientennummer",
    action: "Aktion",
    recordType: "Datensatzart",
    workstation: "Arbeitsplatz oder Adresse",
    reasonCode: "Grund",
    reasonExplanation: "Erläuterung",
    outcome: "Ergebnis",
    source: "Quelle",
    subjects: "Gegenstände",
    recipient: "Offengelegt an",
    address: "Anschrift",
    description: "Was offengelegt wurde",
    purpose: "Zweck",
    verdict: "Urteil",
    evidence: "Nachweis",
    loggedBy: "Protokolliert spätestens (UTC)",
    index: "Nummer im Log",
    commitment: "Commitment",
    event: "Ereignisdatei",
    line: "Zeile der Datei",
  },
  verdicts: {
    unchanged: "Unverändert",
    changed: "Verändert oder nie protokolliert",
    untold: "Noch nicht zu sagen",
  },
  withheld: "Ereignis zurückgehalten; sein Eintrag steht im Log",
  evidence: {
    pending: "ausstehend",
    unknown: "dem Log nicht bekannt",
    none: "kein Nachweis",
    refuted: "stimmt nicht mit dem Nachweis überein",
    unverified: "Nachweis nicht prüfbar",
    sealed: "versiegelt",
    anchored: "verankert",
    witnessed: "bezeugt",
    timestamped: "mit Zeitstempel",
  },
  readme: (
    software,
  ) => `Dies ist ein Beweispaket: Protokollereignisse, und was es braucht, um zu prüfen, dass jedes Byte für Byte das ist, was protokolliert wurde.

SO PRÜFEN SIE ES

1. Öffnen Sie verify.html in einem Browser, auch ohne Netz, und ziehen Sie die ganze Zip-Datei darauf. Oder: kedge-verify verify pack.zip
   Nehmen Sie verify.html oder den Befehl möglichst von jemand anderem als dem Ersteller dieses Pakets: sein SHA-256 ist veröffentlicht.
2. Die Schlüssel in policy.txt kamen mit diesem Paket. Ein Paket ist so viel wert wie seine Schlüssel: vergleichen Sie sie mit denen aus
   dem Vertrag, aus einem früheren Paket oder von mehreren, die übereinstimmen. Besser: geben Sie Ihre eigenen an: --policy DATEI
3. Ohne unsere Werkzeuge: sha256sum -c SHA256SUMS sagt, ob die Dateien die eingepackten sind. Der Abschnitt "A pack, with standard
   tools only" in docs/verify.md führt von dort bis zu den Signaturen.

WAS DARIN IST

case.json            was gefragt wurde, von wem, und wie gesucht wurde
rows.ndjson          die Zeilen des Berichts
events/              die Ereignisse, Byte für Byte; proofs.ndjson hat den Nachweis zu jedem (c2sp.org/tlog-proof) mit seiner Öffnung
policy.txt           öffentliche Schlüssel und Zeugen (c2sp.org/tlog-policy)
checkpoints/         die signierten Baumköpfe, zu denen die Nachweise führen
tsa/                 Zertifikate von Zeitstempeldiensten
manifests/           wie viele Ereignisse jede Quelle hatte, Stunde für Stunde, wie damals gezählt
gaps.json            was die Nummerierung zeigt: "pack" nach dem, was hier liegt, "export" nach dem Wort des Erstellers
report.pdf           der Bericht; report.csv ist seine Tabelle
EVIDENCE-SHA256      SHA-256 der Beweise; sein eigenes SHA-256 steht auf jeder Seite des Berichts
SHA256SUMS           SHA-256 jeder anderen Datei

WAS ES NICHT ZEIGT

Dass ein Zugriff gerechtfertigt war, dass ein Datensatz wahr ist oder dass sonst nichts geschah.

Eine Öffnung legt jedem, der sie liest, den Eintrag ihres Ereignisses offen. Behandeln Sie dieses Paket wie die Ereignisse selbst.

Erstellt mit Kedge ${software}.
`,
};
