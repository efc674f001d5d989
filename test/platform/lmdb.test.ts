import { mkdtempSync, rmSync } from "node:fs";
import { mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LmdbStore, lmdbStore } from "../../platform/lmdb.ts";
import { storeContract } from "../support/store-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "kedge-lmdb-"));
const store = lmdbStore(folder);
afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

storeContract("LMDB", () => store);

describe("the folder", () => {
  const [ONE, TWO] = [
    { pk: "a", sk: "1", n: 1n },
    { pk: "a", sk: "2", n: 2n },
  ];
  let parent: string;
  let path: string;
  let store: LmdbStore;
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), "kedge-lmdb-"));
    path = join(parent, "made/store");
    store = lmdbStore(path);
  });
  afterEach(async () => {
    await store.close();
    await rm(parent, { recursive: true });
  });

  test("is made, its owner's alone, and has nothing else than LMDB's two files", async () => {
    await store.put(ONE);
    const modes = await Promise.all(
      ["", "data.mdb", "lock.mdb"].map(async (name) => (await stat(join(path, name))).mode & 0o777),
    );
    expect(modes).toEqual([0o700, 0o600, 0o600]);
    expect((await readdir(path)).sort()).toEqual(["data.mdb", "lock.mdb"]);
  });

  test("keeps what was written when it is closed and opened again", async () => {
    await store.put(ONE);
    await store.close();
    await expect(store.get([ONE])).rejects.toMatchObject({ code: "unavailable" });
    store = lmdbStore(path);
    expect(await store.get([ONE])).toEqual([ONE]);
  });

  test("is closed when the writes before are made", async () => {
    const written = Promise.all([store.put(ONE), store.write([TWO])]);
    await store.close();
    await written;
    store = lmdbStore(path);
    expect(await store.get([ONE, TWO])).toEqual([ONE, TWO]);
  });

  test("whose lock file was removed is locked anew before anything else", async () => {
    await store.put(ONE);
    await rm(join(path, "lock.mdb"));
    await store.put(TWO);
    expect((await readdir(path)).sort()).toEqual(["data.mdb", "lock.mdb"]);
    await rm(join(path, "lock.mdb"));
    expect(await store.get([ONE, TWO])).toEqual([ONE, TWO]);
    expect((await readdir(path)).sort()).toEqual(["data.mdb", "lock.mdb"]);
  });

  test("that was removed takes no write, and is not made again", async () => {
    await store.put(ONE);
    await rm(path, { recursive: true });
    const refused = { code: "unavailable", message: expect.stringMatching(/removed or replaced/) };
    await expect(store.put(TWO)).rejects.toMatchObject(refused);
    await expect(store.get([ONE])).rejects.toMatchObject(refused);
    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("that was replaced takes no write until the first is back", async () => {
    await store.put(ONE);
    await rename(path, `${path}.away`);
    const other = lmdbStore(path);
    await other.put(TWO);
    await expect(store.put(ONE)).rejects.toMatchObject({ code: "unavailable" });
    expect(await other.get([ONE, TWO])).toEqual([undefined, TWO]);
    await other.close();
    await rm(path, { recursive: true });
    await rename(`${path}.away`, path);
    await store.put(TWO);
    expect(await store.get([ONE, TWO])).toEqual([ONE, TWO]);
  });

  test("that is no folder is refused with what LMDB says", () => {
    expect(() => lmdbStore(join(path, "data.mdb"))).toThrow(
      expect.objectContaining({ code: "unavailable", message: expect.stringMatching(/cannot be opened \(/) }),
    );
  });
});
