import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { openSyslog, type SyslogOptions, syslogSchema } from "@kedge/cli/agent/syslog";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { hasOpenssl, makeCertificates, type Pair } from "./certificates.ts";
import { type MemoryHost, memoryHost } from "./memory-host.ts";

const SOON = { timeout: 30_000 };
const XML = "<AuditMessage>\n<EventIdentification/>\n</AuditMessage>";
const message = (i: number | string): string =>
  `<85>1 - h a 1 IHE+RFC-3881 - <AuditMessage>${i}</AuditMessage>`;
const event = (i: number | string): string => `<AuditMessage>${i}</AuditMessage>`;
const counted = (text: string): string => `${Buffer.byteLength(text)} ${text}`;

type Running = { host: MemoryHost; port: number; url: string; stop(): Promise<void> };
const running: Running[] = [];
const upstreams: Server[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map(({ stop }) => stop()));
  for (const server of upstreams.splice(0)) server.close();
});

async function start(
  listen: SyslogOptions["listen"] = { address: "tcp://127.0.0.1:0" },
  options: Partial<SyslogOptions> = {},
): Promise<Running> {
  const stopping = new AbortController();
  const host = memoryHost({ signal: stopping.signal });
  const source = openSyslog(
    { ...syslogSchema.parse({ kind: "syslog", name: "atna", listen }), ...options },
    host,
  );
  const done = source.run();
  done.catch(() => undefined);
  const { url = "" } = await source.ready();
  const stop = async (): Promise<void> => {
    stopping.abort();
    await done;
  };
  const one = { host, url, port: Number(new URL(url).port), stop };
  running.push(one);
  return one;
}

const texts = ({ arrivals }: MemoryHost): string[] =>
  arrivals.map(({ bytes }) => Buffer.from(bytes).toString("latin1"));

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** However it came to that. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once("close", () => resolve()));

/** Sends all, closes, and waits until the agent has closed too: then it is in the journal. */
async function send(port: number, ...pieces: string[]): Promise<void> {
  const socket = await open(port);
  socket.resume();
  for (const piece of pieces) socket.write(Buffer.from(piece, "latin1"));
  socket.end();
  await closed(socket);
}

