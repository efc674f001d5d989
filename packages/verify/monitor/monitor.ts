/**
 * What a monitor knows of the anchor log, and what new data adds to it. Pure; no I/O.
 *
 * Trusted: the keys of the policy, and what was kept. Hostile: the checkpoint, the entries, and every text in them.
 */

import { ClientError } from "../error.ts";
import type { SignedTree } from "../evidence/evidence.ts";
import { timeText } from "../rfc3339.ts";
import { equalBytes, utf8Decode } from "../tlog/bytes.ts";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import { EMPTY_ROOT, leafHash } from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/note.ts";
import { type Policy, verifyPolicy } from "../tlog/policy.ts";
import { edgeOf, extendTiles, type TileMap } from "../tlog/tile.ts";
import { rootFromTiles } from "../tlog/tileproof.ts";

/**
 * What a monitor finds wrong.
 *
 * - `bad_checkpoint`: what is served as checkpoint is not one that the log signed
 * - `no_quorum`: too few of the policy's witnesses have cosigned it
 * - `stale`: nothing new was signed for longer than is allowed
 * - `future`: it was signed later than it is now, so how old it is cannot be told
 * - `rollback`: it is smaller than one seen before
 * - `fork`: two signed checkpoints contradict each other
 * - `bad_entries`: the entries or tiles served do not lead to the signed root
 * - `bad_entry`: an entry is not a checkpoint of a tenant log
 * - `foreign_entry`: an entry is a checkpoint of a log that is not the operator's
 * - `tenant_signature`: an entry is not signed by the key pinned for its log
 * - `tenant_two_roots`: a tenant log has two roots at one size
 * - `tenant_shrinks`: a tenant log's checkpoint is smaller than an earlier one
 */
export const FINDING_KINDS = [
  ...(["bad_checkpoint", "no_quorum", "stale", "future"] as const),
  ...(["rollback", "fork", "bad_entries"] as const),
  ...(["bad_entry", "foreign_entry", "tenant_signature", "tenant_two_roots", "tenant_shrinks"] as const),
] as const;

export type MonitorFindingKind = (typeof FINDING_KINDS)[number];

/** What is wrong, and where. `since` is RFC 3339. */
export type MonitorFinding =
  | { kind: "bad_checkpoint"; origin: string; cause: TlogError }
  | { kind: "no_quorum"; size: bigint; witnesses: readonly string[] }
  /** When it was last signed or, with `isSeen`, first seen. */
  | { kind: "stale"; size: bigint; since: string; isSeen: boolean }
  /** When the earliest of its signers says that it is. */
  | { kind: "future"; size: bigint; at: string; now: string }
  /** `isOlder`: it was shown to be one of the history that is known. */
  | { kind: "rollback"; size: bigint; before: bigint; isOlder: boolean }
  /** The checkpoints' sizes, and how many entries of their trees are known to differ. */
  | { kind: "fork"; origin: string; sizes: readonly [bigint, bigint]; prefix: string }
  | { kind: "bad_entries"; size: bigint; what: "entries" | "tiles" }
  | { kind: "bad_entry"; index: bigint }
  | { kind: "foreign_entry"; index: bigint; origin: string }
  | { kind: "tenant_signature"; index: bigint; origin: string; vkeys: readonly Vkey[] }
  | {
      kind: "tenant_two_roots" | "tenant_shrinks";
      index: bigint;
      origin: string;
      size: bigint;
      before: { index: bigint; size: bigint };
    };

/** A finding as it is told, and kept in the words of the day. */
export type ToldMonitorFinding = { kind: MonitorFindingKind; message: string };

/** What could not be checked of a checkpoint of this size that the log signed. */
export type MonitorCaveat = { code: "never_shown" | "not_compared" | "ahead"; size: bigint };

/** A tenant log's largest checkpoint: the entry as it stands at `index`. */
export type TenantHead = { index: bigint; note: string; size: bigint; root: Uint8Array };

/** What the last run verified. Its tiles are those of the right edge, so that new entries extend it. */
export type MonitorState = SignedTree & {
  /** When a checkpoint of this size was first seen, ms since the epoch. */
  seenAt: number;
  /** Entries below this index were never read. */
  from: bigint;
  tenants: ReadonlyMap<string, TenantHead>;
  /** Other checkpoints that the log signed, for whose tree it never showed that it is of this history. */
  open: readonly string[];
  /** Lasting ones of earlier runs. */
  findings: readonly ToldMonitorFinding[];
};

/** Whom the monitor believes. `origin` is the log's, `vkeys` are its keys, `logVkeys` those of tenants' logs, maybe none. */
export type MonitorTrust = {
  policy: Policy;
  origin: string;
  vkeys: readonly Vkey[];
  logVkeys: readonly Vkey[];
};

