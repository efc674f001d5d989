/** Bodies are read within their bound, however a server cuts them up. */
import { ClientError } from "@kedge/verify/error";
import { readBounded, withRetries } from "@kedge/verify/net/exchange";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

async function* chunks(count: number, onEnd = () => {}) {
  try {
    for (let i = 0; i < count; i++) yield Uint8Array.of(i & 0xff);
  } finally {
    onEnd();
  }
}

describe("a body", () => {
  test("of very many tiny chunks is read whole", async () => {
    const body = await readBounded(chunks(300_000), 300_000);
    const sent = Uint8Array.from({ length: 300_000 }, (_, i) => i);
    // toEqual takes a second for arrays as long as these.
    expect(body !== undefined && equalBytes(body, sent)).toBe(true);
  });

  test("is undefined one byte above the bound, and the rest is not read", async () => {
    let ended = 0;
    const onEnd = () => ended++;
    expect(await readBounded(chunks(Number.POSITIVE_INFINITY, onEnd), 4)).toBeUndefined();
    expect(await readBounded(chunks(4, onEnd), 4)).toEqual(Uint8Array.of(0, 1, 2, 3));
    expect(ended).toBe(2);
  });

  test("that is absent is empty", async () => {
    expect(await readBounded(null, 4)).toEqual(new Uint8Array());
  });
});

describe("a call that fails for now", () => {
  const failing = (retryAfter: number) => {
    const calls: number[] = [];
    const call = async (): Promise<never> => {
      calls.push(performance.now());
      throw new ClientError("throttled", "not now", { retryAfter });
    };
    return { calls, call };
  };
  const codeOf = (promise: Promise<unknown>) => promise.catch(({ code }: ClientError) => code);

  test("is made as often as it may be, or for as long, with pauses that are told", async () => {
    const often = failing(0);
    expect(await codeOf(withRetries({ attempts: 3 }, true, often.call))).toBe("throttled");
    expect(often.calls).toHaveLength(3);
    const long = failing(200);
    const pauses: number[] = [];
    const onPause = (pause: number): void => void pauses.push(pause);
    expect(await codeOf(withRetries({ patience: 900, onPause }, true, long.call))).toBe("throttled");
    expect(pauses.length).toBe(long.calls.length - 1);
    expect(pauses.length).toBeGreaterThan(0);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(200);
  });

  test("is not made again for a pause longer than anybody waits", async () => {
    for (const retries of [{}, { patience: 1_000 }]) {
      const { calls, call } = failing(130_000);
      expect(await codeOf(withRetries(retries, true, call))).toBe("throttled");
      expect(calls).toHaveLength(1);
    }
  });

  test("ends at once with the reason of a signal", async () => {
    const stop = new AbortController();
    const { call } = failing(100_000);
    const onPause = (): void => stop.abort(new Error("enough"));
    await expect(withRetries({ signal: stop.signal, onPause }, true, call)).rejects.toThrow("enough");
  });
});

describe("a server that asks to wait", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** The pauses that were waited, in seconds, until it failed for good. */
  async function pausesOf(retryAfter: number): Promise<number[]> {
    const pauses: number[] = [];
    const busy = () => Promise.reject(new ClientError("throttled", "busy", { retryAfter }));
    const call = withRetries({ attempts: 100, onPause: (ms) => pauses.push(ms / 1000) }, true, busy);
    const failed = expect(call).rejects.toMatchObject({ code: "throttled" });
    await vi.runAllTimersAsync();
    await failed;
    return pauses;
  }

  test("is waited for 120 s at a time and 5 minutes in all, each time said", async () => {
    expect(await pausesOf(120_000)).toEqual([120, 120]);
    expect(await pausesOf(60_000)).toEqual([60, 60, 60, 60, 60]);
    expect(await pausesOf(120_001)).toEqual([]);
  });
});
