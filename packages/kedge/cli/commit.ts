/** `kedge commit`: events to records, offline. */
import { once } from "node:events";
import type { FileHandle } from "node:fs/promises";
import { type NumberedFlags, withCommit } from "@kedge/verify/cli/committer";
import { withCredentials } from "@kedge/verify/cli/credentials";
import { EXIT_FAILED, misuse, progress, warn } from "@kedge/verify/cli/output";
import { createRecords, recordLine } from "@kedge/verify/cli/records";
import type { Command } from "commander";
import { openCommitting, withTenant } from "./numbered.ts";
import { isNothing, survey, Trouble } from "./survey.ts";
import { dryRun, INPUT_HELP, take } from "./take.ts";

export function commitCommand(command: Command): Command {
  return withTenant(withCommit(withCredentials(command)))
    .argument("<paths...>", "event files, folders, .ndjson files, or - (one a line)")
    .option("--out <file>", "where the records go (default: standard output)")
    .option(
      "--random-nonce",
      "a random nonce for each event, kept nowhere but in its record: store the records",
    )
    .option("--dry-run", "say what would be committed, and commit nothing")
    .addHelpText("after", INPUT_HELP)
    .action(commit);
}

type Flags = NumberedFlags & { out?: string; dryRun?: boolean };

async function commit(paths: string[], flags: Flags): Promise<void> {
  const trouble = new Trouble();
  const options = { trouble, takesRecords: false };
  process.exitCode = EXIT_FAILED; // until all of it is done
  if (flags.dryRun) {
    await dryRun(paths, flags, options);
  } else {
    const committing = openCommitting(flags);
    try {
      const found = await survey(paths, flags, options);
      if (isNothing(found) && trouble.isNone)
        throw misuse(["There is no event in these files", ...trouble.tell()].join("; "));
      const committed = await write(take(found, flags, { ...options, committing }), flags.out);
      const rest = trouble.tell();
      if (committed === 0) warn(`${["There is no event in these files", ...rest].join("; ")}.`);
      else if (rest.length > 0) warn(`${[`${committed} committed`, ...rest].join("; ")}.`);
    } finally {
      await committing.close();
    }
  }
  if (trouble.isNone) process.exitCode = 0;
}

async function write(
  taken: AsyncIterable<Parameters<typeof recordLine>[0]>,
  out: string | undefined,
): Promise<number> {
  const shown = progress("events committed");
  let records: FileHandle | undefined;
  let committed = 0;
  try {
    for await (const record of taken) {
      const line = recordLine(record);
      if (out !== undefined) records ??= await createRecords(out);
      if (records === undefined) await writeOut(line);
      else await records.appendFile(line);
      committed += 1;
      shown.add(1);
    }
    await records?.sync();
  } finally {
    await records?.close();
    shown.done();
  }
  return committed;
}

/** Waits for the reader, so that a long run stays small. */
async function writeOut(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}
