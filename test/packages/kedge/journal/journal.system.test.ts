/** What was acknowledged is in the journal, whatever ends its process or fails below it; and nothing is there by halves. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openJournal } from "@kedge/cli/journal/journal";
import { openingOf } from "@kedge/cli/journal/opening";
import type { Entry, EpochKeys } from "@kedge/cli/journal/types";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type DurableProcess, startDurable } from "../../../support/durable-process.ts";
import { randomFrom, reasonAgainst, reasonAgainstMounting, recorded } from "../../../support/faults.ts";
import { buildRecorder, type DiskEvent, readJournal, replay, writeDisk } from "../../../support/power-cut.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-journal-faults-"));
});
afterAll(() => rm(folder, { recursive: true }));

const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(1), bodyKey: new Uint8Array(32).fill(101) };
const keys: EpochKeys = { current: () => key, of: (epoch) => (epoch === 0 ? key : undefined) };

const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}): DurableProcess =>
  startDurable(args, { env, script: "journal-process.mjs" });
const finished = async (process: DurableProcess): Promise<readonly string[]> => {
  expect([await process.ended, process.errors()]).toEqual([0, ""]);
  return process.said;
};
const contentOf = ({ bytes }: Entry): string => new TextDecoder().decode(bytes).trimEnd();

/**
 * That every event that a process said to be acknowledged (source, number, content) is there; that numbers are unbroken, no
 * event is there twice, and takes, of which each has a cursor, are there whole or not at all.
 */
async function expectTaken(in_: string, said: readonly string[]): Promise<void> {
  const journal = await openJournal({ folder: in_, keys });
  try {
    const found = new Map<string, string>();
    const contents = new Set<string>();
    const takes = new Map<string, number>();
    for (const { name, journalled } of journal.sources()) {
      if (name.startsWith("kedge.")) continue;
      let next = 1n;
      for (const entry of journal.entries(name)) {
        expect(entry.number).toBe(next++);
        // It is what was committed to.
        expect(openingOf(entry, keys)).toBeDefined();
        const content = contentOf(entry);
        expect(contents.has(content)).toBe(false);
        contents.add(content);
        found.set(`${name} ${entry.number}`, content);
        const [run, sender, i] = content.split(".");
        takes.set(
          `${name} ${run}.${sender}`,
          Math.max(Number(i), takes.get(`${name} ${run}.${sender}`) ?? 0),
        );
      }
      expect(journalled).toBe(next - 1n);
    }
    for (const line of said) {
      const [source, number, content] = line.split(" ");
      expect(found.get(`${source} ${number}`), line).toBe(content);
    }
    for (const source of ["a", "b"]) {
      const intake = await journal.intake(source);
      const cursors = new Map(intake.cursors(""));
      for (const [sender, last] of takes) {
        if (!sender.startsWith(`${source} `)) continue;
        const name = sender.slice(2);
        expect(cursors.get(name)).toBe(`${last}`);
        for (let i = 1; i <= last; i++) {
          for (let k = 0; k < 1 + (i % 3); k++) expect(contents.has(`${name}.${i}.${k}`)).toBe(true);
        }
      }
      // It goes on.
      const before = journal.sources().find(({ name }) => name === source)?.journalled ?? 0n;
      const bytes = new TextEncoder().encode(`after.0.0.${before}`);
      expect(await intake.take({ arrivals: [{ bytes, mediaType: "text/plain" }] })).toEqual([before + 1n]);
    }
  } finally {
    await journal.close();
  }
}

// ---- killed -----------------------------------------------------------------------------------------------------------

