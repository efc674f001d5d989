/** The kinds of sources that the agent has, and the flags that stand for one without a configuration. */
import * as z from "zod";
import { describeFiles, filesSchema, openFiles } from "./files.ts";
import { FHIR_SCHEMES, fhirSchema, openFhir } from "./http.ts";
import { describeListener, type Listen, type Scheme } from "./listen.ts";
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
type Flag = { flag: string; value: string; what: string; options(name: string, value: string): unknown };

export const FLAGS: readonly Flag[] = [
  {
    flag: "follow",
    value: "path",
    what: "read this file and what it is rotated to, or all files below this folder",
    options: (name, path) => ({ kind: "files", name, path }),
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
];

/** Of a kind that listens: where, and the schemes that it has. */
export function listenOf(options: SourceOptions): { listen: Listen; schemes: readonly Scheme[] } | undefined {
  if (options.kind === "fhir") return { listen: options.listen, schemes: FHIR_SCHEMES };
  if (options.kind === "syslog") return { listen: options.listen, schemes: SYSLOG_SCHEMES };
  return undefined;
}

/** What the agent would do with a source, in lines. */
export function describeSource(options: SourceOptions): string[] {
  const listening = listenOf(options);
  const listens = listening && `listens on ${describeListener(listening.listen, listening.schemes)}`;
  switch (options.kind) {
    case "fhir": {
      const { path, refuse, upstream } = options;
      return [
        `${listens}${path === "" ? "" : `, under ${path}`}`,
        refuse
          ? "refuses what it cannot read, and writes a gap"
          : "takes the bytes of what it cannot read all the same",
        ...(upstream === undefined ? [] : [`passes each request on to ${upstream.url}`]),
      ];
    }
    case "syslog": {
      const { foreign, upstream } = options;
      return [
        `${listens}`,
        foreign === "passBy"
          ? "counts what is no audit message, and passes it by"
          : "takes what is no audit message as lines",
        ...(upstream === undefined ? [] : [`passes each message on to ${upstream.url}`]),
      ];
    }
    case "poll": {
      const { url, resource, every, overlap } = options;
      return [`asks ${url} for ${resource} every ${every} s, ${overlap} s of what it has asked for again`];
    }
    case "files":
      return describeFiles(options);
    case "stdin":
      return ["reads standard input, a line an event"];
  }
}
