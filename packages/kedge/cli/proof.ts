/** `kedge proof`: fetches proofs, and writes those that verify. */
import { existsSync } from "node:fs";
import { type NumberedFlags, type Tenant, withCommit } from "@kedge/verify/cli/committer";
import { pinnedKeys, type SettingFlags, withLog, withVkeys } from "@kedge/verify/cli/credentials";
import { commitmentHex, isCommitment, repeated } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, misuse, print, progress, warn } from "@kedge/verify/cli/output";
import { readRecords } from "@kedge/verify/cli/records";
import type { Opening } from "@kedge/verify/events/commitment";
import { withOpening } from "@kedge/verify/proof/extra";
import { PROOF_SUFFIX, proofName } from "@kedge/verify/proof/names";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { sayFailure } from "@kedge/verify/proof/words";
import { quoted } from "@kedge/verify/text";
import type { Vkey } from "@kedge/verify/tlog/note";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { ProofAnswer } from "../client/api.ts";
import { chunks } from "../client/chunks.ts";
import { MAX_PROOFS } from "../contract/limits.ts";
import { openTenant, withTenant } from "./numbered.ts";
import { openProofStore, type ProofStore } from "./proof-store.ts";
import { type RenewFlags, renewProofs } from "./renew.ts";
import { openLog } from "./service.ts";
import { Trouble } from "./survey.ts";
import { awaitProofs, type WaitFlags, withWait } from "./wait.ts";

export function proofCommand(command: Command): Command {
  return withWait(withVkeys(withTenant(withCommit(withLog(command)))))
    .argument(
      "[items...]",
      "event files, folders, .ndjson files, records of kedge commit, -, or commitments in hex",
    )
    .option("--commitment <hex>", "a commitment, may be repeated", repeated(commitmentHex))
    .option(
      "--out <path>",
      `a folder; a file for all proofs, added to, whose name ends in .ndjson; or for one a file that ends in ${PROOF_SUFFIX}`,
      ".",
    )
    .option(
      "--renew",
      "the items are proofs: give each a newer anchoring, in its place, and keep the one it has",
    )
    .option("--anchor-log <url>", "with --renew: where the anchor log's files are (default: the service's)")
    .option("--no-opening", "leave the opening out: the proof then shows the commitment alone")
    .action(proof);
}

type ProofFlags = NumberedFlags &
  WaitFlags &
  RenewFlags & { out: string; opening: boolean; commitment?: string[]; renew?: boolean };
/** What a proof is wanted of; `file` is what a file of its own is called. */
export type Wanted = {
  name: string;
  commitment: string;
  opening?: Opening;
  file: string;
  event?: string;
  line?: number;
  /** What else it may have been posted as: under the tenant's keys of before. */
  otherwise?: { commitment: string; opening?: Opening }[];
};

async function proof(items: string[], flags: ProofFlags): Promise<void> {
  if (flags.renew) return await renewProofs(items, flags);
  if (items.length === 0 && flags.commitment === undefined) {
    throw misuse("Give events, records or commitments whose proofs are wanted");
  }
  const tenant = await openTenant(flags);
  const trouble = new Trouble();
  try {
    const { asked, written } = await fetchProofs(wanted(items, flags, tenant, trouble), flags);
    if (asked === 0 && trouble.isNone) throw misuse("There is no event in these files");
    const counted = `${written} of ${asked} proofs fetched, verified and written to ${flags.out}`;
    print([counted, ...trouble.tell()].join("; "));
    if (written < asked || !trouble.isNone) process.exitCode = EXIT_FAILED;
  } finally {
    await tenant.close();
  }
}

/** Fetches, verifies and writes to `out`; what could not be is warned of. */
export async function fetchProofs(
  wanted: AsyncIterable<Wanted>,
  flags: SettingFlags & WaitFlags & { out: string },
): Promise<{ asked: number; written: number }> {
  const keys = pinnedKeys(flags);
  const target = await openLog(flags);
  const store = await openProofStore(flags.out);
  const shown = progress("proofs fetched");
  let written = 0;
  let asked = 0;
  try {
    for await (const batch of chunks(wanted, MAX_PROOFS)) {
      asked += batch.length;
      for await (const [item, answer] of answers(target, batch, flags)) {
        if (await keep(item, answer, keys, store)) written += 1;
        shown.add(1);
      }
      await store.sync();
    }
  } finally {
    await store.close();
    shown.done();
  }
  return { asked, written };
}

