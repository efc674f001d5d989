/** What every IndexPlace must do; run against each implementation. */
import { createHash, randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { IndexPlace } from "../../platform/index-place.ts";

/** More than a page of a list. */
const MANY = 25;
const RACERS = 8;
/** A block's length is less, a filter's of a large run more. */
const LARGE = 3_000_000;

const digest = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && createHash("sha256").update(bytes).digest("hex");

export const collect = async (paths: AsyncIterable<string>): Promise<string[]> => {
  const all: string[] = [];
  for await (const path of paths) all.push(path);
  return all.sort();
};

/** @param open opens the same place each time, as another process would. */
export function indexPlaceContract(name: string, open: () => IndexPlace): void {
  describe(`${name} keeps the contract of the index's place`, () => {
    const fresh = () => {
      const log = randomUUID();
      return { place: open(), log, path: `${log}/0/12-${"ab".repeat(32)}` };
    };

    test("what is absent reads as undefined, whole or in part, and removing it is no error", async () => {
      const { place, path } = fresh();
      expect(await place.read(path)).toBeUndefined();
      expect(await place.read(path, 3, 5)).toBeUndefined();
      expect(await place.read(path, 3)).toBeUndefined();
      await place.remove(path);
    });

    test("any range of any bytes is as a slice of them", async () => {
      const { place, log } = fresh();
      const range = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 60 }));
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 50 }), range, async (bytes, [from, length]) => {
          const path = `${log}/0/${digest(bytes)}`;
          await place.write(path, bytes);
          expect(await place.read(path)).toEqual(bytes);
          expect(await place.read(path, from)).toEqual(bytes.slice(from));
          expect(await place.read(path, from, from + length)).toEqual(bytes.slice(from, from + length));
        }),
        { numRuns: 20 },
      );
    });

    test.each([
      [0, 0],
      [2, 1],
      [-1, 1],
      [0.5, 1],
      [0, Number.NaN],
    ])("there is no range from %d to %d", async (from, to) => {
      const { place, path } = fresh();
      await place.write(path, Uint8Array.of(1, 2, 3));
      await expect(place.read(path, from, to)).rejects.toThrow(RangeError);
    });

    test("a run of megabytes comes back, and its last bytes without the rest", async () => {
      const { place, path } = fresh();
      const bytes = new Uint8Array(LARGE).map((_, i) => i % 251);
      await place.write(path, bytes);
      expect(digest(await open().read(path))).toBe(digest(bytes));
      expect(await place.read(path, LARGE - 3, LARGE + 3)).toEqual(bytes.slice(-3));
    });

    test("what is written is there for every other, at once", async () => {
      const { place, path } = fresh();
      const other = open();
      await place.write(path, Uint8Array.of(1));
      expect(await other.read(path)).toEqual(Uint8Array.of(1));
      await other.remove(path);
      expect(await place.read(path)).toBeUndefined();
      await place.write(path, Uint8Array.of(1));
      expect(await other.read(path)).toEqual(Uint8Array.of(1));
    });

    test("a path that several write at once has the one content, whole", async () => {
      const { path } = fresh();
      const bytes = new Uint8Array(100_000).fill(7);
      await Promise.all(Array.from({ length: RACERS }, () => open().write(path, bytes)));
      expect(digest(await open().read(path))).toBe(digest(bytes));
    });

    test("what was altered is made good by writing it again", async () => {
      const { place, path } = fresh();
      await place.write(path, Uint8Array.of(9, 9, 9));
      await place.write(path, Uint8Array.of(1, 2));
      expect(await place.read(path)).toEqual(Uint8Array.of(1, 2));
    });

    test("a list has all below its folder, and nothing else", async () => {
      const { place, log } = fresh();
      expect(await collect(place.list(`${log}/`))).toEqual([]);
      const paths = Array.from({ length: MANY }, (_, n) => `${log}/${n % 3}/${n}-${"cd".repeat(32)}`);
      const foreign = [`${log}0/0/1-aa`, `0${log}/0/1-aa`];
      await Promise.all([...paths, ...foreign].map((path) => place.write(path, Uint8Array.of(1))));
      expect(await collect(place.list(`${log}/`))).toEqual([...paths].sort());
      expect(await collect(place.list(`${log}/1/`))).toEqual(paths.filter((_, n) => n % 3 === 1).sort());

      const [first = "", ...rest] = paths;
      await place.remove(first);
      expect(await collect(open().list(`${log}/`))).toEqual(rest.sort());
    });

    test("what a list has named may be removed before the list goes on", async () => {
      const { place, log } = fresh();
      const paths = Array.from({ length: MANY }, (_, n) => `${log}/0/${n}-aa`);
      await Promise.all(paths.map((path) => place.write(path, Uint8Array.of(1))));
      for await (const path of place.list(`${log}/`)) await place.remove(path);
      expect(await collect(place.list(`${log}/`))).toEqual([]);
    });
  });
}
