/** `kedge post`: commitments of events to a log. */
import type { FileHandle } from "node:fs/promises";
import { type NumberedFlags, withCommit } from "@kedge/verify/cli/committer";
import { withLog } from "@kedge/verify/cli/credentials";
import { wholeNumber } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, misuse, print, progress, warn } from "@kedge/verify/cli/output";
import { createRecords, recordLine } from "@kedge/verify/cli/records";
import type { CommitRecord } from "@kedge/verify/pack/lines";
import type { Assurance } from "@kedge/verify/proof/verify";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { Client } from "../client/api.ts";
import { chunks } from "../client/chunks.ts";
import { MAX_ENTRIES } from "../contract/limits.ts";
import { openCommitting, withTenant } from "./numbered.ts";
import { openLog } from "./service.ts";
import { isNothing, survey, Trouble, tellSurvey } from "./survey.ts";
import { dryRun, INPUT_HELP, take } from "./take.ts";
import { askBefore, awaitStatuses, type WaitFlags, withWait } from "./wait.ts";

export function postCommand(command: Command): Command {
  return withWait(withTenant(withCommit(withLog(command))))
    .argument("<paths...>", "event files, folders, .ndjson files, records of kedge commit, or - (one a line)")
    .option("--out <file>", "where the records of the events go (default: nowhere, they can be made again)")
    .option(
      "--batch <n>",
      `commitments in one request, at most ${MAX_ENTRIES}`,
      wholeNumber(1, MAX_ENTRIES),
      1_000,
    )
    .option("--dry-run", "say what would be posted, and connect to nothing")
    .addHelpText("after", INPUT_HELP)
    .action(post);
}

/** 128 and the number of SIGINT, as shells have it. */
const EXIT_INTERRUPTED = 130;
/** Distinct commitments are counted up to here, so that memory does not grow with the input. */
const MAX_COUNTED = 1_000_000;

type PostFlags = NumberedFlags & WaitFlags & { out?: string; batch: number; dryRun?: boolean };
type Target = { client: Client; log: string };

async function post(paths: string[], flags: PostFlags): Promise<void> {
  const trouble = new Trouble();
  process.exitCode = EXIT_FAILED; // until all of it is done: a reader may close the pipe before that
  if (flags.dryRun) await dryRun(paths, flags, { trouble, takesRecords: true });
  else await postAll(paths, flags, trouble);
  if (trouble.isNone) process.exitCode = 0;
}

async function postAll(paths: string[], flags: PostFlags, trouble: Trouble): Promise<void> {
  const options = { trouble, takesRecords: true };
  const target = await openLog(flags);
  const found = await survey(paths, flags, options);
  if (isNothing(found) && trouble.isNone)
    throw misuse(["There is no event in these files", ...trouble.tell()].join("; "));
  const about = tellSurvey(found);
  if (about !== undefined) warn(`about to post ${[about, ...trouble.tell()].join("; ")}.`);
  const committing = openCommitting(flags);
  const posted: Posted = { accepted: 0, fresh: 0, distinct: new Set(), waiting: [] };
  try {
    await postRecords(take(found, flags, { ...options, committing }), posted, target, flags);
  } finally {
    await committing.close();
  }
  if (posted.accepted === 0) {
    print(`${["There is no event in what was given: nothing was posted", ...trouble.tell()].join("; ")}.`);
    return;
  }
  const isNew = flags.wait === undefined ? "" : `, ${posted.fresh} of them new to the log`;
  print(`${[`${posted.accepted} accepted${isNew}`, ...copies(posted), ...trouble.tell()].join("; ")}.`);
  if (flags.wait === undefined) {
    warn("how many of them are new to the log is not known: with --wait, that is asked");
  } else await awaitAll(target, posted, { ...flags, wait: flags.wait });
}

/** What the service has taken so far. */
type Posted = {
  accepted: number;
  /** Those that the log did not know before, where that is asked. */
  fresh: number;
  distinct: Set<string>;
  /** Commitments that had not come so far as is asked for when they were posted. */
  waiting: Uint8Array[];
};

async function postRecords(
  records: AsyncIterable<CommitRecord>,
  posted: Posted,
  target: Target,
  flags: PostFlags,
): Promise<void> {
  const shown = progress("commitments accepted");
  let out: FileHandle | undefined;
  const soFar = () => `${posted.accepted} accepted before it ended; posting all of them again does no harm.`;
  const interrupted = () => {
    warn(soFar());
    process.exit(EXIT_INTERRUPTED);
  };
  process.once("SIGINT", interrupted);
  try {
    for await (const batch of chunks(records, flags.batch)) {
      // First the openings, then the commitments: none is posted that could not be opened.
      if (flags.out !== undefined) out ??= await createRecords(flags.out);
      await keep(out, batch);
      const commitments = batch.map(({ commitment }) => hexToBytes(commitment));
      const { wait } = flags;
      const before = wait === undefined ? undefined : await askBefore(target, commitments, wait);
      posted.accepted += (await target.client.post(target.log, commitments)).accepted;
      posted.fresh += before?.unknown ?? 0;
      posted.waiting.push(...(before?.waiting ?? []));
      for (const { commitment } of batch)
        if (posted.distinct.size < MAX_COUNTED) posted.distinct.add(commitment);
      shown.add(batch.length);
    }
  } catch (error) {
    if (posted.accepted > 0) print(soFar());
    throw error;
  } finally {
    process.off("SIGINT", interrupted);
    await out?.close();
    shown.done();
  }
}

async function awaitAll(
  target: Target,
  { waiting }: Posted,
  flags: { wait: Assurance; timeout: number },
): Promise<void> {
  for await (const answer of awaitStatuses(target, waiting, flags)) {
    if (answer.state === "unknown") throw new CliError("failed", `The log does not know ${answer.hash}`);
  }
  print(`All are ${flags.wait}.`);
}

function copies({ distinct, accepted }: Posted): string[] {
  if (distinct.size === accepted || distinct.size === MAX_COUNTED) return [];
  return [`${distinct.size} of them distinct, copies of one event being one entry`];
}

async function keep(out: FileHandle | undefined, records: readonly CommitRecord[]): Promise<void> {
  await out?.appendFile(records.map(recordLine).join(""));
  await out?.sync();
}
