/** `kedge shred`: destroys the key of an epoch, and has a record of it anchored. */

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline/promises";
import { type PinnedKeys, pinnedKeys, withLog, withVkeys } from "@kedge/verify/cli/credentials";
import { replaceFile } from "@kedge/verify/cli/files";
import { wholeNumber } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, misuse, print, warn } from "@kedge/verify/cli/output";
import { recordLine } from "@kedge/verify/cli/records";
import { ClientError } from "@kedge/verify/error";
import { withOpening } from "@kedge/verify/proof/extra";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { sayFailure } from "@kedge/verify/proof/words";
import { quoted } from "@kedge/verify/text";
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { EpochKeys, JournalReader } from "../journal/types.ts";
import type { KeyringPlace } from "../keys/keyring.ts";
import { readKeyringFile } from "../keys/keyring-file.ts";
import type { Shredding } from "../keys/shred.ts";
import { dropStoredKey, type KeyringFlags, keyringMisuse, keyringPlace, withKeyring } from "./keyring.ts";
import { keepManifests, withJournal } from "./manifests.ts";
import { openLog } from "./service.ts";
import { awaitProofs, withTimeout } from "./wait.ts";

const HELP = [
  "",
  "First a signed record that it happened is posted, then the key is destroyed, then the record's proof is awaited and kept beside the keyring. Run it again if it was stopped, or the service did not answer: it goes on where it was.",
  "The manifests of an agent are kept first, with their openings, beside the keyring: --data names its folder.",
  "Afterwards nobody can derive the openings of that epoch's events again, nor read their bodies in the journal. What keeps its opening, as a proof file does, is proven as before.",
  "Copies of the keyring and of the credentials, in backups say, hold the key as long as you keep them: destroy those too.",
].join("\n");

type ShredFlags = KeyringFlags & {
  epoch: number;
  data?: string;
  agent: boolean;
  yes?: boolean;
  offline?: boolean;
  timeout: number;
};

export function shredCommand(command: Command): Command {
  return withTimeout(withVkeys(withKeyring(withLog(command))), "how long to wait until it is anchored")
    .requiredOption("--epoch <n>", "whose key is destroyed, see kedge keys list", wholeNumber(0))
    .option("--data <folder>", "the data folder of your agent")
    .option("--no-agent", "you have no agent, or it never used this epoch")
    .option("--yes", "without asking")
    .option("--offline", "destroy it now; the record is posted when this is run again without")
    .addHelpText("after", HELP)
    .action(shred);
}

async function shred(flags: ShredFlags): Promise<void> {
  process.exitCode = EXIT_FAILED; // until it is done
  const keys = flags.offline ? undefined : pinnedKeys(flags);
  const target = flags.offline ? undefined : await openLog(flags);
  const place = keyringPlace(flags);
  const { epoch } = flags;
  const { beginShred, destroyKey, noteShred } = await import("../keys/shred.ts");
  if (flags.data === undefined && flags.agent) {
    throw misuse("Name the data folder of your agent with --data, for its manifests; or say --no-agent");
  }
  if (!flags.yes) await confirm(epoch);
  if (flags.data !== undefined) await keepOfAgent(flags.data, place, epoch);
  const shredding = await keyringMisuse(() => beginShred(place, epoch, Date.now()));
  if (target !== undefined && !shredding.posted) {
    await post(target, shredding);
    await keyringMisuse(() => noteShred(place, epoch, { posted: true }));
  }
  await keyringMisuse(() => destroyKey(place, epoch));
  await dropStoredKey(flags, shredding.id);
  print(`The key of epoch ${epoch} is destroyed here. Destroy it in your backups of the keyring too.`);
  if (target === undefined || keys === undefined) {
    warn("no record of it is in the log yet: run this again without --offline");
    return;
  }
  if (!shredding.anchored) {
    const kept = await keepProof(target, shredding, { flags, keys, folder: dirname(place.path) });
    await keyringMisuse(() => noteShred(place, epoch, { anchored: true }));
    print(`That it happened is anchored: ${kept} and its proof beside it.`);
  }
  process.exitCode = 0;
}