test("killed twenty times under load, while another process adds to a shared source: nothing acknowledged is lost", async () => {
  const here = join(folder, "killed");
  const said: string[] = [];
  const other = await openJournal({ folder: here, keys });
  const searches = await other.intake("kedge.journal");
  let searched = 0;
  for (let run = 0; run < 20; run++) {
    const process = start(["takes", here, `run${run}`]);
    const isOver = process.ended.then(() => true);
    const searching = (async () => {
      while (!(await Promise.race([isOver, Promise.resolve(false)]))) {
        const bytes = new TextEncoder().encode(`search ${searched}`);
        expect(await searches.take({ arrivals: [{ bytes, mediaType: "text/plain" }] })).toEqual([
          BigInt(++searched),
        ]);
      }
    })();
    await process.hasSaid(50 + 37 * run);
    process.process.kill("SIGKILL");
    expect(await process.ended).toBe("SIGKILL");
    await searching;
    said.push(...process.said);
  }
  expect([...other.entries("kedge.journal")]).toHaveLength(searched);
  await other.close();
  await expectTaken(here, said);
});

// ---- under load -------------------------------------------------------------------------------------------------------

test("an event of 64 MiB is taken and given back, and a larger one is refused", async () => {
  const said = await finished(start(["large", join(folder, "large")]));
  expect(said).toEqual(["true", "RangeError"]);
});

test.skipIf(process.platform !== "linux")(
  "memory, open files and, with retention, the journal's own size stay what they are, however much goes through",
  async () => {
    const said = await finished(start(["load", join(folder, "load"), "", "90"]));
    // The thread's heap has its size after some fifty.
    const [warm, last] = [said[60], said[89]].map((line) => line?.split(" ").map(Number) ?? []);
    const [memory = 0, files, size = 0] = last ?? [];
    expect(memory - (warm?.[0] ?? 0)).toBeLessThan(24 << 10);
    expect(files).toBe(warm?.[1]);
    // Records stay, of some 200 bytes.
    expect(size - (warm?.[2] ?? 0)).toBeLessThan(29 * 1_000 * 400);
  },
);

// ---- a power cut ------------------------------------------------------------------------------------------------------

const TAKES = 6;
const CUTS = 10;
const compiler = reasonAgainst("cc", ["--version"]);

if (compiler !== undefined || process.platform !== "linux") {
  const why = process.platform === "linux" ? `no C compiler (${compiler})` : "it preloads a library of Linux";
  console.log(`skipped: a power cut: ${why}`);
  test.skip(`a power cut: ${why}`);
} else {
  describe("a power cut", () => {
    let watched: string;
    let library: string;
    let events: DiskEvent[];
    const isSaid = ({ kind }: DiskEvent) => kind === "A";
    const saidBy = (end: number) =>
      events
        .slice(0, end)
        .filter(isSaid)
        .map(({ data }) => data.toString().trim());

    beforeAll(async () => {
      watched = join(folder, "watched");
      await mkdir(watched);
      library = buildRecorder(folder);
      const env = recorded(library, watched, join(folder, "recorded"));
      await finished(start(["takes", watched, "run", String(TAKES)], env));
      events = readJournal(join(folder, "recorded"));
      expect(events.filter(isSaid).length).toBeGreaterThan(8 * TAKES);
    });

    const cut = async (end: number, isChosen: () => boolean, options = {}): Promise<string> => {
      const into = await mkdtemp(join(folder, "cut-"));
      writeDisk(replay(watched, events.slice(0, end), options), into, isChosen);
      return into;
    };

    test("takes nothing that was acknowledged, whatever else the disk has kept", async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      console.log(`power cut: seed ${seed}`);
      const random = randomFrom(seed);
      const first = events.findIndex(isSaid) + 1;
      for (let i = 0; i < CUTS; i++) {
        const end = i === 0 ? events.length : first + Math.floor(random() * (events.length - first));
        for (const kept of [0, 0.5, 1]) {
          const found = await cut(end, () => random() < kept);
          await expectTaken(found, saidBy(end));
          await rm(found, { recursive: true });
        }
      }
    });

    test("while a new journal is made leaves one that can be opened, and no number to be given twice", async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      console.log(`power cut of a new journal: seed ${seed}`);
      const random = randomFrom(seed);
      const first = events.findIndex(isSaid);
      for (let i = 0; i < CUTS; i++) {
        for (const kept of [() => false, () => true]) {
          const found = await cut(Math.floor(random() * first), kept);
          expect(await finished(start(["open", found]))).toEqual(["taken"]);
          await rm(found, { recursive: true });
        }
      }
    });

    test("would take it, if nothing were synced: so this test sees what is not", async () => {
      const found = await cut(events.length, () => false, { ignoreSyncs: true });
      await expect(expectTaken(found, saidBy(events.length))).rejects.toThrow();
    });

    test("a disk that fails at a meta page, where LMDB gives up, refuses one take, takes nothing of it, and goes on", async () => {
      const own = await mkdtemp(join(folder, "failing-"));
      const env = { ...recorded(library, own, `${own}.recorded`), POWER_CUT_FAIL: "5" };
      const said = await finished(start(["outcomes", own, "", "6"], env));
      const refused = said.findIndex((line) => line.startsWith("unwritable"));
      expect(refused).toBeGreaterThan(0);
      const expected = said.map((_, n) =>
        n === refused ? `unwritable ${n}` : `taken ${n < refused ? n + 1 : n}`,
      );
      expect(said).toEqual(expected);
    });
  });
}

