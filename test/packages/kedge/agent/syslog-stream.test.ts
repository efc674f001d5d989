import { once } from "node:events";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { type Listen, readListener } from "@kedge/cli/agent/listen";
import { openTake } from "@kedge/cli/agent/syslog-intake";
import { openStreams, STREAM_LIMITS, type StreamLimits } from "@kedge/cli/agent/syslog-stream";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { hasOpenssl, makeCertificates } from "./certificates.ts";
import { memoryHost } from "./memory-host.ts";
import { closed, open } from "./sockets.ts";

const SOON = { timeout: 30_000 };
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function start(limits: Partial<StreamLimits>, listen: Listen = { address: "tcp://127.0.0.1:0" }) {
  const stopping = new AbortController();
  const host = memoryHost({ signal: stopping.signal });
  const all = { ...STREAM_LIMITS, message: 100_000, connections: 100, ...limits };
  const listener = readListener(listen, ["tcp", "tls"]);
  const { server, run } = openStreams(
    { listener, listen, limits: all, take: openTake(host, "lines", undefined) },
    host,
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const done = run();
  const stop = async (): Promise<void> => {
    stopping.abort();
    await done;
  };
  stops.push(stop);
  const address = server.address();
  return { host, stop, port: typeof address === "object" && address !== null ? address.port : 0 };
}

test("a message that does not come to its end in time is cut; who is silent between messages stays", async () => {
  const { host, port } = await start({ patience: 300 });
  const silent = await open(port);
  silent.write("<1>a\n");
  const slow = await open(port);
  slow.write("100 <2>b");
  const drip = setInterval(() => slow.write("b"), 50);
  await closed(slow);
  clearInterval(drip);
  await expect.poll(() => host.arrivals.length, SOON).toBe(3);
  silent.write("<1>c\n");
  await expect.poll(() => host.arrivals.length, SOON).toBe(4);
  const texts = host.arrivals.map(({ bytes }) => Buffer.from(bytes).toString());
  expect(texts[0]).toBe("<1>a");
  expect(texts[1]).toBe('{"kind":"truncated"}');
  expect(texts[2]).toMatch(/^<2>b+$/);
  expect(texts[3]).toBe("<1>c");
  expect(host.counts.get("connectionsCut")).toBe(1);
});

test("when too much is held of messages without an end, the one that began first gives way", async () => {
  const { host, port } = await start({ held: 150_000 });
  const half = `90000 <1>${"x".repeat(60_000)}`;
  const first = await open(port);
  first.write(half);
  await expect.poll(() => host.counts.get("connections"), SOON).toBe(1);
  const second = await open(port);
  second.write(half);
  const third = await open(port);
  third.write(half);
  await closed(first);
  await expect.poll(() => host.arrivals.length, SOON).toBe(2);
  for (const socket of [second, third]) socket.end(`${"x".repeat(29_997)}`);
  await Promise.all([closed(second), closed(third)]);
  expect(host.arrivals.map(({ bytes }) => bytes.length)).toEqual([20, 60_003, 90_000, 90_000]);
});

describe.runIf(hasOpenssl)("over TLS", () => {
  const made = hasOpenssl ? makeCertificates() : undefined;
  afterAll(() => made?.remove());

  test("a renewed certificate is used for new connections, and one that does not fit its key is not", async () => {
    if (made === undefined) return;
    const { folder, ca, server, issue } = made;
    const [cert, key] = [join(folder, "used.pem"), join(folder, "used.key")];
    copyFileSync(server.cert, cert);
    copyFileSync(server.key, key);
    const { host, port } = await start({ renewal: 50 }, { address: "tls://127.0.0.1:0", tls: { cert, key } });
    const seen = async (): Promise<string> => {
      const socket = connectTls({ host: "127.0.0.1", port, ca: readFileSync(ca.cert) });
      await once(socket, "secureConnect");
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return String(CN);
    };
    expect(await seen()).toBe("server");
    const renewed = issue("renewed", "ca");
    copyFileSync(renewed.cert, cert);
    await expect.poll(() => host.troubles.get("certificate"), SOON).toMatch(/cannot be used/);
    expect(await seen()).toBe("server");
    copyFileSync(renewed.key, key);
    await expect.poll(() => host.troubles.size, SOON).toBe(0);
    expect(await seen()).toBe("renewed");
  });

  test("an idle sender is told by a reset that the source stops", async () => {
    if (made === undefined) return;
    const { host, stop, port } = await start({}, { address: "tls://127.0.0.1:0", tls: made.server });
    const socket = connectTls({ host: "127.0.0.1", port, ca: readFileSync(made.ca.cert) });
    socket.resume();
    await expect.poll(() => host.counts.get("connections"), SOON).toBe(1);
    const told = expect(once(socket, "close")).rejects.toMatchObject({ code: "ECONNRESET" });
    await Promise.all([stop(), told]);
  });

  test("who never ends the handshake does not keep the source from stopping", async () => {
    if (made === undefined) return;
    const { stop, port } = await start({}, { address: "tls://127.0.0.1:0", tls: made.server });
    const socket = await open(port);
    socket.write("<1>not TLS, yet");
    const mute = await open(port);
    await Promise.all([stop(), closed(socket), closed(mute)]);
  });
});