/** What an auditor of the epoch will need, as long as there is its key. What was kept before is not kept anew. */
async function keepOfAgent(data: string, place: KeyringPlace, epoch: number): Promise<void> {
  const out = join(dirname(place.path), `shred-${epoch}-manifests`);
  const isKept = existsSync(out);
  const { openKeyring } = await import("../keys/keyring.ts");
  const keys = await keyringMisuse(() => openKeyring(place));
  if (keys.of(epoch) === undefined) {
    if (!isKept)
      warn(`the shredding of epoch ${epoch} was begun before: its manifests can be opened no more`);
    return;
  }
  if (!isKept) {
    await withJournal(data, keys, async (journal) => {
      checkSeen(journal, place, epoch);
      const waiting = journal.sources().find(({ forwarding }) => forwarding > 0n);
      if (waiting !== undefined) {
        throw misuse(
          `Messages of the source ${quoted(waiting.name)} wait for its upstream, encrypted under the tenant key: wait until it has them`,
        );
      }
      const { written } = await keepManifests(journal, keys, { out, epoch });
      print(`${written} manifests of epoch ${epoch}, with their openings, are kept in ${out}`);
    });
  }
  await keepPlaces(data, keys);
}

/** Whatever is written to a journal has the key of its cursors written down under the current epoch, which stays. */
async function keepPlaces(folder: string, keys: EpochKeys): Promise<void> {
  const { openJournal } = await import("../journal/journal.ts");
  const { JournalError } = await import("../journal/error.ts");
  try {
    const journal = await openJournal({ folder, keys });
    try {
      await (await journal.intake("kedge.keyring")).close();
    } finally {
      await journal.close();
    }
  } catch (error) {
    throw error instanceof JournalError ? misuse(error.message, error) : error;
  }
}

/** In which an agent that runs has seen a rotation, ms. */
const SEEN_AFTER = 60_000;

/** What an agent committed to after its key was destroyed could never be opened. */
function checkSeen(journal: JournalReader, place: KeyringPlace, epoch: number): void {
  const began = Date.parse(readKeyringFile(place.path)?.file.epochs.at(-1)?.createdAt ?? "");
  if (!(Date.now() - began > SEEN_AFTER)) {
    throw misuse("The current epoch has just begun, and the agent may not know it yet: wait a minute");
  }
  for (const { name, last } of journal.sources()) {
    if (last === undefined) continue;
    const [entry] = journal.entries(name, { from: last, to: last, withoutBytes: true });
    if (entry === undefined || entry.epoch !== epoch || entry.at < began + SEEN_AFTER) continue;
    throw misuse(
      `The agent still commits under epoch ${epoch}: does it use ${place.path}? See kedge agent status`,
    );
  }
}

async function confirm(epoch: number): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw misuse(`This destroys the key of epoch ${epoch} for good: say so with --yes`);
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const asked = `Events of epoch ${epoch} that have no opening of their own can never be proven again. Type "shred ${epoch}": `;
  const answer = await asking.question(asked).finally(() => asking.close());
  if (answer.trim() !== `shred ${epoch}`) throw misuse("Nothing was destroyed");
}

type Target = Awaited<ReturnType<typeof openLog>>;

async function post({ client, log }: Target, { epoch, commitment }: Shredding): Promise<void> {
  try {
    await client.post(log, [hexToBytes(commitment)]);
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw new CliError(
      "failed",
      `${cause.message}. The key of epoch ${epoch} is used no more, and is not destroyed yet: run this again, or with --offline`,
      { cause },
    );
  }
}

/** The record and its proof, with the opening: nobody needs a key to verify them. */
async function keepProof(
  target: Target,
  { epoch, record, commitment, opening }: Shredding,
  { flags, keys, folder }: { flags: ShredFlags; keys: PinnedKeys; folder: string },
): Promise<string> {
  const path = join(folder, `shred-${epoch}.note`);
  for await (const answer of awaitProofs(target, [hexToBytes(commitment)], { ...flags, wait: "anchored" })) {
    if (answer.state !== "proof") break;
    const proof = withOpening(answer.proof, opening);
    const { failure } = verifyEvent({ event: utf8ToBytes(record), proof, ...keys });
    if (failure !== undefined) {
      throw new CliError(
        "failed",
        `The service's proof of the record does not verify. ${sayFailure(failure)}`,
      );
    }
    await replaceFile(path, record);
    await replaceFile(`${path}.tlog-proof`, proof);
    // For an audit, in which it is an event like others.
    await replaceFile(`${path}.records.ndjson`, recordLine({ event: basename(path), commitment, opening }));
    return path;
  }
  throw new CliError(
    "failed",
    "The log does not have the record, though it was accepted: run this again later",
  );
}
