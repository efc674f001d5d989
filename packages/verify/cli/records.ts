/** What `kedge commit` writes, one JSON object a line, and what `post` and `proof` take in its place. */
import { type FileHandle, open } from "node:fs/promises";
import { type CommitRecord, parseRecordLine } from "../pack/lines.ts";
import {
  type CommitFlags,
  committer,
  locating,
  type NumberOf,
  plainTenant,
  type TenantKeys,
  where,
} from "./committer.ts";
import { type EventSource, type InputFile, listFiles, type OnError, readEvents } from "./inputs.ts";
import { CliError, jsonLine, misuse } from "./output.ts";
import { looksLikeRecord } from "./recognise.ts";

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
export type LocatedRecord = CommitRecord & {
  below: string;
  /** What it would be under the tenant's other keys. None for what is a record already. */
  otherwise: CommitRecord[];
};

export type ReadOptions = {
  /** Takes a file that cannot be read or used, and the others follow. Without it, the first ends all. */
  onError?: OnError;
  /** The numbers that events have. With it, one without a number cannot be used. */
  numberOf?: NumberOf;
  /** In place of the one of the flags or credentials. */
  tenantKeys?: (() => Promise<TenantKeys>) | undefined;
};

/** The records of the inputs: events are committed to here, and files that `commit` wrote are read. */
export async function* readRecords(
  paths: readonly string[],
  flags: CommitFlags,
  leftOut?: string[],
  { onError, numberOf, tenantKeys }: ReadOptions = {},
): AsyncGenerator<LocatedRecord> {
  let commit: ReturnType<typeof committer>[] | undefined;
  for await (const file of listFiles(paths, leftOut, { asBytes: flags.asBytes, onError })) {
    try {
      for await (const { record, event } of readItems(file, flags)) {
        if (event === undefined) {
          yield { ...record, below: record.event, otherwise: [] };
          continue;
        }
        const numbered = numberOf?.(event);
        if (numberOf !== undefined && numbered === undefined) throw unnumbered(event);
        commit ??= await committers(flags, tenantKeys);
        const [current, ...otherwise] = commit.map((make) => make(event, numbered));
        if (current !== undefined) yield { ...current, below: event.below, otherwise };
      }
    } catch (error) {
      if (onError === undefined || !(error instanceof CliError)) throw error;
      onError(error);
    }
  }
}

/** At least one. */
async function committers(
  flags: CommitFlags,
  given: (() => Promise<TenantKeys>) | undefined,
): Promise<ReturnType<typeof committer>[]> {
  const keys = await (given ?? (await plainTenant(flags)).tenantKeys)();
  return (keys.length === 0 ? [undefined] : keys).map((key) => committer(flags, key));
}

const unnumbered = (event: EventSource): CliError =>
  new CliError(
    "failed",
    `${where(event)} has no number in this source: was it posted with --source, and this state?`,
  );

/** What a file holds: events, or records of events. */
export type Item = { record: CommitRecord; event?: undefined } | { event: EventSource; record?: undefined };

/**
 * One file has either, as its first line shows: a record taken for an event would be committed to in its place. `onEnd`
 * gets how many bytes were read, before what comes last.
 */
export async function* readItems(
  file: InputFile,
  flags: CommitFlags,
  onEnd?: (bytes: number) => void,
): AsyncGenerator<Item> {
  let holdsRecords: boolean | undefined;
  for await (const event of readEvents(file, flags.ndjson, onEnd)) {
    const isRecord = looksLikeRecord(event.bytes);
    holdsRecords ??= isRecord;
    if (isRecord !== holdsRecords) {
      const [is, first] = isRecord ? ["a record of kedge commit", "an event"] : ["no record", "one"];
      throw misuse(`${where(event)} is ${is}, and the first line is ${first}: split the file`);
    }
    yield isRecord ? { record: parseRecord(event) } : { event };
  }
}

function parseRecord(source: EventSource): CommitRecord {
  const record = locating(source, () => parseRecordLine(source.bytes));
  if (record === undefined) {
    throw misuse(`${where(source)} looks like a record of kedge commit, but is not as commit wrote it`);
  }
  return record;
}
