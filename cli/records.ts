/** What `kedge commit` writes, one JSON object a line, and what `post` and `proof` take in its place. */
import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { type Opening, parseOpening } from "../events/commitment.ts";
import { type CommitFlags, committer, locating, where } from "./committer.ts";
import { type EventSource, listFiles, readEvents } from "./inputs.ts";
import { misuse } from "./output.ts";

/** `commitment` is hex. The opening is a secret until disclosed. */
export type CommitRecord = { event: string; line?: number; commitment: string; opening: Opening };

export function recordLine(record: CommitRecord): string {
  const { event, line, commitment, opening } = record;
  return `${JSON.stringify({ event, ...(line === undefined ? {} : { line }), commitment, opening })}\n`;
}

/** Readable by the owner alone, for openings are secrets; and never over one there is, which may hold nonces. */
export async function createRecords(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (cause) {
    throw misuse(`${path} cannot be created: it exists already, or its folder does not`, cause);
  }
}

/** A record, and where its proof belongs: the path below the folder that was given. */
type LocatedRecord = CommitRecord & { below: string };

/**
 * The records of the inputs: events are committed to here, and files that `commit` wrote are read, told apart by their
 * first line. Standard input has one event or record a line.
 */
export async function* readRecords(
  paths: readonly string[],
  flags: CommitFlags,
): AsyncGenerator<LocatedRecord> {
  let commit: ReturnType<typeof committer> | undefined;
  for await (const file of listFiles(paths)) {
    let holdsRecords: boolean | undefined;
    for await (const source of readEvents(file, flags.ndjson || file.name === "-")) {
      const record = source.line === undefined || holdsRecords === false ? undefined : parseRecord(source);
      holdsRecords ??= record !== undefined;
      if (record !== undefined) {
        yield { ...record, below: safePath(record.event) };
      } else if (holdsRecords) {
        throw misuse(
          `${where(source)} is not a record of kedge commit, as the first line is: split the file`,
        );
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
  commitment: z.string().regex(/^[0-9a-f]{64}$/),
  opening: z.unknown(),
});

/** undefined when the line is something else. */
function parseRecord(source: EventSource): CommitRecord | undefined {
  const { success, data } = recordSchema.safeParse(parseJson(source.bytes));
  if (!success) return undefined;
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

/** Records may come from others: a path in one must not lead out of the folder that proofs are written to. */
function safePath(path: string): string {
  const parts = path.split(/[/\\]/).filter((part) => part !== "" && part !== "." && part !== "..");
  return parts.map((part) => part.replace(/[\p{C}:]/gu, "_")).join("/") || "event";
}
