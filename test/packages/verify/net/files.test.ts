import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { gzipSync } from "node:zlib";
import { ClientError } from "@kedge/verify/error";
import { type FilesOptions, type LogFiles, openLogFiles } from "@kedge/verify/net/files";
import { afterEach, describe, expect, test } from "vitest";

let server: Server | undefined;
let seen: string[] = [];
afterEach(async () => {
  seen = [];
  server?.closeAllConnections();
  server?.close();
  if (server !== undefined) await once(server, "close");
  server = undefined;
});

async function serve(
  handler: RequestListener,
  prefix = "/anchor",
  options: FilesOptions = {},
): Promise<LogFiles> {
  server = createServer((request, response) => {
    seen.push(request.url ?? "");
    handler(request, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return openLogFiles(`http://127.0.0.1:${address.port}${prefix}`, options);
}

const always =
  (status: number, body: string | Uint8Array = "", headers: Record<string, string> = {}): RequestListener =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);

test.each(["", "/", "/a/b", "/a/b/"])("files are below the prefix %j", async (prefix) => {
  const files = await serve(always(200, "x"), prefix);
  await files.checkpoint();
  await files.tile({ level: 1, index: 1_234_067n, width: 256 });
  const base = prefix.replace(/\/$/, "");
  expect(seen).toEqual([`${base}/checkpoint`, `${base}/tile/1/x001/x234/067`]);
});

test("the full tile takes the place of a partial one that is gone, and of nothing else", async () => {
  const full: RequestListener = (request, response) =>
    void response.writeHead(request.url?.includes(".p/") ? 404 : 200).end("full");
  const files = await serve(full);
  expect(new TextDecoder().decode(await files.tile({ level: 0, index: 0n, width: 7 }))).toBe("full");
  expect(seen).toEqual(["/anchor/tile/0/000.p/7", "/anchor/tile/0/000"]);
});

describe("nothing is read beyond what a log can have:", () => {
  const cases: [string, (files: LogFiles) => Promise<Uint8Array>, number][] = [
    ["a checkpoint", (files) => files.checkpoint(), 1 << 20],
    ["a tile", (files) => files.tile({ level: 0, index: 0n, width: 1 }), 8_192],
    ["a bundle", (files) => files.tile({ level: "entries", index: 0n, width: 1 }), 256 * 65_537],
  ];
  test.each(cases)("%s", async (_, get, limit) => {
    const files = await serve(always(200, new Uint8Array(limit)));
    expect((await get(files)).length).toBe(limit);
  });
  test.each(cases)("%s that is larger, also when it was packed small", async (_, get, limit) => {
    const bytes = new Uint8Array(limit + 1);
    const files = await serve(always(200, gzipSync(bytes), { "Content-Encoding": "gzip" }));
    await expect(get(files)).rejects.toMatchObject({ code: "protocol" });
    expect(seen).toHaveLength(1);
  });
});

test("an answer that never ends is given up in time, and asked for again", async () => {
  const files = await serve((_, response) => void response.write("some"), "/anchor", {
    timeout: 100,
    attempts: 2,
  });
  await expect(files.checkpoint()).rejects.toMatchObject({ code: "network" });
  expect(seen).toHaveLength(2);
});

test("what ends the whole ends each request, with its reason", async () => {
  const stop = new AbortController();
  const reason = new ClientError("protocol", "enough");
  const files = await serve(() => stop.abort(reason), "/anchor", { signal: stop.signal });
  await expect(files.checkpoint()).rejects.toBe(reason);
  expect(seen).toHaveLength(1);
});

test.each([301, 302, 307, 308])("a redirect (%i) is not followed", async (status) => {
  const files = await serve(always(status, "", { Location: "/elsewhere" }));
  await expect(files.checkpoint()).rejects.toMatchObject({ code: "protocol" });
  expect(seen).toEqual(["/anchor/checkpoint"]);
});

test.each([
  "http://audit.example.org/anchor",
  "https://user:secret@audit.example.org/anchor",
  "https://audit.example.org/anchor?x",
  "https://audit.example.org/anchor?x=1",
  "https://audit.example.org/anchor#x",
  "file:///anchor",
  "anchor",
])("%s is no URL of a log", (url) => {
  expect(() => openLogFiles(url)).toThrow(ClientError);
});

describe("a server that does not give a file now", () => {
  test("is not said to lack it, and is asked again after the pause that it asks for", async () => {
    let asked = 0;
    const busy: RequestListener = (_, response) => {
      asked += 1;
      if (asked === 1) response.writeHead(429, { "Retry-After": "0" }).end();
      else response.end("x");
    };
    expect(await (await serve(busy)).checkpoint()).toEqual(new TextEncoder().encode("x"));
  });

  test.each([
    [429, "throttled", /\(429\): too many requests/],
    [503, "server", /\(503\): the server failed/],
    [404, "not_found", /is not there to be read \(404\)/],
    [401, "unauthorized", /is not there to be read \(401\)/],
  ])("answers %d", async (status, code, message) => {
    const files = await serve(always(status), "/anchor", { attempts: 1 });
    const error: unknown = await files.checkpoint().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(String(error)).not.toMatch(/API.key|KEDGE/i);
  });
});
