/** `kedge manifests`: the manifests in the journal of an agent, with their openings, as an auditor takes them. */
import { mkdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { withCredentials, withTenantKey } from "@kedge/verify/cli/credentials";
import { collect } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, misuse, print, warn } from "@kedge/verify/cli/output";
import { createRecords, recordLine } from "@kedge/verify/cli/records";
import { time } from "@kedge/verify/cli/time";
import { manifestSource, parseManifest } from "@kedge/verify/events/manifest";
import { quoted } from "@kedge/verify/text";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { EpochKeys, JournalReader } from "../journal/types.ts";
import { type KeyringFlags, keyringMisuse, keyringPlace, withKeyring } from "./keyring.ts";

type ManifestFlags = KeyringFlags & {
  data: string;
  out: string;
  source?: string[];
  from?: number;
  to?: number;
};

export function manifestsCommand(command: Command): Command {
  return withKeyring(withTenantKey(withCredentials(command)))
    .requiredOption("--data <folder>", "the data folder of the agent; it may be running")
    .requiredOption("--out <folder>", "a new folder, for manifests.ndjson and records.ndjson")
    .option("--source <name>", "of this source alone; may be repeated", collect)
    .option("--from <time>", "of hours that begin then or later, RFC 3339", time)
    .option("--to <time>", "and end by then", time)
    .addHelpText(
      "after",
      "\nAn auditor gives them to kedge audit, with the events and their records: --manifests manifests.ndjson --records records.ndjson",
    )
    .action(manifests);
}

async function manifests(flags: ManifestFlags): Promise<void> {
  const { openKeyring } = await import("../keys/keyring.ts");
  const keys = await keyringMisuse(() => openKeyring(keyringPlace(flags)));
  await withJournal(flags.data, keys, async (journal) => {
    const { written, closed } = await keepManifests(journal, keys, flags);
    print(`${written} manifests and their records are in ${flags.out}`);
    if (closed > 0) warn(`of ${closed} manifests the key was shredded: see what was kept of them then`);
    if (written > 0) return;
    warn(
      "a source's first manifest comes once the hour in which its first event came is over, and the agent runs",
    );
    process.exitCode = EXIT_FAILED;
  });
}

/** Reads the journal beside the agent. Throws CliError. */
export async function withJournal<T>(
  folder: string,
  keys: EpochKeys,
  run: (journal: JournalReader) => Promise<T>,
): Promise<T> {
  const { readJournal } = await import("../journal/journal.ts");
  const { JournalError } = await import("../journal/error.ts");
  try {
    const journal = readJournal({ folder, keys });
    if (journal === undefined) throw misuse(`There is no journal in ${folder}: name the agent's --data`);
    return await run(journal).finally(() => journal.close());
  } catch (error) {
    throw error instanceof JournalError ? misuse(error.message, error) : error;
  }
}

/** Which are wanted; `from` and `to` in ms since the epoch. */
type Wanted = { out: string; source?: string[]; from?: number; to?: number; epoch?: number };

/** The folder is whole once it is there. `closed`: those whose opening nobody can make any more. */
export async function keepManifests(
  journal: JournalReader,
  keys: EpochKeys,
  { out, source: names, from, to, epoch }: Wanted,
): Promise<{ written: number; closed: number }> {
  const partial = `${resolve(out)}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o700 }).catch((cause: unknown) => {
    throw misuse(`${out} cannot be made: is there the folder above, and permission?`, cause);
  });
  const count = { written: 0, closed: 0 };
  const events = await createRecords(join(partial, "manifests.ndjson"));
  const records = await createRecords(join(partial, "records.ndjson"));
  try {
    for (const [entry, opening] of await opened(journal, keys)) {
      if (entry.bytes === undefined || opening === undefined) {
        count.closed += 1;
        continue;
      }
      const manifest = parseManifest(entry.bytes);
      if (epoch !== undefined && entry.epoch !== epoch) continue;
      if (names !== undefined && !names.includes(manifest.source)) continue;
      if (manifest.from < (from ?? 0) || manifest.to > (to ?? Number.POSITIVE_INFINITY)) continue;
      count.written += 1;
      const commitment = bytesToHex(entry.commitment);
      // Its bytes are JCS: no line ends in them.
      await events.appendFile(Buffer.concat([entry.bytes, Buffer.from("\n")]));
      await records.appendFile(
        recordLine({ event: "manifests.ndjson", line: count.written, commitment, opening }),
      );
    }
    await Promise.all([events.sync(), records.sync()]);
  } finally {
    await Promise.all([events.close(), records.close()]);
  }
  await rename(partial, out).catch((cause: unknown) => {
    throw new CliError("misuse", `${quoted(out)} exists already: name another folder`, { cause });
  });
  return count;
}

async function opened(journal: JournalReader, keys: EpochKeys) {
  const { openingOf } = await import("../journal/opening.ts");
  return (function* () {
    for (const { name } of journal.sources()) {
      if (!name.startsWith(manifestSource(""))) continue;
      for (const entry of journal.entries(name)) yield [entry, openingOf(entry, keys)] as const;
    }
  })();
}
