/**
 * The JSON of a pack: read only as it is written, so that no two readers see two things in it, whatever they make of a member
 * twice, of white space, or of numbers.
 */
import * as z from "zod/mini";
import { COMMITMENT_HEX } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { ROW_COLUMNS } from "../events/formats/header.ts";
import { readJson } from "../events/json.ts";
import { MAX_PROOF_SIZE } from "../tlog/proof.ts";
import { PackError } from "./error.ts";
import type { ProofLine } from "./lines.ts";
import { LANGUAGES, PACK_KINDS, type PackCase, type PackRow } from "./pack.ts";
import { MAX_OFFSETS, type Offset } from "./time.ts";

const text = z.string().check(z.minLength(1), z.maxLength(4_096));
const time = z.iso.datetime({ offset: true });
const timeOfDay = z.string().check(z.regex(/^([01]\d|2[0-3]):[0-5]\d$/));
const count = z.int().check(z.nonnegative());

/**
 * Of at most `max` items. What is none of them ends it: an array of millions of others would fill the memory with what is wrong
 * with each.
 */
export function list<T>(item: z.ZodMiniType<T>, max: number) {
  return z.pipe(
    z.array(z.unknown()).check(z.maxLength(max)),
    z.transform((items, { issues }): T[] => {
      const read: T[] = [];
      for (const [i, one] of items.entries()) {
        const { success, data, error } = item.safeParse(one);
        if (success) read.push(data);
        else {
          const [{ path, message } = { path: [], message: "" }] = error.issues;
          issues.push({ code: "custom", input: one, path: [i, ...path], message });
          return z.NEVER;
        }
      }
      return read;
    }),
  );
}

const headerSchema = z.strictObject({
  separator: z.string().check(z.length(1)),
  quoted: z.exactOptional(z.boolean()),
  header: list(z.string(), 4_096),
  preset: z.exactOptional(
    z.union([
      z.literal("epic"),
      z.partialRecord(z.enum(ROW_COLUMNS), z.union([z.string(), list(z.string(), 4_096)])),
    ]),
  ),
});

const filterSchema = z.strictObject({
  from: z.exactOptional(time),
  to: z.exactOptional(time),
  user: z.exactOptional(text),
  patient: z.exactOptional(text),
  action: z.exactOptional(text),
  recordType: z.exactOptional(text),
  breakTheGlass: z.exactOptional(z.literal(true)),
  sameSurname: z.exactOptional(z.literal(true)),
  afterHours: z.exactOptional(z.strictObject({ from: timeOfDay, to: timeOfDay })),
  list: z.exactOptional(list(text, 10_000)),
  gtin: z.exactOptional(text),
  lot: z.exactOptional(text),
  serial: z.exactOptional(text),
});

/** RFC 3339 knows offsets of less than a day. */
const offsetSchema = z.strictObject({
  from: z.exactOptional(z.iso.datetime({ precision: 0 })),
  minutes: z.int().check(z.gt(-1_440), z.lt(1_440)),
});

const areInOrder = (offsets: readonly Offset[]): boolean =>
  offsets.length > 0 &&
  offsets.every(({ from }, i) =>
    i === 0 ? from === undefined : (from ?? "") > (offsets[i - 1]?.from ?? ""),
  );

const caseSchema = z.strictObject({
  v: z.literal(1),
  kind: z.enum(PACK_KINDS),
  language: z.enum(LANGUAGES),
  number: z.exactOptional(text),
  requestedBy: z.exactOptional(text),
  reason: z.exactOptional(text),
  preparedBy: z.exactOptional(text),
  filter: filterSchema,
  // A name that is not known here is one all the same: the offsets are stated.
  zone: z.string().check(z.regex(/^[A-Za-z0-9_+\-/:]{1,64}$/)),
  offsets: list(offsetSchema, MAX_OFFSETS).check(z.refine(areInOrder)),
  asOf: time,
  software: z.string().check(z.maxLength(64)),
  headers: list(headerSchema, 1_024),
  withheld: z.exactOptional(z.literal("patients")),
  lookedThrough: count,
});

const rowSchema = z.strictObject({
  commitment: z.string().check(z.regex(COMMITMENT_HEX)),
  event: z.exactOptional(z.string().check(z.maxLength(200), z.startsWith("events/"))),
  line: z.exactOptional(z.int().check(z.positive())),
  header: z.exactOptional(count),
  disclosure: z.exactOptional(
    z.strictObject({
      recipient: text,
      address: z.exactOptional(text),
      description: text,
      purpose: text,
    }),
  ),
  noProof: z.exactOptional(z.enum(["pending", "unknown"])),
});

const proofSchema = z.strictObject({
  event: z.exactOptional(z.string()),
  line: z.exactOptional(z.int().check(z.positive())),
  commitment: z.string().check(z.regex(COMMITMENT_HEX)),
  proof: z.string().check(z.maxLength(MAX_PROOF_SIZE)),
});

/** Reads what `write` writes, and nothing else. */
type Form<T> = { write(value: T): string; read(text: string, file: string): T };

/** A file of one value. */
export function document<T>(schema: z.ZodMiniType<T>): Form<T> {
  return form(schema, (value) => `${JSON.stringify(value, undefined, 2)}\n`, parseDocument);
}

/** A line of many, without its newline. */
function line<T>(schema: z.ZodMiniType<T>): Form<T> {
  return form(schema, (value) => JSON.stringify(value));
}

/** Members stand in the order of the schema. */
function form<T>(
  schema: z.ZodMiniType<T>,
  format: (value: T) => string,
  parse: (text: string, file: string) => unknown = parseJson,
): Form<T> {
  return {
    write(value) {
      const { success, data, error } = schema.safeParse(value);
      if (success) return format(data);
      const [{ path, message } = { path: [], message: "" }] = error.issues;
      throw new PackError("malformed", `A pack cannot hold this: ${path.join(".")}: ${message}`, {
        cause: error,
      });
    },
    read(text, file) {
      const { success, data, error } = schema.safeParse(parse(text, file));
      if (success && format(data) === text) return data;
      const [{ path, message } = { path: [], message: "" }] = error?.issues ?? [];
      const why = success ? "it is not written as a pack is" : `${path.join(".")}: ${message}`;
      throw new PackError("malformed", `${file} cannot be read: ${why}`, { file, cause: error });
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Values in a document, which is as long as an event may be: more, or more levels of them, would fill the memory. */
const MAX_VALUES = 1 << 22;

function parseDocument(text: string, file: string): unknown {
  try {
    return readJson(new TextEncoder().encode(text), {
      maxValues: MAX_VALUES,
      number: Number,
      refuse: (reason) => new EventError("malformed_json", reason),
    });
  } catch (cause) {
    if (!(cause instanceof EventError)) throw cause;
    throw new PackError("malformed", `${file} cannot be read: ${cause.message}`, { file, cause });
  }
}

export const caseFile: Form<PackCase> = document(caseSchema);
export const rowLine: Form<PackRow> = line(rowSchema);
export const proofLine: Form<ProofLine> = line(proofSchema);
