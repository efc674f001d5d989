/** History: a log's published checkpoints in order, and proofs that one tree grew out of another. */
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { consistencyProof, consistencyTiles } from "@kedge/verify/tlog/tileproof";
import { ServiceError } from "../platform/error.ts";
import type { Store } from "../platform/store.ts";
import { checkpointKey, decodeCheckpoint, type PublishedCheckpoint } from "./checkpoints.ts";
import { readHead } from "./head.ts";
import { readTiles } from "./tiles.ts";

export type HistoryPage = {
  readonly checkpoints: readonly (PublishedCheckpoint & { readonly size: bigint })[];
  /** The size to go on after; absent: this was the last page. */
  readonly next?: bigint;
};

/** Published checkpoints of more than `after` entries, smallest first. */
export async function history(
  store: Store,
  log: string,
  { after, limit }: { readonly after: bigint; readonly limit: number },
): Promise<HistoryPage> {
  const { published } = await readHead(store, log);
  if (after >= published) return { checkpoints: [] };

  const [from, to] = [checkpointKey(log, after + 1n), checkpointKey(log, published)];
  const checkpoints: (PublishedCheckpoint & { size: bigint })[] = [];
  for await (const item of store.query({ pk: from.pk, from: from.sk, to: to.sk, limit })) {
    const checkpoint = decodeCheckpoint(log, item);
    checkpoints.push({ ...checkpoint, size: parseCheckpoint(checkpoint.note).checkpoint.size });
  }
  const last = checkpoints.at(-1)?.size ?? published;
  return { checkpoints, ...(last < published && { next: last }) };
}

/**
 * PROOF(from, D[to]), RFC 6962 §2.1.2, between any two sizes of the published tree.
 * @throws ServiceError `invalid` unless from <= to <= published size.
 */
export async function consistency(
  store: Store,
  log: string,
  { from, to }: { readonly from: bigint; readonly to: bigint },
): Promise<Uint8Array[]> {
  const { published } = await readHead(store, log);
  if (from > to || to > published) {
    throw new ServiceError("invalid", `choose from <= to <= ${published}, the published size`);
  }
  const tiles = await readTiles(
    store,
    consistencyTiles(from, to).map((tile) => ({ log, tile })),
  );
  return consistencyProof(from, to, tiles.get(log) ?? new Map());
}
