/** Sources and their numbers, as the commands take them: `--source` and `--state`. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { committer, type NumberedFlags, type Tenant, type TenantKeys } from "@kedge/verify/cli/committer";
import { credentialsFolder, noTenantKey } from "@kedge/verify/cli/credentials";
import type { EventSource, InputFile, OnError } from "@kedge/verify/cli/inputs";
import { CliError, misuse, warn } from "@kedge/verify/cli/output";
import { parseSource } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import type { CommitRecord } from "@kedge/verify/pack/lines";
import { quoted } from "@kedge/verify/text";
import { hexToBytes } from "@noble/hashes/utils.js";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { NumberedSource, NumberingError, OwnedNumbers } from "../numbering/numbers.ts";
import { type KeyringFlags, openTenantKeys, withKeyring } from "./keyring.ts";

/** Sources of our own: manifests, records of shredding, searches. */
const RESERVED = "kedge.";
/** Events of one file that are told apart by how often they came: what that takes of the memory is bounded. */
const MAX_IN_FILE = 5_000_000;

/** The tenant's keys, and the numbers that events have under them. */
export type TenantFlags = NumberedFlags & KeyringFlags;

export function withTenant(command: Command): Command {
  return withKeyring(command)
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

export function openCommitting(flags: TenantFlags): Committing {
  const { source } = flags;
  if (source === undefined) {
    let commit: ReturnType<typeof committer> | undefined;
    return {
      async commit(events) {
        commit ??= committer(flags, flags.randomNonce ? undefined : await currentKey(flags));
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
  const makers = new Map<Uint8Array, ReturnType<typeof committer>>();
  const makerOf = (tenantKey: Uint8Array): ReturnType<typeof committer> => {
    const maker = makers.get(tenantKey) ?? committer(flags, tenantKey);
    makers.set(tenantKey, maker);
    return maker;
  };
  let numbers: OwnedNumbers | undefined;
  return {
    close: async () => numbers?.close(),
    async commit(events, refuse) {
      numbers ??= await own({ ...stateFolder(flags), ...(await numberingKeys(flags)), source });
      const records: CommitRecord[] = [];
      const asked = events.map((event, i) => ({
        bytes: event.bytes,
        occurrence: count(event),
        commitAs(sequence: bigint, tenantKey: Uint8Array) {
          const record = makerOf(tenantKey)(event, { source, sequence });
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

/**
 * The keys, and with `--source` the numbers that events have; none is given. `mayAsk`: whether a passphrase may be asked for
 * on the terminal; where it may not, a keyring that stays closed has no keys.
 */
export async function openTenant(
  flags: TenantFlags,
  { mayBeNew = false, mayAsk = true } = {},
): Promise<Tenant> {
  const { source } = flags;
  if (source === undefined) {
    let keys: Promise<TenantKeys> | undefined;
    const open = async () => (await openTenantKeys(flags, { mayAsk })).tenantKeys;
    return {
      tenantKeys() {
        keys ??= open();
        return keys;
      },
      close: async () => undefined,
    };
  }
  const { readNumbers } = await import("../numbering/numbers.ts");
  const keys = await numberingKeys(flags);
  const { folder } = stateFolder(flags);
  const numbers = await numbering(async () => readNumbers({ folder, ...keys, source }));
  if (numbers === undefined && !mayBeNew) {
    throw misuse(
      `No event has a number of the source ${quoted(source)} in ${folder}: name the state that it was posted with`,
    );
  }
  const count = occurrences();
  return {
    tenantKeys: async () => keys.tenantKeys,
    close: async () => numbers?.close(),
    numberOf(event) {
      const sequence = numbers?.find({ bytes: event.bytes, occurrence: count(event) });
      return sequence === undefined ? undefined : { source, sequence };
    },
  };
}

function stateFolder(flags: TenantFlags): { folder: string } {
  return { folder: flags.state ?? join(credentialsFolder(flags), "sources") };
}

async function currentKey(flags: TenantFlags): Promise<Uint8Array> {
  return (await numberingKeys(flags)).tenantKeys[0];
}

async function numberingKeys(flags: TenantFlags): Promise<Omit<NumberedSource, "folder" | "source">> {
  const {
    tenantKeys: [current, ...before],
    shredded,
  } = await openTenantKeys(flags);
  if (current === undefined) throw noTenantKey();
  return { tenantKeys: [current, ...before], shredded };
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
