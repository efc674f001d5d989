/** The source of kind `stdin`: a line of standard input is an event. */
import { createInterface } from "node:readline";
import * as z from "zod";
import type { Host, Source } from "./source.ts";

export const stdinSchema = z.strictObject({ kind: z.literal("stdin"), name: z.string() });

export function openStdin(_: z.output<typeof stdinSchema>, { intake, signal }: Host): Source {
  return {
    ready: async () => ({}),
    async run() {
      const lines = createInterface({ input: process.stdin });
      signal.addEventListener("abort", () => lines.close());
      for await (const line of lines) {
        const bytes = new TextEncoder().encode(line);
        await intake.take({ arrivals: [{ bytes, mediaType: "text/plain" }] });
      }
    },
  };
}
