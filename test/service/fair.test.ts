import fc from "fast-check";
import { expect, test } from "vitest";
import { fairQueue, fairTurns } from "../../service/fair.ts";

type One = { readonly owner: string; readonly n: number };

test("each owner's come in their order, and between two of one owner each other who waits has a turn", () => {
  const one = fc.record({ owner: fc.constantFrom("a", "b", "c"), n: fc.nat() });
  fc.assert(
    fc.property(fc.array(one), (all) => {
      const queue = fairQueue<One>(({ owner }) => owner);
      for (const member of all) queue.add(member);
      const out: One[] = [];
      for (let next = queue.next(); next !== undefined; next = queue.next()) out.push(next);
      for (const owner of ["a", "b", "c"]) {
        const own = (of: readonly One[]) => of.filter((member) => member.owner === owner);
        expect(own(out)).toEqual(own(all));
      }
      for (const [i, { owner }] of out.entries()) {
        const next = out.findIndex((member, at) => at > i && member.owner === owner);
        if (next === -1) continue;
        const between = out.slice(i + 1, next).map((member) => member.owner);
        const waiting = new Set(out.slice(next).map((member) => member.owner));
        waiting.delete(owner);
        expect(new Set(between)).toEqual(new Set([...waiting, ...between]));
      }
    }),
  );
});

test("no more than so many are at work at once, and one that fails gives its turn on", async () => {
  const turns = fairTurns(2);
  let working = 0;
  let most = 0;
  const order: string[] = [];
  const work = (name: string) => async () => {
    most = Math.max(most, ++working);
    await new Promise(setImmediate);
    working--;
    order.push(name);
    if (name === "a1") throw new Error("it fails");
  };
  const names = ["a0", "a1", "a2", "a3", "a4", "b0", "c0"];
  const ended = await Promise.allSettled(names.map((name) => turns(name.charAt(0), work(name))));
  expect(ended.map(({ status }) => status === "rejected")).toEqual(names.map((name) => name === "a1"));
  expect(most).toBe(2);
  // The first two of a had begun when the others came.
  expect(order).toEqual(["a0", "a1", "a2", "b0", "c0", "a3", "a4"]);
  await expect(turns("d", async () => "free again")).resolves.toBe("free again");
});