// ---- a full disk ------------------------------------------------------------------------------------------------------

const mounting = await reasonAgainstMounting();

if (mounting !== undefined) {
  console.log(`skipped: a full disk: a small one cannot be mounted (${mounting})`);
  test.skip(`a full disk: a small one cannot be mounted (${mounting})`);
} else {
  describe("a full disk", () => {
    let disk: string;
    beforeEach(async () => {
      disk = await mkdtemp(join(folder, "disk-"));
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", disk]);
      await writeFile(join(disk, "ballast"), new Uint8Array(1 << 20));
    });
    afterEach(() => {
      execFileSync("umount", ["--lazy", disk]);
    });
    const large = (n: number) => ({ bytes: new Uint8Array(50_000).fill(n), mediaType: "text/plain" });

    test("refuses takes whole, lets what is there be read, and is taken to again once there is room", async () => {
      const journal = await openJournal({ folder: join(disk, "data"), keys });
      const intake = await journal.intake("a");
      const taken: bigint[] = [];
      const refusals: unknown[] = [];
      const take = async (n: number) => {
        const cursors = new Map([["last", `${n}`]]);
        const numbers = await intake.take({ arrivals: [large(n), large(n)], cursors });
        taken.push(...numbers);
      };
      for (let n = 0; refusals.length < 3; n++) {
        await take(n).catch((error: unknown) => refusals.push(error));
      }
      for (const error of refusals) expect(error).toMatchObject({ code: "full" });
      const last = taken.length;
      expect(last).toBeGreaterThan(5);
      const there = () => [...journal.entries("a")].map(({ number }) => number);
      expect(there()).toEqual(taken);
      expect(intake.cursor("last")).toBe(`${last / 2 - 1}`);
      // One of many at a time is refused with the others, or taken with them; what is said is what is there.
      const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => take(n)));
      expect(outcomes.some(({ status }) => status === "rejected")).toBe(true);
      expect(there()).toEqual(taken.toSorted((a, b) => (a < b ? -1 : 1)));

      await rm(join(disk, "ballast"));
      await take(100);
      expect(there()).toEqual(taken);
      expect(taken.at(-1)).toBe(BigInt(taken.length));
      await journal.close();
    });

    test("ends no process that opens a journal, old or new", async () => {
      await finished(start(["open", join(disk, "old")]));
      for (let size = 1 << 20; size > 0; size >>= 1) {
        await writeFile(join(disk, `rest${size}`), new Uint8Array(size)).catch(() => undefined);
      }
      for (const name of ["old", "new"]) {
        const process = start(["open", join(disk, name)]);
        expect([await process.ended, process.errors()]).toEqual([0, ""]);
        expect(["full", "unwritable", "taken"]).toContain(process.said[0]);
      }
      for (const size of [20, 19, 18]) await rm(join(disk, `rest${1 << size}`), { force: true });
      await rm(join(disk, "ballast"));
      for (const name of ["old", "new"]) {
        expect(await finished(start(["open", join(disk, name)]))).toEqual(["taken"]);
      }
    });
  });
}
