/**
 * The configuration of the agent: a JSON file, or flags for one machine. Members whose name begins with `//` are comments.
 * What cannot work is refused here, before anything is opened.
 */

import { RegularFileError, readRegular } from "@kedge/verify/cli/regular";
import { parseSource } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import { type Json, readJson } from "@kedge/verify/events/json";
import { isOwnSource } from "@kedge/verify/events/manifest";
import { quoted } from "@kedge/verify/text";
import * as z from "zod";
import { AgentError } from "./error.ts";
import { FLAGS, listenOf, type SourceOptions, sourceSchema } from "./kinds.ts";
import { checkListener, HTTP_SCHEMES, type Listen, listenSchema } from "./listen.ts";

const MAX_CONFIG = 1 << 20;
const SECONDS_OF_A_WEEK = 7 * 86_400;

/** Paths are relative to the folder that the agent runs in. */
const configSchema = z.strictObject({
  /** The folder of the journal; made if it is not there. */
  data: z.string().min(1),
  /** As `--credentials`. */
  credentials: z.string().min(1).optional(),
  /** Of the keyring, which may hold it sealed. */
  keyring: z.string().min(1).optional(),
  /** A file with the passphrase of the keyring. */
  passphraseFile: z.string().min(1).optional(),
  /** Health and metrics; false for none. */
  health: z.union([z.literal(false), z.strictObject({ listen: listenSchema })]).optional(),
  /** Seconds after which it is an alert that what was accepted is not sealed, and that what was journalled is not posted. */
  alertAfter: z.int().min(1).max(SECONDS_OF_A_WEEK).default(900),
  lagAfter: z.int().min(1).max(SECONDS_OF_A_WEEK).default(300),
  /** Days after which the events of a source leave the archive. Their openings stay. Without it, none do. */
  keepDays: z.record(z.string(), z.int().min(1).max(36_500)).default({}),
  /** Whether what is journalled can be searched: by `kedge find`, and where a source of kind `fhir` says so. */
  index: z.boolean().default(true),
  sources: z.array(sourceSchema).min(1),
});
export type AgentConfig = z.output<typeof configSchema>;

/** On loopback, unless the configuration names another; where it is taken, the agent goes on without. */
export const DEFAULT_HEALTH: Listen = { address: "http://127.0.0.1:9465" };

/** Throws AgentError `config`. */
export function readConfig(path: string): AgentConfig {
  try {
    return parseConfig(readRegular(path, MAX_CONFIG));
  } catch (cause) {
    if (cause instanceof RegularFileError) throw new AgentError("config", cause.message, { cause });
    if (cause instanceof AgentError) throw new AgentError("config", `${path}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** Throws AgentError `config`. */
export function parseConfig(bytes: Uint8Array): AgentConfig {
  try {
    return checkConfig(withoutComments(readJson(bytes)));
  } catch (cause) {
    if (!(cause instanceof EventError)) throw cause;
    const why = cause.message.replace(/^The event .*?: /, "").replace(/ Correct it.*$/, "");
    throw new AgentError("config", `it is not JSON without doubt: ${why}`, { cause });
  }
}

/** `sources`: of each flag of `FLAGS`, and `upstreams`, `<name>=<value>` texts. Throws AgentError `config`. */
export function configOfFlags(
  data: string,
  given: {
    sources: ReadonlyMap<string, readonly string[]>;
    upstreams?: readonly string[];
    health?: string;
  },
): AgentConfig {
  const upstreams = new Map(given.upstreams?.map((text) => namedValue("upstream", "url", text)));
  const sources = FLAGS.flatMap(({ flag, value, options }) =>
    (given.sources.get(flag) ?? []).map((text) => {
      const [name, rest] = namedValue(flag, value, text);
      const url = upstreams.get(name);
      upstreams.delete(name);
      return { ...options(name, rest), ...(url === undefined ? {} : { upstream: { url } }) };
    }),
  );
  if (sources.length === 0) {
    throw new AgentError(
      "config",
      `There is no source: name a configuration with --config (kedge agent init writes one), or ${FLAGS.map(({ flag }) => `--${flag}`).join(", ")}`,
    );
  }
  const [stranger] = upstreams.keys();
  if (stranger !== undefined) {
    throw new AgentError(
      "config",
      `--upstream is of ${quoted(stranger)}, and no other flag names that source`,
    );
  }
  const { health } = given;
  const listen =
    health === undefined ? undefined : health === "off" ? false : { listen: { address: health } };
  return checkConfig({ data, sources, ...(listen === undefined ? {} : { health: listen }) });
}

function namedValue(flag: string, value: string, text: string): [name: string, value: string] {
  const [, name, rest] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name !== undefined && rest !== undefined) return [name, rest];
  throw new AgentError("config", `--${flag} takes <name>=<${value}>, not ${quoted(text)}`);
}

function checkConfig(value: unknown): AgentConfig {
  const { success, data: config, error } = configSchema.safeParse(value);
  if (!success) throw new AgentError("config", error.issues.slice(0, 5).map(told).join("; "));
  if (config.health) checkListener(config.health.listen, HTTP_SCHEMES);
  const names = new Set<string>();
  for (const source of config.sources) {
    checkName(source);
    if (names.has(source.name)) {
      throw new AgentError(
        "config",
        `two sources are called ${quoted(source.name)}: each has its own numbers`,
      );
    }
    names.add(source.name);
    if (source.kind === "fhir" && source.search && !config.index) {
      throw new AgentError(
        "config",
        `${quoted(source.name)} has search, and index is false: it needs the index`,
      );
    }
    const asks = source.kind === "fhir" && (source.listen.tokenFile ?? source.listen.tls?.clientCa);
    if (source.kind === "fhir" && source.search && asks === undefined) {
      throw new AgentError(
        "config",
        `${quoted(source.name)} has search, and would show patients to everyone on this machine: name a tokenFile or a clientCa in its listen`,
      );
    }
    const listening = listenOf(source);
    if (listening !== undefined) checkListener(listening.listen, listening.schemes);
  }
  const stranger = Object.keys(config.keepDays).find((name) => !names.has(name));
  if (stranger !== undefined) {
    throw new AgentError("config", `keepDays names ${quoted(stranger)}, which is no source here`);
  }
  return config;
}

function checkName({ name }: SourceOptions): void {
  try {
    parseSource(name);
  } catch (cause) {
    if (cause instanceof EventError) throw new AgentError("config", cause.message, { cause });
    throw cause;
  }
  if (isOwnSource(name)) {
    throw new AgentError("config", `the name ${quoted(name)} is the agent's own: none begins with kedge.`);
  }
}

function told({ path, message }: z.core.$ZodIssue): string {
  const where = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return where === "" ? message : `${where.replace(/^\./, "")}: ${message}`;
}

function withoutComments(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutComments);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !name.startsWith("//"))
      .map(([name, member]) => [name, withoutComments(member)]),
  );
}
