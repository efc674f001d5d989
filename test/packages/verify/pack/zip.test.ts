/** Of a zip, every program must see the same files, or none: what two programs may read as two things is refused. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PackError } from "@kedge/verify/pack/error";
import { readingZip, startFile, writeZip, zipFile } from "@kedge/verify/pack/zip";
import { concatBytes } from "@kedge/verify/tlog/bytes";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { readZip } from "../../../support/zip.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const zipOf = (files: Record<string, Uint8Array>): Uint8Array =>
  writeZip(new Map(Object.entries(files).map(([name, bytes]) => [name, zipFile(name, bytes)])));
const SMALL = zipOf({ "a.txt": text("aaaaaaaaaaaaaaaaaaaaaaaa"), "b/c.txt": text("c") });

/** Bytes at places in place of those that are there. */
function patched(zip: Uint8Array, ...changes: [at: number, bytes: number[]][]): Uint8Array {
  const copy = zip.slice();
  for (const [at, bytes] of changes) copy.set(bytes, at);
  return copy;
}
const find = (zip: Uint8Array, hex: string, from = 0): number => {
  const at = Buffer.from(zip).indexOf(Buffer.from(hex, "hex"), from);
  if (at < 0) throw new TypeError(`there is no ${hex}`);
  return at;
};
const CENTRAL = "504b0102";
const END = "504b0506";
const central = find(SMALL, CENTRAL);
const end = find(SMALL, END);

const count = (n: number): number[] => [n & 255, (n >> 8) & 255, n >> 16];
const ONE = zipFile("x", text("x"));
const ZIP64 = writeZip(new Map(Array.from({ length: 65_536 }, (_, i) => [`e/${i}`, ONE])));

function whole(zip: Uint8Array): Map<string, string> {
  return new Map([...readZip(zip)].map(([name, file]) => [name, Buffer.from(file.bytes()).toString()]));
}

