/**
 * Stamp: have the anchor log's public checkpoint timestamped by others, so that its time is not the operator's word alone.
 *
 * Runs after anchoring and holds nothing up: any failure, of an authority or of the store, is reported, and the next run
 * tries again. A timestamp is stored only after it was verified as a verifier would.
 */

import { TimestampError } from "@kedge/verify/error";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as z from "zod";
import type { Publication } from "../platform/publication.ts";
import { binary, type Item, type Key, putIf, type Store } from "../platform/store.ts";
import { ANCHOR, decodePublic, publicCheckpointKey, publicKey } from "./anchor-items.ts";
import type { Authority, Calendar, Timestamping, Tsa } from "./authorities.ts";
import { decodeCheckpoint } from "./checkpoints.ts";
import { hasPassed, isAhead, MAX_SKEW } from "./clock.ts";
import { showTimestamped, writeTimestamps } from "./public-files.ts";
import {
  decodeStamped,
  decodeStampState,
  decodeTimestamp,
  encodeStamped,
  encodeTimestamp,
  imprintOf,
  stampedKey,
  timestampKey,
  timestampsOver,
} from "./timestamps.ts";

type StampContext = Timestamping & {
  readonly store: Store;
  readonly publication: Publication;
  readonly clock: () => number;
};

type Stamped = {
  /** Size of the public anchor checkpoint that is being timestamped; absent: none is. */
  readonly size?: bigint;
  /** Timestamps that this run stored. */
  readonly stored: number;
  /** What went wrong, with the authority's host; the next run tries again. */
  readonly failures: readonly { readonly authority: string; readonly error: unknown }[];
};

/** Before an authority that failed is asked again; doubled after each further failure, up to the longest or to `every`. */
const FIRST_PAUSE = 30_000;
const LONGEST_PAUSE = 60 * 60_000;
/** Bitcoin takes an hour or a few. */
const ASK_CALENDAR_EVERY = 30 * 60_000;
/** A promise that is not kept by then is given up, for one of a later checkpoint. */
const GIVE_UP_AFTER = 7 * 24 * 3_600_000;

/** Never throws. */
export async function timestampPublic(ctx: StampContext): Promise<Stamped> {
  const failures: { authority: string; error: unknown }[] = [];
  if (ctx.authorities.length === 0) return { stored: 0, failures };
  const target = await chooseTarget(ctx).catch((error: unknown) => {
    failures.push({ authority: "the store", error });
    return undefined;
  });
  if (target === undefined) return { stored: 0, failures };
  const stored = await Promise.all(
    ctx.authorities.map(async (authority) => {
      try {
        return await ask(ctx, authority, target);
      } catch (error) {
        failures.push({ authority: new URL(authority.url).host, error });
        return false;
      }
    }),
  );
  // Every run, for one that died may have stored what it did not make public.
  await writePublicTimestamps(ctx, target).catch((error: unknown) => {
    failures.push({ authority: "the publication", error });
  });
  return { size: target.size, stored: stored.filter(Boolean).length, failures };
}

/** A public checkpoint, and whether it or a larger one is known to have a timestamp. */
type StampTarget = { readonly size: bigint; readonly note: string; readonly isCovered: boolean };

// ---- what the store holds -------------------------------------------------------------------------------------------

const partition = `log/${ANCHOR}`;

/** The checkpoint that is being timestamped. */
export const stampingKey = (): Key => ({ pk: partition, sk: "stamping" });
const stampingSchema = z.object({
  size: z.bigint(),
  /** When it was chosen, ms since the epoch. */
  at: z.bigint(),
  /** Since when no chosen checkpoint has got a timestamp: when the first of them was chosen. */
  since: z.bigint(),
});
const encodeStamping = (stamping: z.infer<typeof stampingSchema>): Item => ({
  ...stampingKey(),
  ...stamping,
});

/** What a calendar has promised. @param name of the authority. */
const promiseKey = (name: string): Key => ({ pk: partition, sk: `ots/${name}` });
const promiseSchema = z.object({
  size: z.bigint(),
  /** The `.ots` file so far; undefined, and stored as no bytes, once the timestamp is stored. */
  proof: binary.transform((proof) => (proof.length === 0 ? undefined : proof)),
  /** When it was made, and when the calendar was last asked, ms since the epoch. */
  at: z.bigint(),
  askedAt: z.bigint(),
});
const encodePromise = (name: string, { proof, ...promise }: z.infer<typeof promiseSchema>): Item => ({
  ...promiseKey(name),
  ...promise,
  proof: proof ?? new Uint8Array(),
});

