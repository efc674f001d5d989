import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Tile, type TileMap, tileKey, tilePath } from "@kedge/verify/tlog/tile";
import { afterAll, beforeAll } from "vitest";

/** A folder for the tests of one suite, gone after them. It has a path once they run. */
export function suiteFolder(): { path: string } {
  const folder = { path: "" };
  beforeAll(async () => {
    folder.path = await mkdtemp(join(tmpdir(), "kedge-interop-"));
  });
  afterAll(() => rm(folder.path, { recursive: true }));
  return folder;
}

/** Writes a tile under its path of c2sp.org/tlog-tiles. */
export async function writeTile(folder: string, tile: Tile, bytes: Uint8Array): Promise<void> {
  const file = join(folder, tilePath(tile));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
}

export async function readTiles(folder: string, tiles: readonly Tile[]): Promise<TileMap> {
  const read = tiles.map(async (tile): Promise<[string, Uint8Array]> => {
    const bytes = await readFile(join(folder, tilePath(tile)));
    return [tileKey(tile.level, tile.index), Uint8Array.from(bytes)];
  });
  return new Map(await Promise.all(read));
}

/** Every file of a folder, by its path with slashes. */
export async function files(folder: string): Promise<Map<string, Uint8Array>> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const read = found
    .filter((file) => file.isFile())
    .map(async (file): Promise<[string, Uint8Array]> => {
      const path = join(file.parentPath, file.name);
      return [path.slice(folder.length + 1).replaceAll("\\", "/"), Uint8Array.from(await readFile(path))];
    });
  return new Map(await Promise.all(read));
}
