/**
 * Seal: turn pending entries into a committed batch, its tiles and a signed checkpoint.
 *
 * The life of an entry: append writes a pending chunk; seal reads it, stages a batch, and moves the log's head by
 * compare-and-swap (the commit point). From then on everything is derived from what the head committed: any number
 * of sealers may apply, sign and publish it again, in any order, with the same result. Pending chunks are deleted
 * only once their entries are in a published checkpoint, so a crash anywhere repeats work and loses nothing.
 */
import { equalBytes, joinBytes } from "@kedge/verify/tlog/bytes";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { extendFrontier, frontierRoot, HASH_SIZE, leafHash } from "@kedge/verify/tlog/merkle";
import {
  bundlesChanged,
  countEntries,
  decodeBundle,
  type Entries,
  encodeBundle,
  encodeEntries,
  extendTiles,
  listEntries,
  rightEdge,
  TILE_WIDTH,
  type Tile,
  tileKey,
  tilesChanged,
  widthAt,
} from "@kedge/verify/tlog/tile";
import { frontierFromTiles } from "@kedge/verify/tlog/tileproof";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ServiceError } from "../platform/error.ts";
import type { Publication } from "../platform/publication.ts";
import type { Key, Store } from "../platform/store.ts";
import { checkpointKey, keepFirst } from "./checkpoints.ts";
import { type Head, moveHead, publishedHead, readHead, type Tree } from "./head.ts";
import { type Cover, type IndexContext, readCover, sizesOf } from "./index/cover.ts";
import { extendCover, isDue } from "./index/extend.ts";
import { find } from "./index/find.ts";
import { oldestFirst, type PendingChunk } from "./pending.ts";
import { readRecord, rollback, writeBatch, writeRecord } from "./record.ts";
import type { CheckpointSigner } from "./sign.ts";
import { discardAttempt, discardStaging, readStaging, stage } from "./staging.ts";
import { readLogTiles, tileBytes, writeTiles } from "./tiles.ts";

export type SealContext = IndexContext & {
  readonly publication: Publication;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
};

/** The log to seal: its id, its origin, and who signs its checkpoints. */
export type SealableLog = {
  readonly id: string;
  readonly origin: string;
  readonly sign: CheckpointSigner;
  /**
   * Which of these entries, none of which is in the log, may get in; the others are dropped for ever. Absent: all. It is
   * asked when all that was committed is published; if the log moves after that, the batch is not committed.
   */
  readonly admit?: (leaves: readonly Leaf[]) => Promise<readonly Leaf[]>;
};

export type Leaf = { readonly entry: Uint8Array; readonly hash: Uint8Array };

export type Sealed =
  /** Another sealer moved the head first: this call stopped and did no harm. */
  | { readonly conflict: true }
  | {
      readonly conflict: false;
      /** Entries this call committed; those of a batch it only recovered do not count. */
      readonly sealed: number;
      /** The published tree size after the call. */
      readonly size: bigint;
      /** Pending entries were left for the next batch. */
      readonly more: boolean;
      /** Arrival of the oldest pending chunk seen, ms since the epoch; undefined: nothing was pending. */
      readonly oldest: bigint | undefined;
      readonly index: IndexState;
    };

/** How the index fares after a seal. What it throws is no reason for a seal to fail. */
export type IndexState = {
  /** Published entries without a run; absent: nothing was looked up. */
  readonly uncovered?: bigint;
  /** Runs were made. */
  readonly extended?: boolean;
  readonly error?: unknown;
};

/**
 * Seals one batch of a log, after finishing any batch that is committed and unpublished.
 * @throws ServiceError `rollback` when the store is not what was published; `corrupt`, `throttled`, `unavailable`, `signer`.
 */
