/** What one client may take of a port: others are answered whatever it holds. */
import { EventEmitter, once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type Listening, listen } from "../../platform/embedded/listen.ts";

let server: Listening;
let sockets: Socket[];
const requests = new EventEmitter();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await server.close();
});

/** Answers at once, but for `/waits`. */
async function start(connections?: { most: number; answerMs: number }) {
  sockets = [];
  const answer = async (request: Request) => {
    if (request.url.endsWith("/waits")) await new Promise(() => requests.emit("waits"));
    if (request.method === "POST") await request.arrayBuffer();
    return new Response("answered");
  };
  server = await listen(answer, { host: "127.0.0.1", port: 0, portSetting: "PORT" }, connections);
}

/** A connection that has sent this, and whether it was closed since. */
async function open(text = "") {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => {});
  socket.resume();
  await once(socket, "connect");
  socket.write(text);
  return socket;
}
/** A connection whose request is being answered, for ever. */
async function openWaiting(): Promise<Socket> {
  const begun = once(requests, "waits");
  const socket = await open("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n");
  await begun;
  return socket;
}
const get = async (path = "/") => await (await fetch(`${server.url}${path}`)).text();

test("600 idle connections keep nobody out", async () => {
  await start();
  await Promise.all(Array.from({ length: 600 }, () => open()));
  for (let i = 0; i < 5; i++) expect(await get()).toBe("answered");
});

test.each([
  ["half of a request's headers", "GET / HTTP/1.1\r\nHost: x\r\nX: "],
  ["nothing but a line's beginning", "G"],
])("connections that have sent %s keep nobody out", async (_, text) => {
  await start({ most: 10, answerMs: 60_000 });
  await Promise.all(Array.from({ length: 20 }, () => open(text)));
  expect(await get()).toBe("answered");
});

test("connections that send a body without end keep nobody out for longer than an answer may take", async () => {
  await start({ most: 10, answerMs: 0 });
  const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf";
  await Promise.all(Array.from({ length: 10 }, () => open(post)));
  await expect.poll(() => get().catch(() => "refused"), { timeout: 30_000 }).toBe("answered");
});

test("it is the one that has been idle longest that gives way, never one that is being answered", async () => {
  await start({ most: 3, answerMs: 60_000 });
  const waiting = await openWaiting();
  const [first, second] = [await open(), await open()];
  const gone = once(first, "close");
  const third = await open();
  await gone;
  expect([waiting, second, third].map(({ destroyed }) => destroyed)).toEqual([false, false, false]);
});

test("where all are being answered, a new one is refused", async () => {
  await start({ most: 2, answerMs: 60_000 });
  const busy = [];
  for (let i = 0; i < 2; i++) busy.push(await openWaiting());
  const late = await open();
  if (!late.destroyed) await once(late, "close");
  expect(busy.map(({ destroyed }) => destroyed)).toEqual([false, false]);
});
