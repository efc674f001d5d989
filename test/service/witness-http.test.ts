/** Witnesses over real connections: what a network and a hostile server can do to an anchorer. */
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { afterEach, describe, expect, test } from "vitest";
import { type Anchored, anchor } from "../../service/anchor.ts";
import { append } from "../../service/append.ts";
import { submissionPrefix } from "../../service/policy.ts";
import { seal } from "../../service/seal.ts";
import type { Witnessing } from "../../service/witnesses.ts";
import { type Answer, fakeWitness, policyOf } from "../support/witness.ts";
import { LOG, newWorld, ORIGIN } from "../support/world.ts";

const servers: { close(): unknown; closeAllConnections?(): void }[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.();
    server.close();
  }
});

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}

const newWitness = () => fakeWitness("w", () => newWorld().vkeys.anchor);

/** Serves a witness under /submit. `before` may answer in its place. */
async function serve(
  witness: ReturnType<typeof newWitness>,
  before: (...args: Parameters<RequestListener>) => boolean = () => false,
): Promise<{ url: string; connections: () => number }> {
  let connections = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (before(request, response)) return;
    const path = request.url ?? "";
    const post = Buffer.concat(chunks).toString();
    const found: Answer =
      request.method === "POST" && path === "/submit/add-checkpoint"
        ? await witness.answer({ post })
        : { status: 404 };
    response.writeHead(found.status, found.headers).end(found.body);
  });
  server.on("connection", () => connections++);
  return { url: `${await listen(server)}/submit`, connections: () => connections };
}

/** A sealed entry, and an anchor run that asks the witness at this URL. */
async function runWith(
  url: string,
  witness: ReturnType<typeof newWitness>,
  limits: Partial<Witnessing> = {},
): Promise<{ first: Anchored; again: () => Promise<Anchored> }> {
  const world = newWorld();
  const actor = {
    ...world.actor(),
    policy: parsePolicy(policyOf([witness], 1, [url])),
    witnessing: { firstPauseMs: 0, ...limits },
  };
  await append(actor, LOG, [leafHash(new Uint8Array(1))]);
  await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
  return { first: await anchor(actor), again: () => anchor(actor) };
}

test("connections are kept alive: conversations of several requests share them", async () => {
  const witness = newWitness();
  const { url, connections } = await serve(witness);
  for (let run = 0; run < 5; run++) {
    // Another world of the same log: from the second on, the witness is ahead of what is remembered, and says so.
    const { first } = await runWith(url, witness);
    expect(first).toMatchObject({ quorum: true, asked: [{ outcome: "cosigned", status: 200 }] });
  }
  expect(witness.posted).toHaveLength(9);
  // A request that follows within the same turn of the event loop finds the first connection not yet free.
  expect(connections()).toBeLessThanOrEqual(2);
});

describe("no cosignature, and none of it holds up the run or breaks it", () => {
  const expectOutcome = ({ quorum, publicSize, asked }: Anchored, outcome: string) =>
    expect([quorum, publicSize, asked.map((one) => one.outcome)]).toEqual([false, 0n, [outcome]]);

  test("nobody listens; once somebody does, the next run has the quorum", async () => {
    const witness = newWitness();
    const free = createTcpServer();
    const url = await listen(free);
    await new Promise((resolve) => free.close(resolve));
    const { first, again } = await runWith(`${url}/submit`, witness);
    expectOutcome(first, "unreachable");
    expect(first.asked[0]?.cause).toMatchObject({ code: "ECONNREFUSED" });
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { status, body } = await witness.answer({ post: Buffer.concat(chunks).toString() });
      response.writeHead(status).end(body);
    });
    servers.push(server);
    const port = Number(new URL(url).port);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    expect(await again()).toMatchObject({ quorum: true, publicSize: 1n });
  });

  test.each<[string, (socket: Socket) => void]>([
    ["accepts and says nothing", () => {}],
    ["hangs up", (socket) => socket.destroy()],
    ["speaks something else", (socket) => socket.end("SSH-2.0-x\r\n")],
    ["stops in the headers", (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-")],
    ["stops in the body", (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n— w")],
    ["ends in the body", (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n— w")],
  ])("a server that %s", async (_, manner) => {
    const sockets = new Set<Socket>();
    const server = createTcpServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("data", () => manner(socket));
    });
    const url = await listen(server);
    const { first } = await runWith(url, newWitness(), { requestMs: 100 });
    for (const socket of sockets) socket.destroy();
    expectOutcome(first, "unreachable");
  });

  test("an endless body is read up to a bound, and its connection closed", async () => {
    const witness = newWitness();
    let sent = 0;
    let closed = () => {};
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const { url } = await serve(witness, (_, response) => {
      response.on("close", closed);
      const more = () => {
        let room = true;
        while (room && !response.destroyed) {
          sent += 65_536;
          room = response.write("—".repeat(65_536));
        }
      };
      response.writeHead(200).on("drain", more);
      more();
      return true;
    });
    const { first } = await runWith(url, witness);
    await isClosed;
    expectOutcome(first, "invalid");
    // What the client did not read is in the buffers of two sockets.
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test.each([301, 302, 307, 308])(
    "a redirect (%i) is not followed, even to the witness itself",
    async (status) => {
      const witness = newWitness();
      const real = await serve(witness);
      const { url } = await serve(witness, (_, response) => {
        response.writeHead(status, { Location: `${real.url}/add-checkpoint` }).end();
        return true;
      });
      const { first } = await runWith(url, witness);
      expectOutcome(first, "refused");
      expect(witness.posted).toEqual([]);
    },
  );

  test("a compressed bomb is read up to the bound", async () => {
    const { gzipSync } = await import("node:zlib");
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, "— x.example/w AAAAAAAAAAAA\n"));
    const witness = newWitness();
    const { url } = await serve(witness, (_, response) => {
      response.writeHead(200, { "Content-Encoding": "gzip" }).end(bomb);
      return true;
    });
    const { first } = await runWith(url, witness);
    expectOutcome(first, "invalid");
  });
});

test("429: what it asks for in seconds is waited for, within a bound", async () => {
  const witness = newWitness();
  const waits = ["0", "1"];
  let before = 0;
  const pauses: number[] = [];
  const { url } = await serve(witness, (_, response) => {
    const wait = waits.shift();
    if (before > 0) pauses.push(Date.now() - before);
    before = Date.now();
    if (wait !== undefined) response.writeHead(429, { "Retry-After": wait }).end();
    return wait !== undefined;
  });
  const { first } = await runWith(url, witness);
  expect(first).toMatchObject({ quorum: true });
  // Timers may be early by a millisecond.
  expect(pauses[1]).toBeGreaterThanOrEqual(990);
});

describe("a witness's URL in a policy", () => {
  test.each([
    ["https://w.example", "https://w.example"],
    ["https://w.example/", "https://w.example"],
    ["http://127.0.0.1:8080/a/b//", "http://127.0.0.1:8080/a/b"],
  ])("%s is the prefix %s", (url, prefix) => expect(submissionPrefix("w", url)).toBe(prefix));

  test.each([
    "w.example",
    "ftp://w.example",
    "file:///etc/passwd",
    "https://user:secret@w.example",
    "https://w.example/?q",
    "https://w.example/#f",
    "https://",
    "https://w.example:99999",
  ])("%s is none", (url) => {
    expect(() => submissionPrefix("w", url)).toThrow(expect.objectContaining({ code: "invalid" }));
  });
});
