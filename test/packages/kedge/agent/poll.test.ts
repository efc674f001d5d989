import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPoll, type PollOptions, pollSchema } from "@kedge/cli/agent/poll";
import type { Host } from "@kedge/cli/agent/source";
import { GAP_MEDIA_TYPE } from "@kedge/verify/events/gap";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { type MemoryHost, memoryHost } from "./memory-host.ts";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

type Stored = { id: string; version: string; updated: number; text: string };
const SECOND = 1000;
const T0 = Date.UTC(2026, 2, 14, 10);

const stored = (id: string, updated: number, extra = ""): Stored => {
  const meta = `{"versionId":"1", "lastUpdated":"${new Date(updated).toISOString()}"}`;
  const text = `{"resourceType" : "AuditEvent","id":"${id}","meta":${meta}${extra}}`;
  return { id, version: "1", updated, text };
};

type Fault = (request: IncomingMessage, response: ServerResponse, page: string) => boolean;

/** A FHIR server over what a test has in `items`, paged by offset; `fault` answers in its place when it returns true. */
async function fhirServer() {
  const state: {
    items: Stored[];
    now: number;
    order: "ascending" | "descending";
    ignoresFilter: boolean;
    asked: URL[];
    headers: NodeJS.Dict<string | string[]>[];
    fault: Fault | undefined;
  } = {
    items: [],
    now: T0 + 3600 * SECOND,
    order: "ascending",
    ignoresFilter: false,
    asked: [],
    headers: [],
    fault: undefined,
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", origin);
    state.asked.push(url);
    state.headers.push(request.headers);
    const since = Date.parse(url.searchParams.get("_lastUpdated")?.slice(2) ?? "1970-01-01");
    const size = Number(url.searchParams.get("_count"));
    const offset = Number(url.searchParams.get("_offset") ?? 0);
    const found = state.items
      .filter(({ updated }) => state.ignoresFilter || updated >= since)
      .toSorted((a, b) => (state.order === "ascending" ? a.updated - b.updated : b.updated - a.updated));
    url.searchParams.set("_offset", `${offset + size}`);
    const link = offset + size < found.length ? `,"link":[{"relation":"next","url":"${url.href}"}]` : "";
    const entries = found.slice(offset, offset + size).map(({ text }) => `{"resource": ${text} }`);
    const page = `{"resourceType":"Bundle","type":"searchset"${link},\n"entry":[${entries.join(" ,")}]}`;
    response.setHeader("Date", new Date(state.now).toUTCString());
    if (state.fault?.(request, response, page)) return;
    response.writeHead(200, { "Content-Type": "application/fhir+json" }).end(page);
  });
  await new Promise<void>((bound) => server.listen(0, "127.0.0.1", bound));
  ends.push(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  const address = server.address();
  const origin = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  return Object.assign(state, { url: `${origin}/fhir` });
}

function polling(
  url: string,
  options: Partial<PollOptions> = {},
  memory: MemoryHost = memoryHost({ signal: new AbortController().signal }),
) {
  const controller = new AbortController();
  const troubles = new Map<string, string>();
  const said: string[] = [];
  let polls = 0;
  const host: Host = {
    intake: memory.intake,
    signal: controller.signal,
    trouble(key, what) {
      if (what === undefined) troubles.delete(key);
      else {
        troubles.set(key, what);
        said.push(what);
      }
    },
    count(name) {
      if (name === "polls") polls++;
    },
  };
  const parsed = pollSchema.parse({ kind: "poll", name: "ehr", url, overlap: 60, pageSize: 3 });
  const running = openPoll({ ...parsed, every: 0.005, ...options }, host, { first: 5, most: 20 }).run();
  const stop = () => {
    controller.abort();
    return running;
  };
  ends.push(stop);
  /** Resolves after two more rounds: the second one began after this. */
  const rounds = async () => {
    const until = polls + 2;
    await expect.poll(() => polls, { timeout: 30_000, interval: 5 }).toBeGreaterThanOrEqual(until);
  };
  const { arrivals: taken } = memory;
  const texts = () => taken.map(({ bytes }) => new TextDecoder().decode(bytes));
  return { memory, taken, texts, troubles, said, rounds, stop };
}

