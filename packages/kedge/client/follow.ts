/** Following: each entry once it has come as far as is asked for. */
import { ClientError } from "@kedge/verify/error";
import { pauseFor } from "@kedge/verify/net/exchange";
import { type Assurance, isAtLeast } from "@kedge/verify/proof/verify";
import { bytesToHex } from "@noble/hashes/utils.js";
import { MAX_ENTRIES } from "../contract/limits.ts";
import type { StatusAnswer } from "./ask.ts";
import { chunks } from "./chunks.ts";
import type { Commitments } from "./post.ts";

/** Ms. A log is sealed within seconds, and anchored on a schedule of minutes. */
const PAUSES = { first: 500, most: 10_000 };

export type FollowOptions = {
  /** `sealed` when absent. */
  to?: Assurance;
  /** How long to wait for all of them, in ms: for ever when absent. */
  patience?: number;
  signal?: AbortSignal | undefined;
};

/** Of an entry that has come so far, or that the log does not know, which no waiting changes. */
export type Followed = Exclude<StatusAnswer, { state: "pending" }>;

/**
 * Asks until each has come so far; yields them as they come, those of one question in their order. Of a stream MAX_ENTRIES
 * are followed at a time. Throws ClientError `pending` when the time is over.
 */
export async function* follow(
  statuses: (commitments: readonly Uint8Array[]) => AsyncIterable<StatusAnswer>,
  commitments: Commitments,
  { to = "sealed", patience = Number.POSITIVE_INFINITY, signal }: FollowOptions,
  pauses = PAUSES,
): AsyncGenerator<Followed> {
  const deadline = performance.now() + patience;
  for await (const some of chunks(commitments, MAX_ENTRIES)) {
    let waiting = new Map(some.map((commitment) => [bytesToHex(commitment), commitment]));
    for (let pause = pauses.first; waiting.size > 0; pause = Math.min(2 * pause, pauses.most)) {
      const still = new Map<string, Uint8Array>();
      for await (const answer of statuses([...waiting.values()])) {
        const commitment = waiting.get(answer.hash);
        if (hasReached(answer, to)) yield answer;
        else if (commitment !== undefined) still.set(answer.hash, commitment);
      }
      if (still.size === 0) break;
      if (still.size < waiting.size) pause = pauses.first;
      waiting = still;
      const left = deadline - performance.now();
      if (left <= 0) throw new ClientError("pending", `${still.size} are not ${to} in time: ask later`);
      // To the end, and then once more: the last pause is as long as what is left. Followers do not ask in step.
      await pauseFor(Math.min(pause * (0.5 + Math.random() / 2), left), signal);
    }
  }
}

function hasReached(answer: StatusAnswer, wanted: Assurance): answer is Followed {
  return answer.state === "sealed" ? isAtLeast(answer.assurance, wanted) : answer.state === "unknown";
}
