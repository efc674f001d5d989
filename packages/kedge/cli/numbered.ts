/** Sources and their numbers, as the commands take them: `--source` and `--state`. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  type CommitRecord,
  committer,
  type NumberedFlags,
  type OpenNumberOf,
} from "@kedge/verify/cli/committer";
import { credentialsFolder, needTenantKey } from "@kedge/verify/cli/credentials";
import type { EventSource, InputFile, OnError } from "@kedge/verify/cli/inputs";
import { CliError, misuse, warn } from "@kedge/verify/cli/output";
import { parseSource } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import { quoted } from "@kedge/verify/text";
import { hexToBytes } from "@noble/hashes/utils.js";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { NumberedSource, NumberingError, OwnedNumbers } from "../numbering/numbers.ts";

/** Sources of the agent's own manifests. */
const RESERVED = "kedge.manifest/";
/** Events of one file that are told apart by how often they came: what that takes of the memory is bounded. */
const MAX_IN_FILE = 5_000_000;

export function withSource(command: Command): Command {
  return command
    .option(
      "--source <name>",
      "the system that the events are from: each gets its number there, and keeps it",
      sourceOption,
    )
    .addOption(
      new Option("--state <folder>", "of the numbers (default: sources, beside the credentials)").env(
        "KEDGE_STATE",
      ),
    );
}

function sourceOption(text: string): string {
  if (text.startsWith(RESERVED))
    throw new InvalidArgumentError(`Names that begin with ${RESERVED} are reserved.`);
  try {
    return parseSource(text);
  } catch (error) {
    throw error instanceof EventError ? new InvalidArgumentError(error.message) : error;
  }
}

/** What makes records of events, in the order of the files. The tenant key is not asked for before the first. */
export type Committing = {
  /** With `--source`, the numbers are durable when this returns. `refuse` is told of those that have no record. */
  commit(events: readonly EventSource[], refuse: OnError): Promise<CommitRecord[]>;
  close(): Promise<void>;
};

export function openCommitting(flags: NumberedFlags): Committing {
  const { source } = flags;
  let commit: ReturnType<typeof committer> | undefined;
  if (source === undefined) {
    return {
      async commit(events) {
        commit ??= committer(flags);
        const make = commit;
        return events.map((event) => make(event));
      },
      close: async () => undefined,
    };
  }
  if (flags.randomNonce) {
    throw misuse(
      "--random-nonce cannot go with --source: a number keeps one commitment, and a random nonce makes another each time",
    );
  }
  const count = occurrences();
  let numbers: OwnedNumbers | undefined;
  return {
    close: async () => numbers?.close(),
    async commit(events, refuse) {
      commit ??= committer(flags);
      const make = commit;
      numbers ??= await own({ ...stateOf(flags), source });
      const records: CommitRecord[] = [];
      const asked = events.map((event, i) => ({
        bytes: event.bytes,
        occurrence: count(event),
        commitAs(sequence: bigint) {
          const record = make(event, { source, sequence });
          records[i] = record;
          return hexToBytes(record.commitment);
        },
      }));
      const owned = numbers;
      const given = await numbering(async () => owned.assign(asked));
      return records.filter((record, i) => {
        const number = given[i];
        if (number instanceof Error) refuse(differing(record, number));
        return typeof number === "bigint";
      });
    },
  };
}

/** Of one event, which was renamed or is given with other options than before. */
function differing({ event, line, opening }: CommitRecord, cause: NumberingError): CliError {
  const place = line === undefined ? event : `${event} line ${line}`;
  const now = `This time its media type is ${opening.mediaType}; give the one of then with --media-type`;
  return new CliError("failed", `${place} is refused: ${cause.message}. ${now}`, { cause });
}

async function own(of: NumberedSource): Promise<OwnedNumbers> {
  const { ownNumbers } = await import("../numbering/numbers.ts");
  const numbers = await numbering(() => ownNumbers(of));
  if (numbers.isNew) {
    warn(
      `the source ${quoted(of.source)} is new in ${of.folder}, and its numbers begin at 1. If it was numbered before, stop, and name the state that has its numbers: --state`,
    );
  }
  return numbers;
}

/** Looks numbers up, and gives none; `numberOf` is undefined without `--source`. */
export async function openNumberOf(
  flags: NumberedFlags,
  { mayBeNew = false } = {},
): ReturnType<OpenNumberOf> {
  const { source } = flags;
  if (source === undefined) return { close: async () => undefined };
  const { readNumbers } = await import("../numbering/numbers.ts");
  const numbers = await numbering(async () => readNumbers({ ...stateOf(flags), source }));
  if (numbers === undefined && !mayBeNew) {
    throw misuse(
      `No event has a number of the source ${quoted(source)} in ${stateOf(flags).folder}: name the state that it was posted with`,
    );
  }
  const count = occurrences();
  return {
    close: async () => numbers?.close(),
    numberOf(event) {
      const sequence = numbers?.find({ bytes: event.bytes, occurrence: count(event) });
      return sequence === undefined ? undefined : { source, sequence };
    },
  };
}

function stateOf(flags: NumberedFlags): Omit<NumberedSource, "source"> {
  const folder = flags.state ?? join(credentialsFolder(flags), "sources");
  return { folder, tenantKey: needTenantKey(flags) };
}

/** How often the bytes of an event came before in this reading of its file; files come one after the other. */
function occurrences(): (event: EventSource) => number {
  let reading: InputFile | undefined;
  let counts = new Map<string, number>();
  return ({ name, file, bytes }) => {
    if (file !== reading) counts = new Map();
    reading = file;
    const hash = createHash("sha256").update(bytes).digest("base64").slice(0, 22);
    const before = counts.get(hash) ?? 0;
    if (before === 0 && counts.size === MAX_IN_FILE) {
      throw misuse(`${name} has more than ${MAX_IN_FILE} different events: with --source, split it`);
    }
    counts.set(hash, before + 1);
    return before;
  };
}

async function numbering<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const { NumberingError } = await import("../numbering/numbers.ts");
    throw error instanceof NumberingError ? misuse(error.message, error) : error;
  }
}