const textsOf = (items: readonly Stored[]) => items.map(({ text }) => text);
const sorted = (texts: readonly string[]) => texts.toSorted();

describe("what a server has", () => {
  test("is taken once, in its order, as it stands in the answer, over pages and rounds", async () => {
    const server = await fhirServer();
    server.items = [0, 1, 2, 3, 4, 5, 6].map((i) => stored(`a${i}`, T0 + i * SECOND));
    const { texts, rounds } = polling(server.url);
    await rounds();
    expect(texts()).toEqual(textsOf(server.items));
    server.items.push(stored("b", T0 + 10 * SECOND));
    await rounds();
    expect(texts()).toEqual(textsOf(server.items));
    const [first] = server.asked;
    expect(first?.pathname).toBe("/fhir/AuditEvent");
    expect(first?.searchParams.get("_sort")).toBe("_lastUpdated");
  });

  test("and stores late is found within the overlap", async () => {
    const server = await fhirServer();
    server.items = [stored("a", T0), stored("c", T0 + 50 * SECOND)];
    const { texts, rounds } = polling(server.url);
    await rounds();
    server.items.push(stored("b", T0 + 20 * SECOND));
    await rounds();
    expect(sorted(texts())).toEqual(sorted(textsOf(server.items)));
    expect(server.asked.at(-1)?.searchParams.get("_lastUpdated")).toBe(
      `ge${new Date(T0 - 10 * SECOND).toISOString()}`,
    );
  });

  test("a new version of it is an event, and one without a version is known by its bytes", async () => {
    const server = await fhirServer();
    const bare = { ...stored("x", T0), text: `{"resourceType":"AuditEvent","id":"x"}` };
    server.items = [stored("a", T0), bare];
    const { texts, rounds } = polling(server.url);
    await rounds();
    const second = stored("a", T0 + SECOND).text.replace(`"versionId":"1"`, `"versionId":"2"`);
    server.items.push({ ...stored("a", T0 + SECOND), text: second });
    await rounds();
    await rounds();
    expect(texts()).toEqual([stored("a", T0).text, bare.text, second]);
  });

  test("from a time on is asked for from then on", async () => {
    const server = await fhirServer();
    server.items = [stored("a", T0), stored("b", T0 + 100 * SECOND)];
    const { texts, rounds } = polling(server.url, { from: new Date(T0 + 50 * SECOND).toISOString() });
    await rounds();
    expect(texts()).toEqual([server.items[1]?.text]);
  });

  test("is taken once by two runs, wherever the first one ended", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(90), { minLength: 1, maxLength: 12 }),
        fc.nat(4),
        fc.constantFrom("ascending", "descending") as fc.Arbitrary<"ascending" | "descending">,
        async (times, failsAt, order) => {
          const server = await fhirServer();
          server.order = order;
          server.items = times.map((at, i) => stored(`a${i}`, T0 + at * SECOND));
          let answers = 0;
          server.fault = (_, response) => {
            if (answers++ < failsAt) return false;
            response.destroy();
            return true;
          };
          const first = polling(server.url);
          await expect.poll(() => answers, { timeout: 30_000, interval: 2 }).toBeGreaterThan(failsAt);
          await first.stop();
          server.fault = undefined;
          const { texts, rounds, stop } = polling(server.url, {}, first.memory);
          await rounds();
          await stop();
          expect(sorted(texts())).toEqual(sorted(textsOf(server.items)));
        },
      ),
      { numRuns: 15 },
    );
  });
});

