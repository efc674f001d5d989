/**
 * The report of a pack, `report.pdf`: what was asked, what was found, what is shown of each row and what is not, for somebody
 * who has only this. It is made of the judged pack alone: the same pack, judged alike, makes the same bytes, in Node and in
 * a browser. Whoever checks a pack can so make it anew and compare.
 */

import { type SourceCompleteness, stretchesOf } from "@kedge/verify/audit/completeness";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { PACK_STRINGS } from "@kedge/verify/pack/csv";
import { startPace } from "@kedge/verify/pack/pace";
import {
  factsOf,
  isWithheld,
  type JudgedPack,
  type JudgedRow,
  type Language,
  type PackCase,
  type PackFilter,
} from "@kedge/verify/pack/pack";
import { printedText, subjectsOf } from "@kedge/verify/pack/subjects";
import { type BothTimes, hasOffset, statedClock, timesIn } from "@kedge/verify/pack/time";
import { fingerprint, quorumText } from "@kedge/verify/proof/keys";
import { allLoggedBy, areBytes, loggedBy } from "@kedge/verify/proof/verdict";
import { tellVerdict, VERDICT_WORDS, type VerdictWords } from "@kedge/verify/proof/verdict-words";
import { timeText } from "@kedge/verify/rfc3339";
import { keyLabel, visible } from "@kedge/verify/text";
import { MLDSA44_COSIGNATURE, type Vkey } from "@kedge/verify/tlog/note";
import { type Policy, parsePolicy } from "@kedge/verify/tlog/policy";
import { encode } from "#uqr";
import { type Cell, type Document, type Footer, type Line, openDocument } from "./document.ts";
import { loadFonts } from "./fonts.ts";
import { linkOf } from "./link.ts";
import { de } from "./strings/de.ts";
import { en, type Strings } from "./strings/en.ts";

const STRINGS = { en, de };
type Words = Strings & {
  verdicts: VerdictWords;
  evidenceOf: (typeof PACK_STRINGS)[Language]["evidence"];
};
type Times = (when: string) => BothTimes | undefined;

/** Rows in the table and in the appendix. report.csv and rows.ndjson have all. */
export const MAX_TABLE_ROWS = 5_000;
/** Witnesses, timestamps, findings and lines of a text that are listed, each. */
const MAX_LISTED = 64;
/** Of a row, that are named beside a patient. */
const MAX_SUBJECTS = 6;
/** Of a text of the case. */
const MAX_TEXT = 4_096;

/** The PDF's bytes. Rejects only where the fonts cannot be loaded. */
export async function reportPdf(judged: JudgedPack): Promise<Uint8Array> {
  const { language } = judged.case;
  const words = {
    ...STRINGS[language],
    verdicts: VERDICT_WORDS[language],
    evidenceOf: PACK_STRINGS[language].evidence,
  };
  const fonts = await loadFonts();
  const kind = words.kinds[judged.case.kind];
  const number = cut(judged.case.number, 100);
  const software = words.software(judged.case.software);
  const footer = {
    left: [words.footer.evidence(judged.evidence), words.footer.about(kind, number, software)],
    page: words.footer.page,
  } satisfies Footer;
  const about = {
    // A reader says it, and pdfkit writes it into XML as it is: a number with other characters stands in the text alone.
    title: words.title(kind, number !== undefined && PLAIN.test(number) ? number : undefined),
    lang: words.lang,
    creator: PLAIN.test(software) ? software : "Kedge",
    date: new Date(msOf(judged.case.asOf)),
  };
  const doc = openDocument(fonts, about, footer);
  const times = timesIn(statedClock(judged.case.offsets));

  doc.newPage("portrait");
  doc.heading(1, kind);
  doc.paragraph({ text: words.about[judged.case.kind], ink: "muted" }, { after: 9 });
  sayVerdict(doc, words, judged);
  sayCase(doc, words, judged, times);
  sayFiles(doc, words, judged);
  sayCompleteness(doc, words, judged);

  if (judged.rows.length > 0) doc.newPage("landscape");
  if (judged.case.kind === "disclosures" && judged.rows.length > 0) {
    await sayDisclosures(doc, words, judged, times);
    doc.newPage("landscape");
  }
  await sayRows(doc, words, judged, times);

  doc.newPage("portrait");
  sayEvidence(doc, words, judged);
  sayClauses(doc, words, judged);
  doc.heading(2, words.notShown.heading);
  const columns = judged.case.headers.length > 0 ? [words.verdicts.columnsNotShown] : [];
  doc.list([...words.notShown.list, ...columns].map((text) => ({ text })));
  sayHowToVerify(doc, words, judged);
  doc.heading(2, words.signatures.heading);
  doc.paragraph({ text: words.signatures.about });
  doc.signatures([words.signatures.prepared, words.signatures.reviewed]);
  await sayCommitments(doc, words, judged);

  return doc.finish();
}

