/** Draws 32 uniform bits. The draws depend on the seed alone, the same on every machine. Not for secrets. */
export type Random = () => number;

/** Mulberry32: a Weyl sequence and a mixing step; its 2^32 states are plenty for one day. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** A whole number from 0 to `limit` - 1. */
export function below(random: Random, limit: number): number {
  return Math.floor((random() / 2 ** 32) * limit);
}

/** True in so many of a hundred draws. */
export function percent(random: Random, chance: number): boolean {
  return below(random, 100) < chance;
}

export function pick<T>(random: Random, list: readonly T[]): T {
  const choice = list[below(random, list.length)];
  if (choice === undefined) throw new RangeError("Cannot pick from an empty list.");
  return choice;
}

/** Picks each choice as often as the weight before it says. */
export function weighted<T>(random: Random, choices: readonly (readonly [weight: number, choice: T])[]): T {
  let draw = below(
    random,
    choices.reduce((sum, [weight]) => sum + weight, 0),
  );
  for (const [weight, choice] of choices) {
    if (draw < weight) return choice;
    draw -= weight;
  }
  throw new RangeError("Cannot pick from an empty list.");
}
