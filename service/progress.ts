/**
 * How far a log has come, stage by stage: what `kedge status` shows. Times are ms since the epoch, by the operator's clock:
 * informative, not evidence. The cost does not grow with the log.
 */
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { type Policy, verifyPolicy } from "@kedge/verify/tlog/policy";
import { first, type Store } from "../platform/store.ts";
import { ANCHOR, anchoredKey, decodeAnchored, decodePublic, publicKey } from "./anchor-items.ts";
import { checkpointKey, decodeCheckpoint } from "./checkpoints.ts";
import { decodeHead, type Head, headKey } from "./head.ts";
import { missingWitnesses } from "./kept-cosignatures.ts";
import { oldestPending } from "./pending.ts";
import { decodeStamped, stampedKey } from "./timestamps.ts";

export type ProgressContext = { readonly store: Store; readonly policy: Policy };

/** The entries that have come so far, and since when. */
export type Stage = { readonly size: bigint; readonly at: bigint };

export type Progress = {
  /** Arrival of the oldest entry that is in no tree; absent: none is. */
  readonly pendingSince?: bigint;
  readonly sealed?: Stage;
  readonly anchored?: Stage;
  readonly witnessed?: Stage;
  readonly timestamped?: Stage;
  /** The names in the policy of the witnesses for which the anchor log's newest checkpoint waits. */
  readonly waitsFor: readonly string[];
};

/** Newest anchored checkpoints that are looked at for one that is public: a first few, then as many as one read has. */
const LOOKED_AT = [4, 2_000];

export async function progress({ store, policy }: ProgressContext, log: string): Promise<Progress> {
  const [pendingSince, [headItem, anchorItem, publicItem, stampedItem]] = await Promise.all([
    oldestPending(store, log),
    store.get([headKey(log), headKey(ANCHOR), publicKey(), stampedKey()]),
  ]);
  const { published, checkpoint } = decodeHead(log, headItem);
  const anchorHead = decodeHead(ANCHOR, anchorItem);
  const inPublic = decodePublic(publicItem);
  const stamped = decodeStamped(stampedItem);
  const isMet =
    policy.quorum !== "none" && inPublic && verifyPolicy({ policy, checkpoint: inPublic.note }).met;
  const [anchored, witnessed, timestamped, waitsFor] = await Promise.all([
    anchoredBelow(store, log, anchorHead.published),
    isMet ? anchoredBelow(store, log, inPublic.size) : undefined,
    stamped && anchoredBelow(store, log, stamped.size),
    missing({ store, policy }, anchorHead, inPublic?.size ?? 0n),
  ]);
  const anchoredAt = anchored && (await signedAt(store, anchored.index));
  return {
    ...(pendingSince !== undefined && { pendingSince }),
    ...(checkpoint && { sealed: { size: published, at: checkpoint.at } }),
    ...(anchored && anchoredAt !== undefined && { anchored: { size: anchored.size, at: anchoredAt } }),
    ...(witnessed && inPublic && { witnessed: { size: witnessed.size, at: inPublic.at } }),
    ...(timestamped && stamped && { timestamped: { size: timestamped.size, at: stamped.at } }),
    waitsFor,
  };
}

/** The log's largest checkpoint that is an entry of the anchor log below this index. */
async function anchoredBelow(store: Store, log: string, end: bigint) {
  for (const limit of LOOKED_AT) {
    for await (const item of store.query({ pk: anchoredKey(log, 0n).pk, reverse: true, limit })) {
      const { index, note } = decodeAnchored(item);
      if (index < end) return { index, size: parseCheckpoint(note).checkpoint.size };
    }
  }
  return undefined;
}

/** When the anchor log first signed a tree with this entry; undefined where it has not. */
export async function signedAt(store: Store, index: bigint): Promise<bigint | undefined> {
  const { pk, sk } = checkpointKey(ANCHOR, index + 1n);
  const item = await first(store, pk, sk, "checkpoint/~");
  return item && decodeCheckpoint(ANCHOR, item).at;
}

async function missing(
  ctx: ProgressContext,
  { published, checkpoint }: Head,
  inPublic: bigint,
): Promise<string[]> {
  if (checkpoint === undefined || published <= inPublic) return [];
  return await missingWitnesses(ctx, checkpoint.note);
}
