/** Long work in slices, so that the one process of a small site goes on answering meanwhile. */

const SLICE_MS = 5;
let since = 0;

/** Lets others have the event loop, if this process's long work has had it for a slice. */
export async function breathe(): Promise<void> {
  if (performance.now() - since < SLICE_MS) return;
  await new Promise(setImmediate);
  since = performance.now();
}

/** How much of an item's work, such as a hash that goes into a filter, is done between two breaths. */
export const ITEMS_PER_BREATH = 16_384;
