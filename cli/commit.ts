import type { Command } from "commander";
import { type CommitFlags, committer, withCommit } from "./committer.ts";
import { withCredentials } from "./credentials.ts";
import { listFiles, readEvents } from "./inputs.ts";
import { progress } from "./output.ts";
import { createRecords, recordLine } from "./records.ts";

export function commitCommand(command: Command): Command {
  return withCommit(withCredentials(command))
    .argument("<paths...>", "event files, folders, .ndjson files, or - for standard input")
    .option("--out <file>", "where the records go (default: standard output)")
    .option(
      "--random-nonce",
      "a random nonce for each event, kept nowhere but in its record: store the records",
    )
    .action(commit);
}

async function commit(paths: string[], flags: CommitFlags & { out?: string }): Promise<void> {
  const toRecord = committer(flags);
  const records = flags.out === undefined ? undefined : await createRecords(flags.out);
  const shown = progress("events committed");
  try {
    for await (const file of listFiles(paths)) {
      for await (const source of readEvents(file, flags.ndjson)) {
        const line = recordLine(toRecord(source));
        if (records === undefined) await writeOut(line);
        else await records.write(line);
        shown.add(1);
      }
    }
    await records?.sync();
  } finally {
    await records?.close();
    shown.done();
  }
}

/** Waits for the reader, so that a long run stays small. */
async function writeOut(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise<void>((resolve) => {
    process.stdout.once("drain", resolve);
  });
}
