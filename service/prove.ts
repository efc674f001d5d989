/**
 * Prove: from a commitment to how far it has come, and to the proof file of its highest assurance.
 *
 * The cost hardly grows with the log: three rounds of reads find the index (index/find.ts), one query the earliest checkpoint
 * that covers it, one the anchor checkpoint, and one round trip fetches every tile of both trees.
 */

import type { Assurance } from "@kedge/verify/proof/verify";
import type { Timestamp } from "@kedge/verify/time/timestampform";
import { joinBytes } from "@kedge/verify/tlog/bytes";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { leafHash, verifyInclusion } from "@kedge/verify/tlog/merkle";
import { type Policy, verifyPolicy } from "@kedge/verify/tlog/policy";
import { formatProof } from "@kedge/verify/tlog/proof";
import { listEntries, type TileMap, tileKey } from "@kedge/verify/tlog/tile";
import { inclusionProof, inclusionTiles } from "@kedge/verify/tlog/tileproof";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ServiceError } from "../platform/error.ts";
import { first, type Item, type Store } from "../platform/store.ts";
import { ANCHOR, anchoredKey, decodeAnchored, publicCheckpointKey, publicKey } from "./anchor-items.ts";
import { checkpointKey, decodeCheckpoint } from "./checkpoints.ts";
import { type Head, lastCheckpoint } from "./head.ts";
import { type IndexContext, readHeadAndCover } from "./index/cover.ts";
import { find } from "./index/find.ts";
import { decodeChunk, PENDING_SHARDS, pendingPartition } from "./pending.ts";
import { type LogTile, readTiles } from "./tiles.ts";
import { firstTimestamps, type StoredTimestamp, timestampsOver } from "./timestamps.ts";

/** Ranges of indexes whose checkpoints are looked up in parallel. */
const PARALLEL = 16;
/** Entries of a range at least: each range costs a search, and its entries mostly one more between them. */
const STRETCH = 25;
/** Pending entries that one question reads at most: a bound for its time and its cost. */
const MAX_PENDING_READ = 131_072;

export type ProveContext = AnchorLookup & IndexContext;
/** What is needed to find a checkpoint of the anchor log. */
type AnchorLookup = { readonly store: Store; readonly policy: Policy };

/** Where an entry stands. Times are ms since the epoch, by the operator's clock: informative, not evidence. */
export type EntryStatus =
  | { readonly assurance: "pending" }
  | {
      readonly assurance: Assurance;
      readonly index: bigint;
      /** Size of the tree of the checkpoint that its proof carries. */
      readonly treeSize: bigint;
      readonly sealedAt: bigint;
      readonly anchoredAt?: bigint;
    };

export type Proof = { readonly assurance: Assurance; readonly proof: string };

/** @returns undefined when the log does not know the entry. */
export async function entryStatus(
  ctx: ProveContext,
  log: string,
  entry: Uint8Array,
): Promise<EntryStatus | undefined> {
  const [status] = await entryStatuses(ctx, log, [entry]);
  return status;
}

/** The same of many, in their order: the index, the pending entries and each checkpoint are read once for all of them. */
export async function entryStatuses(
  ctx: ProveContext,
  log: string,
  entries: readonly Uint8Array[],
): Promise<(EntryStatus | undefined)[]> {
  const positions = await locate(ctx, log, entries);
  const [coverings, seals] = await Promise.all([
    findCoverings(ctx, positions),
    byCheckpoint(positions, ({ index, head }) => findSeal(ctx, index, head)),
  ]);
  return positions.map((position) => {
    if (position === undefined || position === "pending") return position && { assurance: position };
    const covering = coverings.get(position);
    const seal = seals.get(position);
    if (covering === undefined || seal === undefined) return undefined;
    const { assurance, size, anchor } = covering;
    return {
      assurance,
      index: position.index,
      treeSize: size,
      sealedAt: seal.at,
      ...(anchor && { anchoredAt: anchor.at }),
    };
  });
}

/** @returns for each entry its proof, "pending", or undefined when the log does not know it. */
export async function prove(
  ctx: ProveContext,
  log: string,
  entries: readonly Uint8Array[],
): Promise<(Proof | "pending" | undefined)[]> {
  const positions = await locate(ctx, log, entries);
  const coverings = await findCoverings(ctx, positions);

  const checkpoints = [...new Set(coverings.values())];
  const tiles = await readWidest(ctx.store, [
    ...[...coverings].flatMap(([{ index }, { size }]) => logTiles(log, index, size)),
    ...checkpoints.flatMap(({ anchor }) => (anchor ? logTiles(ANCHOR, anchor.index, anchor.size) : [])),
  ]);
  // The part about the anchor log is the same for every entry of a checkpoint.
  const extras = new Map(checkpoints.map((covering) => [covering, anchorExtra(covering, tiles)] as const));
  return positions.map((position, i) => {
    if (position === undefined || position === "pending") return position;
    const covering = coverings.get(position);
    const entry = entries[i];
    if (covering === undefined || entry === undefined) return undefined;
    const { assurance, note: checkpoint } = covering;
    const hashes = checkedProof(log, entry, position.index, checkpoint, tiles);
    const extra = extras.get(covering);
    return {
      assurance,
      proof: formatProof({ index: position.index, hashes, checkpoint, ...(extra && { extra }) }),
    };
  });
}

