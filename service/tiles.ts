/** A log's tiles and entry bundles in the store: one item each, which is only ever replaced by a wider one. */

import { equalBytes } from "@kedge/verify/tlog/bytes";
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
import { type Item, putIf, type Store } from "../platform/store.ts";
import { tileItemKey } from "../platform/table.ts";

const HASH = 32;

const schema = z.object({ width: z.bigint(), data: z.instanceof(Uint8Array) });

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

function bytesAt(log: string, tile: Tile, item: Item | undefined): Uint8Array {
  const parsed = schema.safeParse(item);
  if (!parsed.success || parsed.data.width < BigInt(tile.width)) {
    throw new ServiceError("corrupt", `log ${log}: ${tilePath(tile)} is missing or too narrow`);
  }
  const { data, width } = parsed.data;
  if (width === BigInt(tile.width)) return data;
  if (tile.level !== "entries") return data.slice(0, tile.width * HASH);
  return encodeBundle(decodeBundle(data, Number(width)).slice(0, tile.width));
}

type TileBytes = { readonly tile: Tile; readonly bytes: Uint8Array };

/** Writes tiles, and whatever else goes with them, each tile only if none as wide is there. */
export async function writeTiles(
  store: Store,
  log: string,
  tiles: readonly TileBytes[],
  others: readonly Item[],
  mend = false,
): Promise<void> {
  const items = tiles.map(({ tile, bytes }) => ({
    ...tileItemKey(log, tile.level, tile.index),
    width: BigInt(tile.width),
    data: bytes,
  }));
  // A full tile has one content for ever, so it needs no condition and can go in batches.
  const full = items.filter(({ width }) => width === BigInt(TILE_WIDTH));
  const partial = items.filter(({ width }) => width !== BigInt(TILE_WIDTH));
  await store.write([...full, ...others]);
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
async function replaceOther(store: Store, log: string, { tile, bytes }: TileBytes): Promise<void> {
  const key = tileItemKey(log, tile.level, tile.index);
  const [item] = await store.get([key]);
  if (beginsWith(log, tile, item, bytes)) return;
  await store.put({ ...key, width: BigInt(tile.width), data: bytes });
}

function beginsWith(log: string, tile: Tile, item: Item | undefined, bytes: Uint8Array): boolean {
  try {
    return equalBytes(bytesAt(log, tile, item), bytes);
  } catch {
    // A bundle that cannot even be read.
    return false;
  }
}

const indexSchema = z.object({ index: z.bigint() });

/** The index that an item of the hash index, or an `anchored/…` item, holds. */
export function decodeIndex(item: Item): bigint {
  const parsed = indexSchema.safeParse(item);
  if (!parsed.success) throw new ServiceError("corrupt", `${item.pk} ${item.sk} holds no index`);
  return parsed.data.index;
}
