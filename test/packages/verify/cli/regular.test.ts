/** Files that another may have given: nothing is waited for, and no more is read than is wanted. */
import { spawnSync } from "node:child_process";
import { appendFile, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openFiles } from "@kedge/verify/cli/copy";
import { judgeEvidence } from "@kedge/verify/cli/evidence";
import { appendNew, readIfThere, readText } from "@kedge/verify/cli/files";
import { readEvents } from "@kedge/verify/cli/inputs";
import { readPolicy, readVkeys } from "@kedge/verify/cli/keys";
import { openRegular, readRegular } from "@kedge/verify/cli/regular";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-regular-"));
});
afterEach(() => rm(folder, { recursive: true }));

const LIMIT = 1_000_000;

test("a file is read whole up to its bound, and one byte more is refused", async () => {
  const path = join(folder, "file");
  await writeFile(path, Buffer.alloc(LIMIT, "x"));
  expect(readRegular(path, LIMIT).length).toBe(LIMIT);
  await symlink(path, join(folder, "link"));
  expect(readRegular(join(folder, "link"), LIMIT).length).toBe(LIMIT);
  await appendFile(path, "x");
  expect(() => readRegular(path, LIMIT)).toThrow(expect.objectContaining({ code: "too_large" }));
  await writeFile(path, "");
  expect(readRegular(path, 0).length).toBe(0);
});

test("what is not there is said to be absent, and a folder to be one", () => {
  expect(() => readRegular(join(folder, "none"), LIMIT)).toThrow(expect.objectContaining({ code: "absent" }));
  expect(() => readRegular(folder, LIMIT)).toThrow(/is a folder, not a file/);
});

test("evidence of very many lines is judged up to a bound, and what is left is said to be", async () => {
  const path = join(folder, "evidence");
  await writeFile(path, Array.from({ length: 100_000 }, (_, n) => `{"n":${n}}\n`).join(""));
  const lines: string[] = [];
  const keep = (text: string | Uint8Array): boolean => lines.push(String(text)) > 0;
  const out = vi.spyOn(process.stdout, "write").mockImplementation(keep);
  const before = process.exitCode;
  process.exitCode = 1;
  try {
    await judgeEvidence(path, []);
    expect(process.exitCode).toBe(3);
  } finally {
    out.mockRestore();
    process.exitCode = before;
  }
  expect(lines.filter((line) => line.startsWith("NOT CONVINCING"))).toHaveLength(1_000);
});

const onUnix = describe.skipIf(process.platform === "win32");

onUnix("a pipe that nobody writes to, and a device without end, are refused at once", () => {
  const paths = () => {
    const pipe = join(folder, "pipe");
    spawnSync("mkfifo", [pipe]);
    return [pipe, "/dev/zero"];
  };
  const refused = expect.objectContaining({
    message: expect.stringMatching(/a pipe or a device, not a file/),
  });

  test("by what reads whole files, and what reads in parts", async () => {
    for (const path of paths()) {
      expect(() => readRegular(path, LIMIT)).toThrow(refused);
      await expect(openRegular(path)).rejects.toEqual(refused);
    }
  });

  test("as text, keys, a policy, evidence, state and events", async () => {
    for (const path of paths()) {
      for (const read of [readText, readIfThere, readVkeys, readPolicy])
        expect(() => read(path)).toThrow(refused);
      await expect(judgeEvidence(path, [])).rejects.toEqual(refused);
      await expect(appendNew(path, ["line"])).rejects.toEqual(refused);
      const events = readEvents({ name: path, below: "x" }, false);
      await expect(events.next()).rejects.toEqual(refused);
    }
  });

  test("a copy's path needs no ./ where the folder is there; a word that is none is a URL", async () => {
    const below = await mkdtemp(".kedge-copy-");
    try {
      await writeFile(join(below, "checkpoint"), "not one");
      expect(new TextDecoder().decode(await openFiles(below).checkpoint())).toBe("not one");
    } finally {
      await rm(below, { recursive: true });
    }
    expect(() => openFiles(below)).toThrow(/URL|http/);
  });

  test("in a copy of a log's files", async () => {
    spawnSync("mkfifo", [join(folder, "checkpoint")]);
    const files = openFiles(pathToFileURL(folder).href);
    await expect(files.checkpoint()).rejects.toMatchObject({ code: "protocol" });
    await rm(join(folder, "checkpoint"));
    await symlink("/dev/zero", join(folder, "checkpoint"));
    await expect(files.checkpoint()).rejects.toMatchObject({ code: "protocol" });
    await rm(join(folder, "checkpoint"));
    await expect(files.checkpoint()).rejects.toMatchObject({ code: "not_found" });
  });
});
