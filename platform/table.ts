/**
 * The one DynamoDB table: its definition, which CDK and the embedded server both read, and its keys.
 *
 * Partitions are chosen so that none is hot beyond one log's own head: tiles, bundles and index entries have a
 * partition each, pending chunks are spread over PENDING_SHARDS, and everything else is written once per seal. A role
 * is allowed its partitions by their names, so what different functions write never shares one.
 *
 * | pk                      | sk                           | what                                            |
 * | ----------------------- | ---------------------------- | ----------------------------------------------- |
 * | `log/<log>`             | `head`                       | the head: the only point of agreement           |
 * | `log/<log>`             | `checkpoint/<size>`          | every published checkpoint                      |
 * | `anchored/<log>`        | `<size>`                     | a checkpoint's index in the anchor log          |
 * | `log/anchor`            | `public`, `public/<size>`    | anchor checkpoints that met the quorum          |
 * | `log/anchor`            | `timestamp/<size>/<name>`    | a timestamp of a public anchor checkpoint       |
 * | `log/anchor`            | `stamping`, `ots/<name>`     | the checkpoint being timestamped; promises      |
 * | `log/anchor`            | `stamped`                    | the largest checkpoint that has a timestamp     |
 * | `log/anchor`            | `recorded`                   | up to where `anchored/…` items are written      |
 * | `log/anchor`            | `cosigned/<size>`            | cosignatures of a checkpoint below the quorum   |
 * | `log/anchor`            | `witness/<digest of URL>`    | the size that a witness cosigned last           |
 * | `pending/<log>/<shard>` | `<arrival ms>/<digest>`      | a pending chunk                                 |
 * | `staging/<log>`         | `<version>/<attempt>/<n>`    | entries of a batch that is committed, or may be |
 * | `tile/<log>/<L>/<N>`    | `-`                          | a tile or entry bundle, only ever widened       |
 * | `index/<log>/<leaf>`    | `-`                          | leaf hash → index                               |
 * | `tenant/<tenant>`       | `tenant`, `log/…`, `key/…`   | a tenant, its logs, its API keys                |
 * | `logs`                  | `<log>`                      | every tenant log, for sweeps                    |
 * | `witness/<origin hash>` | `head`, `checkpoint`         | of a log that is witnessed: witness/items.ts    |
 */
import type { Key } from "./store.ts";

/** Both key attributes are strings; every other attribute is schemaless. On-demand capacity. */
export const TABLE = {
  partitionKey: "pk",
  sortKey: "sk",
  billingMode: "PAY_PER_REQUEST",
} as const;

/** The anchor log's id; a tenant log's id is 19 random base32 characters, so the two never meet. */
export const ANCHOR = "anchor";

/** A partition takes 1,000 write units a second; a 10,000-entry chunk is 340. */
export const PENDING_SHARDS = 8;

// 16 digits hold every integer below 2^53, so the order of sort keys is the order of numbers.
const digits = (n: bigint): string => n.toString().padStart(16, "0");

const ONLY = "-";

export const headKey = (log: string): Key => ({ pk: `log/${log}`, sk: "head" });
export const checkpointKey = (log: string, size: bigint): Key => ({
  pk: `log/${log}`,
  sk: `checkpoint/${digits(size)}`,
});
export const anchoredKey = (log: string, size: bigint): Key => ({
  pk: `anchored/${log}`,
  sk: digits(size),
});
export const cursorKey = (): Key => ({ pk: `log/${ANCHOR}`, sk: "recorded" });
export const publicKey = (): Key => ({ pk: `log/${ANCHOR}`, sk: "public" });
export const publicCheckpointKey = (size: bigint): Key => ({
  pk: `log/${ANCHOR}`,
  sk: `public/${digits(size)}`,
});
export const cosignedKey = (size: bigint): Key => ({ pk: `log/${ANCHOR}`, sk: `cosigned/${digits(size)}` });
export const witnessKey = (digest: string): Key => ({ pk: `log/${ANCHOR}`, sk: `witness/${digest}` });
/** `name` is of the authority; empty: sorts before all of this size. */
export const timestampKey = (size: bigint, name: string): Key => ({
  pk: `log/${ANCHOR}`,
  sk: `timestamp/${digits(size)}/${name}`,
});
export const stampingKey = (): Key => ({ pk: `log/${ANCHOR}`, sk: "stamping" });
export const stampedKey = (): Key => ({ pk: `log/${ANCHOR}`, sk: "stamped" });
export const otsKey = (name: string): Key => ({ pk: `log/${ANCHOR}`, sk: `ots/${name}` });

export const pendingPartition = (log: string, shard: number): string => `pending/${log}/${shard}`;
export const pendingSort = (arrival: bigint, digest: string): string => `${digits(arrival)}/${digest}`;
/** The log of a pending chunk's partition key, or undefined for any other key: what a stream record names. */
export const logOfPending = (pk: string): string | undefined => /^pending\/([^/]+)\/\d+$/.exec(pk)?.[1];

export const stagingPartition = (log: string): string => `staging/${log}`;
export const stagingKey = (log: string, version: bigint, attempt: string, n: number): Key => ({
  pk: stagingPartition(log),
  sk: `${digits(version)}/${attempt}/${String(n).padStart(6, "0")}`,
});
/** Sorts after all staging of versions below `version` and before all staging of `version`. */
export const stagingBefore = (version: bigint): string => digits(version);

export const tileItemKey = (log: string, level: number | "entries", index: bigint): Key => ({
  pk: `tile/${log}/${level}/${index}`,
  sk: ONLY,
});
export const indexKey = (log: string, leafHex: string): Key => ({ pk: `index/${log}/${leafHex}`, sk: ONLY });

export const tenantPartition = (tenant: string): string => `tenant/${tenant}`;
export const tenantKey = (tenant: string): Key => ({ pk: tenantPartition(tenant), sk: "tenant" });
export const tenantLogKey = (tenant: string, log: string): Key => ({
  pk: tenantPartition(tenant),
  sk: `log/${log}`,
});
export const apiKeyKey = (tenant: string, id: string): Key => ({
  pk: tenantPartition(tenant),
  sk: `key/${id}`,
});
export const LOGS_PARTITION = "logs";
export const logsKey = (log: string): Key => ({ pk: LOGS_PARTITION, sk: log });
