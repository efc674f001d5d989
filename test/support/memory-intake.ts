/** A journal's intake in memory, with what a crash and a full disk do to it. */
import type { Arrival, Intake, Taking } from "@kedge/cli/journal/types";

export type MemoryIntake = Intake & {
  /** In the order of their numbers, from 1. */
  readonly arrivals: Arrival[];
  readonly takes: number;
  passedBy: number;
  /** Throws before a take is written, or after it: as when the process dies there. */
  fault?: ((take: number) => "before" | "after" | undefined) | undefined;
};

export function memoryIntake(source = "ehr"): MemoryIntake {
  const cursors = new Map<string, string>();
  let takes = 0;
  const arrivals: Arrival[] = [];
  const write = ({ arrivals: taken, cursors: moved = new Map(), passedBy = 0 }: Taking): bigint[] => {
    const first = arrivals.length + 1;
    for (const { bytes, ...rest } of taken) arrivals.push({ ...rest, bytes: new Uint8Array(bytes) });
    for (const [key, value] of moved) {
      if (value === undefined) cursors.delete(key);
      else cursors.set(key, value);
    }
    intake.passedBy += passedBy;
    return taken.map((_, i) => BigInt(first + i));
  };
  const intake: MemoryIntake = {
    source,
    arrivals,
    get takes() {
      return takes;
    },
    passedBy: 0,
    async take(taking) {
      takes += 1;
      const fault = intake.fault?.(takes);
      if (fault === "before") throw new Error("crashed before the take");
      const numbers = write(taking);
      if (fault === "after") throw new Error("crashed after the take");
      return numbers;
    },
    cursor: (key) => cursors.get(key),
    cursors: (prefix) =>
      [...cursors].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1)),
    forwards: () => [],
    forwarded: async () => undefined,
    close: async () => undefined,
  };
  return intake;
}