describe("a server that misbehaves", () => {
  test("and has its clock set back is asked for more", async () => {
    const server = await fhirServer();
    server.now = T0 + 3600 * SECOND;
    server.items = [stored("a", server.now)];
    const { texts, rounds, troubles } = polling(server.url);
    await rounds();
    server.now = T0;
    await rounds();
    server.items.push(stored("b", T0 + SECOND));
    await rounds();
    expect(texts()).toEqual(textsOf(server.items));
    expect(troubles.get("clock")).toMatch("clock is behind");
  });

  test("and pages over what changes meanwhile is asked again for what slipped through", async () => {
    const server = await fhirServer();
    server.items = [0, 1, 2, 3, 4, 5].map((i) => stored(`a${i}`, T0 + i * SECOND));
    const all = textsOf(server.items);
    let isFirst = true;
    server.fault = () => {
      // After the first page one before the next page's beginning goes away: that one's first resource slips to before it.
      if (!isFirst) server.items = server.items.filter(({ id }) => id !== "a0");
      isFirst = false;
      return false;
    };
    const { texts, rounds } = polling(server.url);
    await rounds();
    expect(sorted(texts())).toEqual(sorted(all));
  });

  test("and ignores the filter does not make old events new", async () => {
    const server = await fhirServer();
    server.items = [0, 1, 2, 3].map((i) => stored(`a${i}`, T0 + i * 100 * SECOND));
    server.ignoresFilter = true;
    const { texts, rounds, troubles } = polling(server.url);
    await rounds();
    await rounds();
    expect(texts()).toEqual(textsOf(server.items));
    expect(troubles.get("filter")).toMatch("before the time");
  });

  test("with pages in a circle is told of, and its events are taken once", async () => {
    const server = await fhirServer();
    server.items = [stored("a", T0)];
    server.fault = (request, response, page) => {
      const circle = `"link":[{"relation":"next","url":"${request.url}"}],"entry"`;
      response.writeHead(200).end(page.replace(`"entry"`, circle));
      return true;
    };
    const { texts, rounds, troubles } = polling(server.url);
    await expect.poll(() => troubles.get("poll"), { timeout: 30_000 }).toMatch("circle");
    expect(texts()).toEqual(textsOf(server.items));
    server.fault = undefined;
    await rounds();
    expect(troubles.has("poll")).toBe(false);
  });

  const answers: [name: string, fault: Fault, told: RegExp][] = [
    [
      "a next page elsewhere",
      (_, response, page) => {
        const link = `"link":[{"relation":"next","url":"http://elsewhere.example/fhir?page=2"}],"entry"`;
        response.writeHead(200).end(page.replace(`"entry"`, link));
        return true;
      },
      /another server/,
    ],
    [
      "a next page whose address is very long",
      (request, response, page) => {
        const link = `"link":[{"relation":"next","url":"${request.url}&more=${"a".repeat(9_000)}"}],"entry"`;
        response.writeHead(200).end(page.replace(`"entry"`, link));
        return true;
      },
      /no usable address/,
    ],
    [
      "a redirect",
      (_, response) => {
        response.writeHead(302, { Location: "http://elsewhere.example/" }).end();
        return true;
      },
      /answered 302/,
    ],
    [
      "an OperationOutcome that names a patient",
      (_, response) => {
        const issue = `{"severity":"error","code":"security","diagnostics":"Jane Roe"}`;
        response.writeHead(403).end(`{"resourceType":"OperationOutcome","issue":[${issue}]}`);
        return true;
      },
      /answered 403 \(security\)/,
    ],
    [
      "a page that is no FHIR",
      (_, response) => {
        response.writeHead(200).end("<html>Jane Roe");
        return true;
      },
      /cannot be read/,
    ],
    [
      "a page that is cut",
      (_, response, page) => {
        response.writeHead(200).end(page.slice(0, -9));
        return true;
      },
      /cannot be read/,
    ],
    [
      "a body that breaks off",
      (_, response) => {
        response.writeHead(200, { "Content-Length": "1000" }).write("{");
        setImmediate(() => response.destroy());
        return true;
      },
      /Cannot reach/,
    ],
    [
      "a page without end",
      (_, response) => {
        const fill = () => {
          while (!response.destroyed && response.write(" ".repeat(1 << 20)));
        };
        response.on("drain", fill);
        response.writeHead(200);
        fill();
        return true;
      },
      /larger than/,
    ],
    [
      "no answer",
      (request) => {
        request.socket.destroy();
        return true;
      },
      /Cannot reach/,
    ],
  ];
  test.each(answers)(
    "by %s is told of without a word of what came, and asked again",
    async (_, fault, told) => {
      const server = await fhirServer();
      server.items = [stored("a", T0)];
      server.fault = fault;
      const { texts, troubles, said, rounds } = polling(server.url);
      await expect.poll(() => troubles.get("poll"), { timeout: 30_000 }).toMatch(told);
      server.fault = undefined;
      await rounds();
      expect(texts()).toEqual(textsOf(server.items));
      expect(troubles.has("poll")).toBe(false);
      expect(said.join()).not.toMatch(/Jane|elsewhere\.example/);
    },
  );

  test("that asks for a pause has it", async () => {
    const server = await fhirServer();
    server.fault = (_, response) => {
      response.writeHead(429, { "Retry-After": "3600" }).end();
      return true;
    };
    const { troubles, stop } = polling(server.url);
    await expect.poll(() => troubles.get("poll"), { timeout: 30_000 }).toMatch("answered 429");
    expect(server.asked).toHaveLength(1);
    await stop();
  });

  test("with an event above the limit leaves a gap, once", async () => {
    const server = await fhirServer();
    server.items = [stored("a", T0, `,"text":"${"x".repeat(3000)}"`), stored("b", T0)];
    const { taken, rounds } = polling(server.url, { limit: 2048 });
    await rounds();
    await rounds();
    expect(taken.map(({ mediaType }) => mediaType)).toEqual([GAP_MEDIA_TYPE, "application/fhir+json"]);
  });
});