async function* wanted(
  items: readonly string[],
  flags: ProofFlags,
  { tenantKeys, numberOf }: Tenant,
  trouble: Trouble,
): AsyncGenerator<Wanted> {
  const options = { tenantKeys, ...(numberOf && { numberOf }), onError: trouble.fail };
  let only: string | undefined;
  /** Told before any is fetched, and not once the first is written. */
  const want = (one: Wanted): Wanted => {
    only ??= one.commitment;
    if (flags.out.endsWith(PROOF_SUFFIX) && only !== one.commitment) {
      throw misuse(
        `${flags.out} is one file, and more than one proof is wanted: name a folder, or an .ndjson file, with --out`,
      );
    }
    return one;
  };
  const byHex = (commitment: string): Wanted => want({ name: commitment, commitment, file: commitment });
  for (const commitment of flags.commitment ?? []) yield byHex(commitment);
  for (const item of items) {
    if (isCommitment(item)) {
      if (existsSync(item)) {
        throw misuse(`${item} is a commitment and a file: give ./${item}, or --commitment ${item}`);
      }
      yield byHex(item);
      continue;
    }
    const records = readRecords([item], flags, trouble.leftOut, options);
    for await (const { event, line, below, otherwise, ...record } of records) {
      const place = { event, ...(line === undefined ? {} : { line }) };
      const name = line === undefined ? event : `${event}.${line}`;
      const file = proofName(below, line);
      const [commits, ...others] = [record, ...otherwise].map(({ commitment, opening }) => ({
        commitment,
        ...(flags.opening ? { opening } : {}),
      }));
      if (commits !== undefined) yield want({ name, file, ...place, ...commits, otherwise: others });
    }
  }
}

/** What the log knows under no key is told of the last one. */
async function* answers(
  target: Parameters<typeof awaitProofs>[0],
  batch: readonly Wanted[],
  flags: WaitFlags,
): AsyncGenerator<[Wanted, ProofAnswer]> {
  for (let asking = batch; asking.length > 0; ) {
    const again: Wanted[] = [];
    const commitments = asking.map(({ commitment }) => hexToBytes(commitment));
    let at = 0;
    for await (const answer of awaitProofs(target, commitments, flags)) {
      const item = asking[at++];
      if (item === undefined) continue;
      const [next, ...otherwise] = item.otherwise ?? [];
      if (answer.state === "unknown" && next !== undefined) again.push({ ...item, ...next, otherwise });
      else yield [item, answer];
    }
    asking = again;
  }
}

/** Nothing is written that does not verify. */
async function keep(
  { name, commitment, opening, file, event, line }: Wanted,
  answer: ProofAnswer,
  keys: { logVkeys: Vkey[]; anchorVkeys: Vkey[] },
  store: ProofStore,
): Promise<boolean> {
  if (answer.state === "pending") {
    warn(`${name}: not sealed yet. Ask again shortly, or use --wait`);
    return false;
  }
  if (answer.state === "unknown") {
    const said = quoted(answer.detail);
    warn(
      `${name}: the service says ${said}. Was it posted to this log, with the same tenant key and options?`,
    );
    return false;
  }
  const { failure } = verifyEvent({
    commitment: hexToBytes(commitment),
    proof: answer.proof,
    ...keys,
  });
  if (failure !== undefined) {
    warn(`${name}: the service's proof does not verify and was not written. ${sayFailure(failure)}`);
    return false;
  }
  const proof = opening === undefined ? answer.proof : withOpening(answer.proof, opening);
  const of = { ...(event === undefined ? {} : { event }), ...(line === undefined ? {} : { line }) };
  try {
    await store.keep({ name: file, ...of, commitment, proof });
    return true;
  } catch (error) {
    if (!(error instanceof CliError && error.code === "failed")) throw error;
    warn(`${name}: ${error.message}`);
    return false;
  }
}
