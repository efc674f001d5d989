/** What stands on a patient's page, in German. */
import type { Strings } from "./en.ts";

const number = new Intl.NumberFormat("de");
const plural = new Intl.PluralRules("de");
const rows = (n: number): string =>
  `${number.format(n)} ${plural.select(n) === "one" ? "Eintrag" : "Einträge"}`;

export const de: Strings = {
  lang: "de",
  title: "Wer Ihre Akte eingesehen hat",
  disclosuresTitle: "Wem Ihre Daten offengelegt wurden",
  of: "Für",
  mrn: (mrn) => `Nummer ${mrn}`,
  period: (from, to) => `Von ${from} bis vor ${to}`,
  since: (from) => `Ab ${from}`,
  until: (to) => `Vor ${to}`,
  wholePeriod: "Es war kein Zeitraum gesetzt: es ist, was der Export enthielt.",
  selection:
    "Gesucht wurde nach mehr als der Person und dem Zeitraum, also nur nach einem Teil der Zugriffe. Es kann weitere geben.",
  number: "Vorgang",
  asOf: "Stand",
  found: rows,
  foundOf: {
    unchanged: "unverändert",
    changed: "verändert oder nie protokolliert",
    untold: "noch nicht zu sagen",
  },
  none: "Es wurde nichts gefunden. Das heißt, dass im Durchgesehenen nichts war, und nicht mehr.",
  caption: "Jeder Eintrag des Zugriffsprotokolls, in der Reihenfolge der Zeit",
  when: "Wann",
  who: "Wer",
  what: "Was",
  evidence: "Ist darauf Verlass?",
  recipient: "An wen",
  description: "Was offengelegt wurde",
  purpose: "Wozu",
  noTime: "Der Eintrag nennt keine Zeit",
  noOffset: (zone) => `Der Eintrag nennt keinen Versatz: als Zeit von ${zone} gelesen`,
  nobody: "Der Eintrag nennt niemanden",
  nothing: "Der Eintrag sagt es nicht",
  zone: (zone) =>
    `${zone === "UTC" ? "Die Zeiten gelten in UTC." : `Die Zeiten gelten in ${zone}, darunter stehen sie in UTC.`} Es sind die, die der Eintrag selbst nennt.`,
  notShown: "Was dies nicht zeigt",
  complete:
    "Dass dies alle Zugriffe sind, die es gab: wie die Einträge ausgewählt wurden, sagt der, der diese Seite erstellt hat.",
  check: "Wie Sie es prüfen",
  checkSteps: [
    "Diese Seite ist eine Abschrift zum Lesen. Prüfen lässt sich das Beweispaket, aus dem sie stammt: verlangen Sie es, oder die Zeilen darin, die Sie betreffen.",
    "Öffnen Sie die Prüfseite verify.html aus einer Quelle, der Sie trauen, und ziehen Sie das Paket darauf. Sie arbeitet ohne Netz und sagt zu jedem Eintrag, ob er unverändert ist.",
    "Vergleichen Sie den SHA-256 unten mit dem von EVIDENCE-SHA256 im Paket, der auch auf jeder Seite seines Berichts steht.",
  ],
  evidenceSha: "SHA-256 der Beweise",
  software: (version) => `Erstellt mit Kedge ${version}. Diese Seite enthält kein Skript und ruft nichts ab.`,
};