/** Throws TlogError `unknown_key` unless the policy has the keys of one log. */
export function monitorTrust(policy: Policy, logVkeys: readonly Vkey[]): MonitorTrust {
  const vkeys = policy.logs.map(({ vkey }) => vkey);
  const [origin, other] = new Set(vkeys.map(({ name }) => name));
  if (origin === undefined || other !== undefined) {
    throw new TlogError(
      "unknown_key",
      "The policy has log lines of one log, the anchor log: all of its keys",
    );
  }
  return { policy, origin, vkeys, logVkeys };
}

/** A checkpoint that the log signed. Times are in ms since the epoch. */
export type PublicHead = {
  note: string;
  checkpoint: Checkpoint;
  hasQuorum: boolean;
  /** Names of the witnesses that cosigned, as in the policy. */
  witnesses: string[];
  /** The newest time that a witness signed; without any, that the log itself did. */
  signedAt?: number;
  /** Of times in the future the earliest, where there are no others. */
  aheadAt?: number;
};

/** Times beyond now by more than this are a wrong clock or a lie: they are no times. */
export const MAX_CLOCK_AHEAD = 5 * 60_000;

/** Throws TlogError when it is not signed by the log. `now` in ms since the epoch. */
export function openHead(bytes: Uint8Array | string, trust: MonitorTrust, now: number): PublicHead {
  const note = typeof bytes === "string" ? bytes : utf8Decode(bytes, "The checkpoint");
  const { verified, ...parsed } = openCheckpoint(note, trust);
  const { checkpoint } = parsed;
  const { met, cosigned } = verifyPolicy({ policy: trust.policy, checkpoint: parsed, verified });
  const isAhead = (time: number) => time > now + MAX_CLOCK_AHEAD;
  const [byWitnesses = [], byLog = []] = [cosigned, verified].map((signatures) =>
    signatures.map(({ timestamp }) => Number(timestamp ?? 0n) * 1000).filter((time) => time > 0),
  );
  const newest = (times: number[]) => Math.max(0, ...times.filter((time) => !isAhead(time)));
  const signedAt = newest(byWitnesses) || newest(byLog);
  const ahead = [...byWitnesses, ...byLog].filter(isAhead);
  return {
    note,
    checkpoint,
    hasQuorum: met,
    witnesses: [...new Set(cosigned.map(({ name }) => name))],
    ...(signedAt ? { signedAt } : {}),
    ...(!signedAt && ahead.length > 0 ? { aheadAt: Math.min(...ahead) } : {}),
  };
}

/** What is wrong with the newest checkpoint as such. `seenAt` and `maxAge` in ms. */
export function headFindings(
  head: PublicHead,
  { now, seenAt, maxAge }: { now: number; seenAt: number; maxAge?: number },
): MonitorFinding[] {
  const findings: MonitorFinding[] = [];
  const { size } = head.checkpoint;
  if (!head.hasQuorum) findings.push({ kind: "no_quorum", size, witnesses: head.witnesses });
  const since = head.signedAt ?? seenAt;
  if (maxAge !== undefined && now - since > maxAge) {
    const isSeen = head.signedAt === undefined;
    findings.push({ kind: "stale", size, since: timeText(since), isSeen });
  }
  if (maxAge !== undefined && head.aheadAt !== undefined) {
    findings.push({ kind: "future", size, at: timeText(head.aheadAt), now: timeText(now) });
  }
  return findings;
}

/** New entries on their way into the state. It changes as it is read into, and is thrown away when the root differs. */
export type Reading = {
  readonly state: MonitorState | undefined;
  readonly trust: MonitorTrust;
  size: bigint;
  tiles: TileMap;
  /** Only what changed. */
  readonly tenants: Map<string, TenantHead>;
  readonly findings: MonitorFinding[];
  /** Findings beyond MAX_FINDINGS. */
  omitted: number;
  readonly clashes: Clash[];
};

/** Two entries that contradict each other, the later one second: what `Evidence` of kind `entries` is made from. */
export type Clash = readonly [TenantHead, TenantHead];

/** A hostile log has as many findings as entries; the first ones tell it all. */
export const MAX_FINDINGS = 100;
const MAX_CLASHES = 16;
/** A tenant's checkpoint with a few signatures is below this. */
const MAX_ENTRY_BYTES = 4_096;
/** All tenants' checkpoints together: bounds memory and the state file. About 300,000 logs. */
const MAX_TENANTS_BYTES = 64 << 20;

export function startReading(state: MonitorState | undefined, trust: MonitorTrust): Reading {
  const { size } = state?.checkpoint ?? { size: 0n };
  const tiles = state?.tiles ?? new Map<string, Uint8Array>();
  return { state, trust, size, tiles, tenants: new Map(), findings: [], omitted: 0, clashes: [] };
}

