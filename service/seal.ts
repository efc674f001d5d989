/**
 * Seal: turn pending entries into a committed batch, its tiles and a signed checkpoint.
 *
 * The life of an entry: append writes a pending chunk; seal reads it, stages a batch, and moves the log's head by
 * compare-and-swap (the commit point). From then on everything is derived from what the head committed: any number
 * of sealers may apply, sign and publish it again, in any order, with the same result. Pending chunks are deleted
 * only once their entries are in a published checkpoint, so a crash anywhere repeats work and loses nothing.
 */
import { concatBytes, equalBytes } from "@kedge/verify/tlog/bytes";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { frontierRoot, HASH_SIZE } from "@kedge/verify/tlog/merkle";
import {
  bundlesChanged,
  countEntries,
  decodeEntries,
  type Entries,
  encodedSlice,
  encodeEntries,
  entryAt,
  type Growth,
  growTree,
  joinEntries,
  leafHashes,
  rightEdge,
  selectEntries,
  TILE_WIDTH,
  type Tile,
  type TileMap,
  tileKey,
  tilesChanged,
  widthAt,
} from "@kedge/verify/tlog/tile";
import { ServiceError } from "../platform/error.ts";
import { sha256 } from "../platform/hash.ts";
import type { Publication } from "../platform/publication.ts";
import type { Key, Store } from "../platform/store.ts";
import { checkpointKey, keepFirst } from "./checkpoints.ts";
import { type Head, moveHead, publishedHead, readHead } from "./head.ts";
import { type Cover, type IndexContext, readCover, sizesOf } from "./index/cover.ts";
import { isDue, lengthenCover } from "./index/extend.ts";
import { foreign } from "./index/fault.ts";
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
  const head = await recover(ctx, log);
  if (head === undefined) return { conflict: true };
  const collected = await collect(ctx, head, log);
  if (collected === undefined) return { conflict: true };
  const { batch, chunks, more, oldest, cover } = collected;
  let published: Head | undefined = head;
  if (batch !== undefined) {
    const committed = await commit(ctx.store, head, batch);
    published = committed && (await finish(ctx, log, committed, batch, chunks));
    if (published === undefined) return { conflict: true };
  } else if (chunks.length > 0) {
    // I1: only what is published, or never gets in, is pending no more.
    await ctx.store.write([], chunks);
  }
  const index = await extend(ctx, published, cover);
  const sealed = batch === undefined ? 0 : countEntries(batch.entries);
  return { conflict: false, sealed, size: published.size, more, oldest, index };
}

/**
 * Steps 3 to 5 for the committed batch [published, size). Any number of sealers may do this at once.
 * @param pending the chunks that nothing is to be sealed of any more, once the batch is published.
 */
async function finish(
  ctx: SealContext,
  log: SealableLog,
  head: Head,
  batch: Batch,
  pending: readonly Key[] = [],
): Promise<Head | undefined> {
  // The record first: a batch that it refuses, of a table beside which another history was published, leaves no tile behind.
  // Another sealer is ahead, if it says no.
  if (!(await record(ctx, log, head, batch.entries))) return undefined;
  await apply(ctx.store, head, batch);
  return await signAndPublish(ctx, log, head, pending);
}

// ---- 0 recover ------------------------------------------------------------------------------------------------------

/**
 * Refuses a store that is not what was published (I6), and finishes an unpublished batch.
 * @returns the head, everything it committed published; undefined when another sealer is at it.
 */
async function recover(ctx: SealContext, log: SealableLog): Promise<Head | undefined> {
  const [head, recorded] = await Promise.all([readHead(ctx.store, log.id), readRecord(ctx.publication, log)]);
  if (rollback(head, recorded) !== undefined) {
    // A sealer at work beside us moves both; a head that stood still while the record was read proves the difference.
    const difference = rollback(head, await readRecord(ctx.publication, log));
    const again = await readHead(ctx.store, log.id);
    if (difference === undefined || again.version !== head.version) return undefined;
    throw new ServiceError(
      "rollback",
      `log ${log.id}: ${difference}; nothing was signed, see rollback-refused in docs/operations.md`,
    );
  }
  if (head.size === head.published) return head;
  const batch = await stagedBatch(ctx.store, head);
  return batch && (await finish(ctx, log, head, batch));
}

