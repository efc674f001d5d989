/** What every Store must do; run against each implementation. */
import { createHash, randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Item, Store } from "../../platform/store.ts";

// Comparing large arrays element by element takes minutes; their digests do not.
const brief = (items: readonly (Item | undefined)[]): unknown[] =>
  items.map((item) =>
    item?.["data"] instanceof Uint8Array
      ? { ...item, data: createHash("sha256").update(item["data"]).digest("hex") }
      : item,
  );

const collect = async (items: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
};

export function storeContract(name: string, open: () => Store): void {
  describe(`${name} keeps the store's contract`, () => {
    const fresh = () => ({ store: open(), pk: `test/${randomUUID()}` });

    test("every kind of value comes back as it was put", async () => {
      const { store, pk } = fresh();
      const item = {
        pk,
        sk: "a",
        text: "é — ✓",
        empty: "",
        big: 2n ** 63n - 1n,
        zero: 0n,
        bytes: Uint8Array.of(0, 255, 1),
        none: new Uint8Array(),
      };
      await store.put(item);
      expect(await store.get([{ pk, sk: "a" }])).toEqual([item]);
    });

    test("get answers in the order of its keys, absent ones undefined, repeated ones repeated", async () => {
      const { store, pk } = fresh();
      const key = (n: number) => ({ pk, sk: `${n}` });
      await store.write([
        { ...key(1), n: 1n },
        { ...key(2), n: 2n },
      ]);
      const found = await store.get([key(2), key(3), key(1), key(2)]);
      expect(found.map((item) => item?.["n"])).toEqual([2n, undefined, 1n, 2n]);
      expect(await store.get([])).toEqual([]);
    });

    test("get and write take more items, and more bytes, than one request of the database holds", async () => {
      const { store, pk } = fresh();
      const items = Array.from({ length: 260 }, (_, n) => ({
        pk: `${pk}/${n}`,
        sk: "-",
        data: new Uint8Array(n % 10 === 0 ? 300_000 : 100).fill(n),
      }));
      await store.write(items);
      expect(brief(await store.get(items))).toEqual(brief(items));
      await store.write([], items.slice(0, 200));
      const left = await store.get(items);
      expect(brief(left.filter((item) => item !== undefined))).toEqual(brief(items.slice(200)));
    });

    test("query yields one partition's items between its bounds, both inclusive, in the order of the sort keys", async () => {
      const { store, pk } = fresh();
      const sks = ["a/1", "a/2", "a/3", "b/1"];
      await store.write([...sks.map((sk) => ({ pk, sk })), { pk: `${pk}x`, sk: "a/2" }]);
      const query = async (q: object) => (await collect(store.query({ pk, ...q }))).map(({ sk }) => sk);
      expect(await query({})).toEqual(sks);
      expect(await query({ reverse: true })).toEqual([...sks].reverse());
      expect(await query({ from: "a/2" })).toEqual(["a/2", "a/3", "b/1"]);
      expect(await query({ to: "a/2" })).toEqual(["a/1", "a/2"]);
      expect(await query({ from: "a/2", to: "a/~" })).toEqual(["a/2", "a/3"]);
      expect(await query({ from: "a/2", limit: 1 })).toEqual(["a/2"]);
      expect(await query({ from: "c" })).toEqual([]);
    });

    test("query goes on past a page", async () => {
      const { store, pk } = fresh();
      const items = Array.from({ length: 9 }, (_, n) => ({
        pk,
        sk: `${n}`,
        data: new Uint8Array(250_000).fill(n),
      }));
      await store.write(items);
      expect(brief(await collect(store.query({ pk })))).toEqual(brief(items));
      expect(brief(await collect(store.query({ pk, limit: 7 })))).toEqual(brief(items.slice(0, 7)));
    });

    test("put replaces the whole item", async () => {
      const { store, pk } = fresh();
      await store.put({ pk, sk: "a", old: 1n });
      await store.put({ pk, sk: "a", new: 2n });
      expect(await store.get([{ pk, sk: "a" }])).toEqual([{ pk, sk: "a", new: 2n }]);
    });

    test("a condition that does not hold writes nothing and says condition_failed", async () => {
      const { store, pk } = fresh();
      const item = { pk, sk: "a", version: 1n };
      const refused = { code: "condition_failed" };
      const equals = (value: bigint) => ({ kind: "equals", attribute: "version", value }) as const;
      const below = (value: bigint) => ({ kind: "absentOrBelow", attribute: "version", value }) as const;
      await expect(store.put(item, equals(0n))).rejects.toMatchObject(refused);
      await store.put(item, { kind: "absent" });
      await expect(store.put({ ...item, version: 9n }, { kind: "absent" })).rejects.toMatchObject(refused);
      await expect(store.put({ ...item, version: 9n }, equals(2n))).rejects.toMatchObject(refused);
      await expect(store.put({ ...item, version: 1n, x: "narrower" }, below(1n))).rejects.toMatchObject(
        refused,
      );
      expect(await store.get([item])).toEqual([item]);
      await store.put({ ...item, version: 2n }, equals(1n));
      await store.put({ ...item, version: 10n }, below(10n));
      await store.put({ pk, sk: "b", version: 1n }, below(1n));
      expect((await store.get([item]))[0]?.["version"]).toBe(10n);
    });

    test("of many racing compare-and-swaps exactly one wins", async () => {
      const { store, pk } = fresh();
      await store.put({ pk, sk: "head", version: 0n, by: "" });
      const racers = Array.from({ length: 12 }, (_, n) =>
        store.put(
          { pk, sk: "head", version: 1n, by: `${n}` },
          { kind: "equals", attribute: "version", value: 0n },
        ),
      );
      const results = await Promise.allSettled(racers);
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      const winner = results.findIndex(({ status }) => status === "fulfilled");
      expect((await store.get([{ pk, sk: "head" }]))[0]?.["by"]).toBe(`${winner}`);
    });

    test("deleting what is absent is no error", async () => {
      const { store, pk } = fresh();
      await store.write([], [{ pk, sk: "nothing" }]);
      expect(await store.get([{ pk, sk: "nothing" }])).toEqual([undefined]);
    });
  });
}
