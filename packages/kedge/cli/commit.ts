/** `kedge commit`: events to records, offline. */
import { once } from "node:events";
import type { FileHandle } from "node:fs/promises";
import { type CommitFlags, committer, where, withCommit } from "@kedge/verify/cli/committer";
import { withCredentials } from "@kedge/verify/cli/credentials";
import { listFiles, looksLikeRecord, readEvents } from "@kedge/verify/cli/inputs";
import { misuse, progress } from "@kedge/verify/cli/output";
import { createRecords, recordLine } from "@kedge/verify/cli/records";
import type { Command } from "commander";

export function commitCommand(command: Command): Command {
  return withCommit(withCredentials(command))
    .argument("<paths...>", "event files, folders, .ndjson files, or - (one a line)")
    .option("--out <file>", "where the records go (default: standard output)")
    .option(
      "--random-nonce",
      "a random nonce for each event, kept nowhere but in its record: store the records",
    )
    .action(commit);
}

async function commit(paths: string[], flags: CommitFlags & { out?: string }): Promise<void> {
  const toRecord = committer(flags);
  const shown = progress("events committed");
  let records: FileHandle | undefined;
  let committed = 0;
  try {
    for await (const file of listFiles(paths)) {
      for await (const source of readEvents(file, flags.ndjson)) {
        if (looksLikeRecord(source.bytes)) {
          throw misuse(
            `${where(source)} is a record of kedge commit, not an event: leave it out, or post it`,
          );
        }
        const line = recordLine(toRecord(source));
        if (flags.out !== undefined) records ??= await createRecords(flags.out);
        if (records === undefined) await writeOut(line);
        else await records.appendFile(line);
        committed += 1;
        shown.add(1);
      }
    }
    await records?.sync();
  } finally {
    await records?.close();
    shown.done();
  }
  if (committed === 0) throw misuse("There is no event in these files");
}

/** Waits for the reader, so that a long run stays small. */
async function writeOut(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}