/** What may stand in XML and in a title that is read aloud. */
const PLAIN = /^[\p{L}\p{N} ._/#:+()-]{1,100}$/u;

/** Of a text of others, what fits into a document; undefined of none. */
function cut(text: string | undefined, max = MAX_TEXT): string | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const lines = linesIn(text.slice(0, max));
  const kept = lines.slice(0, MAX_LISTED).join("\n");
  return text.length > max || lines.length > MAX_LISTED ? `${kept}…` : kept;
}

const linesIn = (text: string): string[] => text.split(/\r\n|[\r\n]/);

/** On one line, and where the whole of it stands. */
function shortened(text: string, max: number, file: string, words: Words): string {
  const shown = visible(text, max);
  return [...text].length > max ? `${shown} (${words.whole(file)})` : shown;
}

/** What is no time is the beginning of 1970, which no reader takes for one. */
const msOf = (time: string): number => {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : ms;
};

/** `2026-03-14T10:35:07Z`. @param ms since the epoch */
const utcOf = (ms: number): string => timeText(ms).replace(".000Z", "Z");

// ---- first page ----------------------------------------------------------------------------------------------------

function sayVerdict(doc: Document, words: Words, judged: JudgedPack): void {
  const { total, unchanged, changed, untold, withheld } = judged.counts;
  const said = words.verdict;
  const sentences: string[] = [];
  if (total === 0) sentences.push(said.none);
  if (changed > 0) sentences.push(said.changed(changed));
  if (untold > 0) sentences.push(said.untold(untold));
  const shown = judged.rows.filter(({ verdict }) => verdict === "unchanged");
  const by = (isLeftOut: boolean) =>
    words.verdicts.by(
      allLoggedBy(shown.filter((row) => isWithheld(judged, row) === isLeftOut).map(({ report }) => report)),
    );
  const isBytes = areBytes(shown.map(({ report }) => report));
  if (unchanged > 0) sentences.push(said.unchanged(unchanged, unchanged === total, by(false), isBytes));
  if (withheld > 0) sentences.push(said.withheld(withheld, by(true)));
  // What another version made shows no change.
  const changedFiles = judged.files.filter(({ is }) => is !== "other_version").length;
  if (changedFiles > 0) sentences.push(said.files(changedFiles));
  sentences.push(words.verdicts.notShown);
  const { headlines, withheldHeadline } = words.verdicts;
  // Where every record is left out, only of entries anything is shown.
  const isOfEntries = judged.verdict === "unchanged" && withheld === total;
  doc.verdict(isOfEntries ? withheldHeadline : headlines[judged.verdict], sentences, judged.verdict);
}

