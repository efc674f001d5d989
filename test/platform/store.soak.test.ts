/**
 * What the service does to its store, over and over: neither LMDB nor the embedded DynamoDB, the stand-in of tests, may hold
 * on to what is overwritten. dynalite does, unless its iterators are closed for it (dynamodb-worker.mjs).
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynamoDBClient, ListTablesCommand } from "@aws-sdk/client-dynamodb";
import { expect, test } from "vitest";
import { dynamodbStore } from "../../platform/dynamodb.ts";
import { startDynamodb } from "../../platform/embedded/dynamodb.ts";
import { createTable } from "../../platform/embedded/table.ts";
import { lmdbStore } from "../../platform/lmdb.ts";
import type { Query, Store } from "../../platform/store.ts";

/** Rounds until every tile has been overwritten a few times, so that LevelDB has compacted. */
const WARM_UP = 100;
/** There are this many times WARM_UP rounds, and a leak grows with their number. */
const FACTOR = 6;
const SHARDS = 8;
const TILES = 500;
const TILES_PER_ROUND = 25;

type Opened = { readonly store: Store; afterRound?(): Promise<unknown>; close(): Promise<void> };

async function openEmbedded(dataDir: string): Promise<Opened> {
  const { url, close } = await startDynamodb({ dataDir });
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  const client = new DynamoDBClient({ endpoint: url, region: "us-east-1", credentials });
  await createTable(client, "kedge");
  return {
    store: dynamodbStore(client, "kedge"),
    afterRound: () => client.send(new ListTablesCommand()),
    async close() {
      client.destroy();
      await close();
    },
  };
}

async function openLmdb(folder: string): Promise<Opened> {
  const store = lmdbStore(join(folder, "store"));
  return { store, close: () => store.close() };
}

const bytes = (length: number) => new Uint8Array(randomBytes(length));

async function readAll(store: Store, query: Query): Promise<number> {
  let count = 0;
  for await (const _ of store.query(query)) count++;
  return count;
}

/** Appends, and seals what was appended. What is stored afterwards is as large as before. */
async function appendAndSeal(store: Store, round: number): Promise<void> {
  const sk = String(round);
  const pending = Array.from({ length: SHARDS }, (_, shard) => ({ pk: `pending/${shard}`, sk }));
  await store.write(pending.map((key) => ({ ...key, entries: bytes(16_000) })));
  const found = await Promise.all(pending.map(({ pk }) => readAll(store, { pk })));
  expect(found).toEqual(pending.map(() => 1));
  const tiles = Array.from({ length: TILES_PER_ROUND }, (_, i) => (round * TILES_PER_ROUND + i) % TILES);
  await store.write(tiles.map((tile) => ({ pk: `tile/${tile % 10}`, sk: String(tile), data: bytes(8192) })));
  await store.put({ pk: "log", sk: "head", size: BigInt(round), root: bytes(32) });
  // A query that stops before the end of its partition.
  await readAll(store, { pk: `tile/${round % 10}`, limit: 1, reverse: round % 2 === 0 });
  await store.write([], pending);
}

/** Files of this folder that this process has open or mapped, and the bytes of all. LevelDB maps what it reads. */
async function measure(folder: string): Promise<{ files: number; bytes: number }> {
  const descriptors = await readdir("/proc/self/fd");
  const opened = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  const mapped = (await readFile("/proc/self/maps", "utf8")).match(/\/.*$/gm) ?? [];
  const sizes = (await readdir(folder, { recursive: true })).map((name) =>
    stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0, // compacted away meanwhile
    ),
  );
  return {
    files: new Set([...opened, ...mapped].filter((path) => path.startsWith(folder))).size,
    bytes: (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0),
  };
}

test.skipIf(process.platform !== "linux").each([
  // What LMDB has not yet given to another item, or LevelDB not yet compacted, goes up and down by less than this factor.
  ["LMDB", openLmdb, 1.5],
  ["the embedded DynamoDB", openEmbedded, 3],
] as const)(
  "neither the open files nor the disk of %s grow with what was asked of it",
  async (name, open, growth) => {
    const folder = await mkdtemp(join(tmpdir(), "kedge-soak-"));
    const { store, afterRound, close } = await open(folder);
    try {
      const usual = { files: 0, bytes: 0 };
      const most = { files: 0, bytes: 0 };
      for (let round = 0; round < WARM_UP * FACTOR; round++) {
        await appendAndSeal(store, round);
        await afterRound?.();
        const { files, bytes } = await measure(folder);
        const peak = round < WARM_UP ? usual : most;
        Object.assign(peak, { files: Math.max(peak.files, files), bytes: Math.max(peak.bytes, bytes) });
        // At once: with a leak, the disk would be full before the end.
        expect(most.files, `open files in round ${round}`).toBeLessThan(growth * usual.files);
        expect(most.bytes, `bytes in round ${round}`).toBeLessThan(growth * usual.bytes);
      }
      console.log(`soak of ${name}:`, { warmUp: usual, afterwards: most });
    } finally {
      await close();
      await rm(folder, { recursive: true });
    }
  },
  2_400_000,
);
