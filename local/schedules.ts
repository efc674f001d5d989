/**
 * What a deployment's schedules and stream do, in one process: logs are sealed when entries come, the anchor log follows
 * what was published, and now and then everything is looked at, for what another process or a crash has left.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { anchorNow } from "../functions/anchorer.ts";
import { service } from "../functions/open.ts";
import { noteRun } from "../functions/runs.ts";
import { openSeals } from "../functions/seals.ts";
import { tidyTrail } from "../functions/trail.ts";
import { endLog, errorFields, logLine } from "../platform/log.ts";
import { codeOf } from "../service/runs.ts";
import type { SweptLog } from "../service/sweep.ts";
import { openSealing, retryAfter } from "./sealing.ts";

/** Between two looks at everything: at each log, and at the anchor log when nothing was published. */
const LOOK_EVERY_MS = 30_000;
const ANCHOR_EVERY_MS = 2_000;
/** What happened in so long is reported together. */
const REPORT_MS = 1_000;
/** How long a start waits to see whether the first runs go well. */
const FIRST_RUNS_MS = 5_000;

export type Schedules = {
  /** Has the log sealed that entries came to. */
  readonly onAppended: (log: string) => void;
  /** @returns once everything was tried once, or is not done soon: whether all went well by then. */
  start(): Promise<boolean>;
  close(): Promise<void>;
};

/** @param onTrouble is called once for each error that is met. */
export function openSchedules(onTrouble: (message: string) => void = () => {}): Schedules {
  const stopping = new AbortController();
  const wait = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
  const told = new Set<string>();
  const tell = (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    if (!told.has(message)) onTrouble(message);
    told.add(message);
  };

  const seals = openSeals();
  let published = false;
  /** Why the logs could not be walked, if so; undefined: they have not been yet. */
  let walked: readonly string[] | undefined;
  let reporting: NodeJS.Timeout | undefined;
  const report = async () => {
    reporting = undefined;
    seals.report();
    const codes = [...seals.stopped.values()].map(({ code }) => code);
    if (walked !== undefined) await noteRun("sealer", { codes: [...codes, ...walked] });
  };
  const sealing = openSealing(service(), async (swept: SweptLog) => {
    await seals.add(swept);
    if ("error" in swept) tell(swept.error);
    else if (swept.oldest !== undefined) published = true;
    reporting ??= setTimeout(report, REPORT_MS);
  });

  /** @param run returns how long to wait for the next. */
  function repeat(run: () => Promise<number>) {
    const first = run();
    const goOn = async () => {
      for (let ms = await first; ; ms = await run()) {
        await wait(ms);
        if (stopping.signal.aborted) return;
      }
    };
    return { first, ended: goOn() };
  }

  let walks = 0;
  const look = async () => {
    const trail = await tidyTrail();
    try {
      await sealing.wakeAll();
      walked = trail;
      walks = 0;
    } catch (error) {
      logLine("error", { event: "sweep", ...errorFields(error) });
      tell(error);
      walked = [codeOf(error), ...trail];
      walks++;
    }
    await report();
    return walks === 0 ? LOOK_EVERY_MS : retryAfter(walks);
  };

  let lastAnchored = Number.NEGATIVE_INFINITY;
  let isSettled = false;
  let failures = 0;
  const anchor = async () => {
    const now = performance.now();
    if (isSettled && !published && now - lastAnchored < LOOK_EVERY_MS) return ANCHOR_EVERY_MS;
    published = false;
    lastAnchored = now;
    try {
      isSettled = await anchorNow();
      failures = 0;
    } catch (error) {
      tell(error);
      isSettled = false;
      failures++;
    }
    return failures === 0 ? ANCHOR_EVERY_MS : Math.max(ANCHOR_EVERY_MS, retryAfter(failures));
  };

  let loops: readonly ReturnType<typeof repeat>[] = [];
  return {
    onAppended: (log) => void sealing.wake(log),
    async start() {
      loops = [repeat(look), repeat(anchor)];
      const firsts = Promise.all(loops.map(({ first }) => first));
      // Witnesses that do not answer take longer.
      await Promise.race([firsts, sleep(FIRST_RUNS_MS, undefined, { ref: false })]);
      return told.size === 0;
    },
    async close() {
      stopping.abort();
      await sealing.close();
      await Promise.all(loops.map(({ ended }) => ended));
      clearTimeout(reporting);
      seals.report();
      endLog();
    },
  };
}