/** When an authority failed last, ms since the epoch, and how often since it last answered. @param name of the authority. */
const failedKey = (name: string): Key => ({ pk: partition, sk: `failed/${name}` });
const failedSchema = z.object({ at: z.bigint(), failures: z.bigint() });
const encodeFailed = (name: string, failed: z.infer<typeof failedSchema>): Item => ({
  ...failedKey(name),
  ...failed,
});

async function readState(store: Store) {
  const [publicItem, stampingItem, stampedItem] = await store.get([publicKey(), stampingKey(), stampedKey()]);
  const current = stampingItem && decodeStampState(stampingSchema, stampingItem);
  const stamped = decodeStamped(stampedItem);
  const isCovered = current !== undefined && stamped !== undefined && stamped.size >= current.size;
  return { newest: decodePublic(publicItem), current, stamped, isCovered };
}

// ---- what is timestamped --------------------------------------------------------------------------------------------

/**
 * Since when public checkpoints have waited for a timestamp, ms since the epoch: since the first was chosen, or since the
 * last timestamp came, if that was later. undefined: none waits.
 */
export async function unstampedSince(store: Store, now: number): Promise<bigint | undefined> {
  const { current, stamped, isCovered } = await readState(store);
  if (current === undefined || isCovered) return undefined;
  const isLater = stamped !== undefined && stamped.at > current.since && !isAhead(stamped.at, now);
  return isLater ? stamped.at : current.since;
}

/**
 * The checkpoint that all authorities are asked to timestamp until the next one is due: then the newest. By time and not
 * by count, so that after a busy hour the last checkpoint gets its timestamps too. What a clock that was ahead has chosen is
 * noted anew by the clock of now, or nothing would be due until that time has come.
 */
async function chooseTarget({ store, clock, every }: StampContext): Promise<StampTarget | undefined> {
  const { newest, current, isCovered } = await readState(store);
  if (newest === undefined) return undefined;
  const now = clock();
  const wasAhead = current !== undefined && (isAhead(current.at, now) || isAhead(current.since, now));
  const isDue = current === undefined || wasAhead || hasPassed(every, current.at, now);
  const waits = current !== undefined && !isCovered && !isAhead(current.since, now);
  const chosen = { at: BigInt(now), since: waits ? current.since : BigInt(now) };
  if (isDue && newest.size > (current?.size ?? 0n)) {
    await store.put(encodeStamping({ size: newest.size, ...chosen }), {
      kind: "absentOrBelow",
      attribute: "size",
      value: newest.size,
    });
    return { size: newest.size, note: await noteOf(store, newest.size), isCovered: false };
  }
  if (wasAhead) {
    const isUnchanged = { kind: "equals", attribute: "at", value: current.at } as const;
    await putIf(store, encodeStamping({ size: current.size, ...chosen }), isUnchanged);
  }
  if (current === undefined) return undefined;
  return { size: current.size, note: await noteOf(store, current.size), isCovered };
}

/** The note of this size that never changes; the newest public checkpoint may still gain cosignatures. */
async function noteOf(store: Store, size: bigint): Promise<string> {
  const [item] = await store.get([publicCheckpointKey(size)]);
  return decodeCheckpoint(ANCHOR, item).note;
}

/** Makes public what the authorities have given for this checkpoint so far. */
async function writePublicTimestamps(
  { store, publication, authorities }: StampContext,
  { size, note }: Pick<StampTarget, "size" | "note">,
): Promise<void> {
  const names = new Set(authorities.map(nameOf));
  const items = await store.get([...names].map((name) => timestampKey(size, name)));
  const stored = items.flatMap((item) => (item === undefined ? [] : [decodeTimestamp(item)]));
  const timestamps = timestampsOver(note, stored);
  if (timestamps.length === 0) return;
  await writeTimestamps(publication, size, timestamps);
  await showTimestamped(publication, note);
}

/** Asks an authority for what it has not given yet, unless it failed a short while ago. */
async function ask(ctx: StampContext, authority: Authority, target: StampTarget): Promise<boolean> {
  const { store, clock } = ctx;
  const name = nameOf(authority);
  const [stored, failedItem] = await store.get([timestampKey(target.size, name), failedKey(name)]);
  if (stored !== undefined && authority.kind === "rfc3161") {
    // An earlier run stored it and died before it noted so.
    if (!target.isCovered) await cover(ctx, target.size);
    return false;
  }
  const failed = failedItem && decodeStampState(failedSchema, failedItem);
  const failures = failed?.failures ?? 0n;
  if (failed && !hasPassed(pauseAfter(failures, ctx), failed.at, clock())) return false;
  const note = (failures: bigint) => store.put(encodeFailed(name, { at: BigInt(clock()), failures }));
  const asking: Asking = async (call) => {
    const answer = await call().catch(async (error: unknown) => {
      await note(failures + 1n);
      throw error;
    });
    if (failures > 0n) await note(0n);
    return answer;
  };
  return authority.kind === "ots"
    ? await stampByCalendar(ctx, authority, target, asking)
    : await stampByTsa(ctx, authority, target, asking);
}

