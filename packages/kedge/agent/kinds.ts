/** The kinds of sources that the agent has, and the flags that stand for one without a configuration. */
import * as z from "zod";
import { describeFiles, filesSchema, openFiles } from "./files.ts";
import { fhirSchema, openFhir } from "./http.ts";
import { describeListener, HTTP_SCHEMES, type Listen, readListener, type Scheme } from "./listen.ts";
import { list } from "./listing.ts";
import { openPoll, pollSchema } from "./poll.ts";
import type { Host, Source } from "./source.ts";
import { openStdin, stdinSchema } from "./stdin.ts";
import { openSyslog, SYSLOG_SCHEMES, syslogSchema } from "./syslog.ts";

export const sourceSchema = z.discriminatedUnion("kind", [
  fhirSchema,
  filesSchema,
  pollSchema,
  stdinSchema,
  syslogSchema,
]);
export type SourceOptions = z.output<typeof sourceSchema>;

/** Throws AgentError `config`. */
export function openSource(options: SourceOptions, host: Host): Source {
  switch (options.kind) {
    case "fhir":
      return openFhir(options, host);
    case "files":
      return openFiles(options, host);
    case "poll":
      return openPoll(options, host);
    case "stdin":
      return openStdin(options, host);
    case "syslog":
      return openSyslog(options, host);
  }
}

/** `--<flag> <name>=<value>`. */
type Flag = { flag: string; value: string; what: string; options(name: string, value: string): object };

export const FLAGS: readonly Flag[] = [
  {
    flag: "follow",
    value: "path",
    what: "read this file and what it is rotated to, or all files below this folder, or standard input (-)",
    options: (name, path) => (path === "-" ? { kind: "stdin", name } : { kind: "files", name, path }),
  },
  {
    flag: "fhir",
    value: "url",
    what: "take FHIR, CloudEvents and plain POST at this address, such as http://127.0.0.1:8090",
    options(name, url) {
      const [, address = url, path = ""] = /^([a-z]+:\/\/[^/]+)(\/.*[^/])?\/?$/.exec(url) ?? [];
      return { kind: "fhir", name, listen: { address }, path };
    },
  },
  {
    flag: "syslog",
    value: "url",
    what: "take audit messages of IHE ATNA at this address, such as tcp://127.0.0.1:6514",
    options: (name, address) => ({ kind: "syslog", name, listen: { address } }),
  },
  {
    flag: "poll",
    value: "url",
    what: "ask this FHIR server each minute for the AuditEvents that it has stored since",
    options: (name, url) => ({ kind: "poll", name, url }),
  },
];

/** Of a kind that listens: where, and the schemes that it has. */
export function listenOf(options: SourceOptions): { listen: Listen; schemes: readonly Scheme[] } | undefined {
  if (options.kind === "fhir") return { listen: options.listen, schemes: HTTP_SCHEMES };
  if (options.kind === "syslog") return { listen: options.listen, schemes: SYSLOG_SCHEMES };
  return undefined;
}

/** What the agent would do with a source, in lines. */
export function describeSource(options: SourceOptions): string[] {
  const lines = describeInput(options);
  const upstream = "upstream" in options ? options.upstream : undefined;
  return upstream === undefined ? lines : [...lines, `passes each on, as it came, to ${upstream.url}`];
}

/** What is there of it now: its files are counted, and those that a listener needs are read. Throws AgentError `config`. */
export async function lookAt(options: SourceOptions): Promise<string[]> {
  const listening = listenOf(options);
  if (listening !== undefined) readListener(listening.listen, listening.schemes);
  if (options.kind !== "files") return [];
  const troubles = new Set<string>();
  const listing = list(options, { tell: (_, what) => void troubles.add(what), end: () => undefined });
  let [files, bytes] = [0, 0n];
  for await (const { stats } of listing.files()) {
    files += 1;
    bytes += stats.size;
  }
  return [`finds ${files} files of ${bytes} bytes`, ...troubles];
}

function describeInput(options: SourceOptions): string[] {
  const listening = listenOf(options);
  const where =
    listening === undefined ? [] : [`listens on ${describeListener(listening.listen, listening.schemes)}`];
  switch (options.kind) {
    case "files":
      return describeFiles(options);
    case "poll":
      return [
        `asks ${options.url} for ${options.resource} every ${options.every} s, ${options.overlap} s of what it has asked for again`,
      ];
    case "stdin":
      return ["reads standard input"];
    case "syslog":
      return [
        ...where,
        options.foreign === "passBy"
          ? "counts what is no audit message, and passes it by"
          : "takes what is no audit message as lines",
      ];
    case "fhir":
      return [
        ...where.map((line) => (options.path === "" ? line : `${line}, below ${options.path}`)),
        options.refuse
          ? "refuses what is not as it says it is, and writes down a gap"
          : "takes the bytes of what is not as it says it is",
      ];
  }
}