function sayCase(doc: Document, words: Words, judged: JudgedPack, times: Times): void {
  const { case: about, rows } = judged;
  const { counts } = judged;
  const said = (text: string | undefined): Line[] => {
    const shown = cut(text);
    if (shown === undefined) return [{ text: words.case.notSaid, ink: "muted" }];
    const isWhole = linesIn(text ?? "").length <= MAX_LISTED;
    return [
      { text: shown },
      ...(isWhole ? [] : [{ text: words.whole("case.json"), ink: "muted" } satisfies Line]),
    ];
  };
  doc.heading(2, words.case.heading);
  doc.facts([
    [words.case.number, said(about.number)],
    [words.case.requestedBy, said(about.requestedBy)],
    [words.case.reason, said(about.reason)],
    [words.case.preparedBy, said(about.preparedBy)],
    [words.case.period, periodInWords(about, words, times)],
    [words.case.filter, filterInWords(about.filter, words).map((text) => ({ text }))],
    [words.case.lookedThrough, [{ text: words.number(about.lookedThrough) }]],
    [words.case.found, [{ text: words.number(rows.length), bold: true }]],
    [words.case.proven, [{ text: words.number(counts.unchanged), bold: true }]],
    [words.case.notProven, [{ text: words.case.notProvenOf(counts.changed, counts.untold), bold: true }]],
    ...(counts.withheld === 0
      ? []
      : [[words.case.withheld, [{ text: words.case.withheldOf(counts.withheld) }]] satisfies Fact]),
    [words.case.asOf, [{ text: words.case.asOfOf(words.verdicts.date(about.asOf)) }]],
    [words.case.evidence, [{ text: judged.evidence }, { text: words.case.evidenceOf, ink: "muted" }]],
  ]);
}

/** In the zone of the case, and in UTC. */
function periodInWords({ filter, zone }: PackCase, words: Words, times: Times): Line[] {
  const { from, to } = filter;
  if (from === undefined && to === undefined) return [{ text: words.period.all }];
  const said = (text: string | undefined, of: "local" | "utc") => text && (times(text)?.[of] ?? text);
  return [
    { text: words.period.between(said(from, "local"), said(to, "local"), zone) },
    { text: words.period.between(said(from, "utc"), said(to, "utc"), "UTC"), ink: "muted" },
    { text: words.period.own, ink: "muted" },
  ];
}

type Fact = readonly [string, readonly Line[]];

function filterInWords(filter: PackFilter, words: Words): string[] {
  const said = words.filter;
  const { user, patient, action, recordType, gtin, lot, serial, afterHours, list } = filter;
  const of = (text: string | undefined, say: (text: string) => string): string[] =>
    text === undefined ? [] : [say(shortened(text, 200, "case.json", words))];
  const parts = [
    ...of(user, said.user),
    ...of(patient, said.patient),
    ...of(action, said.action),
    ...of(recordType, said.recordType),
    ...(filter.breakTheGlass ? [said.breakTheGlass] : []),
    ...(filter.sameSurname ? [said.sameSurname] : []),
    ...(afterHours === undefined ? [] : [said.afterHours(afterHours)]),
    ...of(gtin, said.gtin),
    ...of(lot, said.lot),
    ...of(serial, said.serial),
  ];
  if (list !== undefined) {
    const shown = list.slice(0, MAX_LISTED).map((text) => shortened(text, 100, "case.json", words));
    parts.push(said.list(shown, list.length - shown.length));
  }
  return parts.length === 0 ? [said.all] : parts;
}

function sayFiles(doc: Document, words: Words, { files }: JudgedPack): void {
  if (files.length === 0) return;
  doc.heading(2, words.files.heading);
  doc.paragraph({ text: words.files.about });
  doc.list(
    files.slice(0, MAX_LISTED).map(({ file, is }) => ({
      text: words.files.file(visible(file, 200), words.files.is[is]),
      ink: "changed",
    })),
  );
  if (files.length > MAX_LISTED) doc.paragraph({ text: words.files.more(files.length - MAX_LISTED) });
}

function sayCompleteness(doc: Document, words: Words, { sources, maker }: JudgedPack): void {
  const said = words.completeness;
  doc.heading(2, said.heading);
  doc.paragraph({ text: sources.length === 0 ? said.none : said.about });
  if (sources.length > 0) saySources(doc, words, sources);
  if (maker === undefined) return;
  doc.heading(3, said.maker);
  doc.paragraph({ text: said.makerAbout });
  saySources(doc, words, maker.sources);
}

