/** From an event to its commitment and opening, by the options that every command has for it. */
import { randomBytes } from "node:crypto";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Canonicalisation } from "../events/canonical.ts";
import { commitEvent } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { mediaTypeOf, parseMediaType } from "../events/media.ts";
import type { CommitRecord } from "../pack/lines.ts";
import type { Derive } from "../proof/pairing.ts";
import { findTenantKey, noTenantKey, type SettingFlags, withTenantKey } from "./credentials.ts";
import type { EventSource } from "./inputs.ts";
import { CliError } from "./output.ts";

export type CommitFlags = SettingFlags & {
  mediaType?: string;
  canonicalisation?: Canonicalisation;
  randomNonce?: boolean;
  ndjson?: boolean;
  asBytes?: boolean;
};

/** Of a program that knows the numbers of sources. */
export type NumberedFlags = CommitFlags & { source?: string; state?: string };

export function withCommit(command: Command): Command {
  return withTenantKey(command)
    .option(
      "--media-type <type>",
      "of the events (default: by the file's name and first bytes)",
      mediaTypeOption,
    )
    .addOption(
      new Option("--canonicalisation <name>", "of the events").choices(["raw", "jcs"]).default("raw"),
    )
    .option("--ndjson", "every input has one event a line, whatever its name")
    .option("--as-bytes", "an event is its bytes, whatever they look like and their file is called");
}

function mediaTypeOption(text: string): string {
  try {
    return parseMediaType(text);
  } catch (error) {
    throw error instanceof EventError ? new InvalidArgumentError(error.message) : error;
  }
}

/** The number of an event among those of its source. */
export type Numbered = { source: string; sequence: bigint };
/** The number that an event has, or undefined when it has none. To be called for every event of a file, in order. */
export type NumberOf = (source: EventSource) => Numbered | undefined;

/** A tenant's keys, 32 bytes each: what is committed to now is under the first, and what was before may be under any. */
export type TenantKeys = readonly Uint8Array[];
/**
 * What is known of a tenant where the command runs. Who has a keyring is not asked for its passphrase before the keys are
 * needed; `numberOf` is undefined when the flags name no source.
 */
export type Tenant = { tenantKeys(): Promise<TenantKeys>; numberOf?: NumberOf; close(): Promise<void> };
export type OpenTenant = (flags: NumberedFlags) => Promise<Tenant>;

/** For a program that knows no keyring and no numbers: the key of the flags or credentials, if they have one. */
export async function plainTenant(flags: CommitFlags): Promise<Tenant> {
  const tenantKey = findTenantKey(flags);
  const tenantKeys = tenantKey === undefined ? [] : [tenantKey];
  return { tenantKeys: async () => tenantKeys, close: async () => undefined };
}

/** Commits to one event. Without a tenant key that is misuse, except with random nonces. */
export function committer(
  flags: CommitFlags,
  tenantKey: Uint8Array | undefined,
): (source: EventSource, numbered?: Numbered) => CommitRecord {
  const fields = eventFields(flags);
  if (!flags.randomNonce && tenantKey === undefined) throw noTenantKey();
  return (source, numbered) => {
    const secret =
      flags.randomNonce || tenantKey === undefined
        ? { nonce: new Uint8Array(randomBytes(32)) }
        : { tenantKey };
    const { commitment, opening } = locating(source, () =>
      commitEvent({ ...fields(source), ...numbered }, secret),
    );
    return {
      event: source.name,
      ...(source.line === undefined ? {} : { line: source.line }),
      commitment: Buffer.from(commitment).toString("hex"),
      opening,
    };
  };
}

/**
 * The openings that events were committed with if one of the tenant keys is that of then, and the options are. To be called
 * for every event of a file, in order; what it returns, one for each key, with the event's bytes, or with what they may have
 * been before they were converted. With `numberOf`, an event without a number has none.
 */
export function deriveOpening(
  flags: CommitFlags,
  tenantKeys: TenantKeys,
  numberOf?: NumberOf,
): (source: EventSource) => Derive[] {
  const fields = eventFields(flags);
  return (source) => {
    const numbered = numberOf?.(source);
    if (numberOf !== undefined && numbered === undefined) return [];
    return tenantKeys.map((tenantKey) => (bytes) => {
      try {
        return commitEvent({ ...fields({ ...source, bytes }), ...numbered }, { tenantKey }).opening;
      } catch (error) {
        // An event that cannot be committed to has no opening; the proof may carry one that fits it.
        if (error instanceof EventError) return undefined;
        throw error;
      }
    });
  };
}

/** What of an event's commitment the options and the event itself say. */
export function eventFields({ mediaType, canonicalisation = "raw" }: CommitFlags) {
  return ({ name, line, bytes }: EventSource) => ({
    bytes,
    mediaType: mediaType ?? mediaTypeOf(line === undefined ? name : "line.json", bytes),
    canonicalisation,
  });
}

/** Says of which event an error is. */
export function locating<T>(source: EventSource, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof EventError)) throw cause;
    throw new CliError("failed", `${where(source)}: ${cause.message}`, { cause });
  }
}

export function where({ name, line }: Pick<EventSource, "name" | "line">): string {
  return line === undefined ? name : `${name} line ${line}`;
}
