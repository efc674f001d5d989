/** Tiles of a published tree over HTTP, c2sp.org/tlog-tiles: nothing of what is not published yet. */

import { TlogError } from "@kedge/verify/tlog/error";
import { parseTilePath, type Tile, tileKey, widthAt } from "@kedge/verify/tlog/tile";
import * as z from "zod";
import type { Store } from "../../platform/store.ts";
import { readTiles } from "../../service/tiles.ts";
import { notFound } from "./problem.ts";

export const tileParams = {
  path: z.string().openapi({ description: "Path of the tile below `tile/`.", example: "0/000.p/1" }),
};

/** The bytes of a tile. @throws Problem `not_found` for a path that is no tile's, or a tile beyond `publishedSize`. */
export async function publishedTile(
  store: Store,
  log: string,
  path: string,
  publishedSize: () => Promise<bigint>,
): Promise<Uint8Array<ArrayBuffer>> {
  const tile = parse(path);
  if (tile === undefined || tile.width > widthAt(await publishedSize(), tile.level, tile.index)) {
    throw notFound("The published tree has no such tile.");
  }
  const tiles = await readTiles(store, [{ log, tile }]);
  return new Uint8Array(tiles.get(log)?.get(tileKey(tile.level, tile.index)) ?? []);
}

function parse(path: string): Tile | undefined {
  try {
    return parseTilePath(`tile/${path}`);
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}
