/** `kedge post`: commitments of events to a log. */
import type { FileHandle } from "node:fs/promises";
import { type CommitFlags, type CommitRecord, withCommit } from "@kedge/verify/cli/committer";
import { withLog } from "@kedge/verify/cli/credentials";
import { wholeNumber } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, misuse, print, progress, warn } from "@kedge/verify/cli/output";
import { createRecords, readRecords, recordLine } from "@kedge/verify/cli/records";
import { quoted } from "@kedge/verify/text";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import { MAX_ENTRIES } from "../contract/limits.ts";
import { openLog } from "./service.ts";
import { awaitProofs, type WaitFlags, withWait } from "./wait.ts";

export function postCommand(command: Command): Command {
  return withWait(withCommit(withLog(command)))
    .argument("<paths...>", "event files, folders, .ndjson files, records of kedge commit, or - (one a line)")
    .option("--out <file>", "where the records of the events go (default: nowhere, they can be made again)")
    .option(
      "--batch <n>",
      `commitments in one request, at most ${MAX_ENTRIES}`,
      wholeNumber(1, MAX_ENTRIES),
      1_000,
    )
    .action(post);
}

/** 128 and the number of SIGINT, as shells have it. */
const EXIT_INTERRUPTED = 130;
/** Distinct commitments are counted up to here, so that memory does not grow with the input. */
const MAX_COUNTED = 1_000_000;

type PostFlags = CommitFlags & WaitFlags & { out?: string; batch: number };

async function post(paths: string[], flags: PostFlags): Promise<void> {
  const target = await openLog(flags);
  const shown = progress("commitments accepted");
  const leftOut: string[] = [];
  const distinct = new Set<string>();
  const posted: Uint8Array[] = [];
  let out: FileHandle | undefined;
  let accepted = 0;
  const soFar = () => `${accepted} accepted before it ended; posting all of them again does no harm.`;
  const interrupted = () => {
    warn(soFar());
    process.exit(EXIT_INTERRUPTED);
  };
  process.once("SIGINT", interrupted);
  process.exitCode = EXIT_FAILED; // until all of it is done: a reader may close the pipe before that
  try {
    for await (const batch of batches(readRecords(paths, flags, leftOut), flags.batch)) {
      // First the openings, then the commitments: none is posted that could not be opened.
      if (flags.out !== undefined) out ??= await createRecords(flags.out);
      await keep(out, batch);
      const commitments = batch.map(({ commitment }) => hexToBytes(commitment));
      accepted += (await target.client.post(target.log, commitments)).accepted;
      if (flags.wait !== undefined) posted.push(...commitments);
      for (const { commitment } of batch) if (distinct.size < MAX_COUNTED) distinct.add(commitment);
      shown.add(batch.length);
    }
  } catch (error) {
    if (accepted > 0) print(soFar());
    throw error;
  } finally {
    process.off("SIGINT", interrupted);
    await out?.close();
    shown.done();
  }
  if (accepted === 0) throw misuse("There is no event in these files");
  print(`${[`${accepted} accepted`, ...copies(distinct, accepted), ...missed(leftOut)].join("; ")}.`);
  if (flags.wait !== undefined) {
    for await (const answer of awaitProofs(target, posted, flags)) {
      if (answer.state === "unknown") throw new CliError("failed", `The log does not know ${answer.hash}`);
    }
    print(`All are ${flags.wait}.`);
  }
  process.exitCode = 0;
}

function copies(distinct: ReadonlySet<string>, accepted: number): string[] {
  if (distinct.size === accepted || distinct.size === MAX_COUNTED) return [];
  return [`${distinct.size} of them distinct, copies of one event being one entry`];
}

function missed(leftOut: readonly string[]): string[] {
  const [first] = leftOut;
  return first === undefined ? [] : [`${leftOut.length} left out, such as ${quoted(first)}`];
}

async function keep(out: FileHandle | undefined, records: readonly CommitRecord[]): Promise<void> {
  await out?.appendFile(records.map(recordLine).join(""));
  await out?.sync();
}

export async function* batches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
