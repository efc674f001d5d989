/**
 * Seal: turn pending entries into a committed batch, its tiles and a signed checkpoint.
 *
 * The life of an entry: append writes a pending chunk; seal reads it, stages a batch, and moves the log's head by
 * compare-and-swap (the commit point). From then on everything is derived from what the head committed: any number
 * of sealers may apply, sign and publish it again, in any order, with the same result. Pending chunks are deleted
 * only once their entries are in a published checkpoint, so a crash anywhere repeats work and loses nothing.
 */
import { randomBytes } from "node:crypto";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { type Checkpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { extendFrontier, frontierRoot, HASH_SIZE, leafHash } from "@kedge/verify/tlog/merkle";
import {
  bundlesChanged,
  decodeBundle,
  decodeEntries,
  encodeBundle,
  encodeEntries,
  extendTiles,
  rightEdge,
  TILE_WIDTH,
  type Tile,
  type TileMap,
  tileKey,
  tilesChanged,
  widthAt,
} from "@kedge/verify/tlog/tile";
import { frontierFromTiles } from "@kedge/verify/tlog/tileproof";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Publication, readRecord, writeBatch, writeRecord } from "../platform/publication.ts";
import type { Item, Key, Store } from "../platform/store.ts";
import {
  checkpointKey,
  indexKey,
  PENDING_SHARDS,
  pendingPartition,
  stagingBefore,
  stagingKey,
  stagingPartition,
} from "../platform/table.ts";
import { decodeChunk, type PendingChunk } from "./append.ts";
import { keepFirst } from "./checkpoints.ts";
import { type Head, moveHead, readHead } from "./head.ts";
import type { CheckpointSigner } from "./sign.ts";
import { decodeIndex, readTiles, writeTiles } from "./tiles.ts";

export type SealContext = {
  readonly store: Store;
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
   * Of entries that are not in the log, those that may still get in; the others are dropped for ever. Absent: all. Asked
   * when everything committed is published; if the log moves meanwhile, the batch that was chosen is not committed.
   */
  readonly admit?: (leaves: readonly Leaf[]) => Promise<readonly Leaf[]>;
};

export type Sealed = {
  /** Entries this call committed; those of a batch it only recovered do not count. */
  readonly sealed: number;
  /** The published tree size after the call. */
  readonly size: bigint;
  /** Pending entries that were left for the next batch. */
  readonly more: boolean;
  /** Arrival of the oldest pending chunk seen, ms since the epoch. */
  readonly oldest?: bigint;
  /** Another sealer moved the head first: this call stopped and did no harm. */
  readonly conflict: boolean;
};

/** Entries in one batch at most: bounds a sealer's memory and time. A chunk is never split. */
export const MAX_BATCH = 32_768;
/** DynamoDB's item limit is 400 KB; the rest is room for keys and names. */
const MAX_STAGED_BYTES = 350_000;

/**
 * Seals one batch of a log, after finishing any batch that is committed and unpublished.
 * @throws ServiceError `rollback` when the store is not what was published; `corrupt`, `throttled`, `unavailable`, `signer`.
 */
export async function seal(ctx: SealContext, log: SealableLog): Promise<Sealed> {
  let head = await recover(ctx, log);
  if (head === undefined) return conflict();

  const batch = await collect(ctx.store, head, log);
  const result = { size: head.size, more: batch.more, ...(batch.oldest && { oldest: batch.oldest }) };
  if (batch.leaves.length === 0) {
    await ctx.store.write([], batch.chunks);
    return { ...result, sealed: 0, conflict: false };
  }

  const next = treeWith(head, batch.leaves);
  const committed = await commit(ctx.store, head, batch.leaves, next);
  if (committed === undefined) return conflict();

  head = await finish(ctx, log, committed);
  if (head === undefined) return conflict();
  await ctx.store.write([], batch.chunks);
  return { ...result, sealed: batch.leaves.length, size: head.size, conflict: false };
}

const conflict = (): Sealed => ({ sealed: 0, size: 0n, more: true, conflict: true });