/** A published entry: its index, and the head that it was found under. */
type Position = { readonly index: bigint; readonly head: Head };

/**
 * Looks in the index, then among the pending entries, then for what was not found in what has been published since: an entry may
 * have been sealed meanwhile. What the index has beyond the published tree is pending: the cover was newer than the head, or
 * a restore brings the log back.
 */
async function locate(
  ctx: ProveContext,
  log: string,
  entries: readonly Uint8Array[],
): Promise<(Position | "pending" | undefined)[]> {
  const leaves = entries.map(leafHash);
  const look = async (missing: readonly Uint8Array[], from: bigint) => {
    const { head, cover } = await readHeadAndCover(ctx, log);
    const found = await find(ctx, head, cover, joinBytes(missing), from);
    const position = (index: bigint | undefined): Position | "pending" | undefined =>
      index === undefined ? undefined : index < head.published ? { index, head } : "pending";
    return { head, cover, positions: found.map(position) };
  };
  const { head, positions } = await look(leaves, 0n);
  const missing = positions.flatMap((position, i) => (position === undefined ? [i] : []));
  if (missing.length === 0) return positions;

  const names = entries.map(bytesToHex);
  const pending = await whichPending(ctx.store, log, new Set(missing.map((i) => names[i] ?? "")));
  const again = await look(
    missing.flatMap((i) => leaves[i] ?? []),
    head.published,
  );
  // Then what lies between the restored tree and the one that was published is in neither.
  if (again.head.published < again.cover.end && again.positions.includes(undefined)) {
    throw new ServiceError("throttled", "the log is being restored: ask again in a minute");
  }
  for (const [at, i] of missing.entries()) {
    positions[i] = again.positions[at] ?? (pending.has(names[i] ?? "") ? "pending" : undefined);
  }
  return positions;
}

/** Which of these entries, in hex, are pending. @throws ServiceError `throttled` when too much is pending to tell. */
async function whichPending(store: Store, log: string, wanted: ReadonlySet<string>): Promise<Set<string>> {
  const pending = new Set<string>();
  let read = 0;
  for (let shard = 0; shard < PENDING_SHARDS; shard++) {
    for await (const item of store.query({ pk: pendingPartition(log, shard) })) {
      const entries = listEntries(decodeChunk(item).entries);
      for (const hex of entries.map(bytesToHex)) if (wanted.has(hex)) pending.add(hex);
      read += entries.length;
      if (pending.size === wanted.size) return pending;
      if (read > MAX_PENDING_READ) {
        throw new ServiceError(
          "throttled",
          "too much is pending to tell whether this entry is: ask again once it is sealed",
        );
      }
    }
  }
  return pending;
}

/** The checkpoint that a proof is made for, and the anchor checkpoint whose tree holds that one, if there is any. */
type Covering = {
  readonly assurance: Assurance;
  readonly size: bigint;
  readonly note: string;
  readonly anchor?: CoveringAnchor;
};
/** `index` is the tenant checkpoint's in the anchor log, in a tree of `size`; `at` is in ms since the epoch. */
type CoveringAnchor = {
  readonly index: bigint;
  readonly size: bigint;
  readonly note: string;
  readonly at: bigint;
  /** Of this note, byte for byte. */
  readonly timestamps: readonly Timestamp[];
};

async function findCoverings(
  ctx: ProveContext,
  positions: readonly (Position | "pending" | undefined)[],
): Promise<Map<Position, Covering>> {
  // One object for all entries of a checkpoint, so that their common part of the proof is made once.
  const byNote = new Map<string, Covering>();
  return await byCheckpoint(positions, async (position) => {
    const found = await findCovering(ctx, position);
    const kept = byNote.get(found.note) ?? found;
    byNote.set(found.note, kept);
    return kept;
  });
}

/** @param find the earliest checkpoint of its kind that covers an index: up to its size it is that of the next ones too. */
async function byCheckpoint<T extends { readonly size: bigint }>(
  positions: readonly (Position | "pending" | undefined)[],
  find: (position: Position) => Promise<T>,
): Promise<Map<Position, T>> {
  const sorted = positions
    .filter((position) => position !== undefined && position !== "pending")
    .sort((a, b) => (a.index < b.index ? -1 : 1));
  const checkpoints = new Map<Position, T>();
  const findStretch = async (stretch: readonly Position[]) => {
    let last: T | undefined;
    for (const position of stretch) {
      if (last === undefined || position.index >= last.size) last = await find(position);
      checkpoints.set(position, last);
    }
  };
  const length = Math.max(Math.ceil(sorted.length / PARALLEL), STRETCH);
  const stretches = Array.from({ length: PARALLEL }, (_, i) => sorted.slice(i * length, (i + 1) * length));
  await Promise.all(stretches.map(findStretch));
  return checkpoints;
}

