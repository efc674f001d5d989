/**
 * I8: sealing a batch and making a proof cost the same however large the log is.
 *
 * A large log is made up of what the engine reads of it: its head, the tiles of its right edge, and those on the path of
 * one old entry, otherwise of random hashes. What is sealed on top of that is real.
 * The service checks every proof that it makes, so what was made up must hold together.
 */
import { randomBytes } from "node:crypto";
import { frontierRoot, HASH_SIZE, leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { encodeBundle, rightEdge, TILE_WIDTH, type Tile, tileHashes, tileKey } from "@kedge/verify/tlog/tile";
import { frontierFromTiles } from "@kedge/verify/tlog/tileproof";
import { emptyHead, moveHead } from "../service/head.ts";
import { writeRecord } from "../service/record.ts";
import { writeTiles } from "../service/tiles.ts";
import type { Cost } from "./metered.ts";
import { figure, median, type Section } from "./report.ts";
import {
  appendRandom,
  type BenchLog,
  newLog,
  openStack,
  proveAll,
  randomCommitments,
  type Stack,
  sealBatch,
} from "./stack.ts";

/** Not round: a tree of exactly 10^k leaves may lack partial tiles. */
const SIZES = [1_007n, 100_007n, 10_000_007n] as const;
const BATCH = 1_000;
const ROUNDS = 10;
const PROOFS = 10;

type Timed = Cost & { readonly ms: number };
/** What each operation cost, time after time. */
type Costs = { readonly seal: Timed[]; readonly recent: Timed[]; readonly old: Timed[] };
type BigLog = {
  readonly size: bigint;
  readonly log: BenchLog;
  readonly old: Uint8Array;
  readonly costs: Costs;
};

export async function scale(): Promise<Section> {
  const stack = await openStack();
  try {
    const logs: BigLog[] = [];
    for (const size of SIZES) logs.push(await makeUp(stack, size));
    // Side by side: what slows the machine for a moment slows every size.
    for (let round = 0; round < ROUNDS; round++) for (const big of logs) await measure(stack, big);
    return section(logs);
  } finally {
    await stack.close();
  }
}

async function makeUp({ service }: Stack, size: bigint): Promise<BigLog> {
  const { store, publication } = service;
  const log = await newLog(service);
  const [old = new Uint8Array()] = randomCommitments(1);
  const index = size / 2n;

  const tiles = madeUpTiles(size, index, leafHash(old));
  const width = Number(size % BigInt(TILE_WIDTH));
  const bundle: Tile = { level: "entries", index: size / BigInt(TILE_WIDTH), width };
  const bytes = encodeBundle(randomCommitments(width));
  await writeTiles(store, log.id, [...tiles.values(), { tile: bundle, bytes }]);

  const frontier = frontierFromTiles(size, new Map([...tiles].map(([key, tile]) => [key, tile.bytes])));
  const root = frontierRoot(frontier);
  const treeHead = { origin: log.origin, size, root };
  await writeRecord(publication, log, treeHead, undefined);
  const checkpoint = { note: await service.signLog(treeHead), at: BigInt(service.clock()) };
  const head = { ...emptyHead(log.id), size, root, frontier, published: size, checkpoint };
  await moveHead(store, emptyHead(log.id), head);
  return { size, log, old, costs: { seal: [], recent: [], old: [] } };
}

/** Random tiles: those of the right edge, and those from one leaf up to it, each of which has the hash of the last. */
function madeUpTiles(size: bigint, index: bigint, leaf: Uint8Array) {
  const tiles = new Map(rightEdge(size).map((tile) => [tileKey(tile.level, tile.index), madeUp(tile)]));
  let [hash, level, at] = [leaf, 0, index];
  for (;;) {
    const tileIndex = at / BigInt(TILE_WIDTH);
    const key = tileKey(level, tileIndex);
    const made = tiles.get(key) ?? madeUp({ level, index: tileIndex, width: TILE_WIDTH });
    tiles.set(key, made);
    made.bytes.set(hash, Number(at % BigInt(TILE_WIDTH)) * HASH_SIZE);
    if (made.tile.width < TILE_WIDTH) return tiles;
    hash = rootOf(tileHashes(new Map([[key, made.bytes]]), made.tile));
    [level, at] = [level + 1, tileIndex];
  }
}

const madeUp = (tile: Tile) => ({ tile, bytes: new Uint8Array(randomBytes(tile.width * HASH_SIZE)) });

async function measure(stack: Stack, { log, old, costs }: BigLog): Promise<void> {
  const { service } = stack;
  const entries = await appendRandom(service, log, BATCH, BATCH);
  costs.seal.push(await timed(stack, () => sealBatch(service, log, BATCH)));
  for (const commitment of entries.slice(0, PROOFS)) {
    costs.recent.push(await timed(stack, () => proveAll(stack, log, [commitment])));
    costs.old.push(await timed(stack, () => proveAll(stack, log, [old])));
  }
}

async function timed({ meter }: Stack, run: () => Promise<unknown>): Promise<Timed> {
  meter.take();
  const started = performance.now();
  await run();
  return { ms: performance.now() - started, ...meter.take() };
}

const MEASURES = [
  ["ms", "ms"],
  ["roundTrips", "store round trips"],
  ["readUnits", "read units"],
  ["writeUnits", "write units"],
] as const;

const OPERATIONS = [
  ["seal", `seal ${figure(BATCH)} entries`],
  ["recent", "prove a new entry"],
  ["old", "prove an entry in the middle"],
] as const;

function section(logs: readonly BigLog[]): Section {
  const values: Record<string, number> = {};
  const rows = OPERATIONS.flatMap(([operation, what]) =>
    MEASURES.filter(([measure]) => operation === "seal" || measure !== "writeUnits").map(
      ([measure, unit]) => {
        // Time has outliers; units vary with where the batch falls on the tiles, and add up to a bill.
        const sum = measure === "ms" ? median : mean;
        const costs = logs.map((log) => sum(log.costs[operation].map((cost) => cost[measure])));
        const [small = Number.NaN, middle = Number.NaN, large = Number.NaN] = costs;
        values[`${operation}.${measure}`] = large / small;
        return [
          `${what}: ${unit}`,
          ...costs.map(figure),
          `${figure(middle / small)}×`,
          `${figure(large / small)}×`,
        ];
      },
    ),
  );
  return {
    title: "I8: cost by the size of the log",
    head: ["", "10³ leaves", "10⁵", "10⁷", "10⁵ ÷ 10³", "10⁷ ÷ 10³"],
    rows,
    values,
  };
}

const mean = (samples: readonly number[]): number =>
  samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