test("what is written is read, by us and by others, and is the same bytes each time", () => {
  const big = new Uint8Array(300_000).map((_, i) => (i * i) % 251);
  const noise = new Uint8Array(200_000).map((_, i) => Math.imul(i ^ 0x5bd1e995, 0x9e3779b1) >>> 24);
  const files = { "a/big.bin": big, "a/empty": new Uint8Array(), "noise.bin": noise, "t.txt": text("one\n") };
  const zip = zipOf(files);
  expect([...readZip(zip)].map(([name, file]) => [name, file.bytes()])).toEqual(Object.entries(files));
  expect(Buffer.compare(zip, zipOf(files))).toBe(0);
  const folder = mkdtempSync(join(tmpdir(), "kedge-zip-"));
  try {
    writeFileSync(join(folder, "x.zip"), zip);
    const script =
      "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2])";
    execFileSync("python3", ["-c", script, join(folder, "x.zip"), folder]);
    for (const [name, bytes] of Object.entries(files)) {
      expect(Buffer.compare(readFileSync(join(folder, name)), bytes)).toBe(0);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a file is the same however it is cut into parts", () => {
  const bytes = new Uint8Array(200_001).map((_, i) => (i * 7) % 13);
  const parts = startFile("x");
  for (let at = 0; at < bytes.length; at += 777) parts.write(bytes.subarray(at, at + 777));
  expect(parts.end().stored).toEqual(zipFile("x", bytes).stored);
});

test("beyond 65,535 files it is still read", () => {
  expect(readZip(ZIP64).size).toBe(65_536);
  const end64 = ZIP64.length - 22 - 20 - 56;
  const many = patched(ZIP64, [end64 + 24, count(250_001)], [end64 + 32, count(250_001)]);
  expect(() => readZip(many)).toThrow(/250001 files/);
  const other = patched(ZIP64, [ZIP64.length - 22 + 8, [1, 0, 1, 0]]);
  expect(() => readZip(other)).toThrow(/directory/);
  const elsewhere = patched(ZIP64, [ZIP64.length - 22 + 16, [1]]);
  expect(() => readZip(elsewhere)).toThrow(/two directories/);
});

test("what other programs write of the same files is read", () => {
  expect(whole(zipSync({ "case.json": text("{}"), events: { "1.json": text("{}") } }))).toEqual(
    new Map([
      ["case.json", "{}"],
      ["events/1.json", "{}"],
    ]),
  );
  expect(whole(withExtra(0x5455))).toEqual(new Map([["a.txt", "a"]]));
});

const refusals: [name: string, zip: () => Uint8Array, why: RegExp][] = [
  ["something behind it", () => concatBytes(SMALL, Uint8Array.of(0)), /does not end/],
  ["something before it", () => concatBytes(text("MZ"), SMALL), /directory is not where it says/],
  ["a comment", () => concatBytes(patched(SMALL, [SMALL.length - 2, [1]]), text("x")), /does not end/],
  ["its end cut off", () => SMALL.slice(0, -1), /does not end/],
  ["nothing", () => new Uint8Array(), /does not end/],
  ["another zip behind its files, before its directory", () => withHidden(), /directory|follow/],
  ["fewer files in its directory than it holds", () => withoutEntry(), /directory/],
  ["two files of one name", () => twice("a.txt", "a.txt"), /two of its files/],
  ["two files whose names differ in case", () => twice("a.txt", "A.txt"), /two of its files/],
  [
    "a file and a folder of one name",
    () => zipSync({ a: text("x"), "a/b": text("y") }),
    /a file and a folder/,
  ],
  ["a name above its folder", () => renamed("a.txt", "../xx"), /a name that no pack has/],
  ["a name from the root", () => renamed("a.txt", "/a.tx"), /a name that no pack has/],
  ["a name with a back slash", () => renamed("a.txt", "a\\txt"), /a name that no pack has/],
  ["a name with a drive", () => renamed("a.txt", "c:a.x"), /a name that no pack has/],
  ["a name beyond ASCII", () => zipSync({ "\u00e9.txt": text("x") }), /a name that no pack has/],
  ["a hidden name", () => renamed("a.txt", ".atxt"), /a name that no pack has/],
  ["a name with NUL", () => renamed("a.txt", "a\0txt"), /a name that no pack has/],
  ["a name that is a device on Windows", () => renamed("a.txt", "nul.x"), /a name that no pack has/],
  ["a folder that is one", () => renamed("a.txt", "AUX/x"), /a name that no pack has/],
  ["a name that ends in a dot", () => renamed("a.txt", "atxt."), /a name that no pack has/],
  ["two names for one file", () => patched(SMALL, [30, [0x62]]), /says two things/],
  ["a symbolic link", () => patched(SMALL, [central + 40, [0xff, 0xa1]]), /a link/],
  [
    "a symbolic link that a system with modes like those of Unix made",
    () => patched(SMALL, [central + 5, [16]], [central + 40, [0xff, 0xa1]]),
    /a link/,
  ],
  ["a file that is a folder to DOS", () => patched(SMALL, [central + 38, [0x10]]), /a link, or no file/],
  ["another name for programs that know Unicode", () => withExtra(0x7075), /another name or form/],
  ["sizes of ZIP64 beside those that count", () => withExtra(1), /another name or form/],
  [
    "an extra field that another is hidden in",
    () => patched(withExtra(0x5455), [find(withExtra(0x5455), CENTRAL) + 46 + 5 + 2, [0]]),
    /another name or form/,
  ],
  ["a device", () => patched(SMALL, [central + 40, [0xff, 0x21]]), /a link, or no file/],
  ["an encrypted file", () => patched(SMALL, [6, [1]], [central + 8, [1]]), /encrypted/],
  ["an unknown method", () => patched(SMALL, [8, [12]], [central + 10, [12]]), /compressed in a way/],
  ["a size of ZIP64", () => patched(SMALL, [central + 24, [255, 255, 255, 255]]), /cannot be read/],
  ["two sizes", () => patched(SMALL, [central + 24, [23]]), /says two things/],
  ["files on several disks", () => patched(SMALL, [end + 4, [1]]), /a part of several/],
  [
    "files that share bytes",
    () => patched(SMALL, [find(SMALL, CENTRAL, central + 1) + 42, [0, 0]]),
    /follow/,
  ],
];
/** In front of the file and in the directory. */
function withExtra(id: number): Uint8Array {
  return zipSync({ "a.txt": [text("a"), { extra: { [id]: new Uint8Array(9) } }] });
}
function renamed(from: string, to: string): Uint8Array {
  return Buffer.from(Buffer.from(SMALL).toString("latin1").replaceAll(from, to), "latin1");
}
function twice(one: string, other: string): Uint8Array {
  const zip = zipOf({ "1.txt": text("1"), "2.txt": text("2") });
  const all = Buffer.from(zip).toString("latin1");
  return Buffer.from(all.replaceAll("1.txt", one).replaceAll("2.txt", other), "latin1");
}
function withHidden(): Uint8Array {
  const hidden = concatBytes(SMALL.subarray(0, central), text("hidden"), SMALL.subarray(central));
  return patched(hidden, [hidden.length - 22 + 16, [central + 6]]);
}
function withoutEntry(): Uint8Array {
  const second = find(SMALL, CENTRAL, central + 1);
  const zip = concatBytes(SMALL.subarray(0, second), SMALL.subarray(end));
  return patched(zip, [zip.length - 22 + 8, [1, 0, 1, 0, second - central, 0]]);
}

describe("refused is a zip with", () => {
  test.each(refusals)("%s", (_, zip, why) => {
    const bytes = zip();
    expect(() => whole(bytes)).toThrow(PackError);
    expect(() => whole(bytes)).toThrow(why);
  });

  test("files that are other than their check sum says, or cut", () => {
    const damaged = patched(SMALL, [14, [0]], [central + 16, [0]]);
    expect(() => whole(damaged)).toThrow(/a.txt is damaged/);
    const data = new Uint8Array(100_000).map((_, i) => i % 97);
    const big = zipOf({ "a.txt": data });
    expect(() => whole(patched(big, [60, [255, 255, 255]]))).toThrow(/a.txt is damaged/);
  });
});

test("a directory of many files is read in steps, each of a file", () => {
  const one = zipFile("x", new Uint8Array(1));
  const many = writeZip(new Map(Array.from({ length: 1_000 }, (_, i) => [`${i}.bin`, one])));
  expect([...readingZip(many)].length).toBeGreaterThanOrEqual(1_000);
});

describe("a bomb is refused before it goes off", () => {
  const BOMB = zipOf({ "a.bin": new Uint8Array(4 << 20) });
  const at = find(BOMB, CENTRAL);
  const size = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, n >>> 24];

  test("that says its size: what is taken whole has a limit", () => {
    const large = patched(BOMB, [22, size(70 << 20)], [at + 24, size(70 << 20)]);
    expect(() => readZip(large).get("a.bin")?.bytes()).toThrow(/larger than/);
  });

  test("that says it is small: no more is inflated than it says", () => {
    for (const stated of [10, 100_000]) {
      const lies = patched(BOMB, [22, size(stated)], [at + 24, size(stated)]);
      const [file] = readZip(lies).values();
      let inflated = 0;
      expect(() => {
        for (const chunk of file?.chunks() ?? []) inflated += chunk.length;
      }).toThrow(/damaged/);
      expect(inflated).toBeLessThanOrEqual(stated);
    }
  });

  test("that is taken in parts: none is so large that it is not gone through at once", () => {
    const bomb = zipFile("a", new Uint8Array(8 << 20));
    const lengths = Array.from(bomb.chunks(), ({ length }) => length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(4 << 20);
  });

  test("of many files: their sizes are added up", () => {
    const one = zipFile("x", new Uint8Array(4 << 20));
    const many = writeZip(new Map(Array.from({ length: 800 }, (_, i) => [`${i}.bin`, one])));
    expect(() => readZip(many)).toThrow(/together/);
  });
});