/** The committed batch of whoever died, or is at it. @returns undefined when another sealer has published it. */
async function stagedBatch(store: Store, head: Head): Promise<Batch | undefined> {
  const [entries, edge] = await Promise.all([
    readStaging(store, head),
    readEdge(store, head.log, head.published),
  ]);
  if (entries === undefined) return undefined;
  const batch = makeBatch(head.published, edge, entries);
  // The tiles are about to be extended blindly: first make sure that they lead to the root that was committed.
  if (equalBytes(batch.growth.root, head.root)) return batch;
  throw new ServiceError(
    "corrupt",
    `log ${head.log}: tiles at ${head.published} and the staged batch do not give the committed root`,
  );
}

// ---- 1 collect ------------------------------------------------------------------------------------------------------

/** Entries in one batch at most: bounds a sealer's memory and time. A chunk is never split. */
export const MAX_BATCH = 32_768;

/** Entries that follow a published tree, and what they make of it. Computed once: it is committed, applied and recorded. */
export type Batch = {
  readonly entries: Entries;
  /** Their leaf hashes, HASH_SIZE bytes each. */
  readonly leaves: Uint8Array;
  readonly growth: Growth;
  /** The entries of the tree's last bundle, if it is partial. */
  readonly bundle: Entries;
  /** See Staging; of a batch that is still to be committed. */
  readonly pendingSince?: bigint;
};

/** @param edge of the tree of `from` entries. */
export function makeBatch(
  from: bigint,
  { tiles, bundle }: Edge,
  entries: Entries,
  leaves: Uint8Array = leafHashes(entries, sha256),
): Batch {
  return { entries, leaves, growth: growTree(from, tiles, leaves, sha256), bundle };
}

type Collected = {
  /** What the tree is to get; undefined: nothing. */
  readonly batch: Batch | undefined;
  /** The pending chunks that were read. Once the batch is published nothing of them is to be sealed any more. */
  readonly chunks: readonly Key[];
  readonly more: boolean;
  readonly oldest: bigint | undefined;
  /** What it was looked up in; undefined: nothing was. */
  readonly cover: Cover | undefined;
};

/**
 * The oldest pending chunks up to MAX_BATCH entries, without entries that are in the log or repeated (I2).
 * @returns undefined when another sealer has published since the head was read, as its cover says.
 */
async function collect(ctx: SealContext, head: Head, { admit }: SealableLog): Promise<Collected | undefined> {
  const { store } = ctx;
  const { chunks, more } = await oldestChunks(store, head.log);
  const read = { chunks: chunks.map(({ key }) => key), more, oldest: chunks[0]?.arrival };
  if (chunks.length === 0) return { batch: undefined, cover: undefined, ...read };
  const cover = await readEnough(ctx, head);
  if (cover.end > head.published) {
    if ((await readHead(store, head.log)).version === head.version) throw foreign(head.log);
    return undefined;
  }
  const pending = joinEntries(chunks.map(({ entries }) => entries));
  const hashes = leafHashes(pending, sha256);
  const [known, edge] = await Promise.all([
    knownLeaves(ctx, head, cover, hashes),
    readEdge(store, head.log, head.size),
  ]);
  const fresh = firstOfEach(hashes).filter((n) => !known.has(n));
  const { entries, leaves } = await admitted(
    { entries: selectEntries(pending, fresh), leaves: selectHashes(hashes, fresh) },
    admit,
  );
  // Of what gets in: a chunk that another sealer had left has waited no longer. Of a choice of entries nobody asks.
  const pendingSince = admit === undefined ? arrivalAt(chunks, fresh[0]) : undefined;
  const batch = {
    ...makeBatch(head.size, edge, entries, leaves),
    ...(pendingSince !== undefined && { pendingSince }),
  };
  // The tiles are about to be extended blindly, and have told what the log has already: before anything is committed, or
  // pending no more, make sure that they are the published tree's.
  if ([batch.growth.before, frontierRoot(head.frontier)].every((root) => equalBytes(root, head.root))) {
    return { batch: leaves.length === 0 ? undefined : batch, cover, ...read };
  }
  throw new ServiceError(
    "corrupt",
    `log ${head.log}: its tiles or its frontier at ${head.size} do not give the published root`,
  );
}

async function oldestChunks(store: Store, log: string): Promise<{ chunks: PendingChunk[]; more: boolean }> {
  const chunks: PendingChunk[] = [];
  let entries = 0;
  for await (const chunk of oldestFirst(store, log)) {
    entries += countEntries(chunk.entries);
    if (entries > MAX_BATCH) return { chunks, more: true };
    chunks.push(chunk);
  }
  return { chunks, more: false };
}

