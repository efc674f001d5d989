/**
 * How a log came to where it is: checkpoint by checkpoint, how long its oldest entry had waited, and when it was anchored,
 * cosigned and timestamped. All of it is read from what is kept anyway. Times of witnesses and authorities are their own, as
 * the store has them, the others are the operator's, and nothing is verified: informative, not evidence, which a proof is.
 */
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { decodeTimestamped, TIMESTAMP_SIZE } from "@kedge/verify/tlog/cosignature";
import { matchSignatures } from "@kedge/verify/tlog/note";
import { evaluateQuorum, type Policy } from "@kedge/verify/tlog/policy";
import { first, type Item } from "../platform/store.ts";
import { ANCHOR, anchoredKey, decodeAnchored, publicCheckpointKey } from "./anchor-items.ts";
import { checkpointKey, decodeCheckpoint, type PublishedCheckpoint } from "./checkpoints.ts";
import { readHead } from "./head.ts";
import { type ProgressContext, signedAt } from "./progress.ts";
import { firstTimestamps, type StoredTimestamp, storedOver } from "./timestamps.ts";

/** Times are ms since the epoch. */
export type TimelinePoint = Omit<PublishedCheckpoint, "note"> & Anchoring & { readonly size: bigint };

/** What became of a checkpoint. It is of the first anchor checkpoint of its kind that covers it, as in a proof (prove.ts). */
type Anchoring = {
  /** When the anchor log first signed a tree with it, or with a later one of its log. */
  readonly anchoredAt?: bigint;
  /** Since when a public anchor checkpoint covers it; absent unless that one's witnesses are a quorum of today's policy. */
  readonly witnessedAt?: bigint;
  /** By witnesses of today's policy under that same checkpoint, in its order. */
  readonly cosigned: readonly { readonly name: string; readonly at: bigint }[];
  readonly timestamps: readonly Pick<StoredTimestamp, "type" | "time">[];
};

export type Timeline = {
  /** Smallest first; the newest is the last. */
  readonly points: readonly TimelinePoint[];
  /** There are more checkpoints: these are spread over the log's entries. */
  readonly isSampled: boolean;
};

/** A log with more checkpoints is shown by at most so many, so that the cost does not grow with it. */
const MAX_POINTS = 100;
/** Points that are looked up at a time: up to six reads each. */
const PARALLEL = 16;

export async function timeline(ctx: ProgressContext, log: string): Promise<Timeline> {
  const { published } = await readHead(ctx.store, log);
  const { items, isSampled } = await checkpointItems(ctx, log, published);
  const anchoring = anchoringOf(ctx, log, published);
  const points: TimelinePoint[] = [];
  for (let at = 0; at < items.length; at += PARALLEL) {
    const some = items.slice(at, at + PARALLEL).map(async (item) => {
      const { note, ...times } = decodeCheckpoint(log, item);
      const { size } = parseCheckpoint(note).checkpoint;
      return { size, ...times, ...(await anchoring(size)) };
    });
    points.push(...(await Promise.all(some)));
  }
  return { points, isSampled };
}

async function checkpointItems({ store }: ProgressContext, log: string, published: bigint) {
  const { pk, sk: to } = checkpointKey(log, published);
  const items: Item[] = [];
  const all = { pk, from: checkpointKey(log, 1n).sk, to, limit: MAX_POINTS + 1 };
  for await (const item of store.query(all)) items.push(item);
  if (items.length <= MAX_POINTS) return { items, isSampled: false };

  const sampled = new Map<string, Item>();
  for (let at = 0; at < MAX_POINTS; at += PARALLEL) {
    const count = Math.min(PARALLEL, MAX_POINTS - at);
    const some = Array.from({ length: count }, (_, i) => {
      const after = ((published - 1n) * BigInt(at + i)) / BigInt(MAX_POINTS - 1);
      return first(store, pk, checkpointKey(log, after + 1n).sk, to);
    });
    for (const item of await Promise.all(some)) if (item !== undefined) sampled.set(item.sk, item);
  }
  return { items: [...sampled.values()], isSampled: true };
}

const NOT_ANCHORED: Anchoring = { cosigned: [], timestamps: [] };

/** Checkpoints that were anchored by one entry of the anchor log have the rest in common, which is read once. */
function anchoringOf(ctx: ProgressContext, log: string, published: bigint) {
  const { pk, sk: to } = anchoredKey(log, published);
  const known = new Map<bigint, Promise<Anchoring>>();
  return async (size: bigint): Promise<Anchoring> => {
    const item = await first(ctx.store, pk, anchoredKey(log, size).sk, to);
    if (item === undefined) return NOT_ANCHORED;
    const { index } = decodeAnchored(item);
    const found = known.get(index) ?? readAnchoring(ctx, index);
    known.set(index, found);
    return await found;
  };
}

/** @param index of the anchor log's entry. */
async function readAnchoring({ store, policy }: ProgressContext, index: bigint): Promise<Anchoring> {
  const { pk, sk } = publicCheckpointKey(index + 1n);
  const [anchoredAt, publicItem, stored] = await Promise.all([
    signedAt(store, index),
    first(store, pk, sk, "public/~"),
    firstTimestamps(store, index + 1n),
  ]);
  const stamped = stored?.[0] && (await store.get([publicCheckpointKey(stored[0].size)]))[0];
  const timestamps = stamped ? storedOver(decodeCheckpoint(ANCHOR, stamped).note, stored) : [];
  const anchored = {
    ...(anchoredAt !== undefined && { anchoredAt }),
    timestamps: timestamps.map(({ type, time }) => ({ type, ...(time !== undefined && { time }) })),
  };
  if (publicItem === undefined) return { ...anchored, cosigned: [] };
  const { note, at } = decodeCheckpoint(ANCHOR, publicItem);
  const cosigned = cosignaturesOf(policy, note);
  const isMet = policy.quorum !== "none" && evaluateQuorum(policy, new Set(cosigned.map(({ name }) => name)));
  return { ...anchored, ...(isMet && { witnessedAt: at }), cosigned };
}

/** The anchorer has verified them before it made the note public. To do so again takes 2 ms of CPU each: a proof is for that. */
function cosignaturesOf({ witnesses }: Policy, text: string): Anchoring["cosigned"] {
  const { note } = parseCheckpoint(text);
  return witnesses.flatMap(({ name, vkey }) => {
    const times = matchSignatures(note, [vkey]).flatMap(({ signature }) => timeOf(signature) ?? []);
    return times.slice(0, 1).map((time) => ({ name, at: time * 1_000n }));
  });
}

/** Seconds since the epoch; undefined of what is no cosignature. */
function timeOf(signature: Uint8Array): bigint | undefined {
  try {
    return decodeTimestamped(signature, signature.length - TIMESTAMP_SIZE).timestamp;
  } catch {
    return undefined;
  }
}
