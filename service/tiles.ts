/** A log's tiles and entry bundles in the store: one item each, which is only ever replaced by a wider one. */

import { equalBytes } from "@kedge/verify/tlog/bytes";
import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import {
  decodeBundle,
  encodeBundle,
  TILE_WIDTH,
  type Tile,
  type TileMap,
  tileKey,
  tilePath,
} from "@kedge/verify/tlog/tile";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, type Key, putIf, type Store } from "../platform/store.ts";

export const tileItemKey = (log: string, level: number | "entries", index: bigint): Key => ({
  pk: `tile/${log}/${level}/${index}`,
  sk: "-",
});

const encodeTile = (log: string, { tile, bytes }: TileBytes) => ({
  ...tileItemKey(log, tile.level, tile.index),
  width: BigInt(tile.width),
  data: bytes,
});

const schema = z.object({ width: z.bigint(), data: binary });

/** A tile of one of several logs. */
export type LogTile = { readonly log: string; readonly tile: Tile };

/**
 * Tiles at exactly the width asked for, cut down where the stored one is wider; one round trip for up to 100.
 * @returns for each log its tiles.
 * @throws ServiceError `corrupt` when one is absent or narrower: ask only for tiles of a published tree.
 */
export async function readTiles(store: Store, tiles: readonly LogTile[]): Promise<Map<string, TileMap>> {
  const items = await store.get(tiles.map(({ log, tile }) => tileItemKey(log, tile.level, tile.index)));
  const byLog = new Map<string, Map<string, Uint8Array>>();
  for (const [i, { log, tile }] of tiles.entries()) {
    const map = byLog.get(log) ?? new Map<string, Uint8Array>();
    byLog.set(log, map.set(tileKey(tile.level, tile.index), bytesAt(log, tile, items[i])));
  }
  return byLog;
}

/** The same of one log. */
export async function readLogTiles(store: Store, log: string, tiles: readonly Tile[]): Promise<TileMap> {
  const byLog = await readTiles(
    store,
    tiles.map((tile) => ({ log, tile })),
  );
  return byLog.get(log) ?? new Map();
}

/** Of the stored tile what it has at this width. */
function bytesAt(log: string, tile: Tile, item: Item | undefined): Uint8Array {
  const parsed = schema.safeParse(item);
  if (!parsed.success || parsed.data.width < BigInt(tile.width)) {
    throw new ServiceError("corrupt", `log ${log}: ${tilePath(tile)} is missing or too narrow`);
  }
  const { data, width } = parsed.data;
  if (width === BigInt(tile.width)) return data;
  if (tile.level !== "entries") return data.slice(0, tile.width * HASH_SIZE);
  return encodeBundle(decodeBundle(data, Number(width)).slice(0, tile.width));
}

/** The bytes of one of these tiles. @throws ServiceError `corrupt` when it is not among them. */
export function tileBytes({ level, index }: Tile, tiles: TileMap): Uint8Array {
  const bytes = tiles.get(tileKey(level, index));
  if (bytes === undefined) throw new ServiceError("corrupt", `no bytes for tile ${tileKey(level, index)}`);
  return bytes;
}

type TileBytes = { readonly tile: Tile; readonly bytes: Uint8Array };

/**
 * Writes tiles, each only if none as wide is there.
 * @param mend also replaces a tile that does not begin with these bytes: for a rebuild, beside which nothing seals.
 */
export async function writeTiles(
  store: Store,
  log: string,
  tiles: readonly TileBytes[],
  mend = false,
): Promise<void> {
  const items = tiles.map((one) => encodeTile(log, one));
  // A full tile has one content for ever, so it needs no condition and can go in batches.
  const full = items.filter(({ width }) => width === BigInt(TILE_WIDTH));
  const partial = items.filter(({ width }) => width !== BigInt(TILE_WIDTH));
  await store.write(full);
  // A sealer that lags behind finds a wider tile and leaves it.
  await Promise.all(
    partial.map((item) =>
      putIf(store, item, { kind: "absentOrBelow", attribute: "width", value: item.width }),
    ),
  );
  if (!mend) return;
  const narrow = tiles.filter(({ tile }) => tile.width !== TILE_WIDTH);
  await Promise.all(narrow.map((one) => replaceOther(store, log, one)));
}

/** A tile that does not begin with these bytes is of no tree of this log, or was altered. */
async function replaceOther(store: Store, log: string, one: TileBytes): Promise<void> {
  const item = encodeTile(log, one);
  const [stored] = await store.get([item]);
  if (!beginsWith(log, one, stored)) await store.put(item);
}

function beginsWith(log: string, { tile, bytes }: TileBytes, item: Item | undefined): boolean {
  try {
    return equalBytes(bytesAt(log, tile, item), bytes);
  } catch {
    // A bundle that cannot even be read.
    return false;
  }
}
