/** Waiting for entries to come as far as is asked for. */
import { setTimeout as sleep } from "node:timers/promises";
import { seconds } from "@kedge/verify/cli/options";
import { CliError } from "@kedge/verify/cli/output";
import { ClientError } from "@kedge/verify/error";
import { ASSURANCES, type Assurance, isAtLeast } from "@kedge/verify/proof/verify";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { type Command, Option } from "commander";
import type { Client, Followed, ProofAnswer } from "../client/api.ts";

const FIRST_PAUSE = 500;
const MAX_PAUSE = 10_000;

/** `timeout` in ms. */
export type WaitFlags = { wait?: Assurance; timeout: number };

export function withWait(command: Command): Command {
  const wait = new Option("--wait [assurance]", "until all have come so far");
  return withTimeout(command.addOption(wait.choices(ASSURANCES).preset("sealed")), "how long to wait");
}

/** A log is sealed within seconds, and anchored on a schedule of minutes. */
export function withTimeout(command: Command, description: string): Command {
  return command.addOption(
    new Option("--timeout <seconds>", description).argParser(seconds()).default(600_000, "600"),
  );
}

/** The answers for these commitments once each has come as far as is asked for; as they are, without `wait`. */
export async function* awaitProofs(
  { client, log }: { client: Pick<Client, "proofs">; log: string },
  commitments: readonly Uint8Array[],
  { wait, timeout }: WaitFlags,
): AsyncGenerator<ProofAnswer> {
  const deadline = performance.now() + timeout;
  let from = 0;
  for (let pause = FIRST_PAUSE; from < commitments.length; pause = Math.min(2 * pause, MAX_PAUSE)) {
    for await (const answer of client.proofs(log, commitments.slice(from))) {
      if (wait !== undefined && !hasReached(answer, wait)) break;
      yield answer;
      from += 1;
      pause = FIRST_PAUSE;
    }
    if (wait === undefined || from === commitments.length) return;
    const left = deadline - performance.now();
    if (left <= 0) {
      throw late(commitments.length - from, commitments.length, wait);
    }
    // To the end, and then once more: the last pause is as long as what is left.
    await sleep(Math.min(pause, left));
  }
}

/** Each of these once it has come as far as is asked for, or is unknown to the log, which no waiting changes. */
export async function* awaitStatuses(
  { client, log }: { client: Pick<Client, "follow">; log: string },
  commitments: readonly Uint8Array[],
  { wait, timeout }: { wait: Assurance; timeout: number },
): AsyncGenerator<Followed> {
  const distinct = new Set(commitments.map(bytesToHex)).size;
  let reached = 0;
  try {
    for await (const answer of client.follow(log, commitments, { to: wait, patience: timeout })) {
      reached += 1;
      yield answer;
    }
  } catch (error) {
    if (!(error instanceof ClientError && error.code === "pending")) throw error;
    throw late(distinct - reached, distinct, wait);
  }
}

/**
 * What the log says of these before they are posted: how many it has never accepted (what is pending is known to it), and
 * which have not come so far as is asked for. What has is not to be asked for again: an assurance never falls.
 */
export async function askBefore(
  { client, log }: { client: Pick<Client, "statuses">; log: string },
  commitments: readonly Uint8Array[],
  wait: Assurance,
): Promise<{ unknown: number; waiting: Uint8Array[] }> {
  const unknown = new Set<string>();
  const waiting: Uint8Array[] = [];
  for await (const answer of client.statuses(log, commitments)) {
    if (answer.state === "unknown") unknown.add(answer.hash);
    if (answer.state !== "sealed" || !isAtLeast(answer.assurance, wait)) {
      waiting.push(hexToBytes(answer.hash));
    }
  }
  return { unknown: unknown.size, waiting };
}

const late = (missing: number, all: number, wait: Assurance) =>
  new CliError(
    "failed",
    `${missing} of ${all} are not ${wait} in time: ask later, or give a longer --timeout`,
  );

/** What the log does not know will not come by waiting. */
function hasReached(answer: ProofAnswer, wanted: Assurance): boolean {
  if (answer.state === "proof") return isAtLeast(answer.assurance, wanted);
  return answer.state === "unknown";
}
