/** Tables that are older than what was published, brought back from the batches outside them: never a fork, no loss. */

import { parsePolicy } from "@kedge/verify/tlog/policy";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import type { Publication } from "../../platform/publication.ts";
import { anchor } from "../../service/anchor.ts";
import { append } from "../../service/append.ts";
import { headKey, readHead } from "../../service/head.ts";
import { coverKey } from "../../service/index/cover.ts";
import { extendCover } from "../../service/index/extend.ts";
import { logsKey } from "../../service/logs.ts";
import { prove } from "../../service/prove.ts";
import { restore } from "../../service/restore.ts";
import { seal } from "../../service/seal.ts";
import { auditWorld } from "../support/audit.ts";
import { anchorOf, entry, logOf, publish, restoreAll, rolledBack } from "../support/rolled-back.ts";
import { Died, LOG, newWorld, ORIGIN, type World } from "../support/world.ts";

const code = (error: unknown) => (error instanceof ServiceError ? error.code : "no ServiceError");

describe("a table restored from a backup", () => {
  test("signs nothing until the batches since are brought back, then goes on without a fork", async () => {
    const { before, after, acknowledged } = await rolledBack([300, 5, 256, 700], 1);
    const actor = after.actor();
    const signed = after.observed.signed.length;
    await append(actor, LOG, [entry(5_000)]);
    await expect(seal(actor, logOf(actor)).catch(code)).resolves.toBe("rollback");
    await expect(anchor(actor).catch(code)).resolves.toBe("rollback");
    expect(after.observed.signed).toHaveLength(signed);

    const { log } = await restoreAll(actor);
    expect(log).toMatchObject({ batches: 3, entries: 961, size: 1_261n });
    acknowledged.push(...(await publish(actor, 6_000, 6_010)), entry(5_000));
    expect(auditWorld(after, acknowledged)).toEqual([]);

    const some = [entry(0), entry(300), entry(1_260), entry(5_000)];
    const context = { ...after.reading, policy: parsePolicy("quorum none\n") };
    for (const proof of await prove(context, LOG, some))
      expect(proof).toMatchObject({ assurance: "anchored" });
    const then = (await readHead(before.store, LOG)).root;
    expect(after.observed.committed).toContain(`${LOG} 1261 ${bytesToHex(then)}`);
  });

  test("from any moment of any history", async () => {
    const histories = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(histories, fc.nat(5), fc.boolean(), async (sizes, at, whole) => {
        const { after, acknowledged } = await rolledBack(sizes, Math.min(at, sizes.length));
        await restoreAll(after.actor(), whole);
        acknowledged.push(...(await publish(after.actor(), 9_000, 9_001)));
        expect(auditWorld(after, acknowledged)).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  test("a table that is lost, all but its registry, is rebuilt whole", async () => {
    const { after, acknowledged } = await rolledBack([300, 5, 256], 0, true);
    await restoreAll(after.actor(), true);
    acknowledged.push(...(await publish(after.actor(), 9_000, 9_001)));
    expect(auditWorld(after, acknowledged)).toEqual([]);
  });

  test("a backup in which a batch was committed and not yet published", async () => {
    const world = newWorld();
    const acknowledged = await publish(world.actor(), 0, 100);
    const more = Array.from({ length: 50 }, (_, i) => entry(100 + i));
    await append(world.actor(), LOG, more);
    acknowledged.push(...more);
    // Committed is the last that the table hears of this sealer.
    for (let calls = 0; (await readHead(world.store, LOG)).size === 100n; calls++) {
      const dying = world.actor([{ at: calls, fault: "persists-then-dies" }]);
      await seal(dying, logOf(dying)).catch((error) => expect(error).toBeInstanceOf(Died));
    }
    const backup = world.store.items();
    const head = await readHead(world.store, LOG);
    expect(head.size > head.published).toBe(true);
    acknowledged.push(...(await publish(world.actor(), 200, 210)));

    const after = newWorld({ items: backup, files: world.publication.files, runs: world.index.files });
    after.observed.signed.push(...world.observed.signed);
    await restoreAll(after.actor());
    acknowledged.push(...(await publish(after.actor(), 9_000, 9_001)));
    expect(auditWorld(after, acknowledged)).toEqual([]);
  });

  test("a sealer and a second restore beside it do no harm", async () => {
    const { after, acknowledged } = await rolledBack([40, 5, 260], 1);
    const tolerated = (error: unknown) => expect(["rollback", "conflict"]).toContain(code(error));
    await Promise.all([
      restoreAll(after.actor()).catch(tolerated),
      restoreAll(after.actor()).catch(tolerated),
      seal(after.actor(), logOf(after.actor())).catch(tolerated),
    ]);
    await restoreAll(after.actor());
    acknowledged.push(...(await publish(after.actor(), 9_000, 9_001)));
    expect(auditWorld(after, acknowledged)).toEqual([]);
  });
});

describe("a sealer that wins every race for the head", () => {
  test.each([false, true])("the restore ends as if it had been alone, rebuilt whole: %s", async (whole) => {
    const { after, acknowledged } = await rolledBack([40, 5, 260], 1);
    const [actor, sealer] = [after.actor(), after.actor()];
    const sign: typeof actor.signLog = async (checkpoint) => {
      await seal(sealer, logOf(sealer)).catch((error) => expect(code(error)).toBe("rollback"));
      return await actor.signLog(checkpoint);
    };
    expect(await restore(actor, { ...logOf(actor), sign }, { whole })).toEqual({
      batches: whole ? 3 : 2,
      entries: whole ? 305 : 265,
      size: 305n,
    });
    await restore(actor, anchorOf(actor));
    acknowledged.push(...(await publish(after.actor(), 9_000, 9_001)));
    expect(auditWorld(after, acknowledged)).toEqual([]);
  });

  test("a head that moves without any progress ends in a conflict", async () => {
    const { after } = await rolledBack([40, 5], 1);
    const actor = after.actor();
    const key = headKey(LOG);
    const put: typeof actor.store.put = async (item, condition) => {
      if (item.pk === key.pk && item.sk === key.sk) throw new ServiceError("condition_failed", "lost");
      await actor.store.put(item, condition);
    };
    const restored = restore({ ...actor, store: { ...actor.store, put } }, logOf(actor));
    await expect(restored).rejects.toMatchObject({ code: "conflict" });
  });
});

/** A table of its own beside one that publishes these entries while it seals its own: between its batch and its tree head. */
async function sealBeside(old: World, table: World, theirs: readonly Uint8Array[]): Promise<string> {
  const actor = table.actor();
  let isFirst = true;
  const publication: Publication = {
    ...actor.publication,
    async replace(path, bytes, tag) {
      if (isFirst && path.includes("/batches/")) {
        isFirst = false;
        await append(old.actor(), LOG, theirs);
        await seal(old.actor(), logOf(old.actor()));
      }
      return await actor.publication.replace(path, bytes, tag);
    },
  };
  return await seal({ ...actor, publication }, logOf(actor)).then(
    ({ conflict }) => (conflict ? "conflict" : "sealed"),
    code,
  );
}

test.each([
  [2, 2],
  [3, 2],
  [2, 3],
  [40, 5],
])(
  "I1: of %d entries whose batch was refused, for another table had published %d, none is lost",
  async (mine, theirs) => {
    const old = newWorld();
    const acknowledged = await publish(old.actor(), 0, 10);
    const table = newWorld({
      items: old.store.items(),
      files: old.publication.files,
      runs: old.index.files,
    });
    const numbered = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => entry(from + i));
    await append(table.actor(), LOG, numbered(100, mine));
    expect(await sealBeside(old, table, numbered(50, theirs))).not.toBe("sealed");
    await restoreAll(table.actor());
    await publish(table.actor(), 900, 901);
    acknowledged.push(...numbered(100, mine), ...numbered(50, theirs), entry(900));
    table.observed.signed.unshift(...old.observed.signed);
    table.observed.shown.unshift(...old.observed.shown);
    expect(auditWorld(table, acknowledged)).toEqual([]);
  },
);

describe("what restore refuses", () => {
  test("a table that is not behind is left as it is, rebuilt whole or not", async () => {
    const world = newWorld();
    const acknowledged = await publish(world.actor(), 0, 300);
    // A restore merges the index's runs too.
    await extendCover(world.actor(), LOG);
    const items = world.store.items();
    expect(await restoreAll(world.actor())).toMatchObject({ log: { batches: 0, size: 300n } });
    expect(world.store.items()).toEqual(items);
    const again = newWorld({ items, files: world.publication.files, runs: world.index.files });
    await restoreAll(again.actor(), true);
    acknowledged.push(...(await publish(again.actor(), 9_000, 9_001)));
    expect(auditWorld(again, acknowledged)).toEqual([]);
  });

  test("another history, signed by another table: nothing is signed", async () => {
    const { after } = await rolledBack([40, 5], 1);
    const other = newWorld({ items: [{ ...logsKey(LOG), origin: ORIGIN, tenant: "t" }] });
    await publish(other.actor(), 500, 520);
    const world = newWorld({
      items: other.store.items(),
      files: after.publication.files,
      runs: after.index.files,
    });
    const actor = world.actor();
    await expect(restore(actor, logOf(actor)).catch(code)).resolves.toBe("rollback");
    expect(world.observed.signed).toEqual([]);
  });

  test("a record that is older than the table, even for a whole rebuild: that would forget entries", async () => {
    const world = newWorld();
    await publish(world.actor(), 0, 40);
    const files = new Map(world.publication.files);
    await publish(world.actor(), 40, 50);
    const after = newWorld({ items: world.store.items(), files });
    for (const whole of [false, true]) {
      const actor = after.actor();
      await expect(restore(actor, logOf(actor), { whole }).catch(code)).resolves.toBe("rollback");
    }
    expect(after.store.items()).toEqual(world.store.items());
    expect(after.observed.signed).toEqual([]);
  });

  test("a batch that is missing, cut, altered or another's: nothing of it is committed or signed", async () => {
    const { after } = await rolledBack([40, 5], 1);
    const path = [...after.publication.files.keys()].find((name) =>
      name.includes("batches/0000000000000045"),
    );
    const other = [...after.publication.files.keys()].find((name) =>
      name.includes("batches/0000000000000040"),
    );
    const good = after.publication.files.get(path ?? "") ?? new Uint8Array();
    const flipped = (at: number) => good.map((byte, i) => (i === at ? byte ^ 1 : byte));
    const signed = after.observed.signed.length;
    const bad = [
      undefined,
      new Uint8Array(),
      good.slice(0, -1),
      Uint8Array.of(...good, 0),
      flipped(good.length - 1),
      flipped(3),
      after.publication.files.get(other ?? "") ?? new Uint8Array(),
    ];
    for (const bytes of bad) {
      if (bytes === undefined) after.publication.files.delete(path ?? "");
      else after.publication.files.set(path ?? "", bytes);
      const actor = after.actor();
      await expect(restore(actor, logOf(actor)).catch(code)).resolves.toBe("corrupt");
      expect((await readHead(after.store, LOG)).size).toBe(40n);
    }
    expect(after.observed.signed).toHaveLength(signed);
  });

  test("a whole rebuild forgets nothing before it knows that every batch can be read", async () => {
    const world = newWorld();
    const acknowledged = [...(await publish(world.actor(), 0, 3)), ...(await publish(world.actor(), 3, 6))];
    const path = [...world.publication.files.keys()].find((name) =>
      name.includes(`${LOG}/batches/0000000000000003`),
    );
    const good = world.publication.files.get(path ?? "") ?? new Uint8Array();
    world.publication.files.set(path ?? "", good.slice(0, -1));
    const items = world.store.items();
    const actor = world.actor();
    await expect(restore(actor, logOf(actor), { whole: true }).catch(code)).resolves.toBe("corrupt");
    expect(world.store.items()).toEqual(items);
    acknowledged.push(...(await publish(world.actor(), 6, 7)));
    world.publication.files.set(path ?? "", good);
    expect(auditWorld(world, acknowledged)).toEqual([]);
  });

  test.each(["tile/aaaaaaaaaaaaaaaaaaa/0/0", "tile/aaaaaaaaaaaaaaaaaaa/entries/0"])(
    "an altered %s at the right edge: a whole rebuild mends it",
    async (pk) => {
      const { before, acknowledged } = await rolledBack([5, 2], 2);
      const altered = before.store.items().map((item) => {
        if (item.pk !== pk || !(item["data"] instanceof Uint8Array)) return item;
        return { ...item, data: item["data"].map((byte, i) => (i === 9 ? byte ^ 1 : byte)) };
      });
      const world = newWorld({ items: altered, files: before.publication.files, runs: before.index.files });
      const actor = world.actor();
      await restore(actor, logOf(actor), { whole: true });
      // What was altered is replaced, by what is narrower until the rebuild has come as far.
      world.observed.violations.length = 0;
      acknowledged.push(...(await publish(world.actor(), 9_000, 9_001)));
      expect(auditWorld(world, acknowledged)).toEqual([]);
    },
  );

  test.each([false, true])("a cover of another tree is made anew, rebuilt whole: %s", async (whole) => {
    const { after, acknowledged } = await rolledBack([140, 5], 1);
    const other = newWorld();
    await publish(other.actor(), 70, 210);
    const [cover] = await other.store.get([coverKey(LOG)]);
    if (cover === undefined) throw new Error("no cover");
    await after.store.put(cover);
    for (const [path, bytes] of other.index.files) await after.index.write(path, bytes);
    await restoreAll(after.actor(), whole);
    acknowledged.push(...(await publish(after.actor(), 150, 160)));
    expect(auditWorld(after, acknowledged)).toEqual([]);
  });

  test("tiles that are not the head's: corrupt, and a whole rebuild mends them", async () => {
    const { after, acknowledged } = await rolledBack([40, 5], 1);
    const torn = after.store.items().filter(({ pk }) => !pk.startsWith("tile/"));
    const world = newWorld({ items: torn, files: after.publication.files, runs: after.index.files });
    const actor = world.actor();
    await expect(restore(actor, logOf(actor)).catch(code)).resolves.toBe("corrupt");
    await restoreAll(world.actor(), true);
    acknowledged.push(...(await publish(world.actor(), 9_000, 9_001)));
    expect(auditWorld(world, acknowledged)).toEqual([]);
  });
});
