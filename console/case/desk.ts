/** The page's side of its worker: calls that answer later, and how far the long ones have come. */
import { ClientError } from "@kedge/verify/error";
import type { CallName, Calls, Progress } from "./messages.ts";
import { type Strings, sayCode, sayTold } from "./strings.ts";

export type Desk = ReturnType<typeof openDesk>;

/** A call that failed in the worker: a code that a text stands for, and the worker's own message. */
export class DeskError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "DeskError";
    this.code = code;
  }
}

/** What failed, in words: in the worker, at the service, or by a fault of this page. */
export function sayError(error: unknown, t: Strings): string {
  if (error instanceof ClientError) return sayCode(error.code, t);
  return error instanceof DeskError ? sayTold(error, t) : t.errors.fault;
}

export function openDesk(onProgress: (progress: Progress) => void) {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  type Waiting = { answer(data: MessageEvent["data"]): void; fail(error: Error): void };
  const waiting = new Map<number, Waiting>();
  let last = 0;
  /** Why there is no worker any more: whoever asks hears it at once, and does not wait for ever. */
  let dead: DeskError | undefined;
  worker.onmessage = ({ data }: MessageEvent) => {
    if ("progress" in data) {
      onProgress(data.progress);
      return;
    }
    const call = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error === undefined) call?.answer(data.answer);
    else call?.fail(new DeskError(data.error.code, data.error.message));
  };
  const die = (): void => {
    dead = new DeskError("worker", "");
    worker.terminate();
    for (const call of waiting.values()) call.fail(dead);
    waiting.clear();
  };
  worker.onerror = die;
  worker.onmessageerror = die;
  return {
    ask: <Name extends CallName>(call: Name, ask: Calls[Name]["ask"]): Promise<Calls[Name]["answer"]> =>
      new Promise((answer, fail) => {
        if (dead !== undefined) return fail(dead);
        last += 1;
        waiting.set(last, { answer, fail });
        worker.postMessage({ id: last, call, ask });
      }),
    /** Ends the long call that runs; it fails with `cancelled`. */
    cancel: () => worker.postMessage({ cancel: true }),
    close: () => worker.terminate(),
  };
}