/** Calls an authority, and notes whether it failed. The store's failures are not its own. */
type Asking = <T>(call: () => Promise<T>) => Promise<T>;

const pauseAfter = (failures: bigint, { every }: StampContext): number =>
  failures === 0n ? 0 : Math.min(every, LONGEST_PAUSE, FIRST_PAUSE * 2 ** (Number(failures) - 1));

async function stampByTsa(
  ctx: StampContext,
  authority: Tsa,
  target: StampTarget,
  asking: Asking,
): Promise<boolean> {
  const { token, genTime } = await asking(async () => {
    const answer = await authority.stamp(new TextEncoder().encode(target.note));
    if (Math.abs(answer.genTime - ctx.clock()) <= MAX_SKEW) return answer;
    throw new TimestampError(
      "untrusted",
      "The authority's time is far from our own clock: one of the two is wrong",
    );
  });
  return await keep(ctx, authority, target, { bytes: token, time: genTime });
}

/** One promise at a time: another checkpoint is submitted only after the timestamp came or the promise was given up. */
async function stampByCalendar(
  ctx: StampContext,
  authority: Calendar,
  target: StampTarget,
  asking: Asking,
): Promise<boolean> {
  const { store } = ctx;
  const name = nameOf(authority);
  const [item] = await store.get([promiseKey(name)]);
  const promise = item && decodeStampState(promiseSchema, item);
  const now = ctx.clock();
  const askedAt = BigInt(now);
  const isOver =
    promise !== undefined && !isAhead(promise.at, now) && hasPassed(GIVE_UP_AFTER, promise.at, now);
  if (promise?.proof === undefined || isOver) {
    if (promise !== undefined && promise.size >= target.size) return false;
    const proof = await asking(() => authority.submit(new TextEncoder().encode(target.note)));
    await store.put(encodePromise(name, { size: target.size, proof, at: askedAt, askedAt }));
    return false;
  }
  if (!hasPassed(ASK_CALENDAR_EVERY, promise.askedAt, now)) return false;
  // A promise that a clock which was ahead has noted is given up a week from now.
  const at = isAhead(promise.at, now) ? askedAt : promise.at;
  await store.put(encodePromise(name, { ...promise, at, askedAt }));
  const note = await noteOf(store, promise.size);
  const { proof } = promise;
  const finished = await asking(() => authority.upgrade(proof, new TextEncoder().encode(note)));
  if (finished === undefined) return false;
  const promised = { size: promise.size, note };
  const kept = await keep(ctx, authority, promised, {
    bytes: finished.proof,
    ...(finished.time !== undefined && { time: finished.time }),
  });
  await writePublicTimestamps(ctx, promised);
  await store.put(encodePromise(name, { ...promise, proof: undefined }));
  return kept;
}

/** Stores a timestamp unless there is one. @returns whether this one was stored. */
async function keep(
  ctx: StampContext,
  authority: Authority,
  { size, note }: Pick<StampTarget, "size" | "note">,
  { bytes, time }: { bytes: Uint8Array; time?: number },
): Promise<boolean> {
  const timestamp = {
    ...{ size, imprint: imprintOf(note), type: authority.kind, bytes },
    ...(time !== undefined && { time: BigInt(time) }),
  };
  const isFirst = await putIf(ctx.store, encodeTimestamp(nameOf(authority), timestamp), { kind: "absent" });
  await cover(ctx, size);
  return isFirst;
}

/** Notes that this size has a timestamp, unless a larger one has. */
async function cover({ store, clock }: StampContext, size: bigint): Promise<void> {
  const item = encodeStamped({ size, at: BigInt(clock()) });
  await putIf(store, item, { kind: "absentOrBelow", attribute: "size", value: size + 1n });
}

/** 8 hex digits that stay the same however the configuration is ordered. */
const nameOf = ({ url }: Authority): string => bytesToHex(sha256(new TextEncoder().encode(url))).slice(0, 8);