/** Adds the next entries. What it finds holds once `finishReading` says that they are what was signed. */
export function readEntries(reading: Reading, entries: readonly Uint8Array[]): void {
  for (const [i, entry] of entries.entries()) readEntry(reading, entry, reading.size + BigInt(i));
  const written = extendTiles(reading.size, reading.tiles, entries.map(leafHash));
  reading.size += BigInt(entries.length);
  reading.tiles = edgeOf(reading.size, new Map([...reading.tiles, ...written]));
}

function readEntry(reading: Reading, entry: Uint8Array, index: bigint): void {
  const finding = judgeEntry(reading, entry, index);
  if (finding === undefined) return;
  if (reading.findings.length < MAX_FINDINGS) reading.findings.push(finding);
  else reading.omitted += 1;
}

function judgeEntry(reading: Reading, entry: Uint8Array, index: bigint): MonitorFinding | undefined {
  const parsed = parseEntry(entry);
  if (parsed === undefined) return { kind: "bad_entry", index };
  const { note, checkpoint } = parsed;
  const { origin, size, root } = checkpoint;
  if (!isTenantOf(reading.trust.origin, origin)) return { kind: "foreign_entry", index, origin };
  const vkeys = reading.trust.logVkeys.filter(({ name }) => name === origin);
  if (vkeys.length > 0 && !isSigned(note, origin, vkeys)) {
    return { kind: "tenant_signature", index, origin, vkeys };
  }
  const head: TenantHead = { index, note, size, root };
  const before = reading.tenants.get(origin) ?? reading.state?.tenants.get(origin);
  if (before === undefined || size > before.size) {
    reading.tenants.set(origin, head);
    return undefined;
  }
  if (size === before.size && equalBytes(root, before.root)) return undefined;
  if (reading.clashes.length < MAX_CLASHES) reading.clashes.push([before, head]);
  const kind = size === before.size ? "tenant_two_roots" : "tenant_shrinks";
  return { kind, index, origin, size, before: { index: before.index, size: before.size } };
}

/** `<domain>/log/<id>` of `<domain>/anchor`. */
function isTenantOf(anchorOrigin: string, origin: string): boolean {
  const prefix = `${anchorOrigin.slice(0, anchorOrigin.lastIndexOf("/") + 1)}log/`;
  return origin.startsWith(prefix) && /^[^/]+$/.test(origin.slice(prefix.length));
}

function parseEntry(entry: Uint8Array): { note: string; checkpoint: Checkpoint } | undefined {
  if (entry.length > MAX_ENTRY_BYTES) return undefined;
  try {
    const note = utf8Decode(entry, "The entry");
    return { note, checkpoint: parseCheckpoint(note).checkpoint };
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}

function isSigned(note: string, origin: string, vkeys: readonly Vkey[]): boolean {
  try {
    openCheckpoint(note, { origin, vkeys });
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}

/**
 * The state after everything was read; undefined when it does not lead to the signed root. That is the consistency
 * check: the old tree's edge and the new entries give the new root, so the old tree is its beginning.
 */
export function finishReading(reading: Reading, head: PublicHead, now: number): MonitorState | undefined {
  const { state, size, tiles } = reading;
  if (size !== head.checkpoint.size || !equalBytes(rootAt(size, tiles), head.checkpoint.root))
    return undefined;
  const tenants = new Map([...(state?.tenants ?? []), ...reading.tenants]);
  checkRoom(tenants);
  return {
    note: head.note,
    checkpoint: head.checkpoint,
    tiles,
    seenAt: now,
    from: state?.from ?? 0n,
    tenants,
    open: state?.open ?? [],
    findings: state?.findings ?? [],
  };
}

function rootAt(size: bigint, tiles: TileMap): Uint8Array {
  return size === 0n ? EMPTY_ROOT : rootFromTiles(size, tiles);
}

/** Throws ClientError `protocol` when there is more to keep of the tenants' logs than a monitor does. */
function checkRoom(tenants: ReadonlyMap<string, TenantHead>): void {
  let bytes = 0;
  for (const { note } of tenants.values()) bytes += note.length;
  if (bytes > MAX_TENANTS_BYTES) {
    throw new ClientError("protocol", `The ${tenants.size} tenant logs are more than a monitor can follow`);
  }
}

const MAX_OPEN = 8;

/** The same state with a checkpoint whose tree is to be compared when the log shows it. */
export function keepOpen(state: MonitorState, { note, checkpoint }: PublicHead): MonitorState {
  const { size, root } = state.checkpoint;
  const isPlaced = checkpoint.size === size && equalBytes(checkpoint.root, root);
  if (isPlaced || state.open.includes(note) || state.open.length === MAX_OPEN) return state;
  return { ...state, open: [...state.open, note] };
}