function saySources(doc: Document, words: Words, sources: readonly SourceCompleteness[]): void {
  const said = words.completeness;
  const table = doc.table({
    columns: [
      { title: said.source, width: 22 },
      { title: said.period, width: 30 },
      { title: said.numbers, width: 18 },
      { title: said.verdict, width: 40 },
    ],
    size: 8.5,
    cut: words.rows.cut,
  });
  let left = Math.max(0, sources.length - MAX_LISTED);
  for (const source of sources.slice(0, MAX_LISTED)) {
    const stretches = stretchesOf(source.periods);
    left += Math.max(0, stretches.length - MAX_LISTED);
    for (const { from, to, numbers, verdict } of stretches.slice(0, MAX_LISTED)) {
      table.row([
        cell(visible(source.source, 100)),
        cellOf(`${utcOf(from)} –`, utcOf(to)),
        cell(numbers === undefined ? "–" : `${numbers.first} – ${numbers.last}`),
        { lines: [{ text: said.verdicts[verdict], ink: VERDICT_INK[verdict] }] },
      ]);
    }
    if (stretches.length === 0) {
      table.row([
        cell(visible(source.source, 100)),
        cell(said.noPeriods),
        cell("–"),
        cell(said.findings.no_manifest),
      ]);
    }
  }
  table.end();
  if (left > 0) doc.paragraph({ text: said.more(left) });
  const findings = sources.flatMap(({ findings }) => findings);
  doc.list(
    findings.slice(0, MAX_LISTED).map((found) => ({ text: sayFinding(found, words) })),
    9,
  );
  if (findings.length > MAX_LISTED) doc.paragraph({ text: said.more(findings.length - MAX_LISTED) });
}

const VERDICT_INK = { complete: "unchanged", incomplete: "changed", untold: "untold" } as const;

type Finding = SourceCompleteness["findings"][number];

function sayFinding({ finding, source = "", first, last, from, to }: Finding, words: Words): string {
  const said = words.completeness;
  const name = visible(source, 100);
  if (finding === "sequence_missing" && first !== undefined && last !== undefined)
    return said.missing(name, first, last);
  const known: Record<string, string> = said.findings;
  const numbers = first === undefined || last === undefined ? "" : said.atNumbers(first, last);
  const period = from === undefined || to === undefined ? "" : said.at(from, to);
  return said.finding(name, known[finding] ?? said.otherFinding(finding), `${period}${numbers}`);
}

// ---- the rows ------------------------------------------------------------------------------------------------------

const cell = (text: string | undefined): Cell => ({ lines: text === undefined ? [] : [{ text }] });
const cellOf = (...lines: (Line | string | undefined)[]): Cell => ({
  lines: lines.flatMap((line) =>
    line === undefined ? [] : typeof line === "string" ? [{ text: line }] : [line],
  ),
});

async function sayDisclosures(doc: Document, words: Words, judged: JudgedPack, times: Times): Promise<void> {
  const said = words.disclosures;
  doc.heading(2, said.heading);
  doc.paragraph({ text: said.about });
  sayBound(doc, words, judged);
  const table = doc.table({
    columns: [
      { title: said.row, width: 5 },
      { title: said.date, width: 16 },
      { title: said.recipient, width: 28 },
      { title: said.description, width: 30 },
      { title: said.purpose, width: 28 },
    ],
    size: 8.5,
    cut: words.rows.cut,
  });
  const pace = startPace();
  for (const [i, row] of judged.rows.slice(0, MAX_TABLE_ROWS).entries()) {
    await pace.rest();
    const { disclosure } = row;
    const missing: Line = { text: said.notSaid, ink: "muted" };
    table.row([
      cell(words.number(i + 1)),
      whenCell(row.columns?.when, words, times),
      cellOf(cut(disclosure?.recipient) ?? missing, cut(disclosure?.address)),
      cellOf(cut(disclosure?.description) ?? missing),
      cellOf(cut(disclosure?.purpose) ?? missing),
    ]);
  }
  table.end();
}

