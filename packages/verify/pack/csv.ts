/**
 * `report.csv` of a pack: its rows as a table (RFC 4180), in UTF-8 with a byte order mark, as spreadsheets want it. It is made
 * of the judged rows alone, so whoever judges the pack makes it anew and compares. For version 1 of a pack it is fixed.
 */
import { loggedBy } from "../proof/verdict.ts";
import { isWithheld, type JudgedPack, type JudgedRow, type Language } from "./pack.ts";
import { de } from "./strings/de.ts";
import { en, type PackStrings } from "./strings/en.ts";
import { statedClock, timesIn } from "./time.ts";

export const PACK_STRINGS: Record<Language, PackStrings> = { en, de };

type Table = Pick<JudgedPack, "case" | "rows">;
type Column = keyof PackStrings["columns"];
const DISCLOSURE: readonly Column[] = ["recipient", "address", "description", "purpose"];

export function reportCsv(judged: Table): Uint8Array {
  return new TextEncoder().encode([...csvLines(judged)].join(""));
}

/** The same, a line at a time. */
export function* csvLines({ case: about, rows }: Table): Generator<string> {
  const strings = PACK_STRINGS[about.language];
  const columns = columnsOf(strings, about.kind === "disclosures");
  const times = timesIn(statedClock(about.offsets));
  yield `\u{feff}${line(columns.map((column) => strings.columns[column]))}`;
  for (const [i, row] of rows.entries()) {
    const cells = cellsOf(row, i + 1, { strings, times, isWithheld: isWithheld({ case: about }, row) });
    yield line(columns.map((column) => cells[column] ?? ""));
  }
}

const columnsOf = ({ columns }: PackStrings, areDisclosures: boolean): Column[] =>
  columnNames(columns).filter((column) => areDisclosures || !DISCLOSURE.includes(column));

function columnNames(columns: PackStrings["columns"]): Column[] {
  const names: Column[] = [];
  for (const name in columns) if (isColumn(name, columns)) names.push(name);
  return names;
}

const isColumn = (name: string, columns: PackStrings["columns"]): name is Column => name in columns;

function cellsOf(
  row: JudgedRow,
  n: number,
  about: { strings: PackStrings; times: ReturnType<typeof timesIn>; isWithheld: boolean },
): Partial<Record<Column, string | undefined>> {
  const { columns = {}, report, disclosure } = row;
  const { strings } = about;
  const times = columns.when === undefined ? undefined : about.times(columns.when);
  const isEntry = about.isWithheld && row.verdict === "unchanged";
  return {
    row: String(n),
    local: times?.local ?? columns.when,
    utc: times?.utc,
    userName: columns.user?.name,
    userLogin: columns.user?.login,
    userRole: columns.user?.role,
    userDepartment: columns.user?.department,
    patientName: columns.patient?.name,
    patientMrn: columns.patient?.mrn,
    action: columns.action,
    recordType: columns.recordType,
    workstation: columns.workstation,
    reasonCode: columns.reason?.code,
    reasonExplanation: columns.reason?.explanation,
    outcome: columns.outcome,
    source: columns.source ?? report?.opening?.source,
    subjects: columns.subjects?.join("; "),
    ...disclosure,
    verdict: isEntry ? strings.withheld : strings.verdicts[row.verdict],
    evidence: strings.evidence[evidenceOf(row)],
    loggedBy: report && loggedBy(report)?.at,
    index: report?.log?.index,
    commitment: row.commitment,
    event: row.event,
    line: row.line === undefined ? undefined : String(row.line),
  };
}

/** What there is, as the console says it of the row. */
function evidenceOf({ report, verdict, noProof }: JudgedRow): keyof PackStrings["evidence"] {
  if (report === undefined) return noProof ?? "none";
  return report.assurance ?? (verdict === "changed" ? "refuted" : "unverified");
}

const line = (cells: readonly string[]): string => `${cells.map(cell).join(",")}\r\n`;

const FORMULA = /[=+\-@\uff1d\uff0b\uff0d\uff20]/;
const PARTS = /[;\t\r\n]/;

/**
 * Before each formula, however it is spaced, and whether or not a quote stands before it. From the end on, for one regular
 * expression would go through a run of line ends again and again.
 */
function withApostrophes(text: string): string {
  const parts: string[] = [];
  let end = text.length;
  // What stands from here on is a formula after white space; the same after white space, a quote and white space.
  let [isBare, isLed] = [false, false];
  for (let at = text.length - 1; at >= 0; at--) {
    const char = text.charAt(at);
    const isSpace = /\s/.test(char);
    const wasBare = isBare;
    isBare = FORMULA.test(char) || (isSpace && wasBare);
    isLed = isBare || (/["']/.test(char) && wasBare) || (isSpace && isLed);
    if (!isLed || (at > 0 && !PARTS.test(text.charAt(at - 1)))) continue;
    parts.push(text.slice(at, end), "'");
    end = at;
  }
  parts.push(text.slice(0, end));
  return parts.reverse().join("");
}

/**
 * What a spreadsheet would take for a formula begins with an apostrophe instead (OWASP, CSV injection): of a cell, and of what
 * one becomes where cells are parted otherwise, as by semicolons in a German Excel, which takes these quotes for text.
 */
function cell(text: string): string {
  const safe = FORMULA.test(text) ? withApostrophes(text) : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
