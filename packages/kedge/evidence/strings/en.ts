/** What stands on a patient's page, in English. */

const number = new Intl.NumberFormat("en");
const plural = new Intl.PluralRules("en");
const rows = (n: number): string => `${number.format(n)} ${plural.select(n) === "one" ? "entry" : "entries"}`;

export const en = {
  lang: "en",
  title: "Who looked at your record",
  disclosuresTitle: "To whom your data was disclosed",
  of: "For",
  mrn: (mrn: string) => `number ${mrn}`,
  period: (from: string, to: string) => `From ${from} to before ${to}`,
  since: (from: string) => `From ${from} on`,
  until: (to: string) => `Before ${to}`,
  wholePeriod: "No period was set: it is what the export had.",
  selection:
    "Only some accesses were looked for, by more than the person and the period. There may be others.",
  number: "Case",
  asOf: "As of",
  found: rows,
  foundOf: { unchanged: "unchanged", changed: "changed, or never logged", untold: "cannot be told yet" },
  none: "Nothing was found. It says that there was none in what was looked through, and no more.",
  caption: "Each entry of the audit trail, in the order of time",
  when: "When",
  who: "Who",
  what: "What",
  evidence: "Can it be relied on?",
  recipient: "To whom",
  description: "What was disclosed",
  purpose: "Why",
  noTime: "The entry says no time",
  noOffset: (zone: string) => `The entry says no offset: taken as of ${zone}`,
  nobody: "The entry names nobody",
  nothing: "The entry does not say",
  zone: (zone: string) =>
    `${zone === "UTC" ? "Times are in UTC." : `Times are of ${zone}, and in UTC below.`} They are what the entry says of itself.`,
  notShown: "What this does not show",
  complete:
    "That these are all accesses there were: how the entries were chosen is the word of who made this page.",
  check: "How to check it",
  checkSteps: [
    "This page is a copy to read. What can be checked is the evidence pack that it was made from: ask for it, or for its rows that are about you.",
    "Open the verifier page, verify.html, from a source that you trust, and drop the pack on it. It works without a network, and says of each entry whether it is unchanged.",
    "Compare the SHA-256 below with that of EVIDENCE-SHA256 in the pack, which stands on each page of its report too.",
  ],
  evidenceSha: "SHA-256 of the evidence",
  software: (version: string) =>
    `Made with Kedge ${version}. This page holds no script, and asks for nothing.`,
};

export type Strings = typeof en;
