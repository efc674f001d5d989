import { openClient, type ProofAnswer, type StatusAnswer } from "@kedge/cli/client/api";
import { ClientError } from "@kedge/verify/error";
import type { Connection } from "@kedge/verify/net/http";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { API_KEY, LOG_ID, reset, startServer } from "../../../support/fake-api.ts";
import { anchor, filler, log } from "../../../support/proofs.ts";

let server: Awaited<ReturnType<typeof startServer>>;
beforeEach(async () => {
  server = await startServer();
});
afterEach(() => server.stop());

const connect = (more: Partial<Connection> = {}) => openClient({ url: server.url, apiKey: API_KEY, ...more });
const entries = filler(4);

async function all(answers: AsyncIterable<ProofAnswer>): Promise<ProofAnswer[]> {
  const list: ProofAnswer[] = [];
  for await (const answer of answers) list.push(answer);
  return list;
}

const codeOf = async (call: Promise<unknown>): Promise<string> => {
  const error: unknown = await call.then(
    () => new Error("no error"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ClientError);
  return error instanceof ClientError ? error.code : "";
};

describe("on a good day", () => {
  test("what is posted can be followed and proven", async () => {
    const client = connect();
    expect(await client.post(LOG_ID, entries)).toMatchObject({ accepted: 4 });
    const [first = new Uint8Array()] = entries;
    expect(await client.entry(LOG_ID, first)).toMatchObject({ assurance: "pending" });
    await server.seal();
    await server.anchor();
    for (const [i, answer] of (await all(client.proofs(LOG_ID, entries))).entries()) {
      expect(answer.state).toBe("proof");
      const report = verifyEvent({
        commitment: entries[i] ?? new Uint8Array(),
        proof: answer.state === "proof" ? answer.proof : "",
        logVkeys: [log.vkey],
        anchorVkeys: [anchor.vkey],
      });
      expect(report).toMatchObject({ proven: true, assurance: "anchored" });
    }
    expect(await client.log(LOG_ID)).toMatchObject({ size: 4 });
  });

  test("pending and unknown are told apart, in the order of the question", async () => {
    await server.add(entries.slice(0, 1));
    await server.seal();
    await server.add(entries.slice(1, 2));
    const answers = await all(connect().proofs(LOG_ID, entries.slice(0, 3)));
    expect(answers.map(({ state }) => state)).toEqual(["proof", "pending", "unknown"]);
    expect(answers.map(({ hash }) => hash)).toEqual(entries.slice(0, 3).map(bytesToHex));
  });

  test("how far each has come is told without its proof, in the order of the question", async () => {
    const [first, second, third] = entries;
    if (first === undefined || second === undefined || third === undefined) expect.fail("too few");
    await server.add([first]);
    await server.seal();
    await server.anchor();
    await server.add([second]);
    const asked = [third, second, first, second];
    const answers: StatusAnswer[] = [];
    for await (const answer of connect().statuses(LOG_ID, asked)) answers.push(answer);
    expect(answers.map(({ hash }) => hash)).toEqual(asked.map(bytesToHex));
    expect(answers.map(({ state }) => state)).toEqual(["unknown", "pending", "sealed", "pending"]);
    expect(answers[2]).toMatchObject({ assurance: "anchored", index: 0, treeSize: 1 });
    expect(server.requests).toHaveLength(1);
  });

  test("of more than one request takes the statuses come in several, each when it is asked for", async () => {
    const many = Array.from({ length: 10_001 }, () => randomBytes(32));
    const answers = connect().statuses(LOG_ID, many);
    await answers.next();
    expect(server.requests).toHaveLength(1);
    const rest: string[] = [];
    for await (const { hash } of answers) rest.push(hash);
    expect(rest).toEqual(many.slice(1).map(bytesToHex));
    expect(server.requests).toHaveLength(2);
  });

  test("however few proofs fit into an answer, all come, once and in order", async () => {
    await server.add(entries);
    await server.seal();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.shuffledSubarray(entries), async (fit, asked) => {
        server.limits.proofs = fit;
        const answers = await all(connect().proofs(LOG_ID, asked));
        expect(answers.map(({ hash }) => hash)).toEqual(asked.map(bytesToHex));
        expect(answers.every(({ state }) => state === "proof")).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test("keys and logs are managed", async () => {
    const client = connect();
    const { id, apiKey } = await client.createKey({ name: "agent", scopes: ["write"] });
    expect(apiKey).toMatch(/^kedge_/);
    await client.revokeKey(id);
    const keys = await client.keys();
    expect(keys.filter(({ revokedAt }) => revokedAt !== undefined)).toMatchObject([{ id, name: "agent" }]);
    expect(await client.createLog("ward 9")).toMatchObject({ name: "ward 9" });
    const names = (await client.logs()).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["ward 7", "ward 9"]));
  });
});

describe("a failure that may pass", () => {
  test.each<[string, () => Parameters<typeof server.faults.push>]>([
    ["throttled", () => [() => server.problem(429, "throttled", { "Retry-After": "0" })]],
    ["unavailable", () => [() => server.problem(503, "unavailable", { "Retry-After": "0" })]],
    ["twice", () => [() => server.problem(503, "unavailable"), () => server.problem(429, "throttled")]],
    ["an error page of a proxy", () => [() => new Response("<html>", { status: 502 })]],
    ["the connection is reset", () => [reset]],
  ])("%s: the post is repeated until it is accepted", async (_, faults) => {
    server.faults.push(...faults());
    expect(await connect().post(LOG_ID, entries)).toMatchObject({ accepted: 4 });
    expect(new Set(server.requests.map(({ body }) => body)).size).toBe(1);
  });

  test("proofs cut short are asked for again", async () => {
    await server.add(entries);
    await server.seal();
    const half = `${JSON.stringify({ hash: bytesToHex(entries[0] ?? new Uint8Array()), assurance: "sealed", proof: "x" })}\n{"hash":"`;
    server.faults.push(
      () => new Response(half),
      () => new Response(half.slice(0, half.indexOf("\n") + 1)),
      () => new Response(""),
    );
    const answers = await all(connect().proofs(LOG_ID, entries));
    expect(answers.map(({ state }) => state)).toEqual(["proof", "proof", "proof", "proof"]);
    expect(server.requests).toHaveLength(4);
  });

  test("creating is repeated when throttled, and never when it may have happened", async () => {
    server.faults.push(() => server.problem(429, "throttled", { "Retry-After": "0" }), reset);
    expect(await codeOf(connect().createKey({ name: "agent", scopes: ["read"] }))).toBe("network");
    expect(server.requests).toHaveLength(2);
  });

  test("attempts end", async () => {
    server.faults.push(
      ...Array.from({ length: 3 }, () => () => server.problem(503, "unavailable", { "Retry-After": "0" })),
    );
    expect(await codeOf(connect({ attempts: 3 }).post(LOG_ID, entries))).toBe("server");
    expect(server.requests).toHaveLength(3);
  });

  test("each pause is told before it begins: how long, and why", async () => {
    server.faults.push(() => server.problem(429, "throttled", { "Retry-After": "1" }), reset);
    const pauses: [number, string][] = [];
    const onPause = (ms: number, { code }: ClientError) => {
      pauses.push([ms, code]);
      expect(server.requests).toHaveLength(pauses.length);
    };
    await connect({ onPause }).post(LOG_ID, entries);
    expect(pauses).toEqual([
      [1_000, "throttled"],
      [expect.any(Number), "network"],
    ]);
  });

  test("a pause of hours is not waited for", async () => {
    server.faults.push(() => server.problem(503, "unavailable", { "Retry-After": "7200" }));
    expect(await codeOf(connect().post(LOG_ID, entries))).toBe("server");
    expect(server.requests).toHaveLength(1);
  });
});

describe("a failure that will not pass", () => {
  test.each<[string, number, string]>([
    ["unauthorized", 401, "unauthorized"],
    ["forbidden", 403, "forbidden"],
    ["not_found", 404, "not_found"],
    ["pending", 404, "pending"],
    ["invalid", 400, "invalid"],
    ["too_large", 413, "invalid"],
  ])("%s is not repeated, and says why", async (problem, status, code) => {
    server.faults.push(() =>
      Response.json({ type: `urn:kedge:problem:${problem}`, detail: "because" }, { status }),
    );
    const call = connect().post(LOG_ID, entries);
    await expect(call).rejects.toThrow(/because/);
    expect(await codeOf(call)).toBe(code);
    expect(server.requests).toHaveLength(1);
  });

  test.each<[string, () => Response]>([
    ["no JSON", () => new Response("{")],
    ["JSON of another shape", () => Response.json({ accepted: "4" })],
    ["a redirect", () => new Response(null, { status: 302, headers: { Location: "https://example.com/" } })],
  ])("%s in answer is not Kedge's API", async (_, answer) => {
    server.faults.push(answer);
    expect(await codeOf(connect().post(LOG_ID, entries))).toBe("protocol");
    expect(server.requests).toHaveLength(1);
  });

  test("proofs of other hashes than were asked for are refused", async () => {
    await server.add(entries);
    await server.seal();
    const line = (entry: Uint8Array): string =>
      `${JSON.stringify({ hash: bytesToHex(entry), assurance: "sealed", proof: "x" })}\n`;
    server.faults.push(() => new Response(entries.toReversed().map(line).join("")));
    expect(await codeOf(all(connect().proofs(LOG_ID, entries)))).toBe("protocol");
  });

  test("an answer that is full from the start ends the asking", async () => {
    server.limits.proofs = 0;
    expect(await codeOf(all(connect().proofs(LOG_ID, entries)))).toBe("protocol");
  });

  test("an answer without end is given up", async () => {
    server.faults.push(() => new Response(new Uint8Array(17 << 20)));
    expect(await codeOf(connect().logs())).toBe("protocol");
  });

  test("no answer in time is a network error", async () => {
    server.faults.push(() => new Promise(() => undefined));
    expect(await codeOf(connect({ attempts: 1, timeout: 200 }).logs())).toBe("network");
  });
});

describe("the API key", () => {
  test.each([
    "http://audit.example.org",
    "ftp://127.0.0.1",
    "audit.example.org",
    "",
    "http://127.0.0.1.example.org",
  ])("is not sent to %s", async (url) => {
    expect(await codeOf(connect({ url }).logs())).toBe("invalid");
  });

  test("is not sent when it cannot be one, and not shown either", async () => {
    for (const apiKey of ["kedge_a_secret77\r\nX: y", "kedge_a_secret77 ", "kedge_\u00e9_secret77", ""]) {
      const call = connect({ apiKey }).logs();
      expect(await codeOf(call)).toBe("invalid");
      await expect(call).rejects.not.toThrow(/secret77/);
    }
    expect(server.requests).toEqual([]);
  });

  test("is in no message", async () => {
    for (const fault of [reset, () => new Response("{"), () => server.problem(401, "unauthorized")]) {
      server.faults.push(fault);
      const error: unknown = await connect({ attempts: 1 })
        .logs()
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ClientError);
      expect(String(error)).not.toContain(API_KEY);
    }
  });
});
