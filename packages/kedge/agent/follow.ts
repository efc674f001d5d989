/** Learns which posted events are sealed, and where each stands in the log. */
import { ClientError } from "@kedge/verify/error";
import { bytesToHex } from "@noble/hashes/utils.js";
import { MAX_ENTRIES } from "../contract/limits.ts";
import type { Journal, Outgoing } from "../journal/types.ts";
import { pause } from "./pause.ts";
import { backoff } from "./post.ts";
import type { Report } from "./report.ts";

export type Following = {
  journal: Pick<Journal, "unsealed" | "sealed">;
  /** What the service says of each, in their order: its index, or that it waits, or that it was never accepted. One attempt; throws ClientError. */
  places(commitments: readonly Uint8Array[]): Promise<(bigint | "pending" | "unknown")[]>;
  /** Throws ClientError. */
  post(commitments: readonly Uint8Array[]): Promise<unknown>;
  report: Report;
};

/** Ms. A log is sealed within seconds. */
export const FOLLOW_PAUSES = { first: 1_000, most: 30_000 };

/** Returns once the signal is aborted. */
export async function keepFollowing(
  { journal, places, post, report }: Following,
  signal: AbortSignal,
  pauses = FOLLOW_PAUSES,
): Promise<void> {
  let unknownBefore: ReadonlySet<string> = new Set();
  for (let idle = 1; !signal.aborted; ) {
    let waiting: Outgoing[] = [];
    let found: (Outgoing & { index: bigint })[] = [];
    try {
      waiting = journal.unsealed(MAX_ENTRIES);
      const answers = waiting.length === 0 ? [] : await places(waiting.map(({ commitment }) => commitment));
      found = waiting.flatMap((outgoing, i) => {
        const index = answers[i];
        return typeof index === "bigint" ? [{ ...outgoing, index }] : [];
      });
      if (found.length > 0) await journal.sealed(found);
      const unknown = waiting.filter((_, i) => answers[i] === "unknown");
      // Twice in a row: who asks in the moment in which it is accepted may be told so once.
      const lost = unknown.filter(({ commitment }) => unknownBefore.has(bytesToHex(commitment)));
      unknownBefore = new Set(unknown.map(({ commitment }) => bytesToHex(commitment)));
      if (lost.length > 0) await postAgain(lost);
      else if (unknown.length === 0) report.trouble("follow", "unknown", undefined);
      report.trouble("follow", "unseen", undefined);
    } catch (error) {
      if (signal.aborted) return;
      const what = error instanceof Error ? error.message : String(error);
      report.count("follow", `failed_${error instanceof ClientError ? error.code : "journal"}`);
      report.trouble("follow", "unseen", what);
      found = [];
    }
    idle = found.length > 0 || waiting.length === 0 ? 1 : idle + 1;
    // As long as whole requests are answered with places, there are more to be had.
    if (found.length < MAX_ENTRIES) await pause(backoff(idle, pauses), signal);
  }

  /** A service that was restored from a backup has forgotten its newest: it takes them again, and each once. */
  async function postAgain(lost: readonly Outgoing[]): Promise<void> {
    report.trouble(
      "follow",
      "unknown",
      `The service does not know ${lost.length} events any more that it had accepted: they are posted again. Tell who runs it`,
    );
    await post(lost.map(({ commitment }) => commitment));
    report.count("follow", "posted_again", lost.length);
  }
}
