/** `kedge trail`: fetches who did what in Kedge, with openings and proofs, as files that `kedge verify` and `kedge evidence` take. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  keepLogVkeys,
  pinnedKeys,
  type SettingFlags,
  withService,
  withVkeys,
} from "@kedge/verify/cli/credentials";
import { EXIT_FAILED, misuse, print } from "@kedge/verify/cli/output";
import { createRecords, recordLine } from "@kedge/verify/cli/records";
import { openCommitment, parseOpening } from "@kedge/verify/events/commitment";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { parseVkey } from "@kedge/verify/tlog/note";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { Client } from "../client/api.ts";
import { MAX_TRAIL_PAGE } from "../contract/limits.ts";
import { fetchProofs, type Wanted } from "./proof.ts";
import { openService } from "./service.ts";
import { type WaitFlags, withWait } from "./wait.ts";

const HELP = `
It takes an API key with the scope admin. Events are FHIR R4 AuditEvents, numbered from 1 without a gap under the source
kedge.trail; the operator keeps them for a time. The keys of the trail's log are kept beside those of the credentials.`;

type TrailFlags = SettingFlags & WaitFlags & { out: string };

export function trailCommand(command: Command): Command {
  return withWait(withVkeys(withService(command)))
    .requiredOption("--out <dir>", "a new folder")
    .addHelpText("after", HELP)
    .action(trail);
}

async function trail(flags: TrailFlags): Promise<void> {
  const { out } = flags;
  const client = await openService(flags);
  const first = await client.trail({ limit: MAX_TRAIL_PAGE });
  if (first.log === undefined) {
    print("Nothing was done in Kedge yet that is on record.");
    process.exitCode = EXIT_FAILED;
    return;
  }
  const logVkey = await trailKeys(client, first.log, flags);
  await mkdir(out, { mode: 0o700 }).catch((cause: unknown) => {
    throw misuse(`${out} cannot be made: it exists already, or the folder above does not`, cause);
  });
  await mkdir(join(out, "events"), { mode: 0o700 });
  const records = await createRecords(join(out, "records.ndjson"));
  let count = 0;
  const wanted = async function* (): AsyncGenerator<Wanted> {
    for (let page = first; ; page = await client.trail({ limit: MAX_TRAIL_PAGE, before: page.next })) {
      for (const told of page.events) {
        const opening = parseOpening(told.opening);
        const bytes = new TextEncoder().encode(told.event);
        // What the service says of the event is not relied on: the commitment is the one that its bytes make.
        const commitment = bytesToHex(openCommitment(opening, bytes));
        const file = `${(opening.sequence ?? "0").padStart(10, "0")}.json`;
        const event = `events/${file}`;
        await writeFile(join(out, event), bytes, { flag: "wx", mode: 0o600 });
        await records.appendFile(recordLine({ event, commitment, opening }));
        count += 1;
        yield { name: event, commitment, opening, file, event };
      }
      if (page.next === undefined) return;
    }
  };
  try {
    const asked = { ...flags, log: first.log, logVkey, out: join(out, "proofs.ndjson") };
    const { written } = await fetchProofs(wanted(), asked);
    await records.sync();
    const counted = `${count} event${count === 1 ? "" : "s"}, openings, and ${written} proof${written === 1 ? "" : "s"}`;
    print(`${counted} are in ${out}: kedge verify ${out}/events ${out}/proofs.ndjson`);
    if (written < count) process.exitCode = EXIT_FAILED;
  } finally {
    await records.close();
  }
}

/**
 * The trail's log is signed by the keys of the tenant's other logs, under its own name: what the service says they are counts
 * only where it is a key that is pinned already.
 */
async function trailKeys(client: Client, log: string, flags: SettingFlags): Promise<string[]> {
  const { logVkeys } = pinnedKeys(flags);
  const { origin, vkeys } = await client.log(log);
  const isPinned = (text: string): boolean => {
    const { name, type, publicKey } = parseVkey(text);
    const same = logVkeys.filter((pinned) => pinned.type === type && equalBytes(pinned.publicKey, publicKey));
    return name === origin && same.length > 0;
  };
  const known = vkeys.filter(isPinned);
  if (known.length === 0) {
    throw misuse(
      "The trail's log is signed by none of the keys that are pinned for your logs: ask the operator for its keys, and give them with --log-vkey",
    );
  }
  await keepLogVkeys(flags, known);
  return known;
}
