/** What is tried until it succeeds: for an upstream that is away, and a journal whose disk is full. */
import { type Backoff, backoff, pause } from "./pause.ts";
import type { Host } from "./source.ts";

const PAUSES: Backoff = { first: 500, most: 60_000 };

/**
 * The attempt's result; undefined when it failed once the source was stopped. What it throws is said to the operator under
 * `trouble` until it is over, so it quotes nothing of an event.
 */
export async function insist<T>(
  { signal, trouble }: Pick<Host, "signal" | "trouble">,
  name: string,
  attempt: () => T | Promise<T>,
  pauses: Backoff = PAUSES,
): Promise<T | undefined> {
  for (let failures = 1; ; failures += 1) {
    try {
      const result = await attempt();
      trouble(name, undefined);
      return result;
    } catch (error) {
      trouble(name, error instanceof Error ? error.message : "It failed");
      await pause(backoff(failures, pauses), signal);
      if (signal.aborted) return undefined;
    }
  }
}