/**
 * Step 0. Refuses a store that is not what was published, and finishes an unpublished batch.
 * @returns the head, everything it committed published; undefined when another sealer is at it.
 */
async function recover(ctx: SealContext, log: SealableLog): Promise<Head | undefined> {
  const head = await readHead(ctx.store, log.id);
  const recorded = await readRecord(ctx.publication, log);
  const difference = rollback(head, recorded);
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

/** I6: what is wrong between the store and what was published outside it, or undefined. */
export function rollback(head: Head, recorded: Checkpoint | undefined): string | undefined {
  const size = recorded?.size ?? 0n;
  if (recorded === undefined && head.published > 0n) {
    return `the store published size ${head.published}, there is no record of it outside`;
  }
  if (size > head.size) return `size ${size} was published, the store is at ${head.size}`;
  if (size < head.published)
    return `the store published size ${head.published}, the record outside it is at ${size}`;
  if (size !== head.published && size !== head.size) {
    return `size ${size} was published, the store knows ${head.published} and ${head.size} only`;
  }
  const root = size === head.size ? head.root : publishedHead(head)?.root;
  if (recorded !== undefined && root !== undefined && !equalBytes(recorded.root, root)) {
    return `size ${size} was published with another root than the store's`;
  }
  return undefined;
}

export const publishedHead = (head: Head): Checkpoint | undefined =>
  head.checkpoint === "" ? undefined : parseCheckpoint(head.checkpoint).checkpoint;

export type Leaf = { readonly entry: Uint8Array; readonly hash: Uint8Array };
type Batch = {
  readonly leaves: readonly Leaf[];
  /** The pending chunks whose every entry is in the log once the batch is, or was not admitted. */
  readonly chunks: readonly Key[];
  readonly more: boolean;
  readonly oldest: bigint | undefined;
};

/** Step 1. The oldest pending chunks up to MAX_BATCH entries, without entries that are in the log or repeated. */
async function collect(store: Store, head: Head, { admit }: SealableLog): Promise<Batch> {
  const chunks: PendingChunk[] = [];
  let entries = 0;
  let more = false;
  for await (const chunk of oldestFirst(store, head.log)) {
    entries += chunk.entries.length;
    more = entries > MAX_BATCH;
    if (more) break;
    chunks.push(chunk);
  }

  const leaves = new Map<string, Leaf>();
  for (const entry of chunks.flatMap(({ entries }) => entries)) {
    const hash = leafHash(entry);
    const name = bytesToHex(hash);
    if (!leaves.has(name)) leaves.set(name, { entry, hash });
  }
  const names = [...leaves.keys()];
  const known = await store.get(names.map((name) => indexKey(head.log, name)));
  const indexed = names.flatMap((name, i) => {
    const item = known[i];
    return item === undefined ? [] : [{ name, index: decodeIndex(item) }];
  });
  for (const name of await inTree(store, head, indexed)) leaves.delete(name);
  const added = [...leaves.values()];
  return {
    leaves: admit === undefined || added.length === 0 ? added : await admit(added),
    chunks: chunks.map(({ key }) => key),
    more,
    oldest: chunks[0]?.arrival,
  };
}

type Indexed = { readonly name: string; readonly index: bigint };

/**
 * Which of these leaf hashes the tree holds where the hash index has them. The index alone does not say: it may be of a
 * tree that a restore has forgotten, or of a batch that another sealer has committed since, whose commit this one loses.
 */
async function inTree(store: Store, head: Head, indexed: readonly Indexed[]): Promise<string[]> {
  const below = indexed.filter(({ index }) => index < head.size);
  const tileIndexes = new Set(below.map(({ index }) => index / BigInt(TILE_WIDTH)));
  const wanted = [...tileIndexes].map((index) => ({
    log: head.log,
    tile: { level: 0, index, width: widthAt(head.size, 0, index) },
  }));
  const tiles = (await readTiles(store, wanted)).get(head.log);
  const isThere = ({ name, index }: Indexed) => {
    const bytes = tiles?.get(tileKey(0, index / BigInt(TILE_WIDTH)));
    const at = Number(index % BigInt(TILE_WIDTH)) * HASH_SIZE;
    return bytes !== undefined && bytesToHex(bytes.subarray(at, at + HASH_SIZE)) === name;
  };
  return below.filter(isThere).map(({ name }) => name);
}

/** Merges the shards by arrival, reading each no further than it is asked for. */
async function* oldestFirst(store: Store, log: string): AsyncGenerator<PendingChunk> {
  const shards = Array.from({ length: PENDING_SHARDS }, (_, shard) =>
    store.query({ pk: pendingPartition(log, shard) })[Symbol.asyncIterator](),
  );
  const next = await Promise.all(shards.map(readChunk));
  for (;;) {
    const oldest = next.reduce<number | undefined>((best, chunk, i) => {
      const bestKey = best === undefined ? undefined : next[best]?.key.sk;
      return chunk !== undefined && (bestKey === undefined || chunk.key.sk < bestKey) ? i : best;
    }, undefined);
    const shard = oldest === undefined ? undefined : shards[oldest];
    const chunk = oldest === undefined ? undefined : next[oldest];
    if (oldest === undefined || shard === undefined || chunk === undefined) return;
    yield chunk;
    next[oldest] = await readChunk(shard);
  }
}

async function readChunk(shard: AsyncIterator<Item>): Promise<PendingChunk | undefined> {
  const { done, value } = await shard.next();
  return done === true ? undefined : decodeChunk(value);
}

type Tree = Pick<Head, "size" | "root" | "frontier">;

/** The tree with these leaves added. */
export function treeWith({ size, frontier }: Pick<Tree, "size" | "frontier">, leaves: readonly Leaf[]): Tree {
  const extended = extendFrontier(
    size,
    frontier,
    leaves.map(({ hash }) => hash),
  );
  return { size: size + BigInt(leaves.length), root: frontierRoot(extended), frontier: extended };
}

/**
 * Step 2. Stages the batch under a fresh attempt id, then moves the head: the commit point.
 * @returns undefined when another sealer moved it first; this attempt's staging is discarded then, and never when
 *   the outcome is unknown.
 */
export async function commit(
  store: Store,
  head: Head,
  leaves: readonly Leaf[],
  next: Tree,
): Promise<Head | undefined> {
  const attempt = randomBytes(12).toString("hex");
  const staged = stage(head, attempt, leaves);
  await store.write(staged);

  const staging = { base: head.version, attempt, items: staged.length };
  const committed = await moveHead(store, head, { ...head, ...next, staging });
  if (committed === undefined) await store.write([], staged);
  return committed;
}

function stage(head: Head, attempt: string, leaves: readonly Leaf[]): Item[] {
  const parts: Uint8Array[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const { entry } of leaves) {
    bytes += 2 + entry.length;
    if (bytes > MAX_STAGED_BYTES) {
      parts.push([]);
      bytes = 2 + entry.length;
    }
    parts.at(-1)?.push(entry);
  }
  return parts.map((entries, n) => ({
    ...stagingKey(head.log, head.version, attempt, n),
    data: encodeEntries(entries),
    count: BigInt(entries.length),
  }));
}

/** Steps 3 to 5 for the committed batch [published, size). Any number of sealers may do this at once. */
async function finish(ctx: SealContext, log: SealableLog, head: Head): Promise<Head | undefined> {
  const entries = await readStaging(ctx.store, head);
  if (entries === undefined) return undefined;
  await apply(ctx.store, head, entries);
  const treeHead = { origin: log.origin, size: head.size, root: head.root };
  const before = publishedHead(head);
  await writeBatch(ctx.publication, log, treeHead, { before, entries });
  if (!(await writeRecord(ctx.publication, log, treeHead, before))) return undefined;
  return await signAndPublish(ctx, log, head);
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

/** @returns undefined when the staging is gone because another sealer has published the batch. */
async function readStaging(store: Store, head: Head): Promise<Uint8Array[] | undefined> {
  const { base, attempt, items } = head.staging;
  const keys = Array.from({ length: items }, (_, n) => stagingKey(head.log, base, attempt, n));
  const staged = await store.get(keys);
  if (staged.every((item) => item !== undefined)) {
    const entries = staged.flatMap(decodeStaged);
    if (BigInt(entries.length) === head.size - head.published) return entries;
  } else if ((await readHead(store, head.log)).version !== head.version) {
    return undefined;
  }
  throw new ServiceError("corrupt", `log ${head.log}: the batch committed as ${attempt} is not staged whole`);
}

const stagedSchema = z.object({ data: z.instanceof(Uint8Array), count: z.bigint() });

function decodeStaged(item: Item): Uint8Array[] {
  const { data, count } = stagedSchema.parse(item);
  return decodeEntries(data, Number(count));
}

/**
 * Step 3. Deterministic: writes what the committed batch makes of the tree, and never narrows a tile.
 * @param mend also replaces what is there and does not begin with it: for a rebuild, beside which nothing seals.
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
  const items = [
    ...tilesChanged(from, size).map((tile) => ({ tile, bytes: tileBytes(tile, tiles) })),
    ...bundlesChanged(from, size).map((tile) => ({
      tile,
      bytes: bundleBytes(tile, from, edge.bundle, entries),
    })),
  ];
  const index = hashes.map((hash, i) => ({ ...indexKey(log, bytesToHex(hash)), index: from + BigInt(i) }));
  await writeTiles(store, log, items, index, mend);
}

/** The right edge of the tree of size `from`: its partial tiles, and the entries of its partial bundle. */
export async function readEdge(store: Store, log: string, from: bigint) {
  const index = from / BigInt(TILE_WIDTH);
  const width = Number(from % BigInt(TILE_WIDTH));
  const bundle: Tile[] = width === 0 ? [] : [{ level: "entries", index, width }];
  const wanted = [...rightEdge(from), ...bundle].map((tile) => ({ log, tile }));
  const tiles: TileMap = (await readTiles(store, wanted)).get(log) ?? new Map();
  const bytes = tiles.get(tileKey("entries", index));
  return { tiles, bundle: bytes === undefined ? [] : decodeBundle(bytes, width) };
}

/** The bytes of one of these tiles. @throws ServiceError `corrupt` when it is not among them. */
export function tileBytes({ level, index }: Tile, tiles: TileMap): Uint8Array {
  const bytes = tiles.get(tileKey(level, index));
  if (bytes === undefined) throw new ServiceError("corrupt", `no bytes for tile ${tileKey(level, index)}`);
  return bytes;
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

/** Step 5. The signed note becomes visible; then nothing of the batch is needed any more. */
async function publish(
  ctx: SealContext,
  log: SealableLog,
  head: Head,
  signed: string,
): Promise<Head | undefined> {
  const at = BigInt(ctx.clock());
  const key = checkpointKey(log.id, head.size);
  const checkpoint = await keepFirst(ctx.store, log.id, key, { note: signed, at });
  if (!equalBytes(parseCheckpoint(checkpoint.note).checkpoint.root, head.root)) {
    throw new ServiceError("rollback", `log ${log.id}: size ${head.size} was published with another root`);
  }
  const published = await moveHead(ctx.store, head, {
    ...head,
    published: head.size,
    checkpoint: checkpoint.note,
    publishedAt: checkpoint.at,
  });
  if (published === undefined) return undefined;
  await discardStaging(ctx.store, published);
  return published;
}

/** Deletes the staging of every attempt that started before this head: none of them can commit any more. */
async function discardStaging(store: Store, head: Head): Promise<void> {
  const { base, attempt, items } = head.staging;
  await store.write(
    [],
    Array.from({ length: items }, (_, n) => stagingKey(head.log, base, attempt, n)),
  );
  const dead: Key[] = [];
  const before = stagingBefore(head.version);
  for await (const { pk, sk } of store.query({ pk: stagingPartition(head.log), to: before }))
    dead.push({ pk, sk });
  await store.write([], dead);
}
