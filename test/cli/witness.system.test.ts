/** `kedge witness` as a process of its own: killed between and during requests, and started where it must not be. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { formatVkey, parseVkey, type Vkey } from "@kedge/verify/tlog/note";
import { parsePolicy, verifyPolicy } from "@kedge/verify/tlog/policy";
import { originHash } from "@kedge/verify/tlog/witness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serveWitness, stop } from "../support/serve.ts";
import { FORKS, fork, NAME, ORIGIN, request, VKEYS } from "../support/witness-cases.ts";
import { kedge } from "./run.ts";

const LOGS = VKEYS.map(formatVkey);
const LOG_FLAGS = LOGS.flatMap((vkey) => ["--log", vkey]);

let folder: string;
let data: string;
let running: ChildProcess | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-witness-"));
  data = join(folder, "data");
});
afterAll(async () => {
  running?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

const args = (...more: string[]) => ["witness", "--name", NAME, "--data", data, "--port", "0", ...more];

async function start(on = data) {
  const { child, url, vkeys, policy } = await serveWitness({ cwd: folder, name: NAME, data: on, logs: LOGS });
  running = child;
  return { child, url, policy, vkeys: vkeys.map(parseVkey) };
}

const ask = (url: string, body: string) => fetch(`${url}/add-checkpoint`, { method: "POST", body });
const latest = async (url: string) => await (await fetch(`${url}/${originHash(ORIGIN)}/checkpoint`)).text();

describe("one machine's witness", () => {
  let keys: Vkey[] = [];

  test("prints its vkeys and policy lines that verify what it cosigns; its folder is its owner's alone", async () => {
    const { child, url, vkeys, policy: lines } = await start();
    expect(vkeys.map(({ name, type }) => [name, type])).toEqual([
      [NAME, 0x04],
      [NAME, 0x06],
    ]);
    keys = vkeys;
    const response = await ask(url, request(0n, 20n));
    expect(response.status).toBe(200);
    const note = await latest(url);
    expect(note.endsWith(await response.text())).toBe(true);
    const members = lines.map((line) => line.split(" ")[1]).join(" ");
    const policy = parsePolicy(`${lines.join("\n")}\ngroup both all ${members}\nquorum both\n`);
    expect(verifyPolicy({ policy, checkpoint: note }).met).toBe(true);
    expect(policy.witnesses.map((witness) => witness.url)).toEqual([url, url]);
    expect((await stat(data)).mode & 0o777).toBe(0o700);
    expect((await stat(join(data, "witness.json"))).mode & 0o777).toBe(0o600);
    child.kill("SIGKILL");
    await once(child, "exit");
  });

  test("after kill -9 between requests it has its keys and remembers: a fork and an older size are refused", async () => {
    const { child, url, vkeys } = await start();
    expect(vkeys).toEqual(keys);
    expect((await ask(url, request(0n, 25n, fork))).status).toBe(409);
    expect((await ask(url, request(20n, 30n))).status).toBe(200);
    child.kill("SIGKILL");
    await once(child, "exit");

    const again = await start();
    const refused = await ask(again.url, request(20n, 31n, fork));
    expect([refused.status, await refused.text()]).toEqual([409, "30\n"]);
    expect((await ask(again.url, request(30n, 30n, fork))).status).toBe(422);
    expect((await ask(again.url, request(30n, 33n))).status).toBe(200);
    expect(await stop(again.child, "SIGTERM")).toBe(0);
  });

  test("kill -9 in the middle of requests forgets nothing that was answered", async () => {
    let size = 33n;
    for (let round = 1; round <= 4; round++) {
      const { child, url } = await start();
      // What the last round was killed at may have been committed, and not answered.
      const told = await ask(url, request(0n, 1_000n));
      const committed = BigInt((await told.text()).trim());
      expect(committed >= size).toBe(true);
      size = committed;
      const exited = once(child, "exit");
      let answered = 0;
      for (;;) {
        // A request is under way when the process is killed.
        if (answered++ === 5 * round) setImmediate(() => child.kill("SIGKILL"));
        const response = await ask(url, request(size, size + 1n)).catch(() => undefined);
        if (response === undefined) break;
        expect(response.status).toBe(200);
        // The answer's own end may be cut off.
        if ((await response.text().catch(() => undefined)) === undefined) break;
        size++;
      }
      await exited;
    }
    const { child, url, vkeys } = await start();
    const note = await latest(url);
    expect(parseCheckpoint(note).checkpoint.size >= size).toBe(true);
    const { verified } = openCheckpoint(note, { origin: ORIGIN, vkeys: [...VKEYS, ...vkeys] });
    expect(verified).toHaveLength(3);
    expect((await ask(url, request(size - 1n, size + 50n, fork))).status).toBe(409);
    expect(await stop(child, "SIGINT")).toBe(0);
  });

  test("a second process on the same folder is refused, and so is another name", async () => {
    const { child } = await start();
    const second = await kedge(args(...LOG_FLAGS), { cwd: folder });
    expect([second.code, second.err]).toEqual([1, expect.stringMatching(/another process has .* open/)]);
    expect(await stop(child, "SIGINT")).toBe(0);
    const renamed = await kedge(args(...LOG_FLAGS, "--name", "another.example"), { cwd: folder });
    expect([renamed.code, renamed.err]).toEqual([2, expect.stringContaining(`is of the witness ${NAME}`)]);
  });

  test("keys whose record is gone sign no more", async () => {
    await rename(join(data, "store"), join(folder, "away"));
    const refused = await kedge(args(...LOG_FLAGS), { cwd: folder });
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringMatching(/no record of what they cosigned/),
    ]);
    await rm(join(data, "store"), { recursive: true });
    await rename(join(folder, "away"), join(data, "store"));
  });

  test("an identity that cannot be read is never made anew", async () => {
    const path = join(data, "witness.json");
    const text = await readFile(path, "utf8");
    await writeFile(path, text.slice(0, 20));
    const refused = await kedge(args(...LOG_FLAGS), { cwd: folder });
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/witness\.json cannot be read/)]);
    await writeFile(path, text);
  });
});

test("of twelve forks that are sent at once one is cosigned, and after kill -9 it still is the one", async () => {
  const racing = join(folder, "racing");
  const { child, url } = await start(racing);
  const answers = await Promise.all(FORKS.map((of) => ask(url, request(0n, 50n, of))));
  const texts = await Promise.all(answers.map((answer) => answer.text()));
  const [winner, ...more] = FORKS.filter((_, i) => answers[i]?.status === 200);
  expect(more).toEqual([]);
  expect(texts.filter((text, i) => answers[i]?.status === 409 && text === "50\n")).toHaveLength(11);
  child.kill("SIGKILL");
  await once(child, "exit");

  const again = await start(racing);
  expect(parseCheckpoint(await latest(again.url)).checkpoint.root).toEqual(winner?.root(50n));
  for (const of of FORKS) {
    expect((await ask(again.url, request(50n, 50n, of))).status).toBe(of === winner ? 200 : 422);
  }
  expect(await stop(again.child, "SIGINT")).toBe(0);
});

test.each([
  ["no log", ["--name", NAME], /--log/],
  ["a vkey that is none", ["--name", NAME, "--log", "log.example"], /log\.example/],
  ["a name with a space", ["--name", "a b", ...LOG_FLAGS], /KEDGE_WITNESS_NAME|name/],
  ["a port that is none", ["--name", NAME, ...LOG_FLAGS, "--port", "70000"], /70000/],
])("%s is misuse, and leaves no keys behind", async (_, flags, message) => {
  const fresh = join(folder, "never");
  const refused = await kedge(["witness", "--data", fresh, ...flags], { cwd: folder });
  expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(message)]);
  await expect(stat(join(fresh, "witness.json"))).rejects.toThrow();
});
