/**
 * The record of a log outside its table, by which a table that is older or another is recognised (I6) and restored.
 *
 *     logs/<log>/batches/<size>-<root>  the entries that led to a tree head, and the head before it   written once
 *     logs/<log>/head                   the newest tree head, unsigned, a checkpoint's body           moves forward
 *
 * Both are written before KMS is asked to sign, the batch first: so a store that is behind the record has been rolled back
 * even if the signer died, and from the record back to the empty tree every entry can be restored (restore.ts).
 */

import { equalBytes } from "@kedge/verify/tlog/bytes";
import { type Checkpoint, checkpointBody, parseCheckpointBody } from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import { decodeEntries, type Entries } from "@kedge/verify/tlog/tile";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { ServiceError } from "../platform/error.ts";
import { changeFile, createFile, type Publication } from "../platform/publication.ts";
import { sortable } from "../platform/store.ts";
import { type Head, publishedHead } from "./head.ts";

type LogName = { readonly id: string; readonly origin: string };

const batchPath = (log: string, { size, root }: Checkpoint): string =>
  `logs/${log}/batches/${sortable(size)}-${bytesToHex(root)}`;
const recordPath = (log: string): string => `logs/${log}/head`;

/** I6: what is wrong between the store and what was recorded outside it, or undefined. */
export function rollback(head: Head, recorded: Checkpoint | undefined): string | undefined {
  const size = recorded?.size ?? 0n;
  if (recorded === undefined && head.published > 0n) {
    return `the store published size ${head.published}, there is no record of it outside`;
  }
  if (size > head.size) return `size ${size} was published, the store is at ${head.size}`;
  if (size < head.published) {
    return `the store published size ${head.published}, the record outside it is at ${size}`;
  }
  if (size !== head.published && size !== head.size) {
    return `size ${size} was published, the store knows ${head.published} and ${head.size} only`;
  }
  const root = size === head.size ? head.root : publishedHead(head)?.root;
  if (recorded !== undefined && root !== undefined && !equalBytes(recorded.root, root)) {
    return `size ${size} was published with another root than the store's`;
  }
  return undefined;
}

/** The tree head last recorded for a log outside the store. */
export async function readRecord(publication: Publication, log: LogName): Promise<Checkpoint | undefined> {
  const file = await publication.read(recordPath(log.id));
  return file && parseRecord(file.bytes, log);
}

function parseRecord(bytes: Uint8Array, { id, origin }: LogName): Checkpoint {
  let head: Checkpoint;
  try {
    head = parseCheckpointBody(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ServiceError("corrupt", `${recordPath(id)} is not a tree head`, { cause });
  }
  if (head.origin === origin) return head;
  throw new ServiceError("corrupt", `${recordPath(id)} is of another log: ${head.origin}`);
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
  let isBehind = false;
  await changeFile(publication, recordPath(log.id), (recorded) => {
    const now = recorded && parseRecord(recorded, log);
    isBehind = now !== undefined && now.size > next.size;
    // Equal: another sealer of this batch was faster, or this write's own answer was lost.
    if (isBehind || sameHead(now, next)) return undefined;
    if (sameHead(now, before)) return bytes;
    throw new ServiceError("rollback", `log ${log.id}: another history is recorded at ${recordPath(log.id)}`);
  });
  return !isBehind;
}

type TreeHead = Pick<Checkpoint, "size" | "root">;

export function sameHead(a: TreeHead | undefined, b: TreeHead | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.size === b.size && equalBytes(a.root, b.root);
}

/** The entries between two tree heads; `before` is undefined for the empty tree. */
type RecordedBatch = {
  readonly before: Checkpoint | undefined;
  readonly entries: Entries;
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
  await createFile(publication, batchPath(log.id, next), concatBytes(header, entries.data));
}

/** @throws ServiceError `corrupt` when it is absent or malformed. What its entries lead to is the caller's to check. */
export async function readBatch(
  publication: Publication,
  log: LogName,
  next: Checkpoint,
): Promise<RecordedBatch> {
  const path = batchPath(log.id, next);
  const file = await publication.read(path);
  if (file === undefined) {
    throw new ServiceError("corrupt", `${path} is missing: restore the bucket's older version`);
  }
  try {
    return parseBatch(file.bytes, log, next);
  } catch (cause) {
    throw new ServiceError("corrupt", `${path} is not the batch that led to its tree head`, { cause });
  }
}

const NEWLINE = 0x0a;

function parseBatch(bytes: Uint8Array, log: LogName, next: Checkpoint): RecordedBatch {
  const end = bytes.findIndex((byte, i) => byte === NEWLINE && bytes[i + 1] === NEWLINE) + 1;
  const before = parseCheckpointBody(
    new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end)),
  );
  if (before.origin !== log.origin || before.size >= next.size) {
    throw new Error("another log's, or out of order");
  }
  const entries = decodeEntries(bytes.subarray(end + 1), Number(next.size - before.size));
  return { before: before.size === 0n ? undefined : before, entries };
}
