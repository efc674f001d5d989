/** The commands of a tenant as processes, against a service in this process. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatVkey } from "@kedge/verify/tlog/note";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { API_KEY, LOG_ID, reset } from "../support/fake-api.ts";
import { LOG_ORIGIN, log, logSigner } from "../support/proofs.ts";
import { kedge, type Result } from "./run.ts";
import { startTenant, type Tenant } from "./tenant.ts";

let cwd: string;
let server: Tenant["server"];
let stop: Tenant["stop"];
beforeEach(async () => {
  ({ cwd, server, stop } = await startTenant());
  await mkdir(join(cwd, "day/ward"), { recursive: true });
  await writeFile(join(cwd, "day/a.json"), '{"resourceType":"AuditEvent"}');
  await writeFile(join(cwd, "day/ward/b.ndjson"), '{"n":1}\n{"n":2}\n');
});
afterEach(() => stop());

const successor = logSigner(LOG_ORIGIN, 98);
const run = (args: string[], more: { env?: Record<string, string>; input?: string } = {}): Promise<Result> =>
  kedge(args, { cwd, ...more });
const files = async (folder: string): Promise<string[]> =>
  (await readdir(join(cwd, folder), { recursive: true }))
    .filter((name) => name.endsWith(".tlog-proof"))
    .sort();

describe("post, proof and verify", () => {
  test("a folder is posted, proven and verified", async () => {
    const posted = await run(["post", "day"]);
    expect(posted).toMatchObject({ code: 0, out: "3 accepted.\n" });
    expect(posted.err).toMatch(/about to post 3 events of 2 files .*new to the log is not known/s);
    expect(server.requests).toHaveLength(1);
    await server.seal();
    await server.anchor();
    expect(await run(["proof", "day", "--out", "proofs"])).toMatchObject({ code: 0, err: "" });
    expect(await files("proofs")).toEqual([
      "a.json.tlog-proof",
      "ward/b.ndjson.1.tlog-proof",
      "ward/b.ndjson.2.tlog-proof",
    ]);
    expect((await stat(join(cwd, "proofs/a.json.tlog-proof"))).mode & 0o077).toBe(0);
    const verified = await run(["verify", "day", "proofs", "--require", "anchored"]);
    expect([verified.code, verified.out]).toEqual([
      0,
      expect.stringMatching(/^PROVEN {2}3 of 3 events: 3 anchored/),
    ]);
  });

  test("so are the records of random nonces, which nothing else can open", async () => {
    await run(["commit", "day", "--random-nonce", "--out", "records.ndjson"]);
    expect(await run(["post", "records.ndjson"])).toMatchObject({ code: 0, out: "3 accepted.\n" });
    await server.seal();
    expect((await run(["proof", "records.ndjson", "--out", "proofs"])).code).toBe(0);
    const env = { KEDGE_LOG_VKEY: formatVkey(log.vkey), KEDGE_CREDENTIALS: join(cwd, "only.json") };
    await writeFile(join(cwd, "only.json"), "{}", { mode: 0o600 });
    expect((await run(["verify", "day", "proofs"], { env })).code).toBe(0);
  });

  test("records through a pipe, in small batches, once over a bad network", async () => {
    const { out: records } = await run(["commit", "day"]);
    server.faults.push(reset, () => server.problem(503, "unavailable", { "Retry-After": "0" }));
    const posted = await run(["post", "-", "--batch", "2"], { input: records });
    expect(posted).toMatchObject({ code: 0, out: "3 accepted.\n" });
    await server.seal();
    expect(new Set(server.sealed()).size).toBe(3);
  });

  test("a pause that the service asks for is said, with its length and its reason", async () => {
    server.faults.push(() => server.problem(429, "throttled", { "Retry-After": "3" }));
    const { code, err } = await run(["post", "day"]);
    expect(code).toBe(0);
    expect(err).toMatch(/The service is busy.*429.*asked again in 3 s; Ctrl-C ends this/);
  });

  test("post writes the records that it was asked for, before it posts", async () => {
    server.faults.push(() => server.problem(403, "forbidden"));
    const { code, err } = await run(["post", "day", "--out", "records.ndjson"]);
    expect([code, err]).toEqual([1, expect.stringMatching(/scope/)]);
    expect((await readFile(join(cwd, "records.ndjson"), "utf8")).trimEnd().split("\n")).toHaveLength(3);
  });

  test("--wait waits until all are sealed, and no longer than --timeout", async () => {
    const late = await run(["post", "day", "--wait", "--timeout", "0.1"]);
    expect([late.code, late.err]).toEqual([1, expect.stringMatching(/not sealed in time/)]);
    await server.seal();
    expect(await run(["post", "day", "--wait"])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/All are sealed\.\n$/),
    });
  });

  test("with --wait, a post says how many entries are new to the log, pending ones not among them", async () => {
    const first = await run(["post", "day/ward", "--wait", "--timeout", "0.1"]);
    const again = await run(["post", "day", "--wait", "--timeout", "0.1"]);
    expect([first.out, again.out]).toEqual([
      "2 accepted, 2 of them new to the log.\n",
      "3 accepted, 1 of them new to the log.\n",
    ]);
    await server.seal();
    expect((await run(["post", "day", "--wait"])).out).toBe(
      "3 accepted, 0 of them new to the log.\nAll are sealed.\n",
    );
  });

  test("one commitment, one file, and without its opening when so asked", async () => {
    await run(["post", "day/a.json"]);
    await server.seal();
    const [hash = ""] = server.sealed();
    expect((await run(["proof", hash, "--out", "one.tlog-proof"])).code).toBe(0);
    expect((await run(["verify", "--commitment", hash, "one.tlog-proof"])).code).toBe(0);
    await run(["proof", "day/a.json", "--no-opening", "--out", "bare.tlog-proof"]);
    expect(await readFile(join(cwd, "bare.tlog-proof"), "utf8")).toBe(
      await readFile(join(cwd, "one.tlog-proof"), "utf8"),
    );
  });

  test("a proof that does not verify is not written", async () => {
    await run(["post", "day"]);
    await server.seal();
    const env = { KEDGE_LOG_VKEY: formatVkey(logSigner(LOG_ORIGIN, 99).vkey) };
    const { code, err } = await run(["proof", "day", "--out", "proofs"], { env });
    expect([code, err]).toEqual([1, expect.stringMatching(/does not verify and was not written/)]);
    await expect(files("proofs")).rejects.toThrow();
  });

  test("what is pending or unknown is named, and the rest is written", async () => {
    await run(["post", "day/a.json"]);
    await server.seal();
    await run(["post", "day/ward/b.ndjson"]);
    await writeFile(join(cwd, "day/z.json"), "{}");
    const { code, err } = await run(["proof", "day", "--out", "proofs"]);
    expect(code).toBe(1);
    expect(err).toMatch(/b\.ndjson\.1: not sealed yet/);
    expect(err).toMatch(/z\.json: .*posted/);
    expect(await files("proofs")).toEqual(["a.json.tlog-proof"]);
  });

  test("a path in a record does not lead out of the folder", async () => {
    const { out } = await run(["commit", "day/a.json"]);
    await run(["post", "day/a.json"]);
    await server.seal();
    await writeFile(join(cwd, "records.ndjson"), out.replace("day/a.json", "../../../../evil/a.json"));
    expect((await run(["proof", "records.ndjson", "--out", "proofs"])).code).toBe(0);
    expect(await files("proofs")).toEqual(["evil/a.json.tlog-proof"]);
  });
});

describe("records and events", () => {
  test("records are posted as what they are, whatever their file is called", async () => {
    await run(["commit", "day", "--out", "records.txt"]);
    const committed = (await readFile(join(cwd, "records.txt"), "utf8")).matchAll(/"commitment":"(\w+)"/g);
    expect((await run(["post", "records.txt"])).out).toBe("3 accepted.\n");
    await server.seal();
    expect(server.sealed()).toEqual([...committed].map(([, hash]) => hash));
  });

  test("a file of both is refused, and nothing of it posted", async () => {
    const { out: records } = await run(["commit", "day/ward"]);
    for (const text of [`${records}{"n":1}\n`, `{"n":1}\n${records}`, records.replace('"raw"', '"other"')]) {
      await writeFile(join(cwd, "both.ndjson"), text);
      expect((await run(["post", "both.ndjson"])).code).not.toBe(0);
    }
    expect(server.requests).toEqual([]);
  });

  test("copies of one event are counted as one", async () => {
    const input = '{"n":1}\n{"n":2}\n{"n":1}\n';
    expect((await run(["post", "-"], { input })).out).toMatch(/^3 accepted; 2 of them distinct/);
  });

  test("proofs are found by whatever name their event has, and whichever way they were asked for", async () => {
    for (const name of ["esc\u001b[31m.json", "12:00.json", "new\nline.json"]) {
      await writeFile(join(cwd, "day", name), JSON.stringify({ name }));
    }
    await run(["commit", "day", "--out", "records.ndjson"]);
    await run(["post", "records.ndjson"]);
    await server.seal();
    await run(["proof", "day", "--out", "byFolder"]);
    await run(["proof", "records.ndjson", "--out", "byRecord"]);
    for (const proofs of ["byFolder", "byRecord"]) {
      expect(await run(["verify", "day", proofs])).toMatchObject({
        code: 0,
        out: expect.stringMatching(/6 of 6/),
      });
    }
  });

  test("two events of one name have a proof each, and neither replaces the other", async () => {
    await mkdir(join(cwd, "night"));
    await writeFile(join(cwd, "night/a.json"), "{}");
    await run(["post", "day", "night"]);
    await server.seal();
    const both = await run(["proof", "day/a.json", "night/a.json", "--out", "proofs"]);
    expect([both.code, both.err]).toEqual([0, ""]);
    expect(await files("proofs")).toEqual([
      "a.json.tlog-proof",
      expect.stringMatching(/^a\.json~[0-9a-f]{16}\.tlog-proof$/),
    ]);
    for (const event of ["day/a.json", "night"]) {
      expect((await run(["verify", event, "proofs"])).out).toMatch(/^PROVEN {2}1 of 1/);
    }
  });

  test("proofs of many events go to one file, which verifies them", async () => {
    await run(["post", "day"]);
    await server.seal();
    for (let i = 0; i < 2; i++) {
      expect(await run(["proof", "day", "--out", "proofs.ndjson"])).toMatchObject({ code: 0, err: "" });
    }
    expect((await readFile(join(cwd, "proofs.ndjson"), "utf8")).trimEnd().split("\n")).toHaveLength(3);
    expect((await run(["verify", "day", "proofs.ndjson"])).out).toMatch(/^PROVEN {2}3 of 3 events/);
    const posted = await run(["post", "proofs.ndjson"]);
    expect([posted.code, posted.err]).toEqual([1, expect.stringMatching(/is a proof, not an event/)]);
  });

  test("64 hex digits are a commitment to every command, and a file of that name is asked for otherwise", async () => {
    const hex = "ab".repeat(32);
    await writeFile(join(cwd, hex), "{}");
    const asked = await run(["proof", hex]);
    expect([asked.code, asked.err]).toEqual([2, expect.stringMatching(/\.\/.*--commitment/)]);
    const posted = await run(["post", hex]);
    expect([posted.code, posted.err]).toEqual([2, expect.stringMatching(/is a commitment.*\.\//)]);
    expect((await run(["post", `./${hex}`])).code).toBe(0);
  });
});

describe("the API key", () => {
  test("from a variable or a flag is not sent to a URL that was only found", async () => {
    for (const args of [["status"], ["post", "day"], ["key", "list"]]) {
      const byVariable = await run(args, { env: { KEDGE_API_KEY: API_KEY } });
      const byFlag = await run([...args, "--api-key", API_KEY]);
      expect([byVariable, byFlag]).toMatchObject([
        { code: 2, err: expect.stringMatching(/KEDGE_URL/) },
        { code: 2, err: expect.stringMatching(/KEDGE_URL/) },
      ]);
    }
    expect(server.requests).toEqual([]);
    const named = { KEDGE_API_KEY: API_KEY, KEDGE_URL: server.url };
    expect((await run(["status"], { env: named })).code).toBe(0);
  });
});

describe("what is cut short", () => {
  test("Ctrl-C says how much was accepted", async () => {
    const interrupt = new Promise((arrived) => {
      server.faults.push(
        (c) => c.json({ accepted: 2, receivedAt: "2026-03-02T08:00:00.000Z" }, 202),
        () => new Promise(() => arrived(undefined)),
      );
    });
    const { code, err } = await kedge(["post", "day", "--batch", "2"], { cwd, interrupt });
    expect([code, err]).toEqual([130, expect.stringMatching(/2 accepted/)]);
  });

  test("a post that is not done by the time that its reader goes away is not done", async () => {
    const args = ["post", "day", "--wait", "--timeout", "5"];
    expect((await kedge(args, { cwd, stdout: "closed" })).code).toBe(1);
  });

  test.skipIf(!existsSync("/proc/self"))("a folder that cannot be made ends the command", async () => {
    await run(["post", "day"]);
    await server.seal();
    expect((await run(["proof", "day", "--out", "/proc/nope"])).code).not.toBe(0);
  });
});

describe("status, key and log", () => {
  test("the log, and commitments", async () => {
    await run(["post", "day/a.json"]);
    expect((await run(["status"])).out).toMatch(/Nothing is sealed yet/);
    await server.seal();
    const [hash = ""] = server.sealed();
    const status = await run(["status"]);
    expect([status.code, status.out]).toEqual([
      0,
      expect.stringMatching(/entries 1\nThe checkpoint is signed/),
    ]);
    expect(await run(["status", hash])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/sealed {2}entry 0/),
    });
    expect((await run(["status", "0".repeat(64)])).code).toBe(1);
  });

  test("a key is created, listed and revoked", async () => {
    const created = await run(["key", "create", "agent", "--scope", "write", "--scope", "read"]);
    const [, id = ""] = /kedge_([a-z2-7]{25})_[a-z2-7]{52}\n/.exec(created.out) ?? [];
    expect((await run(["key", "list"])).out).toContain(`${id}  write,read  agent`);
    expect((await run(["key", "revoke", id])).code).toBe(0);
    expect((await run(["key", "list"])).out).toMatch(/revoked/);
    expect((await run(["key", "revoke", "key9"])).code).toBe(1);
    expect((await run(["key", "create", "agent"])).code).toBe(2);
  });

  test.each([
    "2030",
    "1 January 2030",
    "2030-02-30T00:00:00Z",
    "2030-01-01T00:00:00",
    "2030-01-01T24:00:00Z",
  ])("%s is no time for a key to expire", async (time) => {
    const { code, err } = await run(["key", "create", "agent", "--scope", "read", "--expires-at", time]);
    expect([code, err]).toEqual([2, expect.stringMatching(/RFC 3339/)]);
  });

  test("a log is created and listed, with every key that signs", async () => {
    await server.rotate(log, successor);
    expect((await run(["log", "create", "ward 9"])).out).toMatch(/ward 9/);
    const { out } = await run(["log", "list"]);
    for (const { vkey } of [log, successor]) expect(out).toContain(`  ${formatVkey(vkey)}\n`);
  });
});

describe("while a key takes over from another", () => {
  const both = `${formatVkey(log.vkey)}\n ${formatVkey(successor.vkey)}`;
  const json = async (env: Record<string, string> = {}) =>
    JSON.parse((await run(["status", "--json"], { env })).out);

  beforeEach(async () => {
    await run(["post", "day/a.json"]);
    await server.seal();
  });

  test("status is content with a pinned key, and names the one that is not pinned yet", async () => {
    expect((await run(["status"])).out).not.toMatch(/pinned yet|you have not pinned/);
    await server.rotate(log, successor);
    const rides = await run(["status"]);
    expect([rides.code, rides.err]).toEqual([0, ""]);
    expect(rides.out).toMatch(/signed by a pinned key.*you have not pinned.*source you trust/s);
    expect(rides.out).toContain(`  ${formatVkey(successor.vkey)}\n`);
    expect(await json()).toMatchObject({ isPinned: true, unpinned: [formatVkey(successor.vkey)] });
    expect(await json({ KEDGE_LOG_VKEY: both })).toMatchObject({ isPinned: true, unpinned: [] });
  });

  test("once it has taken over, the old key alone is not enough, and what to do is said", async () => {
    await server.rotate(successor);
    const old = await run(["status"]);
    expect([old.code, old.err]).toEqual([1, expect.stringMatching(/may have rotated.*source you trust/)]);
    const proof = await run(["proof", "day/a.json", "--out", "proofs"]);
    expect([proof.code, proof.err]).toEqual([1, expect.stringMatching(/was not written.*may have rotated/)]);
    expect(await json({ KEDGE_LOG_VKEY: both })).toMatchObject({ isPinned: true, unpinned: [] });
  });

  test("a service that signs with no pinned key any more is told of before the next seal", async () => {
    server.faults.push((c) => {
      const vkeys = [formatVkey(successor.vkey)];
      const createdAt = "2026-03-02T08:00:00.000Z";
      return c.json({
        id: LOG_ID,
        origin: LOG_ORIGIN,
        name: "ward 7",
        createdAt,
        size: 1,
        vkey: vkeys[0],
        vkeys,
      });
    });
    const { code, out } = await run(["status"]);
    expect([code, out]).toEqual([1, expect.stringMatching(/no key that you pinned.*may have rotated/)]);
  });

  test("several keys in the credentials, a variable or a flag are all pinned", async () => {
    const path = join(cwd, ".kedge/credentials.json");
    const credentials = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...credentials, logVkey: both }));
    const event = ["verify", "day/a.json", "proofs/a.json.tlog-proof"];
    for (const signer of [log, successor]) {
      await server.rotate(signer);
      expect((await run(["proof", "day/a.json", "--out", "proofs"])).code).toBe(0);
      const bare = { KEDGE_TENANT_KEY: credentials.tenantKey, KEDGE_CREDENTIALS: join(cwd, "none.json") };
      await writeFile(join(cwd, "none.json"), "{}", { mode: 0o600 });
      const results = await Promise.all([
        run([...event, "--require-all-keys"]),
        run(event, { env: { ...bare, KEDGE_LOG_VKEY: both } }),
        run([...event, "--log-vkey", both], { env: bare }),
      ]);
      expect(results.map(({ code }) => code)).toEqual([1, 0, 0]);
      // The anchor log's keys are pinned too, and the entry is only sealed.
      expect(results[0]?.out).toMatch(/no signature by .*\/anchor\+/);
      expect(results[0]?.out).not.toMatch(/no signature by .*\/log\//);
    }
    for (const logVkey of ["", " ", `${both} x`]) {
      await writeFile(path, JSON.stringify({ ...credentials, logVkey }));
      expect(await run(event)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/pinned key is malformed/),
      });
    }
  });
});

describe("what goes wrong says what to do, and never what is secret", () => {
  test.each<[string, string[], Record<string, string>, number, RegExp]>([
    [
      "a wrong API key",
      ["status", "--credentials", ".kedge/credentials.json"],
      { KEDGE_API_KEY: "kedge_wrong_secret77" },
      1,
      /API key is not accepted/,
    ],
    [
      "a malformed API key",
      ["status"],
      { KEDGE_API_KEY: "secret77", KEDGE_URL: "https://a.example" },
      2,
      /malformed/,
    ],
    ["an API key for a misspelt option", ["status", "--api-kye=kedge_a_secret77"], {}, 2, /--api-kye/],
    [
      "a malformed API key in a flag",
      ["status", "--api-key", "secret77"],
      { KEDGE_URL: "https://a.example" },
      2,
      /API key/,
    ],
    ["a malformed tenant key in a flag", ["commit", "day", "--tenant-key", "secret77"], {}, 2, /tenant key/],
    ["a URL that is none", ["status", "--url", "audit.example.org"], {}, 2, /https/],
    ["an unknown scope", ["key", "create", "agent", "--scope", "root"], {}, 2, /write, read, admin/],
    ["a folder of no events", ["post", "none"], {}, 2, /no event/],
    ["nothing on standard input for proofs", ["proof", "-"], {}, 2, /no event/],
    ["a tenant without a name", ["tenant", "create", ""], {}, 2, /1 to 100/],
    [
      "a tenant's name that clears the screen",
      ["tenant", "create", "a\u001b[2J"],
      {},
      2,
      /control character/,
    ],
    ["a tenant's file that exists", ["tenant", "create", "a", "--out", "day/a.json"], {}, 2, /exists/],
    ["proofs below a file", ["proof", "day", "--out", "day/a.json/proofs"], {}, 2, /not a folder/],
    ["another log", ["post", "day", "--log", "other"], {}, 1, /Not found/],
    ["http to another machine", ["status"], { KEDGE_URL: "http://audit.example.org" }, 2, /https/],
    ["no credentials", ["post", "day"], { KEDGE_DATA: "/nowhere" }, 2, /KEDGE_/],
    ["a batch of nothing", ["post", "day", "--batch", "0"], {}, 2, /--batch/],
    ["a commitment in capitals", ["status", "AA".repeat(32)], {}, 2, /lower-case/],
    ["several proofs for one file", ["proof", "day", "--out", "x.tlog-proof"], {}, 2, /folder/],
  ])("%s", async (_, args, env, exit, message) => {
    await mkdir(join(cwd, "none"));
    const { code, out, err } = await run(args, { env });
    expect(err).toMatch(message);
    expect(code).toBe(exit);
    expect(out + err).not.toMatch(/secret77|secretsecret|0707/);
  });

  test("a flag counts before a variable, and an empty variable not at all", async () => {
    const empty = {
      KEDGE_URL: "",
      KEDGE_API_KEY: "",
      KEDGE_LOG: " ",
      KEDGE_LOG_VKEY: "\n",
      KEDGE_CREDENTIALS: "",
    };
    expect(await run(["status"], { env: empty })).toMatchObject({ code: 0, err: "" });
    const env = { KEDGE_LOG: "other" };
    expect(await run(["status"], { env })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/Not found/),
    });
    expect(await run(["status", "--log", LOG_ID], { env })).toMatchObject({ code: 0, err: "" });
  });

  test("with nothing to do, or the unknown, it shows its usage", async () => {
    for (const args of [[], ["nope"], ["key"]]) expect((await run(args)).code).toBe(2);
    expect((await run(["--help"])).code).toBe(0);
    expect(await run(["verify", "--help"])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/--anchor-vkey/),
    });
  });
});