async function sayRows(doc: Document, words: Words, judged: JudgedPack, times: Times): Promise<void> {
  const said = words.rows;
  const { case: about, rows } = judged;
  doc.heading(2, said.heading);
  if (rows.length === 0) {
    doc.paragraph({ text: said.none });
    return;
  }
  doc.paragraph({ text: said.about(about.zone) }, { size: 8.5 });
  sayBound(doc, words, judged);
  const isTrace = about.kind === "trace";
  // What is shipped has long names, and neither a user nor a reason most often.
  const width = isTrace ? { user: 50, patient: 134, reason: 48 } : { user: 78, patient: 72, reason: 82 };
  const table = doc.table({
    columns: [
      { title: said.number, width: 28 },
      { title: said.when, width: 100 },
      { title: said.user, width: width.user },
      { title: isTrace ? said.subjects : said.patient, width: width.patient },
      { title: said.action, width: 50 },
      { title: said.recordType, width: 58 },
      { title: said.workstation, width: 64 },
      { title: said.reason, width: width.reason },
      { title: said.outcome, width: 46 },
      { title: said.source, width: 46 },
      { title: said.evidence, width: 88 },
      { title: said.entry, width: 50 },
    ],
    size: 6.8,
    cut: said.cut,
  });
  const pace = startPace();
  for (const [i, row] of rows.slice(0, MAX_TABLE_ROWS).entries()) {
    await pace.rest();
    const first = cell(words.number(i + 1));
    const last = [evidenceCell(judged, row, words), entryCell(row, words)];
    const { columns } = row;
    if (columns === undefined) {
      const text = isWithheld(judged, row) ? said.withheld : said.unreadable;
      table.row([first, { lines: [{ text, ink: "muted" }], span: 9 }, ...last]);
      continue;
    }
    const { user, reason } = columns;
    table.row([
      first,
      whenCell(columns.when, words, times),
      cellOf(user?.name, muted(user?.login), muted(user?.role), muted(user?.department)),
      patientCell(columns, about.filter, words),
      cell(columns.action),
      cell(columns.recordType),
      cell(columns.workstation),
      cellOf(reason?.code, muted(reason?.explanation)),
      cell(columns.outcome),
      cell(columns.source),
      ...last,
    ]);
  }
  table.end();
}

/** Above a table of the first of them. */
function sayBound(doc: Document, words: Words, { rows }: JudgedPack): void {
  if (rows.length <= MAX_TABLE_ROWS) return;
  doc.paragraph({ text: words.rows.bounded(MAX_TABLE_ROWS, rows.length), bold: true });
}

const muted = (text: string | undefined): Line | undefined =>
  text === undefined ? undefined : { text, ink: "muted" };

/** The patient, and what else the event names: a trial's subject, or what was shipped, that which is looked for first. */
function patientCell(columns: Columns, filter: PackFilter, { rows: said }: Words): Cell {
  const { name, mrn } = columns.patient ?? {};
  const subjects = subjectsOf(columns, filter);
  const shown = subjects
    .slice(0, MAX_SUBJECTS)
    .flatMap(({ text, epc }) => (epc === undefined ? [text] : [printedText(epc, said.printed), muted(text)]));
  const more = subjects.length - MAX_SUBJECTS;
  return cellOf(
    name,
    muted(mrn === undefined ? undefined : said.mrn(mrn)),
    ...shown,
    more > 0 ? muted(said.moreSubjects(more)) : undefined,
  );
}

function whenCell(when: string | undefined, words: Words, times: Times): Cell {
  if (when === undefined) return cell(undefined);
  const both = times(when);
  if (both === undefined) return cellOf(when);
  return cellOf(both.local, muted(both.utc), hasOffset(when) ? undefined : muted(words.rows.noOffset));
}

