/** Proofs are kept whole, and none in place of another event's. */
import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NamedProof, openProofLines, openProofStore } from "@kedge/cli/cli/proof-store";
import { indexProofs, readKept, readProofLines } from "@kedge/verify/cli/proofs";
import { formatProofFile, parseProofFile, withAnchoring } from "@kedge/verify/proof/extra";
import { proofName } from "@kedge/verify/proof/names";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { anchor, anchorMldsa, EVENT, makeProof } from "../../../support/proofs.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-store-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** The proof of an event of its own for each number. */
function proofOf(n: number, name: string, more: { size?: number; line?: number } = {}): NamedProof {
  const { size, line } = more;
  const event = { ...EVENT, bytes: new TextEncoder().encode(`{"n":${n}}`) };
  const { proof, commitment } = makeProof({ event, ...(size === undefined ? {} : { size }) });
  const place = { event: name, ...(line === undefined ? {} : { line }) };
  return {
    ...place,
    name: proofName(name, line),
    commitment: Buffer.from(commitment).toString("hex"),
    proof,
  };
}

async function keepAll(out: string, ...proofs: NamedProof[]): Promise<string[]> {
  const store = await openProofStore(out);
  const paths: string[] = [];
  for (const proof of proofs) paths.push(await store.keep(proof));
  await store.close();
  return paths.map((path) => path.slice(folder.length + 1));
}

const read = (name: string): Promise<string> => readFile(join(folder, name), "utf8");

describe("a folder", () => {
  test("standard input of one run and the next, and a rotated file: each proof stays", async () => {
    const [first] = await keepAll(folder, proofOf(1, "-", { line: 1 }));
    const [second] = await keepAll(folder, proofOf(2, "-", { line: 1 }));
    expect(first).toBe("stdin.1.tlog-proof");
    expect(second).toMatch(/^stdin\.1~[0-9a-f]{16}\.tlog-proof$/);
    expect(await read(String(first))).toBe(proofOf(1, "-").proof);
    expect(await read(String(second))).toBe(proofOf(2, "-").proof);
  });

  test("the proof of the same event is renewed in its place, and for its owner alone", async () => {
    const [first] = await keepAll(folder, proofOf(1, "a.json"));
    const [again] = await keepAll(folder, proofOf(1, "a.json", { size: 9 }));
    expect(again).toBe(first);
    expect(await read("a.json.tlog-proof")).toBe(proofOf(1, "a.json", { size: 9 }).proof);
    expect((await stat(join(folder, "a.json.tlog-proof"))).mode & 0o077).toBe(0);
    expect(await readdir(folder)).toEqual(["a.json.tlog-proof"]);
  });

  test("what is no proof, or cannot be read as one, stays as it is", async () => {
    await writeFile(join(folder, "a.json.tlog-proof"), "notes of mine");
    await mkdir(join(folder, "b.json.tlog-proof"));
    const [a, b] = await keepAll(folder, proofOf(1, "a.json"), proofOf(2, "b.json"));
    expect(await read("a.json.tlog-proof")).toBe("notes of mine");
    expect([a, b]).toEqual([expect.stringMatching(/^a\.json~/), expect.stringMatching(/^b\.json~/)]);
    await expect(
      keepAll(folder, { ...proofOf(3, "a.json"), commitment: proofOf(1, "").commitment }),
    ).resolves.toEqual([a]);
  });

  test("names that differ in case or in Unicode's form alone are two files on any file system", async () => {
    const paths = await keepAll(
      folder,
      ...["A.json", "a.json", "e\u0301.json", "é.json", "É.json"].map((name, i) => proofOf(i, name)),
    );
    const folded = paths.map((path) => path.normalize("NFC").toLowerCase());
    expect(new Set(folded).size).toBe(5);
  });

  test("long names, and names that Windows refuses, are written and found again", async () => {
    const names = [`${"カ".repeat(78)}.json`, "カ".repeat(84), "con.json", "a?b.json", 'x"y".json', "ends. "];
    await keepAll(folder, ...names.map((name, i) => proofOf(i, name)));
    const index = await indexProofs(folder);
    for (const [i, name] of names.entries()) {
      const [kept] = index.named(name);
      expect(kept && new TextDecoder().decode(await readKept(kept))).toBe(proofOf(i, name).proof);
    }
  });

  test("a name that cannot be written fails alone", async () => {
    const store = await openProofStore(folder);
    await writeFile(join(folder, "ward"), "a file where a folder belongs");
    await expect(store.keep(proofOf(1, "ward/a.json"))).rejects.toMatchObject({ code: "failed" });
    await store.keep(proofOf(2, "b.json"));
    expect((await readdir(folder)).sort()).toEqual(["b.json.tlog-proof", "ward"]);
  });

  test("two processes that take one name at once keep both proofs", async () => {
    const stores = await Promise.all([openProofStore(folder), openProofStore(folder)]);
    await link(import.meta.filename, join(folder, "probe")).then(
      () => rm(join(folder, "probe")),
      () => undefined, // another file system: nothing to show
    );
    for (const [i, store] of stores.entries()) await store.keep(proofOf(i, "a.json"));
    const index = await indexProofs(folder);
    expect(index.named("a.json")).toHaveLength(2);
  });
});

