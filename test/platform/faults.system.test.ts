/** What a disk, or the limits of a process, can do to the store, the publication and the index on one machine. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { folderPublication } from "../../platform/folder.ts";
import { folderIndex } from "../../platform/index-folder.ts";
import { lmdbStore } from "../../platform/lmdb.ts";
import { type DurableProcess, expectRounds, startDurable } from "../support/durable-process.ts";
import { randomFrom, reasonAgainst, reasonAgainstMounting, recorded } from "../support/faults.ts";
import { buildRecorder, type DiskEvent, readJournal, replay, writeDisk } from "../support/power-cut.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-faults-"));
});
afterAll(() => rm(folder, { recursive: true }));

const finished = async (process: DurableProcess): Promise<readonly string[]> => {
  expect([await process.ended, process.errors()]).toEqual([0, ""]);
  return process.said;
};

// ---- a power cut -----------------------------------------------------------------------------------------------------

const ROUNDS = 24;
const CUTS = 10;
const compiler = reasonAgainst("cc", ["--version"]);

if (compiler !== undefined || process.platform !== "linux") {
  const why = process.platform === "linux" ? `no C compiler (${compiler})` : "it preloads a library of Linux";
  console.log(`skipped: a power cut: ${why}`);
  test.skip(`a power cut: ${why}`);
} else {
  describe("a power cut", () => {
    let watched: string;
    let events: DiskEvent[];
    let library: string;
    const isRound = ({ kind }: DiskEvent) => kind === "A";

    beforeAll(async () => {
      watched = join(folder, "watched");
      await mkdir(watched);
      library = buildRecorder(folder);
      const env = recorded(library, watched, join(folder, "journal"));
      expect(await finished(startDurable(["rounds", watched, String(ROUNDS)], { env }))).toHaveLength(ROUNDS);
      events = readJournal(join(folder, "journal"));
      expect(events.filter(isRound)).toHaveLength(ROUNDS);
    });

    /** The disk after as many events, as it is found when the power is back. */
    const cut = async (end: number, isChosen: () => boolean, options = {}): Promise<string> => {
      const into = await mkdtemp(join(folder, "cut-"));
      writeDisk(replay(watched, events.slice(0, end), options), into, isChosen);
      return into;
    };
    const roundsBy = (end: number) => events.slice(0, end).filter(isRound).length;

    test("takes nothing that was acknowledged, whatever else the disk has kept", async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      console.log(`power cut: seed ${seed}`);
      const random = randomFrom(seed);
      const first = events.findIndex(isRound) + 1;
      for (let i = 0; i < CUTS; i++) {
        const end = i === 0 ? events.length : first + Math.floor(random() * (events.length - first));
        for (const kept of [0, 0.5, 1]) {
          const found = await cut(end, () => random() < kept);
          await expectRounds(found, roundsBy(end) - 1);
          await rm(found, { recursive: true });
        }
      }
    });

    test("would take it, if nothing were synced: so this test sees what is not", async () => {
      const found = await cut(events.length, () => false, { ignoreSyncs: true });
      await expect(expectRounds(found, ROUNDS - 1)).rejects.toThrow();
    });

    test("a disk that fails at a meta page, where LMDB gives up, loses one write and no more", async () => {
      const own = await mkdtemp(join(folder, "failing-"));
      const env = { ...recorded(library, own, `${own}.journal`), POWER_CUT_FAIL: "3" };
      const said = await finished(startDurable(["outcomes", own, "6"], { env }));
      expect(said).toEqual(["put there", "put there", "unavailable absent", ...Array(3).fill("put there")]);
    });
  });
}

// ---- a full disk -----------------------------------------------------------------------------------------------------

const MEGABYTES = 6;
const mounting = await reasonAgainstMounting();

