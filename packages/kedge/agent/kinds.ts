/** The kinds of sources that the agent has, and the flags that stand for one without a configuration. */
import * as z from "zod";
import { describeListener, type Listen, type Scheme } from "./listen.ts";
import type { Host, Source } from "./source.ts";
import { openStdin, stdinSchema } from "./stdin.ts";

export const sourceSchema = z.discriminatedUnion("kind", [stdinSchema]);
export type SourceOptions = z.output<typeof sourceSchema>;

/** Throws AgentError `config`. */
export function openSource(options: SourceOptions, host: Host): Source {
  switch (options.kind) {
    case "stdin":
      return openStdin(options, host);
  }
}

/** `--<flag> <name>=<value>`. */
type Flag = { flag: string; value: string; what: string; options(name: string, value: string): unknown };

export const FLAGS: readonly Flag[] = [];

/** Of a kind that listens: where, and the schemes that it has. */
export function listenOf(_: SourceOptions): { listen: Listen; schemes: readonly Scheme[] } | undefined {
  return undefined;
}

/** What the agent would do with a source, in lines. */
export function describeSource(options: SourceOptions): string[] {
  const listening = listenOf(options);
  if (listening !== undefined) return [`listens on ${describeListener(listening.listen, listening.schemes)}`];
  return ["reads standard input, a line an event"];
}