/** Arrival of the chunk with this entry, counted over all of them. */
function arrivalAt(chunks: readonly PendingChunk[], n: number | undefined): bigint | undefined {
  let end = 0;
  return chunks.find(({ entries }) => {
    end += countEntries(entries);
    return n !== undefined && n < end;
  })?.arrival;
}

const hashAt = (hashes: Uint8Array, n: number) => hashes.subarray(n * HASH_SIZE, (n + 1) * HASH_SIZE);

/** Of hashes that are equal the number of the first, in order. */
function firstOfEach(hashes: Uint8Array): number[] {
  const bytes = Buffer.from(hashes.buffer, hashes.byteOffset, hashes.length);
  const firsts = new Map<string, number>();
  for (let n = 0; n * HASH_SIZE < hashes.length; n++) {
    const name = bytes.toString("latin1", n * HASH_SIZE, (n + 1) * HASH_SIZE);
    if (!firsts.has(name)) firsts.set(name, n);
  }
  return [...firsts.values()];
}

function selectHashes(hashes: Uint8Array, numbers: readonly number[]): Uint8Array {
  if (numbers.length * HASH_SIZE === hashes.length) return hashes;
  const selected = new Uint8Array(numbers.length * HASH_SIZE);
  for (const [i, n] of numbers.entries()) selected.set(hashAt(hashes, n), i * HASH_SIZE);
  return selected;
}

type Leaves = Pick<Batch, "entries" | "leaves">;

async function admitted({ entries, leaves }: Leaves, admit: SealableLog["admit"]): Promise<Leaves> {
  if (admit === undefined || leaves.length === 0) return { entries, leaves };
  const asked = Array.from({ length: countEntries(entries) }, (_, n) => ({
    entry: entryAt(entries, n),
    hash: hashAt(leaves, n),
  }));
  const into = await admit(asked);
  return {
    entries: encodeEntries(into.map(({ entry }) => entry)),
    leaves: concatBytes(...into.map(({ hash }) => hash)),
  };
}

/** The cover, extended first where it leaves too much to the tiles: of a table of an earlier version it covers nothing. */
async function readEnough(ctx: SealContext, head: Head): Promise<Cover> {
  const cover = await readCover(ctx, head.log);
  const isEnough = uncovered(head, cover) <= BigInt(sizesOf(ctx).uncovered);
  return isEnough ? cover : await lengthenCover(ctx, head.log);
}

/** Which of these leaf hashes the log has, by their numbers. */
async function knownLeaves(
  ctx: SealContext,
  head: Head,
  cover: Cover,
  hashes: Uint8Array,
): Promise<ReadonlySet<number>> {
  const found = await find(ctx, head, cover, hashes);
  const indexed = found.flatMap((index, n) => (index === undefined ? [] : [{ n, index }]));
  return await inTree(ctx.store, head, hashes, indexed);
}

type Indexed = { readonly n: number; readonly index: bigint };

/**
 * The numbers of these leaf hashes, each of which the tree has where the index says.
 * @throws ServiceError `corrupt` when it has not: then the index may miss others as well.
 */
async function inTree(
  store: Store,
  head: Head,
  hashes: Uint8Array,
  indexed: readonly Indexed[],
): Promise<ReadonlySet<number>> {
  const tileIndexes = new Set(indexed.map(({ index }) => index / BigInt(TILE_WIDTH)));
  const wanted = [...tileIndexes].map((index) => ({ level: 0, index, width: widthAt(head.size, 0, index) }));
  const tiles = await readLogTiles(store, head.log, wanted);
  for (const { n, index } of indexed) {
    const tile = tileBytes({ level: 0, index: index / BigInt(TILE_WIDTH), width: TILE_WIDTH }, tiles);
    if (equalBytes(hashAt(tile, Number(index % BigInt(TILE_WIDTH))), hashAt(hashes, n))) continue;
    throw foreign(head.log);
  }
  return new Set(indexed.map(({ n }) => n));
}

// ---- 2 commit -------------------------------------------------------------------------------------------------------

/** Stages the batch, then moves the head. @returns undefined when another sealer moved it first. */
export async function commit(
  store: Store,
  head: Head,
  { entries, growth, pendingSince }: Batch,
): Promise<Head | undefined> {
  const { size, root, frontier } = growth;
  const staged = await stage(store, head, entries);
  const staging = { ...staged, ...(pendingSince !== undefined && { pendingSince }) };
  // The commit point. A crash before it leaves staging that no head names: the next published head discards it. A crash
  // after it leaves a head that says where its entries are: the next sealer finishes the batch before anything else.
  // If this throws, it may have committed: the staging stays.
  const committed = await moveHead(store, head, { ...head, size, root, frontier, staging });
  if (committed === undefined) await discardAttempt(store, head.log, staging);
  return committed;
}

