/**
 * Anchor: fold the tenants' checkpoints into the anchor log, by the same engine, and make its checkpoint public.
 *
 * Each entry of the anchor log is a tenant checkpoint, byte for byte as published. The `anchored/…` items, which say where
 * a tenant's checkpoint stands in it, are written from the anchor log's own entries, up to a cursor: a run that dies
 * anywhere is made good by the next.
 */

import { utf8Decode } from "@kedge/verify/tlog/bytes";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { verifyPolicy } from "@kedge/verify/tlog/policy";
import { decodeBundle, TILE_WIDTH, type Tile, widthAt } from "@kedge/verify/tlog/tile";
import { ServiceError } from "../platform/error.ts";
import { type Item, putIf, type Store } from "../platform/store.ts";
import {
  ANCHOR,
  anchoredKey,
  cursorKey,
  decodeCursor,
  decodePublic,
  encodeAnchored,
  encodeCursor,
  encodePublic,
  type PublicCheckpoint,
  publicCheckpointKey,
  publicKey,
} from "./anchor-items.ts";
import { append, MAX_ENTRY_BYTES } from "./append.ts";
import { checkpointKey, decodeCheckpoint, keepFirst } from "./checkpoints.ts";
import { decodeHead, type Head, headKey, lastCheckpoint, readHead } from "./head.ts";
import { allLogs, type RegisteredLog } from "./logs.ts";
import { oldestPending } from "./pending.ts";
import {
  type CheckpointFile,
  makePublic,
  type PublicFilesContext,
  readNewest,
  readOfSize,
  type TrustFile,
  writeTrust,
} from "./public-files.ts";
import type { IndexState, Leaf } from "./seal.ts";
import type { CheckpointSigner } from "./sign.ts";
import { type DrainContext, drain } from "./sweep.ts";
import { readLogTiles, tileBytes } from "./tiles.ts";
import { type AskedWitness, type AskingContext, cosign } from "./witnesses.ts";

export type AnchorContext = DrainContext &
  AskingContext &
  PublicFilesContext & { readonly signAnchor: CheckpointSigner };

export type Anchored = {
  /** Tenant checkpoints that this run found in the anchor log and recorded. */
  readonly anchored: number;
  /** Published size of the anchor log, and the size its public checkpoint has reached. */
  readonly size: bigint;
  readonly publicSize: bigint;
  /** False while the public checkpoint waits for witnesses. */
  readonly quorum: boolean;
  readonly index: IndexState;
  /** The witnesses that this run asked: none if the newest checkpoint is public with a quorum already. */
  readonly asked: readonly AskedWitness[];
  /** Public files that say whom to trust, and that the configuration has changed. */
  readonly changed: readonly TrustFile[];
};

/** Tenant logs whose heads are read in one round trip, and whose checkpoints go into one pending chunk. */
const PAGE = 100;

/**
 * A log whose registration or head cannot be read stops no other: the run ends, and then fails.
 * @throws ServiceError, as `seal`; `rollback` when the table is behind what is public; `corrupt` naming the logs that
 * were left out.
 */
export async function anchor(ctx: AnchorContext): Promise<Anchored> {
  // First of all, because nothing may be signed by a table that is older than what is public.
  const inFiles = await readNewest(ctx);
  const bad = new Map<string, unknown>();
  for await (const heads of newCheckpoints(ctx.store, (log, error) => bad.set(log, error))) {
    const entries = heads.map((head) => new TextEncoder().encode(lastCheckpoint(head).note));
    if (entries.length > 0) await append(ctx, ANCHOR, entries);
  }
  let anchored = 0;
  const admit = async (leaves: readonly Leaf[]) => {
    anchored += await record(ctx.store);
    return await inOrder(ctx.store, leaves);
  };
  const { index = {} } = await drain(ctx, {
    id: ANCHOR,
    origin: ctx.anchorOrigin,
    sign: ctx.signAnchor,
    admit,
  });
  anchored += await record(ctx.store);
  const moved = await movePublic(ctx, inFiles);
  const [cause] = bad.values();
  if (bad.size > 0) {
    throw new ServiceError("corrupt", `not anchored: ${[...bad.keys()].join(", ")}; all others are`, {
      cause,
    });
  }
  return { anchored, index, ...moved };
}

