/** What the syslog listeners do under load, and with whatever is sent. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSyslog, type SyslogOptions, syslogSchema } from "@kedge/cli/agent/syslog";
import { openFraming } from "@kedge/cli/agent/syslog-framing";
import { readContent } from "@kedge/cli/agent/syslog-message";
import { openJournal } from "@kedge/cli/journal/journal";
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { type MemoryHost, memoryHost } from "./memory-host.ts";
import { closed, open } from "./sockets.ts";

const SOON = { timeout: 60_000 };
const event = (i: number | string): string => `<AuditMessage>${i}</AuditMessage>`;
const message = (i: number | string): string => `<85>1 - h a 1 IHE+RFC-3881 - ${event(i)}`;
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function start(listen: SyslogOptions["listen"], options: Partial<SyslogOptions> = {}) {
  const stopping = new AbortController();
  const host = memoryHost({ signal: stopping.signal });
  const parsed = syslogSchema.parse({ kind: "syslog", name: "atna", listen });
  const source = openSyslog({ ...parsed, ...options }, host);
  const done = source.run();
  const { url = "" } = await source.ready();
  const stop = async (): Promise<void> => {
    stopping.abort();
    await done;
  };
  stops.push(stop);
  return { host, port: Number(new URL(url).port), stop };
}
const texts = ({ arrivals }: MemoryHost): string[] =>
  arrivals.map(({ bytes }) => Buffer.from(bytes).toString("latin1"));

describe("while the journal is behind", () => {
  test("no more is read than what waits for the journal", async () => {
    const { host, port } = await start({ address: "tcp://127.0.0.1:0" });
    let release = (): void => undefined;
    host.gate = new Promise((resolve) => (release = resolve));
    const socket = await open(port);
    const line = Buffer.from(`${message("x".repeat(20_000))}\n`);
    // More than the buffers of both ends: the system stops taking it.
    const all = Buffer.concat(Array.from({ length: 1500 }, () => line));
    let isTaken = false;
    socket.end(all, () => (isTaken = true));
    await expect.poll(() => socket.bytesWritten, SOON).toBeGreaterThan(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isTaken).toBe(false);
    expect(host.takings).toEqual([]);
    release();
    await closed(socket);
    expect(host.arrivals).toHaveLength(1500);
  });

  test("what there is no room for while the journal is behind is written down as lost, in its place", async () => {
    const { host, port } = await start({ address: "udp://127.0.0.1:0" });
    let release = (): void => undefined;
    host.gate = new Promise((resolve) => (release = resolve));
    const socket = createSocket("udp4");
    const big = message("x".repeat(60_000));
    let sent = 0;
    // Until its queue is full, and well beyond; each is given time to be read before the system drops it.
    for (; sent < 700; sent++) {
      await new Promise((resolve) => socket.send(big, port, "127.0.0.1", resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    release();
    await expect.poll(() => host.counts.get("lost"), SOON).toBeGreaterThan(0);
    const lost = () => texts(host).filter((text) => text.includes('"kind":"lost"'));
    const datagrams = (text: string): number => Number(/"(\d+) datagrams"/.exec(text)?.[1]);
    // Of what the system drops, where this thread has to wait, there are no octets to be counted.
    await expect
      .poll(() => lost().reduce((sum, text) => sum + datagrams(text), 0), SOON)
      .toBe(host.counts.get("lost"));
    socket.close();
    const counted = lost().filter((text) => text.includes('"octets"'));
    expect(counted.length).toBeGreaterThan(0);
    for (const text of counted)
      expect(text).toBe(
        `{"detail":"${datagrams(text)} datagrams","kind":"lost","octets":${datagrams(text) * big.length}}`,
      );
  });

  test.runIf(process.platform === "linux")(
    "what the system drops is written down as lost, to the datagram",
    async () => {
      const { host, port, stop } = await start({ address: "udp://127.0.0.1:0" });
      const socket = createSocket("udp4");
      socket.connect(port, "127.0.0.1");
      await once(socket, "connect");
      const bytes = Buffer.from(message("x".repeat(60_000)));
      // Without a turn of the event loop nothing is read meanwhile.
      const sent = Array.from({ length: 400 }, () => new Promise((resolve) => socket.send(bytes, resolve)));
      await Promise.all(sent);
      await stop();
      socket.close();
      const lost = host.counts.get("lost") ?? 0;
      expect(lost).toBeGreaterThan(0);
      expect(texts(host).at(-1)).toBe(`{"detail":"${lost} datagrams","kind":"lost"}`);
      expect(host.arrivals.length - 1 + lost).toBe(sent.length);
    },
  );
});

/** As in the agent: numbers, commitments and bodies on the disk before a sender is let go on. */
describe("with a journal", () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(1), bodyKey: new Uint8Array(32).fill(2) };

  async function startWith(folder: string, options: Partial<SyslogOptions> = {}) {
    const journal = await openJournal({ folder, keys: { current: () => key, of: () => key } });
    const intake = await journal.intake("atna");
    const stopping = new AbortController();
    const memory = memoryHost({ signal: stopping.signal });
    const listen = { address: "tcp://127.0.0.1:0" };
    const parsed = syslogSchema.parse({ kind: "syslog", name: "atna", listen });
    const source = openSyslog({ ...parsed, ...options }, { ...memory, intake });
    const done = source.run();
    const { url = "" } = await source.ready();
    const stop = async (): Promise<void> => {
      stopping.abort();
      await done;
      await journal.close();
    };
    const bodies = () =>
      [...journal.entries("atna")].map(({ bytes }) => Buffer.from(bytes ?? []).toString("latin1"));
    return { journal, intake, port: Number(new URL(url).port), stop, bodies, troubles: memory.troubles };
  }
  function newFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), "kedge-syslog-"));
    folders.push(folder);
    return folder;
  }

  test("16 senders at a time: each message once, under numbers without a gap, in the order of its sender", async () => {
    const { port, stop, journal, bodies } = await startWith(newFolder());
    const numbers = Array.from({ length: 1000 }, (_, i) => i);
    const names = Array.from({ length: 16 }, (_, i) => `sender${i}.`);
    const began = performance.now();
    await Promise.all(
      names.map(async (name) => {
        const socket = await open(port);
        for (const i of numbers) {
          if (!socket.write(`${message(`${name}${i} ${"x".repeat(700)}`)}\n`)) await once(socket, "drain");
        }
        socket.end();
        await closed(socket);
      }),
    );
    const seconds = (performance.now() - began) / 1000;
    process.stderr.write(
      `syslog: ${Math.round((names.length * numbers.length) / seconds)} messages/s from 16 senders\n`,
    );
    expect(journal.sources()).toMatchObject([{ name: "atna", journalled: 16_000n, last: 16_000n }]);
    const all = bodies();
    for (const name of names) {
      const mine = all.filter((body) => body.includes(`>${name}`));
      expect(mine).toEqual(numbers.map((i) => event(`${name}${i} ${"x".repeat(700)}`)));
    }
    await stop();
  });

  test("what a dead upstream is still to get survives the agent's end, and it has all in order when it is back", async () => {
    const folder = newFolder();
    const numbers = Array.from({ length: 700 }, (_, i) => i);
    const dead = await listenUpstream();
    dead.server.close();
    await once(dead.server, "close");
    const upstream = { url: `tcp://127.0.0.1:${dead.port}`, framing: "lines" as const, unencrypted: false };
    for (const from of [0, 350]) {
      const agent = await startWith(folder, { upstream });
      const socket = await open(agent.port);
      socket.end(
        numbers
          .slice(from, from + 350)
          .map((i) => `${message(i)}\n`)
          .join(""),
      );
      await closed(socket);
      await agent.stop();
    }
    const back = await listenUpstream(dead.port);
    const agent = await startWith(folder, { upstream });
    await expect.poll(() => agent.intake.forwards(1), SOON).toEqual([]);
    await agent.stop();
    await expect.poll(back.got, SOON).toBe(numbers.map((i) => `${message(i)}\n`).join(""));
    back.server.close();
  });
});