// ---- 3 apply --------------------------------------------------------------------------------------------------------

/**
 * Writes what the committed batch makes of the tree, and never narrows a tile. Deterministic.
 * @param mend see writeTiles.
 */
export async function apply(store: Store, head: Head, batch: Batch, mend = false): Promise<void> {
  const { log, published: from, size } = head;
  const changed = [
    ...tilesChanged(from, size).map((tile) => ({ tile, bytes: tileBytes(tile, batch.growth.tiles) })),
    ...bundlesChanged(from, size).map((tile) => ({ tile, bytes: bundleBytes(tile, from, batch) })),
  ];
  await writeTiles(store, log, changed, mend);
}

/** The right edge of a tree: its partial tiles, and the entries of its partial bundle. */
export type Edge = { readonly tiles: TileMap; readonly bundle: Entries };

/** The edge of the tree of size `from`. */
export async function readEdge(store: Store, log: string, from: bigint): Promise<Edge> {
  const index = from / BigInt(TILE_WIDTH);
  const width = Number(from % BigInt(TILE_WIDTH));
  const bundle: Tile[] = width === 0 ? [] : [{ level: "entries", index, width }];
  const tiles = await readLogTiles(store, log, [...rightEdge(from), ...bundle]);
  const bytes = tiles.get(tileKey("entries", index)) ?? new Uint8Array();
  return { tiles, bundle: decodeEntries(bytes, width) };
}

/** The bytes of one changed bundle, from the entries of the old partial one and those of the batch. */
function bundleBytes({ index, width }: Tile, from: bigint, { bundle, entries }: Batch): Uint8Array {
  const start = Number(index * BigInt(TILE_WIDTH) - from);
  const added = encodedSlice(entries, Math.max(0, start), start + width);
  return start < 0 ? concatBytes(bundle.data, added) : added;
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

/** Steps 4 and 5, for a head that is committed, applied and recorded outside the store. @param pending see `finish`. */
export async function signAndPublish(
  ctx: SealContext,
  log: SealableLog,
  head: Head,
  pending: readonly Key[] = [],
): Promise<Head | undefined> {
  // I3: the only place where a tree head is signed. The store has committed it, and the record outside names no other.
  const signed = await log.sign({ origin: log.origin, size: head.size, root: head.root });
  return await publish(ctx, log, head, signed, pending);
}

// ---- 5 publish ------------------------------------------------------------------------------------------------------

/** The signed note becomes visible; then nothing of the batch's staging and pending chunks is needed any more. */
async function publish(
  { store, clock }: SealContext,
  log: SealableLog,
  head: Head,
  note: string,
  pending: readonly Key[],
): Promise<Head | undefined> {
  const pendingSince = head.staging?.pendingSince;
  const checkpoint = await keepFirst(store, log.id, checkpointKey(log.id, head.size), {
    ...{ note, at: BigInt(clock()) },
    ...(pendingSince !== undefined && { pendingSince }),
  });
  if (!equalBytes(parseCheckpoint(checkpoint.note).checkpoint.root, head.root)) {
    throw new ServiceError("rollback", `log ${log.id}: size ${head.size} was published with another root`);
  }
  const published = await moveHead(store, head, { ...head, published: head.size, checkpoint });
  // I1: only what is published, or never gets in, is pending no more.
  if (published !== undefined) await discardStaging(store, published, pending);
  return published;
}

// ---- 6 index --------------------------------------------------------------------------------------------------------

/** Never a condition of the seal, which is done. What is left uncovered the next one covers, or the one after that must. */
async function extend(ctx: SealContext, head: Head, cover: Cover | undefined): Promise<IndexState> {
  if (cover === undefined) return {};
  if (!isDue(ctx, head, cover)) return { uncovered: uncovered(head, cover) };
  try {
    return { uncovered: uncovered(head, await lengthenCover(ctx, head.log)), extended: true };
  } catch (error) {
    return { uncovered: uncovered(head, cover), error };
  }
}

/** Published entries without a run. */
const uncovered = ({ published }: Head, { end }: Cover): bigint => (published > end ? published - end : 0n);