type OnBad = (log: string, error: unknown) => void;

/** Heads of the tenant logs whose last published checkpoint is not recorded as anchored. */
async function* newCheckpoints(store: Store, onBad: OnBad): AsyncGenerator<Head[]> {
  let logs: RegisteredLog[] = [];
  for await (const log of allLogs(store, onBad)) {
    logs.push(log);
    if (logs.length < PAGE) continue;
    yield await unrecorded(store, logs, onBad);
    logs = [];
  }
  yield await unrecorded(store, logs, onBad);
}

async function unrecorded(store: Store, logs: readonly RegisteredLog[], onBad: OnBad): Promise<Head[]> {
  const items = await store.get(logs.map(({ id }) => headKey(id)));
  const heads: Head[] = [];
  for (const [i, log] of logs.entries()) {
    try {
      const head = decodeHead(log.id, items[i]);
      if (head.published > 0n) heads.push(ownCheckpoint(head, log));
    } catch (error) {
      onBad(log.id, error);
    }
  }
  const anchored = await store.get(heads.map((head) => anchoredKey(head.log, head.published)));
  return heads.filter((_, i) => anchored[i] === undefined);
}

/** What is in the anchor log is there for ever: nothing but this log's checkpoint may get in as such. */
function ownCheckpoint(head: Head, { id, origin }: RegisteredLog): Head {
  const { note } = lastCheckpoint(head);
  const { checkpoint } = parseCheckpoint(note);
  const isEntry = new TextEncoder().encode(note).length <= MAX_ENTRY_BYTES;
  if (checkpoint.origin === origin && checkpoint.size === head.published && isEntry) return head;
  throw new ServiceError(
    "corrupt",
    `the head of log ${id} has the checkpoint of another, or is none of ours`,
  );
}

/**
 * Of each tenant log the largest of these checkpoints, if it is larger than all that the anchor log has. Otherwise a chunk
 * left pending by a slow run could put a smaller one after it, as if the log had lost entries. Both sides count only what
 * is in the log's own history: someone who can write to the table can neither add a checkpoint nor block a log.
 */
async function inOrder(store: Store, leaves: readonly Leaf[]): Promise<Leaf[]> {
  const parsed = leaves.flatMap((leaf) => {
    const checkpoint = decodeEntry(leaf.entry);
    return checkpoint === undefined ? [] : [{ ...checkpoint, leaf }];
  });
  const isOwn = await inHistory(store, parsed);
  const newest = new Map<string, (typeof parsed)[number]>();
  for (const [i, one] of parsed.entries()) {
    if (isOwn[i] && one.size > (newest.get(one.log)?.size ?? 0n)) newest.set(one.log, one);
  }
  const found: Leaf[] = [];
  const all = [...newest.values()];
  for (let at = 0; at < all.length; at += PAGE) {
    const page = all.slice(at, at + PAGE);
    const anchored = await Promise.all(page.map(({ log }) => largestAnchored(store, log)));
    found.push(...page.flatMap(({ leaf, size }, i) => (size > (anchored[i] ?? 0n) ? [leaf] : [])));
  }
  return found;
}

/** The size of a log's largest checkpoint that is recorded as anchored; 0: none is. */
async function largestAnchored(store: Store, log: string): Promise<bigint> {
  const largest: TenantCheckpoint[] = [];
  // More than one, for the table may hold made-up ones.
  for await (const { sk, note } of store.query({ pk: anchoredKey(log, 0n).pk, reverse: true, limit: 4 })) {
    if (/^\d+$/.test(sk) && typeof note === "string") largest.push({ log, size: BigInt(sk), note });
  }
  const isOwn = await inHistory(store, largest);
  return largest.find((_, i) => isOwn[i])?.size ?? 0n;
}

