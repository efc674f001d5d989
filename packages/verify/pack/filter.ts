/**
 * Which rows a case is about. Everything is compared with what the event says of itself: its own time, its own words. Spellings
 * that differ in case, marks or white space are one. Who makes a pack chooses by it, and who judges one holds its rows against it.
 */
import type { Columns } from "../events/formats/columns.ts";
import { parseEpc, withCheckDigit } from "../events/formats/epc.ts";
import { normal, valuesOf } from "../events/formats/values.ts";
import { PackError } from "./error.ts";
import type { PackFilter } from "./pack.ts";
import { CASE } from "./read.ts";
import { isTracedEpc, padded, type Traced } from "./subjects.ts";
import { type Clock, instantOf, minuteOfDay } from "./time.ts";

/** `header`: of a row of a delimited file, whatever names it. */
export type Row = { readonly columns: Columns; readonly header?: unknown };

/**
 * Whether a row is in the case. A row without a time that can be read is in no period, and in no hours.
 *
 * Throws PackError `malformed` for what no row could match by mistake: a time that is none, a period that ends before it begins.
 *
 * @param clock of times without an offset, and of `afterHours`
 */
export function rowFilter(filter: PackFilter, clock: Clock): (row: Row) => boolean {
  const { from, to, user, patient, action, recordType, list, afterHours } = filter;
  const period = periodOf(from, to, clock);
  const hours = afterHours && { from: minuteOf(afterHours.from), to: minuteOf(afterHours.to) };
  const listed = list && personFinder(list);
  const isUser = user === undefined ? undefined : personFinder([user]);
  const isPatient = patient === undefined ? undefined : personFinder([patient]);
  const isTraced = tracer(filter);
  const tests: ((row: Row) => boolean)[] = [
    ...(period === undefined ? [] : [(row: Row) => period(instantOf(row.columns.when, clock))]),
    ...(isUser === undefined ? [] : [(row: Row) => isUser(usersOf(row.columns))]),
    ...(isPatient === undefined ? [] : [(row: Row) => isPatient(patientsOf(row.columns))]),
    ...(action === undefined ? [] : [(row: Row) => isAction(action, row.columns)]),
    ...(recordType === undefined ? [] : [(row: Row) => same(recordType, row.columns.recordType)]),
    ...(filter.breakTheGlass ? [isBreakTheGlass] : []),
    ...(filter.sameSurname ? [({ columns }: Row) => haveSameSurname(columns)] : []),
    ...(hours === undefined
      ? []
      : [(row: Row) => isWithin(hours, instantOf(row.columns.when, clock), clock)]),
    ...(listed === undefined
      ? []
      : [({ columns }: Row) => listed([...usersOf(columns), ...patientsOf(columns)])]),
    ...(isTraced === undefined ? [] : [(row: Row) => isTraced(row.columns)]),
  ];
  return (row) => tests.every((test) => test(row));
}

const same = (a: string, b: string | undefined): boolean => b !== undefined && normal(a) === normal(b);

const refused = (message: string): PackError => new PackError("malformed", message, { file: CASE });

// ---- times --------------------------------------------------------------------------------------------------------

/** Half open: `to` is not in it. */
function periodOf(
  from: string | undefined,
  to: string | undefined,
  clock: Clock,
): ((ms: number | undefined) => boolean) | undefined {
  if (from === undefined && to === undefined) return undefined;
  const begin = from === undefined ? Number.NEGATIVE_INFINITY : timeOf(from, clock);
  const end = to === undefined ? Number.POSITIVE_INFINITY : timeOf(to, clock);
  if (end <= begin)
    throw refused("The period ends before it begins: `to` is the first moment that is not in it");
  return (ms) => ms !== undefined && ms >= begin && ms < end;
}

function timeOf(text: string, clock: Clock): number {
  const ms = instantOf(text, clock);
  if (ms === undefined)
    throw refused("A period is of times as in RFC 3339, such as 2026-03-14T10:32:00+01:00");
  return ms;
}

/** Of `HH:MM`. */
function minuteOf(text: string): number {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  if (hours === undefined) throw refused("Hours are two times of the day, such as 18:00 and 07:00");
  return 60 * Number(hours) + Number(minutes);
}

/** From `from` on and before `to`, past midnight where that is earlier. */
function isWithin(hours: { from: number; to: number }, ms: number | undefined, clock: Clock): boolean {
  if (ms === undefined) return false;
  const minute = minuteOfDay(ms, clock);
  const { from, to } = hours;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

// ---- people -------------------------------------------------------------------------------------------------------

const usersOf = (columns: Columns): string[] => told(columns, "user");
const patientsOf = (columns: Columns): string[] => told(columns, "patient");

function told(columns: Columns, wanted: "user" | "patient"): string[] {
  return valuesOf(columns).flatMap(([field, value]) => (field === wanted ? [value] : []));
}

/** A name, a login or an MRN: all of it; of a name the words in any order, for exports have `Berrio, Ana` and `Ana Berrio`. */
function personFinder(wanted: readonly string[]): (values: readonly string[]) => boolean {
  const keys = new Set(wanted.map(personKey));
  keys.delete("");
  if (keys.size === 0) throw refused("A name, a login or a number is wanted, and there is none");
  return (values) => values.some((value) => keys.has(personKey(value)));
}

const personKey = (text: string): string => wordsOf(text).toSorted().join(" ");

const wordsOf = (text: string): string[] =>
  folded(text)
    .split(/[\s,^]+/)
    .filter((word) => word !== "");

/** Without case and marks: `Müller` and `MULLER` are one, and `Sørensen` and `Sorensen`. */
export function folded(text: string): string {
  return text
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[ßæœøłđðþı]/g, (letter) => LETTERS.get(letter) ?? letter);
}

