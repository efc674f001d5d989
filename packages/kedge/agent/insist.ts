/** What is tried until it succeeds: for an upstream that is away, and a journal whose disk is full. */
import { pause } from "./pause.ts";
import type { Host } from "./source.ts";

/** Ms. A pause is anywhere between none and a limit, which doubles from the first to the longest. */
export type Backoff = { first: number; longest: number };

const BACKOFF: Backoff = { first: 500, longest: 60_000 };

/**
 * The attempt's result; undefined when it failed once the source was stopped. What it throws is said to the operator under
 * `trouble` until it is over, so it quotes nothing of an event.
 */
export async function insist<T>(
  { signal, trouble }: Pick<Host, "signal" | "trouble">,
  name: string,
  attempt: () => T | Promise<T>,
  backoff: Backoff = BACKOFF,
): Promise<T | undefined> {
  for (let limit = backoff.first; ; limit = Math.min(2 * limit, backoff.longest)) {
    try {
      const result = await attempt();
      trouble(name, undefined);
      return result;
    } catch (error) {
      trouble(name, error instanceof Error ? error.message : "It failed");
      await pause(Math.random() * limit, signal);
      if (signal.aborted) return undefined;
    }
  }
}