/** A repository of audit messages, and what it got. */
async function listenUpstream(port = 0) {
  const pieces: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on("data", (piece) => pieces.push(piece));
    socket.on("error", () => undefined);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("It has no port");
  return { server, port: address.port, got: () => Buffer.concat(pieces).toString("latin1") };
}

describe("hostile senders", () => {
  test("thousands that each begin a message and never end it hold a bounded memory, and others are served", async () => {
    const { host, port } = await start({ address: "tcp://127.0.0.1:0" }, { maxConnections: 3000 });
    const before = process.memoryUsage().rss;
    const half = Buffer.from(`900000 <1>${"x".repeat(100_000)}`);
    const sockets: Socket[] = [];
    for (let i = 0; i < 2000; i++) {
      const socket = await open(port);
      socket.write(half);
      sockets.push(socket);
    }
    // 64 MiB are some 600 of them.
    await expect.poll(() => host.counts.get("connectionsCut") ?? 0, SOON).toBeGreaterThan(1300);
    const served = await open(port);
    served.end(`${message(1)}\n`);
    await closed(served);
    expect(texts(host)).toContain(event(1));
    expect(process.memoryUsage().rss - before).toBeLessThan(512 << 20);
    for (const socket of sockets) socket.destroy();
  });

  test("floods of NUL, line ends, digits and messages of an octet are taken in, and the next sender is served", async () => {
    const { host, port } = await start({ address: "tcp://127.0.0.1:0" });
    for (const flood of ["\0", "\n", "9", "a\n", "1 a", "<", "<AuditMessage ", "99999999 "]) {
      const socket = await open(port);
      const piece = Buffer.from(flood.repeat(100_000));
      for (let i = 0; i < 4; i++) if (!socket.write(piece)) await once(socket, "drain");
      socket.end();
      await closed(socket);
    }
    const served = await open(port);
    served.end(`${message(1)}\n`);
    await closed(served);
    expect(texts(host).at(-1)).toBe(event(1));
    expect(host.passedBy).toBeGreaterThan(800_000);
  });

  test("who sends an octet at a time is read at no more than the cost of its octets", async () => {
    const framing = openFraming(1 << 20);
    const octet = Buffer.from("x");
    for (const _ of framing.push(Buffer.from("<AuditMessage>"))) expect.fail("It has not ended");
    for (let i = 0; i < 1_000_000; i++) for (const _ of framing.push(octet)) expect.fail("It has not ended");
    expect([...framing.push(Buffer.from("</AuditMessage>"))]).toHaveLength(1);
  });
});

