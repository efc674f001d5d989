/**
 * The one DynamoDB table: its definition, which CDK and the adapters read, and what is in it. The keys of an item, and how it
 * is encoded, stand with what it is (service/, witness/).
 *
 * Partitions are chosen so that none is hot beyond one log's own head: tiles, bundles and index entries have a
 * partition each, pending chunks are spread over PENDING_SHARDS, and everything else is written once per seal. A role
 * is allowed its partitions by their names, so what different functions write never shares one, but for the trail.
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
 * | `trail/<tenant>`        | `<number>`, `floor`          | events of Kedge's own trail, with openings      |
 * | `trail-outbox`          | `<tenant>/…`                 | acts that have no number yet, or are counted    |
 * | `trail-expiry`          | `<ms>/<tenant>/<number>`     | which event is to be deleted first              |
 * | `logs`                  | `<log>`                      | every tenant log, for sweeps                    |
 * | `run/<function>`        | `-`                          | how the last run of a schedule ended            |
 * | `machine`               | `-`                          | one machine: keys were made for this table      |
 * | `witness/<origin hash>` | `head`, `checkpoint`         | of a log that is witnessed: witness/items.ts    |
 */
/** Both key attributes are strings; every other attribute is schemaless. On-demand capacity. */
export const TABLE = {
  partitionKey: "pk",
  sortKey: "sk",
  billingMode: "PAY_PER_REQUEST",
} as const;
