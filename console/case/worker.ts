/** The worker: it holds the case, answers the page one call at a time, and goes on while the page looks at rows. */
import "../zod.ts";
import { type Handlers, openCase } from "./case.ts";
import type { CallName, Calls } from "./messages.ts";
import { told } from "./told.ts";

const post = (message: unknown): void => self.postMessage(message);

let ending = new AbortController();
const calls: Handlers = openCase({ tell: (progress) => post({ progress }), signal: () => ending.signal });

/** A call's name, what it is given and what it answers go together. */
const run = async <Name extends CallName>(
  call: Name,
  ask: Calls[Name]["ask"],
): Promise<Calls[Name]["answer"]> => await calls[call](ask);

self.onmessage = async ({ data }: MessageEvent) => {
  if ("cancel" in data) {
    ending.abort();
    ending = new AbortController();
    return;
  }
  const { id, call, ask } = data;
  try {
    post({ id, answer: await run(call, ask) });
  } catch (error) {
    post({ id, error: told(error) });
  }
};
