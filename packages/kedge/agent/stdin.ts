/** The source `stdin`: the lines or rows of standard input. What a pipe gave cannot be read again, so none is read ahead. */
import type { Readable } from "node:stream";
import { z } from "zod";
import type { Arrival } from "../journal/types.ts";
import { headerCursors, type LineStep, lineMembers, readLines } from "./line-events.ts";
import { aborted, pause } from "./pause.ts";
import type { Host, Source } from "./source.ts";

export const stdinSchema = z.strictObject({
  kind: z.literal("stdin"),
  ...lineMembers,
  /** `text`: lines, and JSON where they look like it. */
  content: z.enum(["text", "lines", "ndjson", "delimited"]).default("text"),
  /** What the source does once its input has ended: it ends too, or waits with the others. */
  atEnd: z.enum(["end", "wait"]).default("end"),
});

export type StdinOptions = z.output<typeof stdinSchema>;

/** Events in one transaction. */
const MAX_TAKEN = 10_000;
const RETRY_MS = 1_000;

export function openStdin(options: StdinOptions, host: Host, input: Readable = process.stdin): Source {
  const { intake, signal } = host;
  const lines = readLines(options.content, options, { intake });

  /** Until it is written: whoever writes into the pipe waits meanwhile. */
  async function take(arrivals: Arrival[]): Promise<void> {
    for (;;) {
      try {
        if (arrivals.length > 0)
          await intake.take({ arrivals, cursors: new Map(headerCursors(lines.header())) });
        host.trouble("journal", undefined);
        return;
      } catch (error) {
        host.trouble("journal", error instanceof Error ? error.message : "the journal cannot be written");
        await pause(RETRY_MS, signal);
        if (signal.aborted) throw error;
      }
    }
  }

  async function takeAll(steps: Iterable<LineStep>): Promise<void> {
    let arrivals: Arrival[] = [];
    for (const { event } of steps) {
      if (event !== undefined) arrivals.push(event);
      if (arrivals.length < MAX_TAKEN) continue;
      await take(arrivals);
      arrivals = [];
    }
    await take(arrivals);
  }

  async function read(): Promise<void> {
    const stop = () => input.destroy();
    signal.addEventListener("abort", stop);
    try {
      for await (const part of input) {
        await takeAll(lines.add(part instanceof Uint8Array ? part : Buffer.from(String(part))));
        if (signal.aborted) return;
      }
      await takeAll(lines.rest());
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  return {
    ready: async () => ({}),
    async run() {
      await read();
      if (options.atEnd === "wait") await aborted(signal);
    },
  };
}