if (mounting !== undefined) {
  console.log(`skipped: a full disk: a small one cannot be mounted (${mounting})`);
  test.skip(`a full disk: a small one cannot be mounted (${mounting})`);
} else {
  describe("a full disk", () => {
    let disk: string;
    beforeEach(async () => {
      disk = await mkdtemp(join(folder, "disk-"));
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${MEGABYTES}m`, "tmpfs", disk]);
      await writeFile(join(disk, "ballast"), new Uint8Array(1 << 20));
    });
    afterEach(() => {
      // This process keeps the publication's lock open.
      execFileSync("umount", ["--lazy", disk]);
    });
    const makeRoom = () => rm(join(disk, "ballast"));
    /** Writes until nothing goes any more. @returns how many have. */
    const fill = async (write: (n: number) => Promise<unknown>): Promise<number> => {
      for (let n = 0; ; n++) {
        try {
          await write(n);
        } catch (error) {
          expect(error).toMatchObject({ code: "unavailable" });
          return n;
        }
      }
    };

    test("the store refuses in one line, reads go on, and so do writes once there is room", async () => {
      const store = lmdbStore(join(disk, "store"));
      const item = (n: number) => ({ pk: "a", sk: String(n), data: new Uint8Array(100_000).fill(n) });
      const written = await fill((n) => store.put(item(n)));
      expect(written).toBeGreaterThan(5);
      const message = expect.stringMatching(
        /^the store in \S+ cannot be written \([^\n]+\): make room on its disk/,
      );
      await expect(store.put(item(written))).rejects.toMatchObject({ code: "unavailable", message });
      await expect(store.write([item(written), item(written + 1)])).rejects.toMatchObject({
        code: "unavailable",
      });
      const all = Array.from({ length: written + 1 }, (_, n) => n);
      const there = async () => (await store.get(all.map(item))).map((found) => firstByte(found?.["data"]));
      expect(await there()).toEqual([...all.slice(0, -1).map((n) => n % 256), undefined]);

      await makeRoom();
      await store.put(item(written));
      expect(await there()).toEqual(all.map((n) => n % 256));
      await store.close();
      const again = lmdbStore(join(disk, "store"));
      expect((await again.get([item(written)]))[0]).toEqual(item(written));
      await again.close();
    });

    test("a store that is new, or that is opened again, is refused or served, and ends no process", async () => {
      const store = lmdbStore(join(disk, "store"));
      await fill((n) => store.put({ pk: "a", sk: String(n), data: new Uint8Array(30_000) }));
      await store.close();
      await writeFile(join(disk, "rest"), new Uint8Array(1 << 20)).catch(() => undefined);
      expect(await finished(startDurable(["open", join(disk, "other")]))).toEqual(["unavailable"]);
      // What is there needs no more room to be read.
      expect(await finished(startDurable(["open", disk]))).toEqual(["opened"]);
    });

    test.each([
      [
        "publication",
        (bytes: Uint8Array) => {
          const publication = folderPublication(pathToFileURL(`${disk}/`));
          return {
            write: (path: string) => publication.replace(path, bytes, undefined),
            read: async (path: string) => (await publication.read(path))?.bytes,
          };
        },
      ],
      [
        "index",
        (bytes: Uint8Array) => {
          const index = folderIndex(pathToFileURL(`${disk}/`));
          return {
            write: (path: string) => index.write(path, bytes),
            read: (path: string) => index.read(path),
          };
        },
      ],
    ] as const)(
      "the %s has no file that is cut short, keeps what it has, and goes on once there is room",
      async (_, open) => {
        const { write, read } = open(new Uint8Array(100_000).fill(7));
        const written = await fill((n) => write(`logs/${n}`));
        expect(written).toBeGreaterThan(5);
        for (let n = 0; n < written; n++) expect(await read(`logs/${n}`)).toHaveLength(100_000);
        expect(await read(`logs/${written}`)).toBeUndefined();
        expect(await readdir(join(disk, ".tmp"))).toEqual([]);
        await makeRoom();
        await write(`logs/${written}`);
        expect(await read(`logs/${written}`)).toHaveLength(100_000);
      },
    );
  });
}

const firstByte = (value: unknown) => (value instanceof Uint8Array ? value[0] : undefined);

// ---- too many open files -----------------------------------------------------------------------------------------------

test.skipIf(process.platform === "win32")(
  "without a file more to open, the store goes on, the others refuse, and all go on once there are some",
  async () => {
    const own = await mkdtemp(join(folder, "files-"));
    const said = await finished(startDurable(["files", own], { files: 500 }));
    expect(said).toEqual([
      "EMFILE",
      "done",
      "done",
      "unavailable",
      "unavailable",
      "unavailable",
      "unavailable",
      "done",
    ]);
    await expectRounds(own, 0);
  },
);