/** The first of the log's own checkpoints that has the entry. */
async function findSeal({ store }: ProveContext, index: bigint, { log, published }: Head) {
  const { pk, sk: from } = checkpointKey(log, index + 1n);
  const { note, at } = decodeCheckpoint(log, await first(store, pk, from, checkpointKey(log, published).sk));
  return { at, size: parseCheckpoint(note).checkpoint.size };
}

async function findCovering(ctx: ProveContext, { index, head }: Position): Promise<Covering> {
  const { log, published } = head;
  const { pk, sk: from } = anchoredKey(log, index + 1n);
  const anchored = await first(ctx.store, pk, from, anchoredKey(log, published).sk);
  if (anchored === undefined)
    return { assurance: "sealed", size: published, note: lastCheckpoint(head).note };

  const { note, index: anchoredAt } = decodeAnchored(anchored);
  const anchor = await findAnchor(ctx, anchoredAt);
  return { ...anchor, size: parseCheckpoint(note).checkpoint.size, note };
}

/**
 * Of the public anchor checkpoints that cover this index: the earliest with a timestamp, or else the earliest. Where it
 * does not meet the policy, which may have changed since, the next of these and then the newest is tried. While none is
 * public, the earliest that is signed.
 */
async function findAnchor({ store, policy }: AnchorLookup, index: bigint) {
  const pk = `log/${ANCHOR}`;
  const at = (item: Item | undefined, stored: readonly StoredTimestamp[] = []): CoveringAnchor => {
    const { note, at } = decodeCheckpoint(ANCHOR, item);
    const timestamps = timestampsOver(note, stored);
    return { index, size: parseCheckpoint(note).checkpoint.size, note, at, timestamps };
  };
  const [earliestItem, stored] = await Promise.all([
    first(store, pk, publicCheckpointKey(index + 1n).sk, "public/~"),
    firstTimestamps(store, index + 1n),
  ]);
  if (earliestItem === undefined) {
    const signed = await first(store, pk, checkpointKey(ANCHOR, index + 1n).sk, "checkpoint/~");
    return { assurance: "anchored" as const, anchor: at(signed) };
  }
  const earliest = at(earliestItem);
  if (stored === undefined && policy.quorum === "none")
    return { assurance: "anchored" as const, anchor: earliest };
  const [stampedItem, current] = await store.get([publicCheckpointKey(stored?.[0]?.size ?? 0n), publicKey()]);
  // When it was anchored stays the same once a later checkpoint has a timestamp.
  const stamped = stampedItem && { ...at(stampedItem, stored), at: earliest.at };
  const best = [...(stamped?.timestamps.length ? [stamped] : []), earliest];
  const anchored = { assurance: "anchored" as const, anchor: best[0] ?? earliest };
  if (policy.quorum === "none") return anchored;
  const met = [...best, at(current)].find(({ note }) => verifyPolicy({ policy, checkpoint: note }).met);
  if (met === undefined) return anchored;
  const assurance = met.timestamps.length > 0 ? ("timestamped" as const) : ("witnessed" as const);
  return { assurance, anchor: met };
}

const logTiles = (log: string, index: bigint, size: bigint): LogTile[] =>
  inclusionTiles(index, size).map((tile) => ({ log, tile }));

type Tiles = ReadonlyMap<string, TileMap>;

/** Reads the tiles of both trees in one round trip, each once and as wide as any of the proofs needs it. */
async function readWidest(store: Store, tiles: readonly LogTile[]): Promise<Tiles> {
  const widest = new Map<string, LogTile>();
  for (const wanted of tiles) {
    const name = `${wanted.log} ${tileKey(wanted.tile.level, wanted.tile.index)}`;
    if (wanted.tile.width > (widest.get(name)?.tile.width ?? 0)) widest.set(name, wanted);
  }
  return await readTiles(store, [...widest.values()]);
}

/** The extra line of a checkpoint's proofs: its own proof in the anchor log (design: "Exact formats"). */
function anchorExtra({ note, anchor }: Covering, tiles: Tiles): Uint8Array | undefined {
  if (anchor === undefined) return undefined;
  const hashes = checkedProof(ANCHOR, utf8(note), anchor.index, anchor.note, tiles);
  const proof = formatProof({ index: anchor.index, hashes, checkpoint: anchor.note });
  return utf8(JSON.stringify({ anchor: proof, timestamps: anchor.timestamps }));
}

/** Makes an inclusion proof and verifies it: tiles that were altered must not lead to a proof that fails elsewhere. */
function checkedProof(
  log: string,
  entry: Uint8Array,
  index: bigint,
  note: string,
  tiles: Tiles,
): Uint8Array[] {
  const { size, root } = parseCheckpoint(note).checkpoint;
  try {
    const proof = inclusionProof(index, size, tiles.get(log) ?? new Map());
    verifyInclusion({ leafHash: leafHash(entry), index, size, root, proof });
    return proof;
  } catch (cause) {
    throw new ServiceError("corrupt", `log ${log}: its tiles do not prove entry ${index}`, { cause });
  }
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
