/** The columns of the officer's table, and how what an event says becomes them. */
import { visible } from "../../text.ts";
import type { Json } from "../json.ts";

/**
 * What an officer reads of an event. What the event does not say is absent. A text is one line of at most 256
 * characters, an explanation of 1,024; what a reader would not see as a character is U+FFFD in it, so that no text can
 * look like another row or another column. Escaping formulas is for whoever writes a spreadsheet.
 */
export type Columns = {
  /** As the event has it, RFC 3339 where it can be told. */
  when?: string;
  user?: { name?: string; login?: string; role?: string; department?: string };
  patient?: { name?: string; mrn?: string };
  action?: string;
  recordType?: string;
  /** A workstation's name, or an address. */
  workstation?: string;
  reason?: { code?: string; explanation?: string };
  outcome?: string;
  /** The system that the event names as its source. */
  source?: string;
  /** What a trace asks for beside the patient: GTIN, lot, serial, EPC; a subject of a trial; further patients. At most 256. */
  subjects?: readonly string[];
};

const MAX_TEXT = 256;
const MAX_EXPLANATION = 1_024;
export const MAX_SUBJECTS = 256;

type Told = Json | undefined;
/** Columns before they are cleaned: any JSON value may stand where an event has one. */
export type Draft = {
  when?: Told;
  user?: { name?: Told; login?: Told; role?: Told; department?: Told };
  patient?: { name?: Told; mrn?: Told };
  action?: Told;
  recordType?: Told;
  workstation?: Told;
  reason?: { code?: Told; explanation?: Told };
  outcome?: Told;
  source?: Told;
  subjects?: readonly Told[];
};

export function columnsOf(draft: Draft): Columns {
  const { user, patient, reason } = draft;
  const subjects = new Set<string>();
  for (const subject of draft.subjects ?? []) {
    const text = cell(subject);
    if (text !== undefined && text !== cell(patient?.mrn)) subjects.add(text);
    if (subjects.size === MAX_SUBJECTS) break;
  }
  return some({
    when: cell(draft.when),
    user: group({
      name: cell(user?.name),
      login: cell(user?.login),
      role: cell(user?.role),
      department: cell(user?.department),
    }),
    patient: group({ name: cell(patient?.name), mrn: cell(patient?.mrn) }),
    action: cell(draft.action),
    recordType: cell(draft.recordType),
    workstation: cell(draft.workstation),
    reason: group({
      code: cell(reason?.code),
      explanation: cell(reason?.explanation, MAX_EXPLANATION),
    }),
    outcome: cell(draft.outcome),
    source: cell(draft.source),
    subjects: subjects.size === 0 ? undefined : [...subjects],
  });
}

/** A line of ASCII, between single spaces. */
const PLAIN = /^[!-~]+(?: [!-~]+)*$/;

/** Of a text, or of a number as it was written; undefined of all else, and of what is blank. */
function cell(value: Told, max = MAX_TEXT): string | undefined {
  if (typeof value !== "string") return undefined;
  // Most are: the rest is for all others.
  if (value.length <= max && PLAIN.test(value)) return value;
  const start = value.search(/\S/);
  if (start < 0) return undefined;
  // Cut first, so that the work is bounded; then lines become one.
  const line = value.slice(start, start + 4 * max).replace(/\s+/g, " ");
  return visible(line.trimEnd(), max);
}

type Some<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the members that are undefined. */
function some<T extends object>(members: T): Some<T> {
  const there: Some<T> = {};
  for (const key in members) {
    const value = members[key];
    if (value !== undefined) Object.assign(there, { [key]: value });
  }
  return there;
}

function group<T extends object>(members: T): Some<T> | undefined {
  const there = some(members);
  return Object.keys(there).length === 0 ? undefined : there;
}

/** The identifier itself of HL7's `id^^^&authority&ISO` (CX), which IHE messages have for a patient. */
export const patientId = (text: string | undefined): string | undefined => text?.split("^", 1)[0];
