/** What of a log is published: its checkpoints, its tiles, and proofs that one tree grew out of another. */
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { parseTilePath, type Tile, tileKey, widthAt } from "@kedge/verify/tlog/tile";
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

/** @returns its signed note; undefined before the first seal. */
export async function newestCheckpoint(store: Store, log: string): Promise<string | undefined> {
  const { checkpoint } = await readHead(store, log);
  return checkpoint?.note;
}

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

/**
 * The bytes of the tile at a path below `tile/`, c2sp.org/tlog-tiles.
 * @returns undefined for a path that is no tile's, and for a tile beyond the published tree.
 */
export async function publishedTile(
  store: Store,
  log: string,
  path: string,
  publishedSize: () => Promise<bigint>,
): Promise<Uint8Array | undefined> {
  const tile = parseTile(path);
  if (tile === undefined || tile.width > widthAt(await publishedSize(), tile.level, tile.index)) {
    return undefined;
  }
  const tiles = await readTiles(store, [{ log, tile }]);
  return tiles.get(log)?.get(tileKey(tile.level, tile.index));
}

function parseTile(path: string): Tile | undefined {
  try {
    return parseTilePath(`tile/${path}`);
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}
