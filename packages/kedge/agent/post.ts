/**
 * Posts what is journalled, in order, until the service has it: through any outage, and without ever giving an event up.
 * What was posted before a crash and is not marked so is posted again, which changes nothing: the service takes it once.
 */
import { ClientError } from "@kedge/verify/error";
import { MAX_ENTRIES } from "../contract/limits.ts";
import { JournalError } from "../journal/error.ts";
import type { Journal, Outgoing } from "../journal/types.ts";
import type { Clock } from "./clock.ts";
import { pause } from "./pause.ts";
import type { Report } from "./report.ts";

export type Posting = {
  journal: Pick<Journal, "outbox" | "posted" | "whenOutgoing">;
  /** One attempt. Throws ClientError. */
  post(commitments: readonly Uint8Array[]): Promise<{ accepted: number; receivedAt: string }>;
  log: string;
  clock: Clock;
  report: Report;
};

/** Ms. What comes within `linger` goes into one request. */
export const PAUSES = { linger: 200, first: 500, most: 60_000, refused: 60_000 };
/** A service that asks for a longer pause is asked again after this. */
const MAX_RETRY_AFTER = 600_000;

/** How the service has to be mended, or the agent's settings: what comes next would be refused as well. */
const REFUSED: ReadonlySet<string> = new Set([
  "unauthorized",
  "forbidden",
  "not_found",
  "invalid",
  "protocol",
]);

/**
 * Returns once `draining` is aborted and the outbox is empty, or `signal` is aborted. Never rejects but on what is no fault
 * of the network, the service or the disk.
 */
export async function keepPosting(
  { journal, post, log, clock, report }: Posting,
  { draining, signal }: { draining: AbortSignal; signal: AbortSignal },
  pauses = PAUSES,
): Promise<void> {
  let most = MAX_ENTRIES;
  for (let hasLingered = false; !signal.aborted; hasLingered = !hasLingered) {
    let batch = await readOutbox(journal, most, { report, signal }, pauses);
    if (batch === undefined) return;
    if (!hasLingered && batch.length < most && !draining.aborted) {
      if (batch.length === 0) await whenOutgoing(journal, draining);
      await pause(pauses.linger, draining);
      continue;
    }
    if (batch.length === 0) {
      if (draining.aborted) return;
      continue;
    }
    for (let failures = 0; !signal.aborted; ) {
      try {
        const { accepted, receivedAt } = await post(batch.map(({ commitment }) => commitment));
        if (accepted !== batch.length) {
          const message = `The service accepted ${accepted} of ${batch.length}: is the URL that of Kedge?`;
          throw new ClientError("protocol", message);
        }
        clock.heard(Date.parse(receivedAt));
        report.trouble("post", "unposted", undefined);
        await keepReceipt(journal, batch, { receivedAt, log, clock, report, signal }, pauses);
        most = Math.min(2 * most, MAX_ENTRIES);
        break;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ClientError)) throw error;
        failures += 1;
        report.count("post", `failed_${error.code}`);
        report.trouble("post", "unposted", error.message);
        // It may be the size that is refused, by what stands before the service.
        if (error.code === "invalid" && batch.length > 1) {
          most = Math.ceil(batch.length / 2);
          batch = batch.slice(0, most);
        }
        await pause(pauseAfter(error, failures, pauses), signal);
      }
    }
  }
}

/** What the disk refuses is asked for again: the agent goes on. undefined once the signal is aborted. */
async function readOutbox(
  journal: Posting["journal"],
  limit: number,
  { report, signal }: { report: Report; signal: AbortSignal },
  pauses: typeof PAUSES,
): Promise<Outgoing[] | undefined> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      const batch = journal.outbox(limit);
      report.trouble("post", "outbox", undefined);
      return batch;
    } catch (error) {
      if (!isOfDisk(error)) throw error;
      failures += 1;
      report.trouble("post", "outbox", error.message);
      await pause(backoff(failures, pauses), signal);
    }
  }
  return undefined;
}

async function whenOutgoing(journal: Posting["journal"], draining: AbortSignal): Promise<void> {
  try {
    await journal.whenOutgoing(draining);
  } catch (error) {
    if (!draining.aborted && !isOfDisk(error)) throw error;
  }
}

const isOfDisk = (error: unknown): error is JournalError =>
  error instanceof JournalError && (error.code === "unwritable" || error.code === "full");

/** Where the disk is full, the receipt waits, and with it what is posted next: the service has it, and is not asked again. */
async function keepReceipt(
  journal: Posting["journal"],
  batch: readonly Outgoing[],
  {
    receivedAt,
    log,
    clock,
    report,
    signal,
  }: Omit<Posting, "journal" | "post"> & {
    receivedAt: string;
    signal: AbortSignal;
  },
  pauses: typeof PAUSES,
): Promise<void> {
  const receipt = { postedAt: clock.wall(), receivedAt, log, accepted: batch.length };
  for (let failures = 0; !signal.aborted; ) {
    try {
      await journal.posted(batch, receipt);
      report.trouble("post", "receipt", undefined);
      return;
    } catch (error) {
      failures += 1;
      report.trouble("post", "receipt", error instanceof Error ? error.message : String(error));
      await pause(backoff(failures, pauses), signal);
    }
  }
}

function pauseAfter({ code, retryAfter = 0 }: ClientError, failures: number, pauses: typeof PAUSES): number {
  const own = REFUSED.has(code) ? pauses.refused * (0.5 + Math.random() / 2) : backoff(failures, pauses);
  return Math.max(own, Math.min(retryAfter, MAX_RETRY_AFTER));
}

/** Exponential, and from a half of it on by chance: agents that were cut off together do not come back together. */
export function backoff(failures: number, { first, most }: { first: number; most: number }): number {
  return Math.min(most, first * 2 ** Math.min(failures - 1, 20)) * (0.5 + Math.random() / 2);
}