test("a file for one proof takes one, and never another event's", async () => {
  const out = join(folder, "one.tlog-proof");
  await keepAll(out, proofOf(1, "a.json"), proofOf(1, "copy.json"));
  await expect(keepAll(out, proofOf(2, "b.json"))).rejects.toMatchObject({ code: "failed" });
  await expect(keepAll(out, proofOf(1, "a.json"), proofOf(2, "b.json"))).rejects.toMatchObject({
    code: "misuse",
  });
  expect(await readFile(out, "utf8")).toBe(proofOf(1, "a.json").proof);
});

describe("a file of many proofs", () => {
  const linesIn = async (path: string) => {
    const lines = [];
    for await (const line of readProofLines(path)) lines.push(line);
    return lines;
  };

  test("is added to, keeps what it has, and takes nothing twice", async () => {
    const out = join(folder, "proofs.ndjson");
    await keepAll(out, proofOf(1, "day.ndjson", { line: 1 }), proofOf(2, "day.ndjson", { line: 2 }));
    const before = await readFile(out, "utf8");
    await keepAll(out, proofOf(2, "day.ndjson", { line: 2 }), proofOf(3, "day.ndjson", { line: 3 }));
    const after = await readFile(out, "utf8");
    expect(after.startsWith(before)).toBe(true);
    expect((await linesIn(out)).map(({ event, line }) => [event, line])).toEqual(
      [1, 2, 3].map((line) => ["day.ndjson", line]),
    );
    expect((await stat(out)).mode & 0o077).toBe(0);
  });

  test("of a renewed proof both lines stay, and the later is found", async () => {
    const out = join(folder, "proofs.ndjson");
    await keepAll(out, proofOf(1, "a.json"));
    await keepAll(out, proofOf(1, "a.json", { size: 9 }));
    expect(await linesIn(out)).toHaveLength(2);
    const [kept] = (await indexProofs(out)).of(proofOf(1, "a.json").commitment);
    expect(kept && new TextDecoder().decode(await readKept(kept))).toBe(proofOf(1, "", { size: 9 }).proof);
    expect((await openProofLines(out)).newest.size).toBe(1);
  });

  test("a line that a crash cut short stays on its own, and what follows is whole", async () => {
    const out = join(folder, "proofs.ndjson");
    await keepAll(out, proofOf(1, "a.json"));
    await writeFile(out, '{"event":"b.json","comm', { flag: "a" });
    await keepAll(out, proofOf(2, "b.json"));
    expect((await linesIn(out)).map(({ event }) => event)).toEqual(["a.json", "b.json"]);
  });

  test("is no file of something else: events are not added to", async () => {
    const out = join(folder, "day.ndjson");
    await writeFile(out, '{"n":1}\n');
    await expect(openProofStore(out)).rejects.toMatchObject({ code: "misuse" });
    expect(await readFile(out, "utf8")).toBe('{"n":1}\n');
  });

  test("lies beside files of one proof and beside events", async () => {
    await keepAll(join(folder, "many.ndjson"), proofOf(1, "a.json"));
    await keepAll(folder, proofOf(2, "b.json"));
    await writeFile(join(folder, "events.ndjson"), '{"n":1}\n');
    const index = await indexProofs(folder);
    expect(index.all).toHaveLength(2);
    expect(index.named("a.json")).toHaveLength(1);
  });
});

describe("a proof of the same event that is there already loses nothing", () => {
  const commitment = Buffer.from(makeProof({}).commitment).toString("hex");
  const named = (proof: string): NamedProof => ({ event: "a.json", name: "a.json", commitment, proof });
  const path = "a.json.tlog-proof";

  test("a renewed one keeps its anchorings, an anchored one its anchor part", async () => {
    const anchored = makeProof({ anchorSigners: [anchor] }).proof;
    const other = makeProof({ anchorSigners: [anchor, anchorMldsa] }).proof;
    const { anchor: newer = "", timestamps } = parseProofFile(other).extra;
    const renewed = formatProofFile(withAnchoring(parseProofFile(anchored), { anchor: newer, timestamps }));
    for (const later of [anchored, other, makeProof({}).proof, makeProof({ size: 9 }).proof, renewed]) {
      await keepAll(folder, named(renewed), named(later));
      expect(await read(path)).toBe(renewed);
    }
  });

  test("an opening is added to one that has none, and never taken away", async () => {
    const [bare, open] = [makeProof({ withOpening: false }).proof, makeProof({}).proof];
    await keepAll(folder, named(bare), named(open));
    expect(parseProofFile(await read(path)).extra.opening).toEqual(parseProofFile(open).extra.opening);
    await expect(keepAll(folder, named(bare))).rejects.toThrow(/has the event's opening/);
    expect(parseProofFile(await read(path)).extra.opening).toEqual(parseProofFile(open).extra.opening);
  });
});