test("what the journal does not take is asked for again", async () => {
  const server = await fhirServer();
  server.items = [stored("a", T0)];
  const memory = memoryHost({ signal: new AbortController().signal });
  memory.failing = Number.POSITIVE_INFINITY;
  const { texts, rounds, troubles } = polling(server.url, {}, memory);
  await expect.poll(() => troubles.get("poll"), { timeout: 30_000 }).toMatch("room on its disk");
  memory.failing = 0;
  await rounds();
  expect(texts()).toEqual(textsOf(server.items));
});

describe("a secret", () => {
  async function secretFile(text: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "kedge-poll-"));
    ends.push(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, "secret"), text);
    return join(folder, "secret");
  }

  test("goes along from its file, read anew each time", async () => {
    const server = await fhirServer();
    const tokenFile = await secretFile("first\n");
    const { rounds } = polling(server.url, { authorization: { tokenFile } });
    await rounds();
    expect(server.headers.at(-1)?.["authorization"]).toBe("Bearer first");
    await writeFile(tokenFile, "second");
    await rounds();
    expect(server.headers.at(-1)?.["authorization"]).toBe("Bearer second");
  });

  test("of a client is changed for a token, and for another one when that is refused", async () => {
    const server = await fhirServer();
    const secret = await secretFile("s3cret");
    let tokens = 0;
    const bodies: string[] = [];
    server.fault = (request, response) => {
      if (request.url === "/token") {
        request.on("data", (part) => bodies.push(`${request.headers.authorization} ${part}`));
        request.on("end", () =>
          response.writeHead(200).end(`{"access_token":"t${++tokens}","expires_in":3600}`),
        );
        return true;
      }
      if (request.headers.authorization === "Bearer t2") return false;
      response.writeHead(401).end();
      return true;
    };
    server.items = [stored("a", T0)];
    const tokenUrl = server.url.replace("/fhir", "/token");
    const authorization = { tokenUrl, clientId: "kedge", secretFile: secret, scope: "system/AuditEvent.rs" };
    const { texts } = polling(server.url, { authorization });
    await expect.poll(texts, { timeout: 30_000 }).toEqual(textsOf(server.items));
    const basic = `Basic ${Buffer.from("kedge:s3cret").toString("base64")}`;
    expect(bodies).toEqual(
      Array(2).fill(`${basic} grant_type=client_credentials&scope=system%2FAuditEvent.rs`),
    );
  });

  test("is not sent where it can be read on the way", () => {
    const options = { kind: "poll", name: "ehr" };
    for (const url of ["http://ehr.example/fhir", "http://127.0.0.1.example/fhir", "ftp://127.0.0.1/"]) {
      expect(pollSchema.safeParse({ ...options, url }).success).toBe(false);
    }
    for (const url of ["https://ehr.example/fhir", "http://localhost:8080/fhir", "http://[::1]/fhir"]) {
      expect(pollSchema.safeParse({ ...options, url }).success).toBe(true);
    }
  });
});
