import { setTimeout as sleep } from "node:timers/promises";
import { CliError, misuse } from "@kedge/verify/cli/output";
import { ASSURANCES } from "@kedge/verify/proof/verify";
import type { Client, ProofAnswer } from "../client/api.ts";

const FIRST_PAUSE = 500;
const MAX_PAUSE = 10_000;
/** Seconds; a log is sealed within seconds, and anchored on a schedule of minutes. */
export const DEFAULT_TIMEOUT = "600";

export type WaitFlags = { wait?: string | true; timeout: string };

/** What `--wait` and `--timeout` ask for: undefined without `--wait`. */
export function parseWait({ wait, timeout }: WaitFlags): { assurance: string; timeout: number } | undefined {
  const ms = parseTimeout(timeout);
  if (wait === undefined) return undefined;
  const assurance = ASSURANCES.find((known) => known === (wait === true ? "sealed" : wait));
  if (assurance === undefined) throw misuse(`--wait is for one of ${ASSURANCES.join(", ")}`);
  return { assurance, timeout: ms };
}

/** In ms. */
export function parseTimeout(text: string): number {
  const seconds = Number(text);
  if (Number.isFinite(seconds) && seconds > 0) return seconds * 1000;
  throw misuse("--timeout is a number of seconds above 0");
}

/** The answers for these commitments once each has come as far as is asked for; as they are, without `wait`. */
export async function* awaitProofs(
  { client, log }: { client: Client; log: string },
  commitments: readonly Uint8Array[],
  wait: ReturnType<typeof parseWait>,
): AsyncGenerator<ProofAnswer> {
  const deadline = performance.now() + (wait?.timeout ?? 0);
  let from = 0;
  for (let pause = FIRST_PAUSE; from < commitments.length; pause = Math.min(2 * pause, MAX_PAUSE)) {
    for await (const answer of client.proofs(log, commitments.slice(from))) {
      if (wait !== undefined && !hasReached(answer, wait.assurance)) break;
      yield answer;
      from += 1;
      pause = FIRST_PAUSE;
    }
    if (wait === undefined || from === commitments.length) return;
    if (performance.now() + pause > deadline) {
      const left = commitments.length - from;
      throw new CliError(
        "failed",
        `${left} of ${commitments.length} are not ${wait.assurance} in time: ask later, or give a longer --timeout`,
      );
    }
    await sleep(pause);
  }
}

/** What the log does not know will not come by waiting. */
function hasReached(answer: ProofAnswer, wanted: string): boolean {
  if (answer.state === "unknown") return true;
  if (answer.state === "pending") return false;
  const ranks: readonly string[] = ASSURANCES;
  return ranks.indexOf(answer.assurance) >= ranks.indexOf(wanted);
}
