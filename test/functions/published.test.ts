/** The anchor log's published files beside the API that serves the same from the table: one answer, wherever it is asked. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { openFiles } from "@kedge/verify/cli/copy";
import { monitorTrust } from "@kedge/verify/monitor/monitor";
import { watch } from "@kedge/verify/monitor/watch";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { service } from "../../functions/open.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { fileHeaders } from "../../platform/publication.ts";
import { timestampPublic } from "../../service/stamp.ts";
import { type Harness, json, startHarness } from "./harness.ts";

let kedge: Harness;
let folder: URL;
beforeAll(async () => {
  kedge = await startHarness();
  folder = new URL(`${process.env["KEDGE_PUBLICATION"]}/anchor/`);
  for (let run = 0; run < 3; run++) await postAndAnchor();
});
afterAll(() => kedge.close());

async function postAndAnchor(): Promise<void> {
  for (const { log, write } of [kedge.a, kedge.b]) {
    const hashes = [bytesToHex(randomBytes(32))];
    await kedge.app.request(`/v1/logs/${log.id}/entries`, json(write, { hashes }));
  }
  await sealer({ source: "aws.scheduler" });
  await anchorer();
  const stamp = async () => ({ token: randomBytes(8), genTime: kedge.service.clock() });
  const authorities = [{ kind: "rfc3161" as const, url: "https://tsa.example/", stamp }];
  expect(await timestampPublic({ ...service(), authorities, every: 1 })).toMatchObject({ failures: [] });
}

async function published(): Promise<string[]> {
  const root = fileURLToPath(folder);
  const found = await readdir(root, { recursive: true, withFileTypes: true });
  return found
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(root.length))
    .sort();
}

test("every published file is what the API answers under its path, with the same headers", async () => {
  const paths = await published();
  expect(paths).toEqual(
    expect.arrayContaining([
      "checkpoint",
      "checkpoints/2",
      "checkpoints/4",
      "policy",
      "tile/0/000.p/6",
      "timestamped",
      "vkeys",
    ]),
  );
  for (const path of paths) {
    const response = await kedge.app.request(`/anchor/${path}`);
    const bytes = await readFile(new URL(path, folder));
    expect([path, response.status]).toEqual([path, 200]);
    expect([path, Buffer.from(await response.arrayBuffer()).toString()]).toEqual([path, bytes.toString()]);
    const { contentType, cacheControl } = fileHeaders(`anchor/${path}`);
    expect([path, response.headers.get("content-type")]).toEqual([path, contentType]);
    expect([path, response.headers.get("cache-control")]).toEqual([path, cacheControl]);
  }
});

describe("a copy of the files in a folder", () => {
  const look = async (state?: Awaited<ReturnType<typeof watch>>["state"]) => {
    const policy = parsePolicy(await readFile(new URL("policy", folder), "utf8"));
    const options = { now: Date.now(), maxEntries: 1_000n };
    return await watch(openFiles(folder.href), state, monitorTrust(policy, []), options);
  };

  test("is all that a monitor needs", async () => {
    const first = await look();
    expect([first.findings, first.failure, first.read]).toEqual([[], undefined, 6n]);
    await postAndAnchor();
    const second = await look(first.state);
    expect([second.findings, second.failure, second.read]).toEqual([[], undefined, 2n]);
  });

  test("is named by its path as well, whatever characters are in it", async () => {
    const parent = await mkdtemp(join(tmpdir(), "kedge 100% #1 "));
    try {
      await cp(fileURLToPath(folder), parent, { recursive: true });
      const { checkpoint } = openFiles(parent);
      expect(await checkpoint()).toEqual(await openFiles(folder.href).checkpoint());
      expect(await openFiles(`./${relative(".", parent)}`).checkpoint()).toEqual(await checkpoint());
    } finally {
      await rm(parent, { recursive: true });
    }
  });

  test("is read no further than a log's files can be, and says what is missing", async () => {
    const nowhere = openFiles(new URL("nowhere/", folder).href);
    await expect(nowhere.checkpoint()).rejects.toMatchObject({ code: "not_found" });
    await expect(nowhere.tile({ level: 0, index: 0n, width: 3 })).rejects.toMatchObject({
      code: "not_found",
    });
    expect(() => openFiles("file://elsewhere/anchor")).toThrow(/absolute path/);

    const odd = openFiles(new URL("../odd/", folder).href);
    const file = (path: string) => fileURLToPath(new URL(`../odd/${path}`, folder));
    await mkdir(file("checkpoint"), { recursive: true });
    await mkdir(file("tile/0"), { recursive: true });
    await writeFile(file("tile/0/000"), new Uint8Array(256 * 32 + 1));
    await expect(odd.checkpoint()).rejects.toMatchObject({ code: "protocol" });
    await expect(odd.tile({ level: 0, index: 0n, width: 256 })).rejects.toMatchObject({ code: "protocol" });
  });
});
