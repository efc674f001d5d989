/**
 * Published files: what the world outside the table has seen. Where they go is a URL in the configuration.
 *
 * `logs/<log>/head` records each log's newest tree head, unsigned, in the form of a checkpoint's body. It is written
 * before KMS is asked to sign, so a store that is behind it has been rolled back (I6), even if the signer died.
 */

import { equalBytes } from "../tlog/bytes.ts";
import { type Checkpoint, checkpointBody, parseCheckpointBody } from "../tlog/checkpoint.ts";
import { ServiceError } from "./error.ts";

/** A file and an opaque tag of its content, as an ETag. */
export type PublishedFile = { readonly bytes: Uint8Array; readonly tag: string };

/** A read sees every write that returned before it. Errors are ServiceErrors: `unavailable`. */
export interface Publication {
  read(path: string): Promise<PublishedFile | undefined>;
  /**
   * Replaces the file, atomically, if its tag is still `tag`, or creates it if `tag` is undefined and it is absent.
   * @returns false when it is not: nothing was written.
   */
  replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean>;
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
  for (;;) {
    const now = await readTagged(publication, log);
    if (now !== undefined && now.head.size > next.size) return false;
    if (now?.head.size === next.size && equalBytes(now.head.root, next.root)) return true;
    if (!sameHead(now?.head, before)) {
      throw new ServiceError(
        "rollback",
        `log ${log.id}: another history is recorded at ${recordPath(log.id)}`,
      );
    }
    // A failure means that another sealer of this batch was faster, so this ends.
    if (await publication.replace(recordPath(log.id), bytes, now?.tag)) return true;
  }
}

function sameHead(a: Checkpoint | undefined, b: Checkpoint | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.size === b.size && equalBytes(a.root, b.root);
}

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
