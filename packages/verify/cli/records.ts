/** What `kedge commit` writes, one JSON object a line, and what `post` and `proof` take in its place. */
import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { COMMITMENT_HEX, parseOpening } from "../events/commitment.ts";
import { type CommitFlags, type CommitRecord, committer, locating, where } from "./committer.ts";
import { type EventSource, listFiles, looksLikeRecord, readEvents } from "./inputs.ts";
import { jsonLine, misuse } from "./output.ts";

export function recordLine(record: CommitRecord): string {
  const { event, line, commitment, opening } = record;
  return jsonLine({ event, ...(line === undefined ? {} : { line }), commitment, opening });
}

/** Readable by the owner alone, for openings are secrets; and never over one there is, which may hold nonces. */
export async function createRecords(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (cause) {
    throw misuse(`${path} cannot be created: it exists already, or its folder does not`, cause);
  }
}

/** A record, and what names its proof: the path of the event, below the folder that was given. */
type LocatedRecord = CommitRecord & { below: string };

/**
 * The records of the inputs: events are committed to here, and files that `commit` wrote are read. One file has either,
 * as its first line shows: a record taken for an event would be committed to in its place.
 */
export async function* readRecords(
  paths: readonly string[],
  flags: CommitFlags,
  leftOut?: string[],
): AsyncGenerator<LocatedRecord> {
  let commit: ReturnType<typeof committer> | undefined;
  for await (const file of listFiles(paths, leftOut)) {
    let holdsRecords: boolean | undefined;
    for await (const source of readEvents(file, flags.ndjson)) {
      const isRecord = looksLikeRecord(source.bytes);
      holdsRecords ??= isRecord;
      if (isRecord !== holdsRecords) {
        const [is, first] = isRecord ? ["a record of kedge commit", "an event"] : ["no record", "one"];
        throw misuse(`${where(source)} is ${is}, and the first line is ${first}: split the file`);
      }
      if (isRecord) {
        const record = parseRecord(source);
        yield { ...record, below: record.event };
      } else {
        commit ??= committer(flags);
        yield { ...commit(source), below: source.below };
      }
    }
  }
}

const recordSchema = z.strictObject({
  event: z.string().min(1),
  line: z.int().positive().optional(),
  commitment: z.string().regex(COMMITMENT_HEX),
  opening: z.unknown(),
});

function parseRecord(source: EventSource): CommitRecord {
  const { success, data } = recordSchema.safeParse(parseJson(source.bytes));
  if (!success) {
    throw misuse(`${where(source)} looks like a record of kedge commit, but is not as commit wrote it`);
  }
  const { event, line, commitment } = data;
  const opening = locating(source, () => parseOpening(data.opening));
  return { event, ...(line === undefined ? {} : { line }), commitment, opening };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