export async function seal(ctx: SealContext, log: SealableLog): Promise<Sealed> {
  let head = await recover(ctx, log);
  if (head === undefined) return { conflict: true };
  const { leaves, chunks, more, oldest, cover } = await collect(ctx, head, log);
  if (leaves.length > 0) {
    const committed = await commit(ctx.store, head, leaves, treeWith(head, leaves));
    head = committed && (await finish(ctx, log, committed));
    if (head === undefined) return { conflict: true };
  }
  // I1: only what is published, or never gets in, is pending no more.
  await ctx.store.write([], chunks);
  const index = await extend(ctx, head, cover);
  return { conflict: false, sealed: leaves.length, size: head.size, more, oldest, index };
}

/** Steps 3 to 5 for the committed batch [published, size). Any number of sealers may do this at once. */
async function finish(ctx: SealContext, log: SealableLog, head: Head): Promise<Head | undefined> {
  const entries = await readStaging(ctx.store, head);
  if (entries === undefined) return undefined;
  await apply(ctx.store, head, listEntries(entries));
  if (!(await record(ctx, log, head, entries))) return undefined;
  return await signAndPublish(ctx, log, head);
}

// ---- 0 recover ------------------------------------------------------------------------------------------------------

/**
 * Refuses a store that is not what was published (I6), and finishes an unpublished batch.
 * @returns the head, everything it committed published; undefined when another sealer is at it.
 */
async function recover(ctx: SealContext, log: SealableLog): Promise<Head | undefined> {
  const head = await readHead(ctx.store, log.id);
  const difference = rollback(head, await readRecord(ctx.publication, log));
  if (difference !== undefined) {
    // A sealer at work beside us moves both; a head that stood still while the record was read proves the difference.
    const again = await readHead(ctx.store, log.id);
    if (again.version !== head.version) return undefined;
    throw new ServiceError(
      "rollback",
      `log ${log.id}: ${difference}; nothing was signed, see rollback-refused in docs/operations.md`,
    );
  }
  return head.size === head.published ? head : await finish(ctx, log, head);
}

// ---- 1 collect ------------------------------------------------------------------------------------------------------

/** Entries in one batch at most: bounds a sealer's memory and time. A chunk is never split. */
export const MAX_BATCH = 32_768;

type Batch = {
  /** What the tree is to get. */
  readonly leaves: readonly Leaf[];
  /** The pending chunks that were read. Once the batch is published nothing of them is to be sealed any more. */
  readonly chunks: readonly Key[];
  readonly more: boolean;
  readonly oldest: bigint | undefined;
  /** What it was looked up in; undefined: nothing was. */
  readonly cover: Cover | undefined;
};

/** The oldest pending chunks up to MAX_BATCH entries, without entries that are in the log or repeated (I2). */
async function collect(ctx: SealContext, head: Head, { admit }: SealableLog): Promise<Batch> {
  const { store } = ctx;
  const chunks: PendingChunk[] = [];
  let entries = 0;
  let more = false;
  for await (const chunk of oldestFirst(store, head.log)) {
    entries += countEntries(chunk.entries);
    more = entries > MAX_BATCH;
    if (more) break;
    chunks.push(chunk);
  }

  const leaves = new Map<string, Leaf>();
  for (const entry of chunks.flatMap(({ entries }) => listEntries(entries))) {
    const hash = leafHash(entry);
    const name = bytesToHex(hash);
    if (!leaves.has(name)) leaves.set(name, { entry, hash });
  }
  const cover = leaves.size === 0 ? undefined : await readEnough(ctx, head);
  for (const name of cover === undefined ? [] : await known(ctx, head, cover, leaves)) leaves.delete(name);
  const added = [...leaves.values()];
  return {
    leaves: admit === undefined || added.length === 0 ? added : await admit(added),
    chunks: chunks.map(({ key }) => key),
    more,
    oldest: chunks[0]?.arrival,
    cover,
  };
}

/** The cover, extended first where it leaves too much to the tiles: of a table of an earlier version it covers nothing. */
async function readEnough(ctx: SealContext, head: Head): Promise<Cover> {
  const cover = await readCover(ctx, head.log);
  const isEnough = uncovered(head, cover) <= BigInt(sizesOf(ctx).uncovered);
  return isEnough ? cover : await extendCover(ctx, head.log);
}

