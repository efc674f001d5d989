/**
 * Published files: what the world outside the table has seen. Where they go is a URL in the configuration.
 *
 * `anchor/…` is the anchor log as anyone may read it (publish.ts). All else is for the service alone:
 * `logs/<log>/head` records each log's newest tree head, unsigned, in the form of a checkpoint's body. It is written
 * before KMS is asked to sign, so a store that is behind it has been rolled back (I6), even if the signer died.
 * `logs/<log>/batches/<size>-<root>` holds the entries that led to a tree head, and the head before it. It is written
 * before the record, so from the record back to the empty tree, every entry can be restored (restore.ts).
 */

import { equalBytes } from "@kedge/verify/tlog/bytes";
import { type Checkpoint, checkpointBody, parseCheckpointBody } from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import { formatVkey, type Vkey } from "@kedge/verify/tlog/note";
import { formatPolicy, type Policy } from "@kedge/verify/tlog/policy";
import { decodeEntries, encodeEntries } from "@kedge/verify/tlog/tile";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { ServiceError } from "./error.ts";

/** A file and an opaque tag of its content, as an ETag. */
export type PublishedFile = { readonly bytes: Uint8Array; readonly tag: string };

/** A read sees every write that returned before it. Errors are ServiceErrors: `unavailable`, `throttled`, `corrupt`. */
export interface Publication {
  read(path: string): Promise<PublishedFile | undefined>;
  /**
   * Replaces the file, atomically, if its tag is still `tag`, or creates it if `tag` is undefined and it is absent.
   * @returns false when it is not, when another write is under way, or when this one's own answer was lost: read again.
   */
  replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean>;
}

export const NOTE_TYPE = "text/plain; charset=utf-8";

/** How a web server serves a published file. What is written once is kept for ever; what is not public, by nobody. */
export function fileHeaders(path: string): { readonly contentType: string; readonly cacheControl: string } {
  const [folder, name] = path.split("/");
  if (folder !== "anchor") return { contentType: "application/octet-stream", cacheControl: "no-store" };
  switch (name) {
    case "tile":
      return { contentType: "application/octet-stream", cacheControl: FOR_EVER };
    case "checkpoints":
      return { contentType: NOTE_TYPE, cacheControl: FOR_EVER };
    case "checkpoint":
      return { contentType: NOTE_TYPE, cacheControl: "public, max-age=5" };
    case "timestamps":
      return { contentType: "application/json", cacheControl: FOR_MINUTES };
    default:
      return { contentType: NOTE_TYPE, cacheControl: FOR_MINUTES };
  }
}

const FOR_EVER = "public, max-age=31536000, immutable";
const FOR_MINUTES = "public, max-age=300";

/** The policy in public, c2sp.org/tlog-policy: with the keys that the log signs with now. */
export const policyText = (policy: Policy, vkeys: readonly Vkey[]): string =>
  formatPolicy({ ...policy, logs: vkeys.map((vkey) => ({ vkey })) });

/** Verifier keys, c2sp.org/signed-note, a line each. */
export const vkeysText = (vkeys: readonly Vkey[]): string =>
  vkeys.map((vkey) => `${formatVkey(vkey)}\n`).join("");

/**
 * Creates the file if it is absent: its name stands for one content for ever.
 * @returns what is there now, which may be another's.
 * @throws ServiceError `throttled` when others are at it all the time.
 */
export async function createFile(
  publication: Publication,
  path: string,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (await publication.replace(path, bytes, undefined)) return bytes;
    // Whoever was faster has written it; where nobody did, another write was under way and failed.
    const file = await publication.read(path);
    if (file !== undefined) return file.bytes;
  }
  throw contended(path);
}

type LogName = { readonly id: string; readonly origin: string };

/** The tree head last recorded for a log outside the store. */
export async function readRecord(publication: Publication, log: LogName): Promise<Checkpoint | undefined> {
  return (await readTagged(publication, log))?.head;
}

/**
 * Records a committed tree head in the place of the one before it.
 * @returns false when a larger one is recorded: another sealer is ahead, and this one has nothing more to do.
 * @throws ServiceError `rollback` when another history is recorded; nothing may be signed then.
 */
