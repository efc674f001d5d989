import { createSocket } from "node:dgram";
import { setImmediate as turn } from "node:timers/promises";
import { type Send, startForwarding } from "@kedge/cli/agent/forward";
import { sendSyslog } from "@kedge/cli/agent/syslog-upstream";
import { expect, test } from "vitest";
import { memoryHost } from "./memory-host.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const message = (i: number): Uint8Array => Buffer.from(`message ${i}`);
const quick = { first: 1, most: 2 };

test("whatever an upstream takes at a time, and however often it fails, it gets all in order and once", async () => {
  const stop = new AbortController();
  const host = memoryHost({ signal: stop.signal });
  const got: string[] = [];
  let calls = 0;
  const send: Send = async (messages) => {
    calls += 1;
    if (calls % 3 === 0) throw new Error("The upstream is away");
    const taken = messages.slice(0, 1 + (calls % 7));
    got.push(...taken.map(text));
    return taken.length;
  };
  const forwarding = startForwarding({ host, send, pauses: quick });
  for (let i = 0; i < 200; i++) {
    await host.intake.take({ arrivals: [], forward: [message(i)] });
    forwarding.wake();
    if (i % 10 === 0) await turn();
  }
  await expect.poll(() => host.intake.forwards(1), { timeout: 30_000 }).toEqual([]);
  expect(got).toEqual(Array.from({ length: 200 }, (_, i) => `message ${i}`));
  expect(host.counts.get("forwarded")).toBe(200);
  expect(host.troubles.size).toBe(0);
  stop.abort();
  await forwarding.done;
});

test("what lies in the queue at the start is sent without a wake", async () => {
  const stop = new AbortController();
  const host = memoryHost({ signal: stop.signal });
  await host.intake.take({ arrivals: [], forward: [message(1)] });
  const got: string[] = [];
  const forwarding = startForwarding({ host, send: async (all) => got.push(...all.map(text)) });
  await expect.poll(() => got, { timeout: 30_000 }).toEqual(["message 1"]);
  stop.abort();
  await forwarding.done;
});

test("a dead upstream is a trouble until it is back", async () => {
  const stop = new AbortController();
  const host = memoryHost({ signal: stop.signal });
  await host.intake.take({ arrivals: [], forward: [message(1)] });
  let isDead = true;
  const send: Send = async (messages) => {
    if (isDead) throw new Error("The upstream is away");
    return messages.length;
  };
  const forwarding = startForwarding({ host, send, pauses: quick });
  await expect.poll(() => host.troubles.get("upstream"), { timeout: 30_000 }).toBe("The upstream is away");
  expect(host.intake.forwards(9)).toHaveLength(1);
  isDead = false;
  await expect.poll(() => host.troubles.size, { timeout: 30_000 }).toBe(0);
  stop.abort();
  await forwarding.done;
  expect(host.intake.forwards(9)).toEqual([]);
});

test("what the upstream has is not sent again when the journal cannot write that down at once", async () => {
  const stop = new AbortController();
  const host = memoryHost({ signal: stop.signal });
  await host.intake.take({ arrivals: [], forward: [message(1)] });
  host.failing = 3;
  let sent = 0;
  const send: Send = async (messages) => {
    sent += messages.length;
    return messages.length;
  };
  const forwarding = startForwarding({ host, send, pauses: quick });
  await expect.poll(() => host.intake.forwards(1), { timeout: 30_000 }).toEqual([]);
  expect(sent).toBe(1);
  stop.abort();
  await forwarding.done;
});

test("what is on its way when the source stops is written down when it arrives", async () => {
  const stop = new AbortController();
  const host = memoryHost({ signal: stop.signal });
  await host.intake.take({ arrivals: [], forward: [message(1), message(2)] });
  let arrive = (): void => undefined;
  const send: Send = async () => {
    await new Promise<void>((resolve) => (arrive = resolve));
    return 1;
  };
  const forwarding = startForwarding({ host, send });
  await turn();
  stop.abort();
  await turn();
  arrive();
  await forwarding.done;
  expect(host.intake.forwards(9).map(({ message }) => text(message))).toEqual(["message 2"]);
});

test("a source that was stopped before sends nothing", async () => {
  const host = memoryHost({ signal: AbortSignal.abort() });
  await host.intake.take({ arrivals: [], forward: [message(1)] });
  const send: Send = () => Promise.reject(new Error("It sent"));
  await startForwarding({ host, send }).done;
  expect(host.intake.forwards(9)).toHaveLength(1);
});

test("a message that is longer than a datagram is told of, and those after it go on", async () => {
  const upstream = createSocket("udp4");
  const received: string[] = [];
  upstream.on("message", (bytes) => received.push(text(bytes)));
  await new Promise<void>((resolve) => upstream.bind(0, "127.0.0.1", resolve));
  const stop = new AbortController();
  const host = memoryHost({ signal: stop.signal });
  const url = `udp://127.0.0.1:${upstream.address().port}`;
  const send = sendSyslog({ url, framing: "counted", unencrypted: false }, host);
  expect(await send([new Uint8Array(70_000)], stop.signal)).toBe(1);
  expect(host.troubles.has("upstream refuses")).toBe(true);
  expect(await send([message(2)], stop.signal)).toBe(1);
  await expect.poll(() => received, { timeout: 30_000 }).toEqual(["message 2"]);
  expect(host.counts.get("refusedByUpstream")).toBe(1);
  expect(host.troubles.size).toBe(0);
  upstream.close();
});
