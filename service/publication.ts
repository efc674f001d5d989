/**
 * Published files: what the world outside the table has seen. Where they go is a URL in the configuration.
 *
 * `logs/<log>/checkpoint` records the newest published checkpoint of each log. It is written before the store calls
 * the checkpoint published, so a store that is behind it has been rolled back (I6).
 */
import { type Checkpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
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

/** The checkpoint last recorded for a log outside the store. */
export async function readRecord(publication: Publication, log: LogName): Promise<Checkpoint | undefined> {
  return (await readTagged(publication, log))?.checkpoint;
}

/** Records a checkpoint, unless one at least as large is recorded: a sealer that lags behind lowers nothing. */
export async function writeRecord(publication: Publication, log: LogName, note: string): Promise<void> {
  const { size } = parseCheckpoint(note).checkpoint;
  const bytes = new TextEncoder().encode(note);
  for (;;) {
    const now = await readTagged(publication, log);
    if (now !== undefined && now.checkpoint.size >= size) return;
    // Each failure means that another sealer recorded a larger size meanwhile, so this ends.
    if (await publication.replace(recordPath(log.id), bytes, now?.tag)) return;
  }
}

const recordPath = (log: string): string => `logs/${log}/checkpoint`;

async function readTagged(publication: Publication, log: LogName) {
  const file = await publication.read(recordPath(log.id));
  if (file === undefined) return undefined;
  const { checkpoint } = parseRecord(file.bytes, log);
  if (checkpoint.origin !== log.origin) {
    throw new ServiceError("corrupt", `${recordPath(log.id)} is of another log: ${checkpoint.origin}`);
  }
  return { checkpoint, tag: file.tag };
}

function parseRecord(bytes: Uint8Array, log: LogName) {
  try {
    return parseCheckpoint(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ServiceError("corrupt", `${recordPath(log.id)} is not a checkpoint`, { cause });
  }
}