describe("over TCP", () => {
  test("takes both framings in one connection, and what no sender frames; the agent closes once it is journalled", async () => {
    const { host, port } = await start();
    await send(port, counted(message(1)), `${message(2)}\n`, message(3), counted(message(4)));
    await send(port, `<13>2026-11-28T10:00:00+01:00 emr\n<?xml version="1.0"?>\n${XML}`);
    expect(texts(host)).toEqual([event(1), event(2), event(3), event(4), `<?xml version="1.0"?>\n${XML}`]);
    expect(new Set(host.arrivals.map(({ mediaType }) => mediaType))).toEqual(
      new Set(["application/ihe+rfc3881"]),
    );
  });

  test("messages of 32,768 octets and of the limit are taken; a longer one is a gap, and the connection survives", async () => {
    const { host, port } = await start();
    const sized = (octets: number): string => `<AuditMessage>${"x".repeat(octets - 29)}</AuditMessage>`;
    const mib = 1 << 20;
    await send(
      port,
      counted(sized(32_768)),
      counted(sized(mib)),
      counted(sized(mib + 1)),
      `${sized(mib + 2)}\n${message(1)}\n`,
    );
    expect(texts(host).map((text) => (text.length > 100 ? text.length : text))).toEqual([
      32_768,
      mib,
      `{"kind":"overlong","octets":${mib + 1}}`,
      `{"kind":"overlong","octets":${mib + 2}}`,
      event(1),
    ]);
    expect(host.arrivals[2]?.mediaType).toBe("application/vnd.kedge.gap+json");
    expect(host.counts.get("overlong")).toBe(2);
  });

  test("foreign messages are passed by and counted, or taken as lines with their header", async () => {
    const foreign = "<30>1 2026-11-28T09:00:00Z h sshd 1 - - session opened";
    const passing = await start();
    await send(passing.port, `${foreign}\n${message(1)}\n`);
    expect(texts(passing.host)).toEqual([event(1)]);
    expect(passing.host.passedBy).toBe(1);
    const taking = await start(undefined, { foreign: "lines" });
    await send(taking.port, `${foreign}\r\n${counted(foreign)}`);
    expect(texts(taking.host)).toEqual([foreign, foreign]);
    expect(taking.host.arrivals[0]?.mediaType).toBe("text/plain");
  });

  test("what a broken connection leaves is taken after a gap that says so", async () => {
    const { host, port } = await start();
    await send(port, `${counted(message(1))}99 <85>1 - - - - - - <AuditMessage>cut`);
    expect(texts(host)).toEqual([event(1), '{"kind":"truncated"}', "<AuditMessage>cut"]);
    expect(host.arrivals[2]?.notes).toEqual(["truncated"]);
  });

  test("while the journal refuses, senders are held; nothing is lost and the order of each is kept", async () => {
    const { host, port } = await start();
    host.failing = 2;
    const numbers = Array.from({ length: 300 }, (_, i) => i);
    await Promise.all(
      ["a", "b"].map((name) => send(port, ...numbers.map((i) => `${message(`${name}${i}`)}\n`))),
    );
    for (const name of ["a", "b"]) {
      expect(texts(host).filter((text) => text.includes(`>${name}`))).toEqual(
        numbers.map((i) => event(`${name}${i}`)),
      );
    }
    expect(host.troubles.size).toBe(0);
  });

  test("what was read is journalled when the source stops, and an idle sender is told that no one listens", async () => {
    const { host, port, stop } = await start();
    const idle = await open(port);
    const busy = await open(port);
    busy.write(`${message(1)}\n<85>1 - - - - - - <AuditMessage>half`);
    await expect.poll(() => host.arrivals.length, SOON).toBe(1);
    await Promise.all([stop(), closed(idle), closed(busy)]);
    expect(texts(host)).toEqual([event(1), '{"kind":"truncated"}', "<AuditMessage>half"]);
  });

  test("what the journal did not take before the stop is not acknowledged: its sender is reset", async () => {
    const { host, port, stop } = await start();
    host.failing = Number.POSITIVE_INFINITY;
    const ends: Promise<string>[] = [];
    for (const text of [`${message(1)}\n`, message(1).slice(0, -9)]) {
      const socket = await open(port);
      ends.push(
        new Promise((resolve) => {
          socket.once("error", (error) => resolve("code" in error ? String(error.code) : error.message));
          socket.once("close", () => resolve("closed"));
        }),
      );
      socket.resume();
      socket.end(text);
    }
    await expect.poll(() => host.troubles.get("journal"), SOON).toMatch(/cannot be written/);
    await stop();
    expect(await Promise.all(ends)).toEqual(["ECONNRESET", "ECONNRESET"]);
  });

  test("one connection too many is refused, and counted", async () => {
    const { host, port } = await start(undefined, { maxConnections: 2 });
    const sockets = [await open(port), await open(port)];
    await expect.poll(() => host.counts.get("connections"), SOON).toBe(2);
    await send(port, message(1));
    expect(host.counts.get("connectionsRefused")).toBe(1);
    expect(host.arrivals).toEqual([]);
    for (const socket of sockets) socket.destroy();
  });

  test("an address that is in use is said to be", async () => {
    const { port } = await start();
    await expect(start({ address: `tcp://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: "address",
      message: `The address tcp://127.0.0.1:${port} is in use: name another`,
    });
  });
});

describe("over UDP", () => {
  test("a datagram is a message; one that was cut is taken after a gap that says so", async () => {
    const { host, port } = await start({ address: "udp://127.0.0.1:0" });
    const socket = createSocket("udp4");
    for (const text of [
      `${message(1)}\n`,
      message("x".repeat(40_000)),
      message(3).slice(0, -5),
      "<30>sshd: a",
    ]) {
      socket.send(text, port, "127.0.0.1");
    }
    await expect.poll(() => host.passedBy, SOON).toBe(1);
    socket.close();
    expect(texts(host).map((text) => (text.length > 100 ? text.length : text))).toEqual([
      event(1),
      40_029,
      '{"kind":"truncated"}',
      event(3).slice(0, -5),
    ]);
    expect(host.arrivals[3]?.notes).toEqual(["truncated"]);
  });
});

describe.runIf(hasOpenssl)("over TLS", () => {
  const made = hasOpenssl ? makeCertificates() : undefined;
  afterAll(() => made?.remove());
  const certificates = () => {
    if (made === undefined) throw new Error("There is no openssl");
    return made;
  };
  const listen = (more: { clientCa?: string } = {}) => {
    const { cert, key } = certificates().server;
    return { address: "tls://127.0.0.1:0", tls: { cert, key, ...more } };
  };

  /** Resolves when the agent has closed; rejects where it says why. */
  async function sendTls(
    port: number,
    text: string,
    as?: Pair,
    maxVersion: "TLSv1.3" | "TLSv1.2" | "TLSv1.1" = "TLSv1.3",
  ) {
    const pair = as && { cert: readFileSync(as.cert), key: readFileSync(as.key) };
    const socket = connectTls({
      ...{ host: "127.0.0.1", port, ca: readFileSync(certificates().ca.cert), ...pair, maxVersion },
      ...(maxVersion === "TLSv1.1" && { minVersion: "TLSv1" as const }),
    });
    socket.resume();
    await once(socket, "secureConnect");
    socket.end(Buffer.from(text, "latin1"));
    await once(socket, "close");
  }

  test("takes both framings, from 1.2 on", async () => {
    const { host, port } = await start(listen());
    await sendTls(port, `${counted(message(1))}${message(2)}\n`);
    await sendTls(port, counted(message(3)), undefined, "TLSv1.2");
    await expect(sendTls(port, counted(message(4)), undefined, "TLSv1.1")).rejects.toThrow();
    expect(texts(host)).toEqual([event(1), event(2), event(3)]);
  });

  const rfc3881 =
    '<AuditMessage>\n <EventIdentification><EventID code="eventIDcode" codeSystemName="DCM" /></EventIdentification>\n</AuditMessage>';
  const declared = `<?xml version="1.0" encoding="ASCII"?>\n ${rfc3881}`;
  const foreign = "<30>Nov 28 09:00:00 h sshd[1]: session opened";
  const long = `<AuditMessage>${"x".repeat(1 << 20)}</AuditMessage>`;
  const overlong = (octets: number): string => `{"kind":"overlong","octets":${octets}}`;

  /** What they send in one connection, and what is journalled. */
  test.each<[sender: string, sent: string, events: string[]]>([
    [
      "OpenEMR: no framing, no MSGID, another facility, the name of a variable as code, RFC 3881's schema",
      `<13>2026-11-28T10:00:00+01:00 emr.example\n${declared}`,
      [declared],
    ],
    [
      "logstash: LF framing over TLS, RFC 3164's header",
      `<13>Nov 28 09:00:00 h LOGSTASH[-]: ${event(1)}\n`.repeat(2),
      [event(1), event(1)],
    ],
    [
      "remote_syslog2: LF framing over TLS, RFC 5424's header without MSGID",
      `<134>1 2026-11-28T09:00:00Z h app - - - ${event(1)}\n`.repeat(2),
      [event(1), event(1)],
    ],
    ["no header at all, a message a connection", declared, [declared]],
    [
      "a length and line ends",
      `${counted(`${message(1)}\r\n`)}\n${counted(message(2))}\r\n`,
      [event(1), event(2)],
    ],
    ["NUL after each message", `${message(1)}\0${message(2)}\0`, [event(1), event(2)]],
    [
      "IHE+RFC3881, a byte order mark",
      `<85>1 - h a 1 IHE+RFC3881 - \u00ef\u00bb\u00bf${rfc3881}\n`,
      [rfc3881],
    ],
    ["DICOM+RFC3881, any PRI", counted(`<191>1 - h a 1 DICOM+RFC3881 - ${event(1)}`), [event(1)]],
    [
      "other programs on the same connection",
      `${counted(foreign)}${message(1)}\n${foreign}\n${counted(message(2))}`,
      [event(1), event(2)],
    ],
    [
      "messages that are too long",
      `${counted(long)}${message(1)}\n${long}\n${message(2)}`,
      [overlong(long.length), event(1), overlong(long.length), event(2)],
    ],
    [
      "an end amid a message",
      `${message(1)}\n${message(2).slice(0, -4)}`,
      [event(1), '{"kind":"truncated"}', event(2).slice(0, -4)],
    ],
  ])("a broken sender is read: %s", async (_, sent, events) => {
    const { host, port } = await start(listen());
    await sendTls(port, sent);
    expect(texts(host)).toEqual(events);
  });

  test("with a clientCa, takes from those alone whom it has issued a certificate", async () => {
    const { host, port } = await start(listen({ clientCa: certificates().ca.cert }));
    await sendTls(port, counted(message(1)), certificates().client);
    // Under TLS 1.3 a client learns it only after its handshake, and Node does not always tell it why.
    await sendTls(port, counted(message(2))).catch(() => undefined);
    await sendTls(port, counted(message(3)), certificates().stranger).catch(() => undefined);
    expect(texts(host)).toEqual([event(1)]);
    expect(host.counts.get("handshakesFailed")).toBe(2);
  });

  test("an upstream that refuses our certificate is sent everything again, however it tells us", async () => {
    const upstream = await start(listen({ clientCa: certificates().ca.cert }));
    const { stranger, ca } = certificates();
    const to = { url: upstream.url, framing: "counted" as const, unencrypted: false, ca: ca.cert };
    for (const as of [{}, stranger]) {
      const { host, port } = await start(undefined, { upstream: { ...to, ...as } });
      await send(port, message(1));
      await expect.poll(() => host.troubles.get("upstream"), SOON).toMatch(/^The upstream /);
      expect(host.intake.forwards(9)).toHaveLength(1);
    }
    expect(texts(upstream.host)).toEqual([]);
  });

  test("goes on to an upstream over TLS with a client certificate, and never to one of another authority", async () => {
    const upstream = await start(listen({ clientCa: certificates().ca.cert }));
    const { client, ca, otherCa } = certificates();
    const to = { url: upstream.url, framing: "counted" as const, unencrypted: false, ...client };
    const right = await start(undefined, { upstream: { ...to, ca: ca.cert } });
    await send(right.port, `${message(1)}\n${message(2)}\n`);
    await expect.poll(() => texts(upstream.host), SOON).toEqual([event(1), event(2)]);
    const wrong = await start(undefined, { upstream: { ...to, ca: otherCa.cert } });
    await send(wrong.port, `${message(3)}\n`);
    await expect
      .poll(() => wrong.host.troubles.get("upstream"), SOON)
      .toMatch(/SELF_SIGNED|UNABLE_TO|unable/);
    expect(texts(upstream.host)).toHaveLength(2);
    expect(wrong.host.intake.forwards(9)).toHaveLength(1);
  });
});

describe("with an upstream", () => {
  /** A repository of audit messages: what it got, by connection. */
  async function listenUpstream(port = 0): Promise<{ server: Server; port: number; got(): string }> {
    const connections: Buffer[][] = [];
    const server = createServer((socket) => {
      const pieces: Buffer[] = [];
      connections.push(pieces);
      socket.on("data", (piece) => pieces.push(piece));
      socket.on("error", () => undefined);
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    upstreams.push(server);
    const address = server.address();
    if (typeof address !== "object" || address === null) throw new Error("It has no port");
    return { server, port: address.port, got: () => Buffer.concat(connections.flat()).toString("latin1") };
  }

  test("each message goes on as it came, header and foreign ones too", async () => {
    const upstream = await listenUpstream();
    const { port, host } = await start(undefined, {
      upstream: { url: `tcp://127.0.0.1:${upstream.port}`, framing: "counted", unencrypted: false },
    });
    const bom = message("\xef\xbb\xbf");
    await send(port, `${message(1)}\r\n<30>sshd: a\n${counted(`${bom}\n`)}`);
    await expect
      .poll(() => upstream.got(), SOON)
      .toBe([message(1), "<30>sshd: a", `${bom}\n`].map((one) => `${one.length} ${one}`).join(""));
    await expect.poll(() => host.counts.get("forwarded"), SOON).toBe(3);
  });

  test("while it is dead nothing is lost; when it is back it has all in order, with LF where it wants that", async () => {
    const first = await listenUpstream();
    first.server.close();
    await once(first.server, "close");
    const { port, host } = await start(undefined, {
      upstream: { url: `tcp://127.0.0.1:${first.port}`, framing: "lines", unencrypted: false },
    });
    const numbers = Array.from({ length: 150 }, (_, i) => i);
    await send(port, ...numbers.map((i) => `${message(i)}\n`));
    await expect.poll(() => host.troubles.get("upstream"), SOON).toMatch(/ECONNREFUSED/);
    expect(host.arrivals).toHaveLength(150);
    const second = await listenUpstream(first.port);
    await expect.poll(() => host.intake.forwards(1), SOON).toEqual([]);
    expect(second.got()).toBe(numbers.map((i) => `${message(i)}\n`).join(""));
    expect(host.troubles.size).toBe(0);
  });

  test("what it reset is sent again", async () => {
    const got: string[] = [];
    let connections = 0;
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      connections += 1;
      if (connections < 3) {
        socket.once("data", () => socket.resetAndDestroy());
        return;
      }
      socket.on("data", (piece) => got.push(piece.toString("latin1")));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    upstreams.push(server);
    const address = server.address();
    const upstreamPort = typeof address === "object" && address !== null ? address.port : 0;
    const { port, host } = await start(undefined, {
      upstream: { url: `tcp://127.0.0.1:${upstreamPort}`, framing: "lines", unencrypted: false },
    });
    await send(port, `${message(1)}\n`);
    await expect.poll(() => host.intake.forwards(1), SOON).toEqual([]);
    expect(got.join("")).toBe(`${message(1)}\n`);
    expect(connections).toBe(3);
  });

  test.each([
    ["http://h:1", {}, /is no address/],
    ["tcp://repository.example:514", {}, /unencrypted/],
    ["tcp://127.0.0.1:514", { ca: "ca.pem" }, /only tls/],
    ["tls://repository.example:6514", { cert: "a.pem" }, /both/],
    ["tls://repository.example:6514", { ca: "/does/not/exist.pem" }, /exist\.pem/],
  ])("%s is refused with %o", (url, more, why) => {
    const upstream = { url, framing: "counted" as const, unencrypted: false, ...more };
    const host = memoryHost({ signal: new AbortController().signal });
    const listen = { address: "tcp://127.0.0.1:0" };
    const options = { ...syslogSchema.parse({ kind: "syslog", name: "atna", listen }), upstream };
    expect(() => openSyslog(options, host)).toThrow(why);
  });
});
