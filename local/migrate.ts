/**
 * A data folder of version 0.1.0, whose table was an embedded DynamoDB, gets a store of this version: every item but those of
 * the hash index, whose runs the next seals make. The copy is made beside the old table, checked, and given its name last: a
 * call that is killed is made again. The old table stays.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { rootOf } from "@kedge/verify/tlog/merkle";
import { type Tile, tileHashes, tilesChanged } from "@kedge/verify/tlog/tile";
import { rootFromTiles, rootTiles } from "@kedge/verify/tlog/tileproof";
import { makeFolder, syncFolder } from "../platform/durable.ts";
import { allItems, dynamodbClient } from "../platform/dynamodb.ts";
import { startDynamodb } from "../platform/embedded/dynamodb.ts";
import { useEnvironment } from "../platform/embedded/embedded.ts";
import { ServiceError } from "../platform/error.ts";
import { lmdbStore } from "../platform/lmdb.ts";
import type { Item, Store } from "../platform/store.ts";
import { ANCHOR } from "../service/anchor-items.ts";
import { publishedHead, readHead } from "../service/head.ts";
import { allLogs } from "../service/logs.ts";
import { readLogTiles } from "../service/tiles.ts";
import { lockData } from "./open.ts";
import { BACKUP, machineKey, OLD_STORE, STORE } from "./state.ts";

/** Of version 0.1.0, whose witness had one like it. */
const TABLE_NAME = "kedge";
const WITNESS_TABLE_NAME = "kedge-witness";
const INDEX_ITEM = /^index\//;
const ITEMS_AT_ONCE = 1_000;
const TILES_AT_ONCE = 100;

export type Migrated = { readonly folder: string; readonly items: number; readonly logs: number };

/**
 * @throws ServiceError `invalid` when the folder is not of version 0.1.0, `unavailable` while a process serves it, `corrupt`
 * when it is damaged: then nothing is changed.
 */
export async function migrate(data: string): Promise<Migrated> {
  const folder = resolve(data);
  if (!existsSync(join(folder, OLD_STORE)) || existsSync(join(folder, STORE))) {
    throw new ServiceError("invalid", `${folder} is not a data folder of version 0.1.0: nothing was changed`);
  }
  const release = await lockData(folder);
  const partial = join(folder, `${STORE}.partial`);
  try {
    await rm(partial, { recursive: true, force: true });
    await makeFolder(partial, 0o700);
    const store = lmdbStore(partial);
    let migrated: Migrated;
    try {
      const isWitness = existsSync(join(folder, "witness.json"));
      const items = await copyTable(folder, isWitness ? WITNESS_TABLE_NAME : TABLE_NAME, store);
      // A witness's record may still be empty, and its keys ask for one. A deployment's has the anchor log at least.
      if (isWitness) await store.put({ ...machineKey(), folder });
      else if (items === 0) throw lostTable(folder, "is empty beside keys that may have signed");
      migrated = { folder, items, logs: await checkTrees(store) };
    } finally {
      await store.close();
    }
    await rename(partial, join(folder, STORE));
    await syncFolder(folder);
    return migrated;
  } finally {
    await release();
  }
}

/** @returns how many items there are now. */
async function copyTable(folder: string, table: string, store: Store): Promise<number> {
  const accessKeyId = randomBytes(16).toString("hex");
  // Its lock tells that no process of version 0.1.0 has it either.
  const server = await startDynamodb({ dataDir: folder, accessKeyId, repair: BACKUP });
  try {
    useEnvironment({
      AWS_ENDPOINT_URL_DYNAMODB: server.url,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: "local",
    });
    const client = dynamodbClient();
    let copied = 0;
    let some: Item[] = [];
    const partitions = new Set<string>();
    const keep = async () => {
      await store.write(some);
      copied += some.length;
      some = [];
    };
    for await (const item of allItems(client, table)) {
      if (INDEX_ITEM.test(item.pk)) continue;
      partitions.add(item.pk);
      some.push(item);
      if (some.length === ITEMS_AT_ONCE) await keep();
    }
    await keep();
    client.destroy();
    if ((await countItems(store, partitions)) === copied) return copied;
    throw lostTable(folder, "cannot be copied whole");
  } finally {
    await server.close();
  }
}

const lostTable = (folder: string, what: string): ServiceError =>
  new ServiceError("corrupt", `${join(folder, OLD_STORE)} ${what}: ${BACKUP}`);

async function countItems(store: Store, partitions: Iterable<string>): Promise<number> {
  let count = 0;
  for (const pk of partitions) for await (const _ of store.query({ pk })) count++;
  return count;
}

/** Every log's published tree is made again from its tiles. @returns how many logs there are, the anchor log among them. */
async function checkTrees(store: Store): Promise<number> {
  let logs = 1;
  await checkTree(store, ANCHOR);
  for await (const { id } of allLogs(store)) {
    await checkTree(store, id);
    logs++;
  }
  return logs;
}

/** @throws ServiceError `corrupt` when a tile is missing, or is not of the tree whose head was signed. */
async function checkTree(store: Store, log: string): Promise<void> {
  const head = publishedHead(await readHead(store, log));
  if (head === undefined) return;
  const refuse = (tile: string): never => {
    throw new ServiceError("corrupt", `log ${log}: ${tile} does not lead to the tree head; ${BACKUP}`);
  };
  const tiles = tilesChanged(0n, head.size);
  let below: Uint8Array[] | undefined;
  for (let level = 0; ; level++) {
    const hashes: Uint8Array[] = [];
    const roots: Uint8Array[] = [];
    const ofLevel = tiles.filter((tile) => tile.level === level);
    if (ofLevel.length === 0) break;
    for (const some of slices(ofLevel, TILES_AT_ONCE)) {
      const read = await readLogTiles(store, log, some);
      for (const tile of some) {
        const own = tileHashes(read, tile);
        hashes.push(...own);
        if (tile.width === 256) roots.push(rootOf(own));
      }
    }
    if (below?.some((hash, i) => hashes[i] === undefined || !equalBytes(hash, hashes[i]))) {
      refuse(`a tile of level ${level}`);
    }
    below = roots;
  }
  const edge = await readLogTiles(store, log, rootTiles(head.size));
  if (!equalBytes(rootFromTiles(head.size, edge), head.root)) refuse("the right edge");
}

const slices = (tiles: readonly Tile[], length: number): Tile[][] =>
  Array.from({ length: Math.ceil(tiles.length / length) }, (_, i) =>
    tiles.slice(i * length, (i + 1) * length),
  );
