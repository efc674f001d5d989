/** Waits: for a time that a signal ends, for the signal itself, and for longer from failure to failure. */

/** Resolves after `ms`, or at once when the signal is aborted. By a timer: see `withTimeout`. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/** Resolves once the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Ms. */
export type Backoff = { first: number; most: number };

/** Ms to wait. Exponential, and from a half of it on by chance: who was cut off together does not come back together. */
export function backoff(failures: number, { first, most }: Backoff): number {
  return Math.min(most, first * 2 ** Math.min(failures - 1, 20)) * (0.5 + Math.random() / 2);
}