const samples = [
  `${message(1)}\n`,
  `${message(1).length} ${message(1)}`,
  '<13>2026-11-28T10:00:00+01:00 emr\n<?xml version="1.0" encoding="ASCII"?>\n <AuditMessage>\n  <EventIdentification/>\n </AuditMessage>',
  '<85>1 - h a 1 IHE+RFC-3881 [x@1 a="] \\" "][y b="c"] \u00ef\u00bb\u00bf<?xml version="1.0"?><a:AuditMessage b="c"></a:AuditMessage>',
  "<30>Nov 28 09:00:00 host sshd[1]: session opened\r\n",
  "12345678901234567890 <1>a\0<2>b\n",
];

/** A few samples one after another, with octets changed, taken away and put in. */
const mutated = fc
  .tuple(
    fc.array(fc.constantFrom(...samples), { minLength: 1, maxLength: 4 }),
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 12 }), fc.string({ unit: "binary-ascii", maxLength: 4 })), {
      maxLength: 6,
    }),
    fc.nat(),
  )
  .map(([parts, changes, end]) => {
    let text = parts.join("");
    for (const [at, removed, added] of changes) {
      const from = at % (text.length + 1);
      text = text.slice(0, from) + added + text.slice(from + removed);
    }
    return Buffer.from(end % 3 === 0 ? text.slice(0, end % (text.length + 1)) : text, "latin1");
  });

test("100,000 mutated and truncated streams are read to their end, the same whole and in pieces", {
  timeout: 900_000,
}, () => {
  fc.assert(
    fc.property(mutated, fc.integer({ min: 1, max: 64 }), fc.boolean(), (bytes, size, isClean) => {
      const read = (by: number): string[] => {
        const framing = openFraming(400);
        const framed = [];
        for (let at = 0; at < bytes.length; at += by)
          framed.push(...framing.push(bytes.subarray(at, at + by)));
        framed.push(...framing.end(isClean));
        return framed.map((one) => {
          if (one.kind === "overlong") return `overlong ${one.octets}`;
          const content = readContent(one.bytes);
          expect(content.bytes.length).toBeLessThanOrEqual(one.bytes.length);
          return `${content.kind} ${one.isCut} ${Buffer.from(content.bytes).toString("latin1")}`;
        });
      };
      expect(read(size)).toEqual(read(bytes.length + 1));
    }),
    { numRuns: 100_000 },
  );
});
