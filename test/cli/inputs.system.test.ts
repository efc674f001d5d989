/** What `commit` and `post` make of inputs that are not what they claim, or cannot be read: named, and the others go on. */
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { kedge, type Result } from "./run.ts";
import { startTenant, type Tenant } from "./tenant.ts";

let cwd: string;
let server: Tenant["server"];
let stop: Tenant["stop"];
beforeEach(async () => {
  ({ cwd, server, stop } = await startTenant());
  await mkdir(join(cwd, "day"));
  await writeFile(join(cwd, "day/a.json"), '{"n":1}');
  await writeFile(join(cwd, "day/z.ndjson"), '{"n":2}\n{"n":3}\n');
});
afterEach(() => stop());

const run = (args: string[], more: { env?: Record<string, string>; input?: string } = {}): Promise<Result> =>
  kedge(args, { cwd, ...more });
const put = (name: string, content: string | Uint8Array) => writeFile(join(cwd, name), content);

describe("a file that is not what it claims", () => {
  test("is named with the way out, nothing of it is posted, the others are, and the exit code is 1", async () => {
    await put("day/cut.ndjson", '{"n":4}\n{"n":5}\n{"n":');
    await put("day/empty.json", "");
    await put("day/events.json", gzipSync('{"n":6}\n{"n":7}\n'));
    await put("day/pretty.ndjson", '{\n  "n": 8\n}\n');
    await put("day/utf16.ndjson", Buffer.from('\ufeff{"n":9}\r\n', "utf16le"));
    await put("day/keys.json", await readFile(join(cwd, ".kedge/credentials.json")));
    const { code, out, err } = await run(["post", "day"]);
    expect([code, out]).toEqual([1, "3 accepted; 6 refused or not read, named above.\n"]);
    for (const said of [
      /cut\.ndjson is refused: line 3 ends in the middle/,
      /empty\.json is refused/,
      /events\.json is refused: .*gunzip/,
      /pretty\.ndjson is refused: .*\.json/,
      /utf16\.ndjson is refused: .*iconv -f UTF-16 -t UTF-8/,
      /keys\.json is refused: it holds keys/,
    ]) {
      expect(err).toMatch(said);
    }
    await server.seal();
    expect(server.sealed()).toHaveLength(3);
  });

  test("is taken with --as-bytes, but for keys and records", async () => {
    await put("day/a.json.gz", gzipSync("{}"));
    await put("day/empty.json", "");
    await put("day/old.json~", "{}");
    expect(await run(["post", "day", "--as-bytes"])).toMatchObject({ code: 0, out: "6 accepted.\n" });
    await put("keys.json", await readFile(join(cwd, ".kedge/credentials.json")));
    expect((await run(["post", "keys.json", "--as-bytes"])).code).toBe(1);
  });

  test("is refused on standard input before a short one is posted in part", async () => {
    const { code, err } = await run(["post", "-"], { input: '{"n":1}\n{"n":2}\n{"n":' });
    expect([code, err]).toEqual([1, expect.stringMatching(/standard input is refused: line 3/)]);
    expect(server.requests).toEqual([]);
  });

  test("as records in UTF-16, or in an array, is not committed to", async () => {
    const { out } = await run(["commit", "day"]);
    await put("records.txt", Buffer.from(`\ufeff${out}`, "utf16le"));
    await put("records.json", `[${out.trim().replaceAll("\n", ",")}]`);
    for (const name of ["records.txt", "records.json"]) {
      for (const command of ["post", "commit"]) {
        const { code, err } = await run([command, name, "--as-bytes"]);
        expect([code, err]).toEqual([1, expect.stringMatching(/holds records of kedge commit/)]);
      }
    }
    expect(server.requests).toEqual([]);
  });
});

describe("what cannot be read", () => {
  test("is named and counted, and the others go on", async () => {
    await symlink("a.json", join(cwd, "day/link.json"));
    await put("day/.DS_Store", "x");
    const long = `${"n".repeat(300)}.json`;
    const { code, out, err } = await run(["post", "gone.json", "day", long]);
    expect([code, out]).toEqual([
      1,
      '3 accepted; 2 refused or not read, named above; 1 left out, such as "day/link.json"; 1 passed by, which editors and desktops leave (--as-bytes takes all), such as "day/.DS_Store".\n',
    ]);
    expect(err).toMatch(/gone\.json cannot be read/);
    const committed = await run(["commit", "gone.json", "day"]);
    expect([committed.code, committed.out.trimEnd().split("\n")]).toEqual([
      1,
      expect.objectContaining({ length: 3 }),
    ]);
  });

  test("is said of what is passed by, when that is all there is", async () => {
    await put("Thumbs.db", "x");
    const { code, err } = await run(["post", "Thumbs.db"]);
    expect([code, err]).toEqual([2, expect.stringMatching(/no event.*1 passed by.*--as-bytes/)]);
  });

  test("is no success when it is a link alone, and is one when an editor left it", async () => {
    await put("day/a.json~", "x");
    expect((await run(["post", "day"])).code).toBe(0);
    await symlink("a.json", join(cwd, "day/link.json"));
    expect((await run(["post", "day"])).code).toBe(1);
  });

  test.skipIf(process.getuid?.() === 0)("is a folder without permission, among others", async () => {
    await mkdir(join(cwd, "day/shut"));
    await chmod(join(cwd, "day/shut"), 0);
    expect(await run(["post", "day"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/shut cannot be read/),
    });
    await chmod(join(cwd, "day/shut"), 0o700);
  });

  test("nothing on standard input, or no line in a file of lines, is no misuse", async () => {
    await put("quiet.ndjson", "");
    for (const args of [
      ["post", "-"],
      ["post", "quiet.ndjson"],
    ]) {
      expect(await run(args)).toMatchObject({ code: 0, out: expect.stringMatching(/nothing was posted/) });
    }
    expect((await run(["commit", "-"])).code).toBe(0);
    expect(server.requests).toEqual([]);
  });
});

test("--dry-run says what would be posted, writes nothing, and opens no connection", async () => {
  await put("day/cut.json", '{"n":');
  await put("day/Thumbs.db", "x");
  for (const command of ["post", "commit"]) {
    const { code, out, err } = await run([command, "day", "--dry-run", "--source", "ehr"]);
    expect([code, out.split("\n")]).toEqual([
      1,
      [
        "day/a.json  1 event  7 bytes  application/json",
        "day/z.ndjson  2 events  14 bytes  application/json",
        '3 would be taken from 2 files; 3 would get a new number of ehr; 1 refused or not read, named above; 1 passed by, which editors and desktops leave (--as-bytes takes all), such as "day/Thumbs.db".',
        "passed by: day/Thumbs.db",
        "",
      ],
    ]);
    expect(err).toMatch(/cut\.json is refused/);
  }
  expect(server.requests).toEqual([]);
  expect(() => execFileSync("ls", [join(cwd, ".kedge/sources")], { stdio: "ignore" })).toThrow();
});