export async function writeRecord(
  publication: Publication,
  log: LogName,
  next: Checkpoint,
  before: Checkpoint | undefined,
): Promise<boolean> {
  const bytes = new TextEncoder().encode(checkpointBody(next));
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const now = await readTagged(publication, log);
    if (now !== undefined && now.head.size > next.size) return false;
    if (now?.head.size === next.size && equalBytes(now.head.root, next.root)) return true;
    if (!sameHead(now?.head, before)) {
      throw new ServiceError(
        "rollback",
        `log ${log.id}: another history is recorded at ${recordPath(log.id)}`,
      );
    }
    // Otherwise another sealer of this batch was faster, or this write's answer was lost: the next read tells.
    if (await publication.replace(recordPath(log.id), bytes, now?.tag)) return true;
  }
  throw contended(recordPath(log.id));
}

/** More than as many can be at one file: whoever fails comes again with the next run. */
export const MAX_TRIES = 20;

export const contended = (path: string): ServiceError =>
  new ServiceError("throttled", `${path} is being written by others all the time; retry after a second`);

type TreeHead = Pick<Checkpoint, "size" | "root">;

export function sameHead(a: TreeHead | undefined, b: TreeHead | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.size === b.size && equalBytes(a.root, b.root);
}

/** The entries between two tree heads; `before` is undefined for the empty tree. */
export type RecordedBatch = {
  readonly before: Checkpoint | undefined;
  readonly entries: readonly Uint8Array[];
};

/** Keeps the entries of a committed batch, before its tree head is recorded. Its name stands for one content for ever. */
export async function writeBatch(
  publication: Publication,
  log: LogName,
  next: Checkpoint,
  { before, entries }: RecordedBatch,
): Promise<void> {
  const head = before ?? { origin: log.origin, size: 0n, root: EMPTY_ROOT };
  const header = new TextEncoder().encode(`${checkpointBody(head)}\n`);
  const bytes = concatBytes(header, encodeEntries(entries));
  await createFile(publication, batchPath(log.id, next), bytes);
}

/** @throws ServiceError `corrupt` when it is absent or malformed. What its entries lead to is the caller's to check. */
export async function readBatch(
  publication: Publication,
  log: LogName,
  next: Checkpoint,
): Promise<RecordedBatch> {
  const path = batchPath(log.id, next);
  const file = await publication.read(path);
  if (file === undefined)
    throw new ServiceError("corrupt", `${path} is missing: restore the bucket's older version`);
  try {
    return parseBatch(file.bytes, log, next);
  } catch (cause) {
    throw new ServiceError("corrupt", `${path} is not the batch that led to its tree head`, { cause });
  }
}

function parseBatch(bytes: Uint8Array, log: LogName, next: Checkpoint): RecordedBatch {
  const end = bytes.findIndex((byte, i) => byte === NEWLINE && bytes[i + 1] === NEWLINE) + 1;
  const before = parseCheckpointBody(
    new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end)),
  );
  if (before.origin !== log.origin || before.size >= next.size)
    throw new Error("another log's, or out of order");
  const entries = decodeEntries(bytes.slice(end + 1), Number(next.size - before.size));
  return { before: before.size === 0n ? undefined : before, entries };
}

const NEWLINE = 0x0a;

const batchPath = (log: string, { size, root }: Checkpoint): string =>
  `logs/${log}/batches/${size.toString().padStart(16, "0")}-${bytesToHex(root)}`;

const recordPath = (log: string): string => `logs/${log}/head`;

async function readTagged(publication: Publication, log: LogName) {
  const file = await publication.read(recordPath(log.id));
  if (file === undefined) return undefined;
  const head = parseRecord(file.bytes, log);
  if (head.origin !== log.origin) {
    throw new ServiceError("corrupt", `${recordPath(log.id)} is of another log: ${head.origin}`);
  }
  return { head, tag: file.tag };
}

function parseRecord(bytes: Uint8Array, log: LogName): Checkpoint {
  try {
    return parseCheckpointBody(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ServiceError("corrupt", `${recordPath(log.id)} is not a tree head`, { cause });
  }
}
