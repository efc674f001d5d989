/**
 * How long a page's main thread is held at once, in ms of its own CPU time: another process that takes the core does not count,
 * as it does in `longtask`, so a bound holds on a busy machine too. By Chromium's own trace of what a thread runs.
 */
import type { Browser, CDPSession } from "playwright-core";

const MAIN_THREAD = "CrRendererMain";
type TraceEvent = { name: string; pid: number; tid: number; tdur: number; thread: string };

/**
 * Watches every page of the browser, until what it resolves to is called: that gives the longest task. One at a time. A page
 * begins to be traced some ms after this: it is for work of seconds.
 */
export async function watchTasks(browser: Browser): Promise<() => Promise<number>> {
  const session: CDPSession = await browser.newBrowserCDPSession();
  const longest = new Map<string, number>();
  const mains = new Set<string>();
  session.on("Tracing.dataCollected", ({ value }) => {
    for (const event of value.map(readEvent)) {
      const thread = `${event.pid} ${event.tid}`;
      if (event.thread === MAIN_THREAD) mains.add(thread);
      if (/RunTask$/.test(event.name))
        longest.set(thread, Math.max(longest.get(thread) ?? 0, event.tdur / 1_000));
    }
  });
  await session.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: {
      recordMode: "recordContinuously",
      traceBufferSizeInKb: 400_000,
      includedCategories: ["toplevel"],
      excludedCategories: ["*"],
    },
  });
  return async () => {
    const ended = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
    await session.send("Tracing.end");
    await ended;
    await session.detach();
    if (mains.size === 0) throw new Error("Chromium traced no page's main thread");
    return Math.max(...[...mains].map((thread) => longest.get(thread) ?? 0));
  };
}

function readEvent(event: object): TraceEvent {
  const of = (name: string): unknown => Reflect.get(event, name);
  const args = of("args");
  const thread = typeof args === "object" && args !== null ? Reflect.get(args, "name") : undefined;
  return {
    name: String(of("name")),
    ...{ pid: Number(of("pid")), tid: Number(of("tid")), tdur: Number(of("tdur") ?? 0) },
    thread: of("name") === "thread_name" ? String(thread) : "",
  };
}
