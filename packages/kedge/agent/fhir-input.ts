/** FHIR as it comes over HTTP: of which type a resource is, and what the entries of a Bundle ask for. */
import { EventError } from "@kedge/verify/events/error";
import { type Json, readJson } from "@kedge/verify/events/json";

export type BundleEntry = {
  method?: string;
  url?: string;
  resource?: { type: string; bytes: Uint8Array; mediaType: string };
};
export type Bundle = { type?: string; entries: BundleEntry[] };

/** @throws EventError */
export function resourceType(bytes: Uint8Array): string {
  return typeOf(readJson(bytes));
}

/** undefined of another resource. @throws EventError */
export function readBundle(bytes: Uint8Array): Bundle | undefined {
  const bundle = readJson(bytes);
  if (typeOf(bundle) !== "Bundle") return undefined;
  const type = stringOf(memberOf(bundle, "type"));
  const listed = memberOf(bundle, "entry") ?? [];
  if (!Array.isArray(listed)) throw malformed("its entry is no array");
  const [starts] = [...members(bytes, 0)].flatMap(([name, at]) =>
    name === "entry" ? [[...elements(bytes, at)]] : [],
  );
  const entries = listed.map((entry, i): BundleEntry => {
    const request = memberOf(entry, "request");
    const method = stringOf(memberOf(request, "method"));
    const url = stringOf(memberOf(request, "url"));
    const resource = memberOf(entry, "resource");
    const at = [...members(bytes, starts?.[i] ?? 0)].find(([name]) => name === "resource")?.[1] ?? 0;
    return {
      ...(method === undefined ? {} : { method }),
      ...(url === undefined ? {} : { url }),
      ...(resource === undefined
        ? {}
        : {
            resource: {
              type: typeOf(resource),
              bytes: bytes.subarray(at, endOfValue(bytes, at)),
              mediaType: "application/fhir+json",
            },
          }),
    };
  });
  return { ...(type === undefined ? {} : { type }), entries };
}

function typeOf(value: Json): string {
  const type = stringOf(memberOf(value, "resourceType"));
  if (type === undefined) throw malformed("it is no object with a resourceType");
  return type;
}

function memberOf(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

const stringOf = (value: Json | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;

/** The elements of an array as they stand. @throws EventError */
export function elementsOf(bytes: Uint8Array): Uint8Array[] {
  if (!Array.isArray(readJson(bytes))) throw malformed("it is no array");
  return [...elements(bytes, skipSpace(bytes, 0))].map((at) => bytes.subarray(at, endOfValue(bytes, at)));
}

// ---- where values stand, in JSON that was read before -------------------------------------------------------------

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = [0x7b, 0x5b];
const CLOSE = [0x7d, 0x5d];

/** The members of the object at `from`: the name, and where the value begins. */
function* members(bytes: Uint8Array, from: number): Generator<[name: string, at: number]> {
  let at = skipSpace(bytes, skipSpace(bytes, from) + 1);
  while (bytes[at] === QUOTE) {
    const end = endOfValue(bytes, at);
    const name: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(at, end)));
    const value = skipSpace(bytes, skipSpace(bytes, end) + 1);
    yield [String(name), value];
    at = skipSpace(bytes, skipSpace(bytes, endOfValue(bytes, value)) + 1);
  }
}

/** Where each element of the array at `from` begins. */
function* elements(bytes: Uint8Array, from: number): Generator<number> {
  let at = skipSpace(bytes, from + 1);
  while (at < bytes.length && bytes[at] !== CLOSE[1]) {
    yield at;
    const after = skipSpace(bytes, endOfValue(bytes, at));
    if (bytes[after] === CLOSE[1]) return;
    at = skipSpace(bytes, after + 1);
  }
}

function endOfValue(bytes: Uint8Array, from: number): number {
  let depth = 0;
  let at = from;
  do {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (OPEN.includes(byte)) depth++;
    else if (CLOSE.includes(byte)) depth--;
    else if (depth === 0) {
      while (at < bytes.length && !DELIMITERS.has(bytes[at] ?? 0)) at++;
      return at;
    }
    at++;
  } while (depth > 0 && at < bytes.length);
  return at;
}

/** White space, comma, and the ends of arrays and objects. */
const DELIMITERS = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2c, ...CLOSE]);

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return at;
}

const malformed = (what: string): EventError =>
  new EventError("malformed_json", `This is not FHIR: ${what}. Correct it where it is written.`);