/** Which of these leaves, by the names of their hashes, the log has. */
async function known(
  ctx: SealContext,
  head: Head,
  cover: Cover,
  leaves: ReadonlyMap<string, Leaf>,
): Promise<string[]> {
  const names = [...leaves.keys()];
  const found = await find(ctx, head, cover, joinBytes([...leaves.values()].map(({ hash }) => hash)));
  const indexed = names.flatMap((name, i) => {
    const index = found[i];
    return index === undefined ? [] : [{ name, index }];
  });
  return await inTree(ctx.store, head, indexed);
}

type Indexed = { readonly name: string; readonly index: bigint };

/**
 * Which of these leaf hashes the tree holds where the index has them. The index alone does not say, for the cover may be newer
 * than the head: another sealer has published since, so that ours cannot commit.
 */
async function inTree(store: Store, head: Head, indexed: readonly Indexed[]): Promise<string[]> {
  const below = indexed.filter(({ index }) => index < head.size);
  const tileIndexes = new Set(below.map(({ index }) => index / BigInt(TILE_WIDTH)));
  const wanted = [...tileIndexes].map((index) => ({ level: 0, index, width: widthAt(head.size, 0, index) }));
  const tiles = await readLogTiles(store, head.log, wanted);
  const isThere = ({ name, index }: Indexed) => {
    const bytes = tiles.get(tileKey(0, index / BigInt(TILE_WIDTH)));
    const at = Number(index % BigInt(TILE_WIDTH)) * HASH_SIZE;
    return bytes !== undefined && bytesToHex(bytes.subarray(at, at + HASH_SIZE)) === name;
  };
  return below.filter(isThere).map(({ name }) => name);
}

// ---- 2 commit -------------------------------------------------------------------------------------------------------

/** The tree with these leaves added. */
export function treeWith({ size, frontier }: Omit<Tree, "root">, leaves: readonly Leaf[]): Tree {
  const hashes = leaves.map(({ hash }) => hash);
  const extended = extendFrontier(size, frontier, hashes);
  return { size: size + BigInt(leaves.length), root: frontierRoot(extended), frontier: extended };
}

/** Stages the batch, then moves the head. @returns undefined when another sealer moved it first. */
export async function commit(
  store: Store,
  head: Head,
  leaves: readonly Leaf[],
  next: Tree,
): Promise<Head | undefined> {
  const entries = leaves.map(({ entry }) => entry);
  const staging = await stage(store, head, encodeEntries(entries));
  // The commit point. A crash before it leaves staging that no head names: the next published head discards it. A crash
  // after it leaves a head that says where its entries are: the next sealer finishes the batch before anything else.
  // If this throws, it may have committed: the staging stays.
  const committed = await moveHead(store, head, { ...head, ...next, staging });
  if (committed === undefined) await discardAttempt(store, head.log, staging);
  return committed;
}

// ---- 3 apply --------------------------------------------------------------------------------------------------------

/**
 * Writes what the committed batch makes of the tree, and never narrows a tile. Deterministic.
 * @param mend see writeTiles.
 */
export async function apply(
  store: Store,
  head: Head,
  entries: readonly Uint8Array[],
  mend = false,
): Promise<void> {
  const { log, published: from, size } = head;
  const edge = await readEdge(store, log, from);
  const hashes = entries.map(leafHash);

  // The tiles are about to be extended blindly: first make sure that they lead to the root that was committed.
  const frontier = extendFrontier(from, frontierFromTiles(from, edge.tiles), hashes);
  if (!equalBytes(frontierRoot(frontier), head.root)) {
    throw new ServiceError(
      "corrupt",
      `log ${log}: tiles at ${from} and the staged batch do not give the committed root`,
    );
  }

  const tiles = extendTiles(from, edge.tiles, hashes);
  const changed = [
    ...tilesChanged(from, size).map((tile) => ({ tile, bytes: tileBytes(tile, tiles) })),
    ...bundlesChanged(from, size).map((tile) => ({
      tile,
      bytes: bundleBytes(tile, from, edge.bundle, entries),
    })),
  ];
  await writeTiles(store, log, changed, mend);
}