function evidenceCell(judged: JudgedPack, row: JudgedRow, words: Words): Cell {
  const { headline, sentence, advice } = tellVerdict(factsOf(judged, row), words.verdicts);
  const line: Line = { text: headline, bold: true, ink: row.verdict };
  if (row.verdict !== "unchanged") return cellOf(line, sentence, muted(advice));
  const time = row.report && loggedBy(row.report);
  return cellOf(
    line,
    row.report?.assurance && words.evidenceOf[row.report.assurance],
    ...(time === undefined ? [words.rows.noTime] : [words.rows.by, utcOf(msOf(time.at))]),
  );
}

function entryCell({ commitment, report }: JudgedRow, words: Words): Cell {
  const index = report?.proven ? report.log?.index : undefined;
  return cellOf(
    index === undefined ? muted(words.rows.notInLog) : words.rows.index(index),
    muted(commitment.slice(0, 8)),
  );
}

async function sayCommitments(doc: Document, words: Words, judged: JudgedPack): Promise<void> {
  const { rows } = judged;
  if (rows.length === 0) return;
  const said = words.appendix;
  doc.newPage("portrait");
  doc.heading(2, said.heading);
  doc.paragraph({ text: said.about });
  const table = doc.table({
    columns: [
      { title: said.number, width: 9 },
      { title: said.index, width: 16 },
      { title: said.commitment, width: 78 },
      { title: said.verdict, width: 24 },
    ],
    size: 7.2,
    cut: words.rows.cut,
  });
  const pace = startPace();
  for (const [i, row] of rows.slice(0, MAX_TABLE_ROWS).entries()) {
    await pace.rest();
    const { commitment, report, verdict } = row;
    table.row([
      cell(words.number(i + 1)),
      cell(report?.proven ? report.log?.index : undefined),
      cell(commitment),
      { lines: [{ text: tellVerdict(factsOf(judged, row), words.verdicts).headline, ink: verdict }] },
    ]);
  }
  table.end();
  if (rows.length > MAX_TABLE_ROWS) doc.paragraph({ text: said.more(rows.length - MAX_TABLE_ROWS) });
}

// ---- what it rests on ----------------------------------------------------------------------------------------------

function sayEvidence(doc: Document, words: Words, judged: JudgedPack): void {
  const said = words.evidence;
  const reports = judged.rows.flatMap(({ report }) => (report?.proven ? [report] : []));
  doc.heading(2, said.heading);

  doc.heading(3, said.keys);
  doc.paragraph({ text: judged.keys === "given" ? said.keysGiven : said.keysPack });
  const policy = policyOf(judged.policy);
  if (policy === undefined) doc.paragraph({ text: said.badPolicy, ink: "changed" });
  else {
    const table = doc.table({
      columns: [
        { title: said.key, width: 36 },
        { title: said.keyType, width: 16 },
        { title: said.fingerprint, width: 70 },
      ],
      size: 7.5,
      cut: words.rows.cut,
    });
    const row = (vkey: Vkey, what: string) =>
      table.row([cell(keyLabel(vkey)), cell(`${what}, ${keyType(vkey)}`), cell(fingerprint(vkey))]);
    for (const { vkey } of policy.logs) row(vkey, said.log);
    for (const { vkey } of policy.witnesses) row(vkey, said.witness);
    table.end();
    const isWitnessed = policy.quorum !== "none";
    const quorum = shortened(quorumText(policy), 400, "policy.txt", words);
    doc.paragraph({ text: isWitnessed ? said.quorum(quorum) : said.noQuorum });
  }

  doc.heading(3, said.checkpoints);
  const { checkpoints, checkpointCount } = judged;
  doc.paragraph({ text: checkpoints.length === 0 ? said.noCheckpoints : said.checkpointsAbout });
  for (const { file, text } of checkpoints) {
    doc.paragraph({ text: visible(file, 200), ink: "muted" }, { size: 8, indent: 10, after: 0 });
    const lines = text.trimEnd().split("\n");
    const shown = lines.slice(0, MAX_LISTED).map((line) => cut(line, 120) ?? "");
    if (lines.length > MAX_LISTED) shown.push(said.more(lines.length - MAX_LISTED, file));
    doc.paragraph({ text: shown.join("\n") }, { size: 8, indent: 10, after: 6 });
  }
  if (checkpointCount > checkpoints.length) {
    doc.paragraph({ text: said.more(checkpointCount - checkpoints.length, "checkpoints/") });
  }

  doc.heading(3, said.witnesses);
  const witnesses = new Map<string, { records: number; latest?: string }>();
  for (const { witnesses: cosigned, times } of reports) {
    for (const name of cosigned?.cosigned ?? []) {
      const before = witnesses.get(name) ?? { records: 0 };
      before.records += 1;
      for (const { kind, by, at } of times)
        if (
          kind === "witness" &&
          by === name &&
          (before.latest === undefined || msOf(at) > msOf(before.latest))
        )
          before.latest = at;
      witnesses.set(name, before);
    }
  }
  if (witnesses.size === 0) doc.paragraph({ text: said.noWitnesses });
  else {
    doc.paragraph({ text: said.witnessesAbout });
    doc.list(
      [...witnesses].slice(0, MAX_LISTED).map(([name, { records, latest }]) => ({
        text: said.witnessOf(name, records, latest && words.verdicts.date(latest)),
      })),
    );
    if (witnesses.size > MAX_LISTED) {
      doc.paragraph({ text: said.more(witnesses.size - MAX_LISTED, "proofs.ndjson") });
    }
  }

  doc.heading(3, said.timestamps);
  const stamps = new Set(
    reports.flatMap(({ timestamps = [] }) => timestamps.map((one) => stampInWords(one, words))),
  );
  if (stamps.size === 0) doc.paragraph({ text: said.noTimestamps });
  else {
    doc.paragraph({ text: `${said.timestampsAbout} ${said.authorities[judged.authorities]}` });
    doc.list([...stamps].slice(0, MAX_LISTED).map((text) => ({ text })));
    if (stamps.size > MAX_LISTED) {
      doc.paragraph({ text: said.more(stamps.size - MAX_LISTED, "proofs.ndjson") });
    }
  }
}