/** Whether each of these is, byte for byte, what its log published at that size. */
async function inHistory(store: Store, checkpoints: readonly TenantCheckpoint[]): Promise<boolean[]> {
  const keys = new Map(
    checkpoints.map(({ log, size }) => [`${log} ${size}`, checkpointKey(log, size)] as const),
  );
  const items = await store.get([...keys.values()]);
  const notes = new Map([...keys.keys()].map((name, i) => [name, items[i]?.["note"]]));
  return checkpoints.map(({ log, size, note }) => notes.get(`${log} ${size}`) === note);
}

/** Records, for every entry that a published anchor checkpoint covers, its index with the tenant's log. */
async function record(store: Store): Promise<number> {
  const [headItem, cursorItem] = await store.get([headKey(ANCHOR), cursorKey()]);
  const { published } = decodeHead(ANCHOR, headItem);
  const start = decodeCursor(cursorItem);
  for (let from = start; from < published; ) {
    const index = from / BigInt(TILE_WIDTH);
    const entries = await readBundle(store, index, published);
    const skipped = Number(from % BigInt(TILE_WIDTH));
    const items = entries.slice(skipped).flatMap((entry, i) => anchoredItem(entry, from + BigInt(i)));
    // The first stays: proofs were made with it.
    const known = await store.get(items);
    await store.write(items.filter((_, i) => known[i] === undefined));
    from = (index + 1n) * BigInt(TILE_WIDTH);
  }
  if (published > start) {
    await putIf(store, encodeCursor(published), {
      kind: "absentOrBelow",
      attribute: "index",
      value: published,
    });
  }
  return Number(published - start);
}

/** The anchor log's entries in one bundle, up to its published size. */
async function readBundle(store: Store, index: bigint, published: bigint): Promise<Uint8Array[]> {
  const tile: Tile = { level: "entries", index, width: widthAt(published, "entries", index) };
  return decodeBundle(tileBytes(tile, await readLogTiles(store, ANCHOR, [tile])), tile.width);
}

/** None for an entry that is no checkpoint: no proof can need it. */
function anchoredItem(entry: Uint8Array, index: bigint): Item[] {
  const checkpoint = decodeEntry(entry);
  if (checkpoint === undefined) return [];
  const { log, size, note } = checkpoint;
  return [encodeAnchored(log, size, { index, note })];
}

type TenantCheckpoint = { readonly log: string; readonly size: bigint; readonly note: string };

/** A tenant log's checkpoint, as the entry of the anchor log that it is; undefined when it is none. */
function decodeEntry(entry: Uint8Array): TenantCheckpoint | undefined {
  try {
    const note = utf8Decode(entry, "The entry");
    const { origin, size } = parseCheckpoint(note).checkpoint;
    return { log: origin.slice(origin.lastIndexOf("/") + 1), size, note };
  } catch {
    return undefined;
  }
}

/**
 * Since when tenant checkpoints wait for a public anchor checkpoint, ms since the epoch; undefined: none does, of those
 * that a run has seen. At constant cost: by the publication time of the first entry above the public checkpoint or, when
 * there is none, by the arrival of the oldest pending chunk. It is late by the time between two runs at most.
 */
export async function waitingSince(store: Store): Promise<bigint | undefined> {
  const [headItem, publicItem] = await store.get([headKey(ANCHOR), publicKey()]);
  const { published } = decodeHead(ANCHOR, headItem);
  const covered = decodePublic(publicItem)?.size ?? 0n;
  // What is sealed was pending before anything that is pending now.
  if (covered >= published) return await oldestPending(store, ANCHOR);

  const bundle = await readBundle(store, covered / BigInt(TILE_WIDTH), published);
  const entry = bundle[Number(covered % BigInt(TILE_WIDTH))];
  const first = entry && decodeEntry(entry);
  if (first === undefined)
    throw new ServiceError("corrupt", `the anchor log has no checkpoint at ${covered}`);
  const { log, size } = first;
  const [item] = await store.get([checkpointKey(log, size)]);
  return decodeCheckpoint(log, item).at;
}

