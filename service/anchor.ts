/**
 * Anchor: fold the tenants' checkpoints into the anchor log, by the same engine, and move its public checkpoint.
 *
 * A tenant checkpoint is the entry, byte for byte as published. Every run looks at what is published and not yet
 * recorded as anchored, so a run that dies anywhere is made good by the next: an entry is never in the log twice.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import { z } from "zod";
import { leafHash } from "../tlog/merkle.ts";
import { type Policy, verifyPolicy } from "../tlog/policy.ts";
import { append } from "./append.ts";
import { keepFirst } from "./checkpoints.ts";
import { ServiceError } from "./error.ts";
import { decodeHead, type Head } from "./head.ts";
import { allLogs, type RegisteredLog } from "./logs.ts";
import type { SealContext } from "./seal.ts";
import type { CheckpointSigner } from "./sign.ts";
import type { Item, Store } from "./store.ts";
import { drain } from "./sweep.ts";
import { ANCHOR, anchoredKey, headKey, indexKey, publicCheckpointKey, publicKey } from "./table.ts";

export type AnchorContext = SealContext & {
  readonly anchorOrigin: string;
  readonly signAnchor: CheckpointSigner;
  readonly policy: Policy;
};

export type Anchored = {
  /** Tenant checkpoints that this run found in the anchor log and recorded. */
  readonly anchored: number;
  /** Published size of the anchor log, and the size its public checkpoint has reached. */
  readonly size: bigint;
  readonly publicSize: bigint;
  /** False while the public checkpoint waits for witnesses. */
  readonly quorum: boolean;
};

/** Tenant logs whose heads are read in one round trip. */
const PAGE = 100;
/** Checkpoints in one pending chunk: below MAX_ENTRIES and, at their largest (4 KB), below an item's limit. */
const CHUNK = 90;

/** @throws ServiceError, as `seal`. */
export async function anchor(ctx: AnchorContext): Promise<Anchored> {
  const log = { id: ANCHOR, origin: ctx.anchorOrigin, sign: ctx.signAnchor };
  let anchored = 0;
  for await (const page of pages(ctx.store)) {
    const entries = page.map(({ checkpoint }) => new TextEncoder().encode(checkpoint));
    for (let i = 0; i < entries.length; i += CHUNK) await append(ctx, ANCHOR, entries.slice(i, i + CHUNK));
  }
  await drain(ctx, log);
  for await (const page of pages(ctx.store)) anchored += await record(ctx.store, page);
  return { anchored, ...(await movePublic(ctx)) };
}

/** Heads of the tenant logs whose last published checkpoint is not recorded as anchored. */
async function* pages(store: Store): AsyncGenerator<Head[]> {
  let logs: RegisteredLog[] = [];
  for await (const log of allLogs(store)) {
    logs.push(log);
    if (logs.length < PAGE) continue;
    yield await unrecorded(store, logs);
    logs = [];
  }
  yield await unrecorded(store, logs);
}

async function unrecorded(store: Store, logs: readonly RegisteredLog[]): Promise<Head[]> {
  const items = await store.get(logs.map(({ id }) => headKey(id)));
  const heads = logs.map(({ id }, i) => decodeHead(id, items[i])).filter(({ published }) => published > 0n);
  const anchored = await store.get(heads.map((head) => anchoredKey(head.log, head.published)));
  return heads.filter((_, i) => anchored[i] === undefined);
}

/** Records, for each checkpoint that a published anchor checkpoint covers, its index in the anchor log. */
async function record(store: Store, heads: readonly Head[]): Promise<number> {
  const leaves = heads.map(({ checkpoint }) => bytesToHex(leafHash(new TextEncoder().encode(checkpoint))));
  const [anchorItem, ...found] = await store.get([
    headKey(ANCHOR),
    ...leaves.map((leaf) => indexKey(ANCHOR, leaf)),
  ]);
  const { published } = decodeHead(ANCHOR, anchorItem);
  const items: Item[] = [];
  for (const [i, head] of heads.entries()) {
    const item = found[i];
    const index = item && decodeIndex(item);
    if (index === undefined || index >= published) continue;
    items.push({ ...anchoredKey(head.log, head.published), index, note: head.checkpoint });
  }
  await store.write(items);
  return items.length;
}

/**
 * Moves the public checkpoint to the anchor log's head if the policy's quorum has cosigned it (fail closed).
 * Without a quorum the last public checkpoint stays; what lies above it is provable as anchored, not as witnessed.
 */
async function movePublic(ctx: AnchorContext): Promise<Omit<Anchored, "anchored">> {
  const [headItem, publicItem] = await ctx.store.get([headKey(ANCHOR), publicKey()]);
  const head = decodeHead(ANCHOR, headItem);
  const now = decodePublic(publicItem);
  if (head.published === (now?.size ?? 0n)) {
    return { size: head.published, publicSize: head.published, quorum: true };
  }
  if (!verifyPolicy({ policy: ctx.policy, checkpoint: head.checkpoint }).met) {
    return { size: head.published, publicSize: now?.size ?? 0n, quorum: false };
  }
  const size = head.published;
  const cosigned = { note: head.checkpoint, at: BigInt(ctx.clock()) };
  const kept = await keepFirst(ctx.store, ANCHOR, publicCheckpointKey(size), cosigned);
  await ctx.store
    .put({ ...publicKey(), ...kept, size }, { kind: "absentOrBelow", attribute: "size", value: size })
    .catch(unlessMovedFurther);
  return { size, publicSize: size, quorum: true };
}

function unlessMovedFurther(error: unknown): void {
  if (!(error instanceof ServiceError) || error.code !== "condition_failed") throw error;
}

const indexSchema = z.object({ index: z.bigint() });

/** The index that an item of the hash index, or an `anchored/…` item, holds. */
export function decodeIndex(item: Item): bigint {
  const parsed = indexSchema.safeParse(item);
  if (!parsed.success) throw new ServiceError("corrupt", `${item.pk} ${item.sk} holds no index`);
  return parsed.data.index;
}

const publicSchema = z.object({ size: z.bigint(), note: z.string(), at: z.bigint() });

/** The anchor log's public checkpoint; undefined before the first. */
export function decodePublic(item: Item | undefined): z.infer<typeof publicSchema> | undefined {
  if (item === undefined) return undefined;
  const parsed = publicSchema.safeParse(item);
  if (!parsed.success) throw new ServiceError("corrupt", "the anchor log's public checkpoint is malformed");
  return parsed.data;
}
