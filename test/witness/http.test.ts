/** The witness over HTTP and behind API Gateway: every status code, hostile input, and what is told of failures. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkEvidence } from "@kedge/verify/evidence/evidence";
import { parseEvidence } from "@kedge/verify/evidence/evidencefile";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { openCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { formatVkey, parseVkey } from "@kedge/verify/tlog/note";
import { evaluateQuorum, parsePolicy, verifyPolicy } from "@kedge/verify/tlog/policy";
import { originHash, parseSize } from "@kedge/verify/tlog/witness";
import fc from "fast-check";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { dynamodbClient } from "../../platform/dynamodb.ts";
import { createKey, startEmbedded } from "../../platform/embedded/embedded.ts";
import { listen } from "../../platform/embedded/listen.ts";
import { createTable } from "../../platform/embedded/table.ts";
import { ServiceError, type ServiceErrorCode } from "../../platform/error.ts";
import { openWitness, readLogs } from "../../witness/config.ts";
import { witnessVkeys } from "../../witness/cosign.ts";
import { createWitness } from "../../witness/http.ts";
import { policyLines } from "../../witness/policy.ts";
import { startWitness } from "../../witness/serve.ts";
import { gatewayEvent } from "../support/gateway-event.ts";
import { memoryStore } from "../support/memory-store.ts";
import {
  CASES,
  codeOf,
  fork,
  head,
  KEYS,
  NAME,
  ORIGIN,
  request,
  sign,
  TRUSTED,
  tree,
  VKEYS,
} from "../support/witness-cases.ts";

const LATEST = `/${originHash(ORIGIN)}/checkpoint`;

let logged: string[];
beforeEach(() => {
  logged = [];
  vi.spyOn(process.stdout, "write").mockImplementation((line) => {
    logged.push(String(line));
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

const newWitness = (store = memoryStore()) =>
  createWitness({ store, clock: Date.now, witness: { name: NAME, ...KEYS }, logs: TRUSTED });
const post = (app: ReturnType<typeof newWitness>, body: string | Uint8Array) =>
  app.request("/add-checkpoint", {
    method: "POST",
    body: typeof body === "string" ? body : Uint8Array.from(body),
  });

describe("every status code of the specification's text", () => {
  test.each(CASES)("$status: $title", async ({ latest, body, status, size }) => {
    const app = newWitness();
    if (latest !== undefined) expect((await post(app, request(0n, latest))).status).toBe(200);
    const response = await post(app, body);
    const text = await response.text();
    expect(response.status).toBe(status);
    expect(response.headers.get("cache-control")).toBe("no-store");
    if (status === 409) {
      expect(response.headers.get("content-type")).toBe("text/x.tlog.size");
      expect(text).toBe(`${size}\n`);
      expect(parseSize(text)).toBe(size);
      return;
    }
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    if (status !== 200) {
      expect(text).toMatch(/^[A-Z].*\.\n$/);
      return;
    }
    // As the specification proposes to the client: the response behind the checkpoint is one note.
    const sent = typeof body === "string" ? body : new TextDecoder().decode(body);
    const vkeys = [...VKEYS, ...(await witnessVkeys({ name: NAME, ...KEYS }))];
    const note = `${sent.slice(sent.indexOf("\n\n") + 2)}${text}`;
    const verified = openCheckpoint(note, { origin: ORIGIN, vkeys }).verified.map(({ vkey }) => vkey.name);
    expect(verified.filter((name) => name === NAME)).toHaveLength(2);
  });

  test("the monitoring read is 404 until a checkpoint was cosigned, and then that one, for a policy to accept", async () => {
    const app = newWitness();
    await post(app, request(7n, 9n));
    expect((await app.request(LATEST)).status).toBe(404);
    await post(app, request(0n, 23n));
    const response = await app.request(LATEST);
    expect([response.status, response.headers.get("content-type")]).toEqual([
      200,
      "text/plain; charset=utf-8",
    ]);
    expect(Number(/max-age=(\d+)/.exec(response.headers.get("cache-control") ?? "")?.[1])).toBeLessThan(60);
    const witnesses = (await witnessVkeys({ name: NAME, ...KEYS })).map((vkey, i) => ({
      name: `w${i}`,
      vkey,
    }));
    const groups = [{ name: "both", threshold: 2, members: ["w0", "w1"] }];
    const policy = { logs: VKEYS.map((vkey) => ({ vkey })), witnesses, groups, quorum: "both" };
    expect(verifyPolicy({ policy, checkpoint: await response.text() })).toMatchObject({
      met: true,
      invalid: [],
    });
  });

  test.each([
    ["another log", `/${originHash("log.example/another")}/checkpoint`],
    ["upper case", LATEST.toUpperCase()],
    ["a hash cut short", LATEST.replace(/.\/checkpoint/, "/checkpoint")],
    ["the origin itself", `/${ORIGIN}/checkpoint`],
    ["dots", "/../../checkpoint"],
  ])("the monitoring read is 404 for %s", async (_, path) => {
    const app = newWitness();
    await post(app, request(0n, 23n));
    expect((await app.request(path)).status).toBe(404);
  });

  test("its own keys are those that verify", async () => {
    const text = await (await newWitness().request("/vkeys")).text();
    expect(text.trim().split("\n").map(parseVkey)).toEqual(await witnessVkeys({ name: NAME, ...KEYS }));
  });
});

describe("hostile input", () => {
  const app = newWitness();

  test("never makes the witness fail, whatever the body", async () => {
    const good = new TextEncoder().encode(request(0n, 23n));
    const spliced = fc
      .tuple(fc.nat(good.length), fc.nat(60), fc.uint8Array({ maxLength: 40 }))
      .map(([at, cut, put]) => Uint8Array.from([...good.slice(0, at), ...put, ...good.slice(at + cut)]));
    const lines = fc
      .array(fc.constantFrom("old 0", "old 7", "", ORIGIN, "7", "— x y", "AAAA", `— ${ORIGIN} AAAAAAAA`))
      .map((all) => new TextEncoder().encode(all.join("\n")));
    await fc.assert(
      fc.asyncProperty(fc.oneof(spliced, lines, fc.uint8Array({ maxLength: 300 })), async (body) => {
        expect((await post(app, body)).status).toBeLessThan(500);
      }),
      { numRuns: 1_000 },
    );
  });

  test("a body beyond the limit is refused, with and without a length that says so", async () => {
    const large = new Uint8Array(200_000).fill(0x41);
    expect((await post(app, large)).status).toBe(413);
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(large.subarray(0, 50_000)),
    });
    const streamed = { method: "POST", body: endless, duplex: "half" } satisfies RequestInit & {
      duplex: "half";
    };
    expect((await app.request("/add-checkpoint", streamed)).status).toBe(413);
  });

  test.each([
    ["GET", "/add-checkpoint"],
    ["PUT", "/add-checkpoint"],
    ["POST", "/"],
    ["POST", LATEST],
    ["POST", "/sign-subtree"],
  ])("%s %s is no route", async (method, path) => {
    expect((await app.request(path, { method })).status).toBe(404);
  });
});

describe("what is told", () => {
  test.each([
    ["throttled", 429],
    ["unavailable", 503],
    ["signer", 503],
    ["corrupt", 500],
  ] as const)(
    "a store that is %s is answered with %i, without internals",
    async (code: ServiceErrorCode, status) => {
      const store = memoryStore();
      store.get = async () => {
        throw new ServiceError(code, "internal-detail");
      };
      const response = await post(newWitness(store), request(0n, 7n));
      expect(response.status).toBe(status);
      expect(response.headers.has("retry-after")).toBe(status !== 500);
      expect(await response.text()).not.toContain("internal-detail");
      expect(logged.join("")).toContain("internal-detail");
    },
  );

  test("two roots that its log signed for one size are kept in an error's line, as evidence for anybody", async () => {
    const app = newWitness();
    await post(app, request(0n, 30n));
    const other = sign(head(30n, fork));
    for (const [body, status] of [
      [`old 30\n\n${other}`, 422],
      [`old 0\n\n${other}`, 409],
    ] as const) {
      expect((await post(app, body)).status).toBe(status);
      const line = z.looseObject({ evidence: z.string() }).parse(JSON.parse(logged.at(-1) ?? ""));
      expect(line).toMatchObject({ level: "error", route: "/add-checkpoint", status, code: "equivocation" });
      expect(line).toMatchObject({ refused: other });
      expect(checkEvidence(parseEvidence(line.evidence), VKEYS).convincing).toBe(true);
    }
  });

  test("a checkpoint with a proof that does not hold is kept, and called no error: whoever asks chose the proof", async () => {
    const app = newWitness();
    await post(app, request(0n, 30n));
    for (const of of [tree, fork]) {
      expect((await post(app, `old 30\n\n${sign(head(40n, of))}`)).status).toBe(422);
      expect(JSON.parse(logged.at(-1) ?? "")).toMatchObject({
        ...{ level: "info", status: 422, code: "bad_proof", refused: sign(head(40n, of)) },
      });
    }
  });

  test("what is not signed by a log is not logged", async () => {
    const app = newWitness();
    await post(app, `old 0\n\nsecret-text\n7\n${"A".repeat(43)}=\n\n— x AAAAAAAA\n`);
    await app.request("/secret-text");
    expect(logged).toHaveLength(2);
    expect(logged.join("")).not.toContain("secret-text");
  });
});

describe("what is counted", () => {
  beforeEach(() => {
    process.env["KEDGE_METRICS"] = "KedgeWitness/test";
  });
  afterEach(() => {
    delete process.env["KEDGE_METRICS"];
  });

  const counted = () => {
    const { _aws, ...line } = lineSchema.parse(JSON.parse(logged.at(-1) ?? ""));
    const [directive] = _aws?.CloudWatchMetrics ?? [];
    if (directive !== undefined)
      expect(directive).toMatchObject({ Namespace: "KedgeWitness/test", Dimensions: [[]] });
    return Object.fromEntries((directive?.Metrics ?? []).map(({ Name }) => [Name, line[Name]]));
  };

  test.each(CASES)("$status: $title", async (each) => {
    const app = newWitness();
    if (each.latest !== undefined) {
      await post(app, request(0n, each.latest));
      expect(counted()).toEqual({ Cosigned: 1 });
    }
    await post(app, each.body);
    // Anyone can have the latest cosigned again.
    const isNew = each.status === 200 && !each.title.endsWith("again");
    expect(counted()).toEqual({
      ...(isNew && { Cosigned: 1 }),
      ...(codeOf(each) === "equivocation" && { Equivocations: 1 }),
    });
  });

  test("nothing that anybody can send with checkpoints of one history, or a fork's, that is not evidence", async () => {
    const app = newWitness();
    await post(app, request(0n, 10n));
    await post(app, request(10n, 30n));
    logged.length = 0;
    const garbage = encodeBase64(new Uint8Array(32));
    const bodies = [10n, 20n, 30n, 40n].flatMap((size) =>
      [0n, 10n, 30n].flatMap((old) => [
        `old ${old}\n\n${sign(head(size))}`,
        `old ${old}\n${garbage}\n\n${sign(head(size))}`,
      ]),
    );
    bodies.push(request(0n, 30n), request(30n, 40n, fork), request(20n, 29n, fork), request(30n, 30n));
    for (const body of bodies) {
      await post(app, body);
      expect(counted()).toEqual({});
    }
    expect(logged).toHaveLength(bodies.length);
  });
});

const lineSchema = z.looseObject({
  _aws: z
    .object({
      CloudWatchMetrics: z.tuple([
        z.looseObject({ Metrics: z.array(z.object({ Name: z.string(), Unit: z.literal("Count") })) }),
      ]),
    })
    .optional(),
});

test("one connection serves one request after the other, refusals among them", async () => {
  const app = newWitness();
  const server = await listen((each) => app.fetch(each), {
    host: "127.0.0.1",
    port: 0,
    portSetting: "--port",
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  const send = (body: string) =>
    new Promise<number | undefined>((done, fail) => {
      const sent = httpRequest(`${server.url}/add-checkpoint`, { method: "POST", agent }, (response) => {
        ports.add(response.socket.localPort);
        response.resume().on("end", () => done(response.statusCode));
      });
      sent.on("error", fail).end(body);
    });
  const statuses = [];
  for (const body of [request(0n, 7n), request(0n, 7n), "junk", request(7n, 9n), request(9n, 9n)]) {
    statuses.push(await send(body));
  }
  expect(statuses).toEqual([200, 409, 400, 200, 200]);
  expect(ports.size).toBe(1);
  agent.destroy();
  await server.close();
});

describe("behind API Gateway, on DynamoDB and KMS", () => {
  const before = { ...process.env };
  let close: () => Promise<void> = async () => undefined;
  afterAll(async () => {
    await close();
    process.env = before;
  });

  // API Gateway sends in base64 what has no text type.
  const event = (method: string, path: string, body?: string) =>
    gatewayEvent(
      method,
      path,
      { "content-type": "application/octet-stream" },
      body === undefined ? undefined : Buffer.from(body),
    );

  test("the whole contract, from an environment", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kedge-witness-"));
    const embedded = await startEmbedded(folder);
    close = async () => {
      await embedded.close();
      await rm(folder, { recursive: true });
    };
    await createTable(dynamodbClient(), "kedge-witness");
    Object.assign(process.env, {
      KEDGE_STORE: "dynamodb:kedge-witness",
      KEDGE_WITNESS_NAME: NAME,
      KEDGE_WITNESS_KEY: await createKey("ECC_NIST_EDWARDS25519"),
      KEDGE_WITNESS_MLDSA_KEY: await createKey("ML_DSA_44"),
      KEDGE_WITNESS_LOGS: VKEYS.map(formatVkey).join("\n"),
    });
    const { handler } = await import("../../witness/lambda.ts");

    expect(await handler(event("POST", "/add-checkpoint", request(7n, 9n)))).toMatchObject({
      statusCode: 409,
      body: "0\n",
    });
    const first = await handler(event("POST", "/add-checkpoint", request(0n, 23n)));
    expect(first).toMatchObject({ statusCode: 200, isBase64Encoded: false });
    const conflict = await handler(event("POST", "/add-checkpoint", request(0n, 40n)));
    expect(conflict).toMatchObject({ statusCode: 409, body: "23\n", isBase64Encoded: false });
    expect(conflict.headers?.["content-type"]).toBe("text/x.tlog.size");
    expect(await handler(event("POST", "/add-checkpoint", request(23n, 40n)))).toMatchObject({
      statusCode: 200,
    });
    // The adapter's own word for it.
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    const unreadable = await handler(event("GET", "/add-checkpoint", "a body"));
    expect(unreadable.statusCode).toBe(400);

    const vkeys = [...VKEYS, ...(await witnessVkeys(openWitness(process.env).witness))];
    const latest = await handler(event("GET", LATEST));
    const { checkpoint, verified } = openCheckpoint(latest.body, { origin: ORIGIN, vkeys });
    expect([checkpoint.size, verified.length]).toEqual([40n, 3]);
  });
});

describe("kedge witness", () => {
  test.each([
    ["a vkey that is none", { logs: ["log.example"] }],
    ["a name that is none", { name: "a b" }],
    ["no log", { logs: [] }],
  ])("with %s makes nothing: no folder, no database, no key", async (_, wrong) => {
    const parent = await mkdtemp(join(tmpdir(), "kedge-witness-"));
    const options = { name: NAME, logs: VKEYS.map(formatVkey), host: "127.0.0.1", port: 0 };
    const starting = startWitness({ ...options, data: join(parent, "data"), ...wrong });
    await expect(starting).rejects.toMatchObject({ code: "invalid" });
    expect(await readdir(parent)).toEqual([]);
    await rm(parent, { recursive: true });
  });

  test("prints a policy that also a log can meet which keeps one key for a URL", async () => {
    const vkeys = (await witnessVkeys({ name: NAME, ...KEYS })).map(formatVkey);
    expect(vkeys).toHaveLength(2);
    const lines = policyLines(NAME, vkeys, "https://w.example");
    const policy = parsePolicy(`${lines.join("\n")}\nquorum ${NAME}-any\n`);
    const kept = new Map(policy.witnesses.map(({ name, url }) => [url, name]));
    expect(kept.size).toBe(1);
    expect(evaluateQuorum(policy, new Set(kept.values()))).toBe(true);
    // The first line alone is a policy too.
    expect(parsePolicy(`${lines[0]}\nquorum ${NAME}\n`).witnesses).toHaveLength(1);
  });
});

describe("the configuration", () => {
  const [vkey] = VKEYS.map(formatVkey);
  const good = {
    KEDGE_STORE: "dynamodb:kedge",
    KEDGE_WITNESS_NAME: NAME,
    KEDGE_WITNESS_KEY: "a-key",
    KEDGE_WITNESS_LOGS: vkey ?? "",
  };

  test("several keys of one log, and several logs, are told apart by their names", () => {
    const logs = readLogs(`\n ${VKEYS.map(formatVkey).join(" \n")}\t`);
    expect(logs).toEqual(new Map([[ORIGIN, VKEYS]]));
  });

  test("a log whose origin is not its key's name is given with its origin", () => {
    const [one, ...others] = VKEYS.map(formatVkey);
    const text = `${one} origin=go.sum database tree\n${others.join(" ")}\n`;
    const [first, ...rest] = VKEYS;
    expect(readLogs(text)).toEqual(
      new Map([
        ["go.sum database tree", [first]],
        [ORIGIN, rest],
      ]),
    );
    expect(() => readLogs(`${one} origin=`)).toThrow(/origin=/);
    expect(() => readLogs(`${one} origin=${"a".repeat(256)}`)).toThrow(/255 bytes/);
  });

  test.each([
    ["no store", { KEDGE_STORE: undefined }, /KEDGE_STORE/],
    ["no name", { KEDGE_WITNESS_NAME: undefined }, /KEDGE_WITNESS_NAME/],
    ["a name with a plus", { KEDGE_WITNESS_NAME: "a+b" }, /KEDGE_WITNESS_NAME/],
    ["a name of 256 bytes", { KEDGE_WITNESS_NAME: "ü".repeat(128) }, /KEDGE_WITNESS_NAME/],
    ["two keys", { KEDGE_WITNESS_KEY: "a,b" }, /KEDGE_WITNESS_KEY/],
    ["no logs", { KEDGE_WITNESS_LOGS: undefined }, /KEDGE_WITNESS_LOGS/],
    ["logs twice", { KEDGE_WITNESS_LOGS_FILE: "logs" }, /KEDGE_WITNESS_LOGS/],
    [
      "a file that is absent",
      { KEDGE_WITNESS_LOGS: undefined, KEDGE_WITNESS_LOGS_FILE: "/nowhere" },
      /\/nowhere/,
    ],
    ["an empty list", { KEDGE_WITNESS_LOGS: " \n" }, /at least one/],
    ["a vkey that is none", { KEDGE_WITNESS_LOGS: "log.example" }, /log\.example/],
    ["a vkey twice", { KEDGE_WITNESS_LOGS: `${vkey} ${vkey}` }, /twice/],
  ])("%s is refused by name", (_, change, message) => {
    const env = Object.fromEntries(
      Object.entries({ ...good, ...change }).filter(([, value]) => value !== undefined),
    );
    expect(() => openWitness(env)).toThrow(message);
    expect(() => openWitness(good)).not.toThrow();
  });
});