/**
 * Makes the anchor log's newest checkpoint public, if the policy's quorum has cosigned it (fail closed): as files first,
 * then in the store, from which proofs are made. Without a quorum the last public checkpoint stays; entries above it are
 * provable as anchored, not as witnessed. Only the newest checkpoint is ever sent to the witnesses.
 */
async function movePublic(
  ctx: AnchorContext,
  inFiles: CheckpointFile | undefined,
): Promise<Omit<Anchored, "anchored" | "index">> {
  const changed = await writeTrust(ctx);
  const inStore = await catchUp(ctx, inFiles);
  const { published: size, checkpoint } = await readHead(ctx.store, ANCHOR);
  if (checkpoint === undefined) return { size, publicSize: 0n, quorum: true, asked: [], changed };
  // What is public already is held to today's policy too.
  const meets = (note: string) => verifyPolicy({ policy: ctx.policy, checkpoint: note }).met;
  const isPublic = inFiles?.checkpoint.size === size;
  if (isPublic && meets(inFiles.note)) return { size, publicSize: size, quorum: true, asked: [], changed };

  // Where the files were lost, the store may know what they were.
  const known = isPublic ? inFiles.note : inStore?.size === size ? inStore.note : undefined;
  const { note, asked } =
    known !== undefined && meets(known)
      ? { note: known, asked: [] }
      : await cosign(ctx, checkpoint.note, known);
  if (!meets(note))
    return { size, publicSize: inFiles?.checkpoint.size ?? 0n, quorum: false, asked, changed };
  const [item] = await ctx.store.get([publicCheckpointKey(size)]);
  const ofSize = item && decodeCheckpoint(ANCHOR, item).note;
  await mirror(ctx, inStore, await makePublic(ctx, { note, before: inFiles, ofSize, meets }));
  return { size, publicSize: size, quorum: true, asked, changed };
}

/** A run that died between the files and the store is made good. @returns what the store has as public then. */
async function catchUp(
  ctx: AnchorContext,
  inFiles: CheckpointFile | undefined,
): Promise<PublicCheckpoint | undefined> {
  const [item] = await ctx.store.get([publicKey()]);
  const inStore = decodePublic(item);
  if (inFiles === undefined || inStore?.note === inFiles.note) return inStore;
  const { size } = inFiles.checkpoint;
  if ((inStore?.size ?? 0n) > size) return inStore;
  const ofSize = (await readOfSize(ctx, size)) ?? inFiles.note;
  return await mirror(ctx, inStore, { newest: inFiles.note, ofSize });
}

/** Keeps in the store what is public. @returns what the store has as public then, or another anchorer left there. */
async function mirror(
  ctx: AnchorContext,
  inStore: PublicCheckpoint | undefined,
  { newest, ofSize }: { newest: string; ofSize: string },
): Promise<PublicCheckpoint | undefined> {
  const at = BigInt(ctx.clock());
  const { size } = parseCheckpoint(ofSize).checkpoint;
  await keepFirst(ctx.store, ANCHOR, publicCheckpointKey(size), { note: ofSize, at });
  // Where another anchorer is ahead, it keeps the newest itself.
  if (parseCheckpoint(newest).checkpoint.size !== size) return inStore;
  const next = { size, note: newest, at };
  await putIf(
    ctx.store,
    encodePublic(next),
    inStore?.size === size
      ? { kind: "equals", attribute: "note", value: inStore.note }
      : { kind: "absentOrBelow", attribute: "size", value: size },
  );
  return next;
}
