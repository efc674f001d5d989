/** Long work that gives way to what else there is to do, so that a page stays responsive. */

/** Ms of work between two pauses. */
const STRETCH = 30;

export type Pace = {
  /** Resolves at once, or after a pause when one is due. Throws the signal's reason when it was aborted. */
  rest(): Promise<void> | undefined;
};

export function startPace(signal?: AbortSignal): Pace {
  signal?.throwIfAborted();
  let last = performance.now();
  return {
    rest() {
      if (performance.now() - last < STRETCH) return undefined;
      return new Promise<void>((resolve) => setTimeout(resolve)).then(() => {
        signal?.throwIfAborted();
        last = performance.now();
      });
    },
  };
}

/** Work in steps, done with pauses between them. */
export async function paced<T>(work: Generator<undefined, T>, pace: Pace): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    await pace.rest();
  }
}
