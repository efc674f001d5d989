/** Turns between tenants: who has much waiting waits behind what is theirs, and nobody else does. */

export type FairQueue<T> = {
  add(one: T): void;
  /** The oldest of the owner whose turn it is; undefined: nothing waits. */
  next(): T | undefined;
};

export function fairQueue<T>(ownerOf: (one: T) => string): FairQueue<T> {
  // A Map yields its members in the order in which they came: the first has the turn, and then goes to the end.
  const owners = new Map<string, T[]>();
  return {
    add(one) {
      const owner = ownerOf(one);
      const waiting = owners.get(owner);
      if (waiting === undefined) owners.set(owner, [one]);
      else waiting.push(one);
    },
    next() {
      const [first] = owners;
      if (first === undefined) return undefined;
      const [owner, waiting] = first;
      owners.delete(owner);
      const one = waiting.shift();
      if (waiting.length > 0) owners.set(owner, waiting);
      return one;
    },
  };
}

/** Runs a piece of an owner's work once it is their turn. */
export type FairTurns = <T>(owner: string, work: () => Promise<T>) => Promise<T>;

/** @param atOnce pieces of work under way, whoever's. */
export function fairTurns(atOnce: number): FairTurns {
  const waiting = fairQueue<{ readonly owner: string; readonly begin: () => void }>(({ owner }) => owner);
  let working = 0;
  return async (owner, work) => {
    // Who ends hands the turn on, so that nobody comes in between.
    if (working >= atOnce) await new Promise<void>((begin) => waiting.add({ owner, begin }));
    else working++;
    try {
      return await work();
    } finally {
      const next = waiting.next();
      if (next === undefined) working--;
      else next.begin();
    }
  };
}