/** Letters that Unicode does not take apart. */
const LETTERS = new Map(
  Object.entries({ ß: "ss", æ: "ae", œ: "oe", ø: "o", ł: "l", đ: "d", ð: "d", þ: "th", ı: "i" }),
);

/** Whether user and patient have a surname in common: it is looked for widely, for an officer looks at what is found. */
function haveSameSurname({ user, patient }: Columns): boolean {
  const own = surnames(user?.name);
  return [...surnames(patient?.name)].some((name) => own.has(name));
}

const TITLES = new Set([
  "dr",
  "prof",
  "md",
  "phd",
  "rn",
  "np",
  "do",
  "jr",
  "sr",
  "ii",
  "iii",
  "iv",
  "med",
  "dipl",
]);
const PARTICLES = new Set(
  "van von der den de del della di da du la le el al bin ibn ben zu zur zum ter ten y e".split(" "),
);

/**
 * What stands before a comma or HL7's `^`; otherwise the last word. Of double names each part; `Müller` also as systems without
 * umlauts have it, `Mueller`.
 */
function surnames(name = ""): Set<string> {
  const [before = "", after] = name.replace(/[.()]/g, " ").split(/[,^]/, 2);
  const words = before.split(/\s+/).filter((word) => word !== "" && !TITLES.has(folded(word)));
  const isInverted = after !== undefined && wordsOf(after).some((word) => !TITLES.has(word));
  const parts = (isInverted ? words : words.slice(-1))
    .flatMap((word) => word.split(/[-\u2010]/))
    .filter((part) => part.length > 1 && !PARTICLES.has(folded(part)));
  return new Set(parts.flatMap((part) => [folded(part), folded(withoutUmlauts(part))]));
}

const withoutUmlauts = (text: string): string =>
  text.normalize("NFC").replace(/[äöüåÄÖÜÅ]/g, (letter) => UMLAUTS.get(letter.toLowerCase()) ?? letter);
const UMLAUTS = new Map(Object.entries({ ä: "ae", ö: "oe", ü: "ue", å: "aa" }));

// ---- what was done ------------------------------------------------------------------------------------------------

/** All of what the event says, or its first word: `read` of `read: vread`. */
const isAction = (wanted: string, columns: Columns): boolean =>
  valuesOf(columns).some(([field, value]) => field === "action" && same(wanted, value));

/** HL7 ActReason: BTG, and treatment in an emergency. */
const GLASS = /\b(?:BTG|ETREAT)\b|break(?:ing)?[\s-]*(?:the[\s-]*)?glass/i;

/** What was read past a warning. A delimited access log has a reason there and nowhere else (Epic's ZC_BTG_REASON, PAT_BTG). */
function isBreakTheGlass({ columns, header }: Row): boolean {
  const { reason, action, recordType } = columns;
  if (header !== undefined && reason !== undefined) return true;
  return [reason?.code, reason?.explanation, action, recordType].some(
    (text) => text !== undefined && GLASS.test(text),
  );
}

// ---- what was shipped ---------------------------------------------------------------------------------------------

function tracer({ gtin, lot, serial }: Traced): ((columns: Columns) => boolean) | undefined {
  if (gtin === undefined && lot === undefined && serial === undefined) return undefined;
  const wanted: Traced = {
    ...(gtin === undefined ? {} : { gtin: gtin14(gtin) }),
    ...(lot === undefined ? {} : { lot }),
    ...(serial === undefined ? {} : { serial }),
  };
  return ({ subjects = [] }) => {
    const epcs = subjects.flatMap((subject) => parseEpc(subject) ?? []);
    if (epcs.length > 0) return epcs.some((epc) => isTracedEpc(epc, wanted));
    // A delimited file has them as they are printed.
    const texts = new Set(subjects.flatMap((subject) => [subject, padded(subject)]));
    return Object.values(wanted).every((text) => texts.has(text));
  };
}

/** GTIN-8, -12, -13 or -14. One that was mistyped would find nothing, and look like an answer. */
function gtin14(text: string): string {
  const digits = text.replace(/[\s-]/g, "");
  if (!/^(?:\d{8}|\d{12,14})$/.test(digits)) throw refused("A GTIN has 8, 12, 13 or 14 digits");
  if (withCheckDigit(digits.slice(0, -1)) !== digits)
    throw refused(
      "The last digit of a GTIN is its check digit, and this one does not fit: see whether it was typed right",
    );
  return padded(digits);
}