type Stamp = NonNullable<NonNullable<JudgedRow["report"]>["timestamps"]>[number];

function stampInWords(stamp: Stamp, words: Words): string {
  const said = words.evidence;
  if (stamp.type === "ots") return said.block(stamp.height, stamp.at && `${utcOf(msOf(stamp.at))}`);
  const accuracy = stamp.accuracy === undefined ? "" : said.accuracy(stamp.accuracy / 1_000);
  return said.rfc3161(visible(stamp.by, 200), `${utcOf(msOf(stamp.at))}`, accuracy);
}

function policyOf(text: string): Policy | undefined {
  try {
    return parsePolicy(text);
  } catch {
    return undefined;
  }
}

const keyType = ({ type }: Vkey): string => (type === MLDSA44_COSIGNATURE ? "ML-DSA-44" : "Ed25519");

function sayClauses(doc: Document, words: Words, judged: JudgedPack): void {
  const said = words.clauses;
  doc.heading(2, said.heading);
  const own = judged.case.kind === "disclosures" ? [said.disclosures] : [];
  const table = doc.table({
    columns: [
      { title: said.rule, width: 34 },
      { title: said.shows, width: 66 },
    ],
    size: 8.5,
    cut: words.rows.cut,
  });
  for (const [rule, shows] of [...own, ...said.list]) table.row([cell(rule), cell(shows)]);
  table.end();
}

// ---- without us ----------------------------------------------------------------------------------------------------

function sayHowToVerify(doc: Document, words: Words, judged: JudgedPack): void {
  const said = words.verify;
  doc.heading(2, said.heading);
  doc.list(said.list.map((text) => ({ text })));
  const link = linkOf(judged);
  if (link === undefined) {
    doc.paragraph({ text: said.noQr });
    return;
  }
  const { data } = encode(link.url, { ecc: "M", border: 2 });
  doc.qr(data, said.qrAlt(link.url), [
    { text: said.qr },
    { text: said.qrHost(link.host) },
    { text: link.url, ink: "muted" },
  ]);
}
