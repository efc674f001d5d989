/**
 * The manifest of a source for a period: which numbers its events have, and the root over their commitments. It is an
 * event of its own, committed under the source `kedge.manifest/<source>`, so that an auditor sees what is missing.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import serialiseJcs from "canonicalize";
import { encodeBase64, equalBytes } from "../tlog/bytes.ts";
import { TlogError } from "../tlog/error.ts";
import { decodeHash, EMPTY_ROOT } from "../tlog/merkle.ts";
import { COMMITMENT_HEX, parseSource } from "./commitment.ts";
import { EventError } from "./error.ts";
import { type Json, readJson } from "./json.ts";

export const MANIFEST_MEDIA_TYPE = "application/vnd.kedge.manifest+json";

/** Names that begin so are the agent's own sources. */
const OWN = "kedge.";
export const isOwnSource = (source: string): boolean => source.startsWith(OWN);
/** The source that the manifests of a source are committed under, with numbers of its own. */
export const manifestSource = (source: string): string => `${OWN}manifest/${source}`;

/** Ms. */
export const HOUR = 3_600_000;
/** 9999-12-31T23:00:00Z: the last whole hour that RFC 3339 can say. */
const LAST_HOUR = Date.parse("9999-12-31T23:00:00Z");

/**
 * One period is one hour, unless the agent stood still for so long that it was given one for all of them. What is counted
 * are numbers, not the times that events give themselves.
 */
export type Manifest = {
  source: string;
  /** Ms since the epoch, whole hours; `to` is the end, and not in it. */
  from: number;
  to: number;
  /** Absent for a period without events. There are none between `last` of one manifest and `first` of the next. */
  numbers?: { first: bigint; last: bigint };
  /** RFC 6962 root over the commitments (32 bytes each) in the order of their numbers. */
  root: Uint8Array;
  /** The commitment (32 bytes) of the manifest before it; absent in the first. */
  previous?: Uint8Array;
};

/** How many events the period has. */
export const countOf = ({ numbers }: Manifest): bigint =>
  numbers === undefined ? 0n : numbers.last - numbers.first + 1n;

/**
 * JCS (RFC 8785): `{"count": 2, "first": "7", "from": "2026-03-01T08:00:00Z", "last": "8", "previous": "<64 hex>",
 * "root": "<base64>", "source": "ehr", "to": "2026-03-01T09:00:00Z"}`.
 */
export function manifestBytes(manifest: Manifest): Uint8Array {
  const { source, from, to, numbers, root, previous } = manifest;
  const members: { [member: string]: Json } = {
    ...{ source, from: hourText(from), to: hourText(to), root: encodeBase64(root) },
    count: Number(countOf(manifest)),
  };
  if (numbers !== undefined) Object.assign(members, { first: `${numbers.first}`, last: `${numbers.last}` });
  if (previous !== undefined) members["previous"] = bytesToHex(previous);
  return new TextEncoder().encode(serialiseJcs(members));
}

/** Reads what `manifestBytes` writes, and nothing else. Throws EventError `malformed_json`, `malformed_field`. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = readJson(bytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("it is no object");
  const manifest = readMembers(value);
  // One spelling: what is left out, added or written otherwise shows here.
  if (!equalBytes(manifestBytes(manifest), bytes)) {
    throw malformed(
      "it has unknown members, a count that is not of its numbers, or is not written by RFC 8785",
    );
  }
  return manifest;
}

function readMembers(members: { [member: string]: Json }): Manifest {
  const { first, last, previous } = members;
  const source = parseSource(members["source"]);
  const from = readHour(members["from"]);
  const to = readHour(members["to"]);
  if (to <= from) throw malformed("it ends before it begins");
  const numbers = first === undefined ? undefined : { first: readNumber(first), last: readNumber(last) };
  if (numbers !== undefined && numbers.last < numbers.first)
    throw malformed("its last number is before its first");
  const root = readRoot(members["root"]);
  if (numbers === undefined && !equalBytes(root, EMPTY_ROOT)) throw malformed("it has a root of no events");
  return {
    ...{ source, from, to, root },
    ...(numbers && { numbers }),
    ...(previous === undefined ? {} : { previous: readCommitment(previous) }),
  };
}

const HOUR_TEXT = /^\d{4}-\d\d-\d\dT\d\d:00:00Z$/;

function hourText(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

function readHour(text: Json | undefined): number {
  const ms = typeof text === "string" && HOUR_TEXT.test(text) ? Date.parse(text) : Number.NaN;
  if (ms >= 0 && ms <= LAST_HOUR && hourText(ms) === text) return ms;
  throw malformed("its from or to is no whole hour such as 2026-03-01T08:00:00Z");
}

function readNumber(text: Json | undefined): bigint {
  if (typeof text === "string" && /^(0|[1-9][0-9]{0,17})$/.test(text)) return BigInt(text);
  throw malformed("its first or last is no decimal string");
}

function readRoot(text: Json | undefined): Uint8Array {
  try {
    if (typeof text === "string") return decodeHash(text, "The root");
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
  }
  throw malformed("its root is not the base64 of 32 bytes");
}

function readCommitment(text: Json): Uint8Array {
  if (typeof text === "string" && COMMITMENT_HEX.test(text)) return hexToBytes(text);
  throw malformed("its previous is not 64 lower-case hex digits");
}

function malformed(what: string): EventError {
  return new EventError("malformed_field", `This is no manifest of a source: ${what}.`);
}
