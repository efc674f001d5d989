/** JSON as the formats read it: strict, numbers as they are written, and where each object stands in the bytes. */
import { type Json, type JsonObject, readJson } from "../json.ts";
import { malformedEvent } from "./malformed.ts";

/** What is read into memory as values; a larger document may still be taken as bytes. */
export const MAX_BYTES = 16 << 20;
/** Of ordinary events there are some 800,000 in as many bytes. */
const MAX_VALUES = 1_000_000;

/** A number is the text that it is written as. Throws EventError `malformed_event`. */
export function lookAtJson(bytes: Uint8Array): Json {
  return look(bytes);
}

/** The same, and what bytes each object of it is. */
export function lookAtObjects(bytes: Uint8Array): { value: Json; bytesOf(object: JsonObject): Uint8Array } {
  const places = new Map<JsonObject, [start: number, end: number]>();
  const value = look(bytes, (object, start, end) => places.set(object, [start, end]));
  return {
    value,
    bytesOf: (object) => bytes.subarray(...(places.get(object) ?? [0, 0])),
  };
}

function look(bytes: Uint8Array, object?: (value: JsonObject, start: number, end: number) => void): Json {
  const refuse = (reason: string, at: number) => malformedEvent(bytes, at, reason);
  if (bytes.length > MAX_BYTES) throw refuse(`more than ${MAX_BYTES >> 20} MiB`, 0);
  const number = (literal: string) => literal;
  return readJson(bytes, { maxValues: MAX_VALUES, number, refuse, ...(object && { object }) });
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What a path of member names leads to. Of an array on the way, the first element that has the next name; at its end, the first. */
export function at(value: Json | undefined, ...names: string[]): Json | undefined {
  let here = value;
  for (const name of names) here = Array.isArray(here) ? firstMember(here, name) : member(here, name);
  return Array.isArray(here) ? here[0] : here;
}

function firstMember(values: readonly Json[], name: string): Json | undefined {
  for (const value of values) {
    const found = member(value, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

const member = (value: Json | undefined, name: string): Json | undefined =>
  isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;

/** The elements of an array; of another value itself, for XML has no arrays of one; of undefined nothing. */
export function all(value: Json | undefined): readonly Json[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

/** All that a member holds, as `all`. */
export const each = (value: Json | undefined, name: string): readonly Json[] =>
  all(value).flatMap((one) => all(member(one, name)));

/** The first that is a text with something in it. */
export const first = (...values: (Json | undefined)[]): string | undefined => firstOf(values);

/** As `first`, of as many as an event has: a call cannot have any number of arguments. */
export function firstOf(values: readonly (Json | undefined)[]): string | undefined {
  for (const value of values) if (typeof value === "string" && value.trim() !== "") return value;
  return undefined;
}

/** Those that are texts with something in them, one after another; undefined when none is. */
export function joined(values: readonly (Json | undefined)[], separator = ", "): string | undefined {
  const texts = values.flatMap((value) => first(value) ?? []);
  return texts.length === 0 ? undefined : [...new Set(texts)].slice(0, 16).join(separator);
}
