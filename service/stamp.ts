/**
 * Stamp: have the anchor log's public checkpoint timestamped by others, so that its time is not the operator's word alone.
 *
 * Runs after anchoring and holds nothing up: whatever an authority does or the store refuses, it is reported, and the next
 * run tries again. Nothing is stored that was not checked as a verifier would check it.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as z from "zod";
import { TimestampError } from "../client/error.ts";
import { decodePublic } from "./anchor.ts";
import type { Authority, Calendar, Timestamping, Tsa } from "./authorities.ts";
import { decodeCheckpoint } from "./checkpoints.ts";
import { ServiceError } from "./error.ts";
import type { Publication } from "./publication.ts";
import { publishTimestamps } from "./publish.ts";
import type { Store } from "./store.ts";
import { ANCHOR, otsKey, publicCheckpointKey, publicKey, stampingKey, timestampKey } from "./table.ts";
import { imprintOf, timestampsOf } from "./timestamps.ts";

export type StampContext = Timestamping & {
  readonly store: Store;
  readonly publication: Publication;
  readonly clock: () => number;
};

export type Stamped = {
  /** Size of the public anchor checkpoint that is being timestamped; 0: none yet. */
  readonly size: bigint;
  /** Timestamps that this run stored. */
  readonly stored: number;
  /** What went wrong, with the authority's host; the next run tries again. */
  readonly failures: readonly { readonly authority: string; readonly error: unknown }[];
};

/** A token whose time is further from our clock shows that one of the two is wrong. */
const MAX_SKEW = 5 * 60_000;
/** Bitcoin takes an hour or a few. */
const ASK_CALENDAR_EVERY = 30 * 60_000;
/** A promise that is not kept by then is given up, for one of a later checkpoint. */
const GIVE_UP_AFTER = 7 * 24 * 3_600_000;

/** Never throws. */
export async function timestampPublic(ctx: StampContext): Promise<Stamped> {
  const failures: { authority: string; error: unknown }[] = [];
  if (ctx.authorities.length === 0) return { size: 0n, stored: 0, failures };
  const target = await chooseTarget(ctx).catch((error: unknown) => {
    failures.push({ authority: "the store", error });
    return undefined;
  });
  if (target === undefined) return { size: 0n, stored: 0, failures };
  const stored = await Promise.all(
    ctx.authorities.map(async (authority) => {
      try {
        return authority.kind === "ots"
          ? await stampByCalendar(ctx, authority, target)
          : await stampByTsa(ctx, authority, target);
      } catch (error) {
        failures.push({ authority: new URL(authority.url).host, error });
        return false;
      }
    }),
  );
  // Every run, for one that died may have stored what it did not publish.
  await publishStored(ctx, target).catch((error: unknown) => {
    failures.push({ authority: "the publication", error });
  });
  return { size: target.size, stored: stored.filter(Boolean).length, failures };
}

/** A public checkpoint, as it is published. */
type Target = { readonly size: bigint; readonly note: string };

const stampingSchema = z.object({ size: z.bigint(), at: z.bigint() });

/**
 * The checkpoint that all authorities are asked to timestamp until the next one is due: then the newest. By time and not
 * by count, so that after a busy hour the last checkpoint gets its timestamps too.
 */
async function chooseTarget({ store, clock, every }: StampContext): Promise<Target | undefined> {
  const [publicItem, stampingItem] = await store.get([publicKey(), stampingKey()]);
  const newest = decodePublic(publicItem);
  if (newest === undefined) return undefined;
  const current = stampingItem && stampingSchema.parse(stampingItem);
  const now = BigInt(clock());
  const isDue = current === undefined || now - current.at >= BigInt(every);
  if (isDue && newest.size > (current?.size ?? 0n)) {
    const item = { ...stampingKey(), size: newest.size, at: now };
    await store.put(item, { kind: "absentOrBelow", attribute: "size", value: newest.size });
    return newest;
  }
  if (current === undefined) return undefined;
  const [item] = await store.get([publicCheckpointKey(current.size)]);
  return { size: current.size, note: decodeCheckpoint(ANCHOR, item).note };
}

const publishStored = async ({ store, publication }: StampContext, { size, note }: Target): Promise<void> =>
  publishTimestamps(publication, size, await timestampsOf(store, size, note));

async function stampByTsa(ctx: StampContext, authority: Tsa, target: Target): Promise<boolean> {
  const [stored] = await ctx.store.get([timestampKey(target.size, nameOf(authority))]);
  if (stored !== undefined) return false;
  const { token, genTime } = await authority.stamp(new TextEncoder().encode(target.note));
  if (Math.abs(genTime - ctx.clock()) > MAX_SKEW) {
    throw new TimestampError(
      "untrusted",
      "The authority's time is far from our own clock: one of the two is wrong",
    );
  }
  return await keep(ctx.store, authority, target, token);
}

const promiseSchema = z.object({
  size: z.bigint(),
  /** The `.ots` file so far; empty once the timestamp is stored. */
  proof: z.instanceof(Uint8Array),
  at: z.bigint(),
  askedAt: z.bigint(),
});

/** One promise at a time: its checkpoint has its timestamp, or the promise is given up, before another is submitted. */
async function stampByCalendar(ctx: StampContext, authority: Calendar, target: Target): Promise<boolean> {
  const { store } = ctx;
  const key = otsKey(nameOf(authority));
  const [item] = await store.get([key]);
  const promise = item && promiseSchema.parse(item);
  const now = BigInt(ctx.clock());
  const isOpen = promise !== undefined && promise.proof.length > 0 && now - promise.at < GIVE_UP_AFTER;
  if (!isOpen) {
    if (promise !== undefined && promise.size >= target.size) return false;
    const proof = await authority.submit(new TextEncoder().encode(target.note));
    await store.put({ ...key, size: target.size, proof, at: now, askedAt: now });
    return false;
  }
  if (now - promise.askedAt < ASK_CALENDAR_EVERY) return false;
  await store.put({ ...key, ...promise, askedAt: now });
  const [checkpoint] = await store.get([publicCheckpointKey(promise.size)]);
  const { note } = decodeCheckpoint(ANCHOR, checkpoint);
  const finished = await authority.upgrade(promise.proof, new TextEncoder().encode(note));
  if (finished === undefined) return false;
  const promised = { size: promise.size, note };
  const kept = await keep(store, authority, promised, finished);
  await publishStored(ctx, promised);
  await store.put({ ...key, ...promise, proof: new Uint8Array() });
  return kept;
}

/** The first one stays. @returns whether it is this one. */
async function keep(
  store: Store,
  authority: Authority,
  { size, note }: Target,
  bytes: Uint8Array,
): Promise<boolean> {
  const item = {
    ...timestampKey(size, nameOf(authority)),
    size,
    imprint: imprintOf(note),
    type: authority.kind,
    bytes,
  };
  try {
    await store.put(item, { kind: "absent" });
    return true;
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== "condition_failed") throw error;
    return false;
  }
}

/** 8 hex digits that stay the same however the configuration is ordered. */
const nameOf = ({ url }: Authority): string => bytesToHex(sha256(new TextEncoder().encode(url))).slice(0, 8);