/** The right edge of the tree of size `from`: its partial tiles, and the entries of its partial bundle. */
export async function readEdge(store: Store, log: string, from: bigint) {
  const index = from / BigInt(TILE_WIDTH);
  const width = Number(from % BigInt(TILE_WIDTH));
  const bundle: Tile[] = width === 0 ? [] : [{ level: "entries", index, width }];
  const tiles = await readLogTiles(store, log, [...rightEdge(from), ...bundle]);
  const bytes = tiles.get(tileKey("entries", index));
  return { tiles, bundle: bytes === undefined ? [] : decodeBundle(bytes, width) };
}

/** The bytes of one changed bundle, from the entries of the old partial one and those of the batch. */
function bundleBytes(
  { index, width }: Tile,
  from: bigint,
  before: readonly Uint8Array[],
  entries: readonly Uint8Array[],
): Uint8Array {
  const start = Number(index * BigInt(TILE_WIDTH) - from);
  const end = start + width;
  return encodeBundle(start < 0 ? [...before, ...entries.slice(0, end)] : entries.slice(start, end));
}

// ---- 4 sign ---------------------------------------------------------------------------------------------------------

/** Records the committed head and its batch outside the store. @returns false when another sealer is ahead. */
async function record(
  { publication }: SealContext,
  log: SealableLog,
  head: Head,
  entries: Entries,
): Promise<boolean> {
  const next = { origin: log.origin, size: head.size, root: head.root };
  const before = publishedHead(head);
  await writeBatch(publication, log, next, { before, entries });
  return await writeRecord(publication, log, next, before);
}

/** Steps 4 and 5, for a head that is committed, applied and recorded outside the store. */
export async function signAndPublish(
  ctx: SealContext,
  log: SealableLog,
  head: Head,
): Promise<Head | undefined> {
  // I3: the only place where a tree head is signed. The store has committed it, and the record outside names no other.
  const signed = await log.sign({ origin: log.origin, size: head.size, root: head.root });
  return await publish(ctx, log, head, signed);
}

// ---- 5 publish ------------------------------------------------------------------------------------------------------

/** The signed note becomes visible; then nothing of the batch's staging is needed any more. */
async function publish(
  { store, clock }: SealContext,
  log: SealableLog,
  head: Head,
  note: string,
): Promise<Head | undefined> {
  const at = BigInt(clock());
  const checkpoint = await keepFirst(store, log.id, checkpointKey(log.id, head.size), { note, at });
  if (!equalBytes(parseCheckpoint(checkpoint.note).checkpoint.root, head.root)) {
    throw new ServiceError("rollback", `log ${log.id}: size ${head.size} was published with another root`);
  }
  const published = await moveHead(store, head, { ...head, published: head.size, checkpoint });
  if (published !== undefined) await discardStaging(store, published);
  return published;
}

// ---- 6 index --------------------------------------------------------------------------------------------------------

/** Never a condition of the seal, which is done. What is left uncovered the next one covers, or the one after that must. */
async function extend(ctx: SealContext, head: Head, cover: Cover | undefined): Promise<IndexState> {
  if (cover === undefined) return {};
  if (!isDue(ctx, head, cover)) return { uncovered: uncovered(head, cover) };
  try {
    return { uncovered: uncovered(head, await extendCover(ctx, head.log)), extended: true };
  } catch (error) {
    return { uncovered: uncovered(head, cover), error };
  }
}

/** Published entries without a run. */
const uncovered = ({ published }: Head, { end }: Cover): bigint => (published > end ? published - end : 0n);
