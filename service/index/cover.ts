/**
 * The cover: which runs of a log's index are in force. They lie side by side from the first leaf on. One item, moved by
 * compare-and-swap; what it does not reach is found in the tiles. A run that it names no more is *retired*: an item of its
 * own says since when, for who still holds an older cover reads the run.
 */
import { HASH_SIZE, nodeHash } from "@kedge/verify/tlog/merkle";
import * as z from "zod";
import type { IndexPlace } from "../../platform/index-place.ts";
import {
  binary,
  type Item,
  ifVersion,
  type Key,
  parseItem,
  putIf,
  type Store,
  sortable,
} from "../../platform/store.ts";
import { decodeHead, type Head, headKey } from "../head.ts";
import { foreign } from "./fault.ts";
import type { Filters } from "./filters.ts";
import { type Run, type RunNode, runPath } from "./run.ts";

/** How the tree is cut into runs. All are powers of two but the levels, so that every run is a node of the tree. */
export type RunSizes = {
  /** Leaves of a run of level 0: R. */
  readonly base: number;
  /** Runs that are merged into one of the next level: F. */
  readonly fanout: number;
  /** The highest level: runs of it stand side by side. */
  readonly top: number;
  /** Published entries without a run, beyond which nobody is told that an entry is not in the log. */
  readonly uncovered: number;
};

/** Runs of 2^12, 2^15, 2^18 and 2^21 leaves. */
export const RUN_SIZES: RunSizes = { base: 4_096, fanout: 8, top: 3, uncovered: 65_536 };

export type IndexContext = {
  readonly store: Store;
  readonly index: IndexPlace;
  readonly filters: Filters;
  /** Absent: RUN_SIZES. Tests have small ones. */
  readonly runSizes?: RunSizes;
};

export const sizesOf = ({ runSizes = RUN_SIZES }: IndexContext): RunSizes => runSizes;
export const leavesAt = ({ base, fanout }: RunSizes, level: number): number => base * fanout ** level;

export type Cover = {
  readonly log: string;
  /** Counts every move. 0: there is no cover. */
  readonly version: bigint;
  /** The first leaf that no run has. */
  readonly end: bigint;
  readonly runs: readonly Run[];
};

export const coverKey = (log: string): Key => ({ pk: `log/${log}`, sk: "cover" });

const schema = z.object({ version: z.bigint(), end: z.bigint(), runs: binary });

/** Level, filter size (uint32), root and header hash of a run. */
const RUN_BYTES = 1 + 4 + 2 * HASH_SIZE;

/** @throws ServiceError `corrupt` when the runs do not lie side by side from the first leaf on. */
export function decodeCover(log: string, item: Item | undefined, sizes: RunSizes): Cover {
  if (item === undefined) return { log, version: 0n, end: 0n, runs: [] };
  const { version, end, runs: bytes } = parseItem(schema, item);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const runs: Run[] = [];
  let first = 0n;
  for (let at = 0; at + RUN_BYTES <= bytes.length; at += RUN_BYTES) {
    const level = view.getUint8(at);
    const count = leavesAt(sizes, level);
    const hash = (n: number) => bytes.slice(at + 5 + n * HASH_SIZE, at + 5 + (n + 1) * HASH_SIZE);
    if (level > sizes.top || first % BigInt(count) !== 0n) throw foreign(log);
    runs.push({
      level,
      first,
      count,
      filterSize: view.getUint32(at + 1),
      root: hash(0),
      headerHash: hash(1),
    });
    first += BigInt(count);
  }
  if (first !== end || bytes.length !== runs.length * RUN_BYTES) throw foreign(log);
  return { log, version, end, runs };
}

function encodeCover({ log, version, end, runs }: Cover): Item {
  const bytes = new Uint8Array(runs.length * RUN_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, { level, filterSize, root, headerHash }] of runs.entries()) {
    const at = i * RUN_BYTES;
    view.setUint8(at, level);
    view.setUint32(at + 1, filterSize);
    bytes.set(root, at + 5);
    bytes.set(headerHash, at + 5 + HASH_SIZE);
  }
  return { ...coverKey(log), version, end, runs: bytes };
}

export async function readCover(ctx: IndexContext, log: string): Promise<Cover> {
  const [item] = await ctx.store.get([coverKey(log)]);
  return decodeCover(log, item, sizesOf(ctx));
}

/** One read, but no snapshot: the cover may be newer than the head. */
export async function readHeadAndCover(
  ctx: IndexContext,
  log: string,
): Promise<{ head: Head; cover: Cover }> {
  const [head, cover] = await ctx.store.get([headKey(log), coverKey(log)]);
  return { head: decodeHead(log, head), cover: decodeCover(log, cover, sizesOf(ctx)) };
}

/** @returns the moved cover; undefined when it has been moved, by another or by a call of this one whose answer was lost. */
export async function moveCover(store: Store, old: Cover, runs: readonly Run[]): Promise<Cover | undefined> {
  const moved: Cover = { log: old.log, version: old.version + 1n, end: endOf(runs), runs };
  return (await putIf(store, encodeCover(moved), ifVersion(old.version))) ? moved : undefined;
}

/** The first leaf beyond runs that lie side by side. */
export const endOf = (runs: readonly RunNode[]): bigint =>
  runs.reduce((end, { count }) => end + BigInt(count), 0n);

/** The frontier of the tree that the runs make: adjacent ones that are two halves of a node make that node. */
export function coverFrontier(runs: readonly RunNode[]): Uint8Array[] {
  const stack: { first: bigint; count: bigint; root: Uint8Array }[] = [];
  for (const { first, count, root } of runs) {
    let node = { first, count: BigInt(count), root };
    for (let left = stack.at(-1); left?.count === node.count; left = stack.at(-1)) {
      if (left.first % (2n * left.count) !== 0n) break;
      stack.pop();
      node = { first: left.first, count: 2n * left.count, root: nodeHash(left.root, node.root) };
    }
    stack.push(node);
  }
  return stack.map(({ root }) => root);
}

// ---- retired runs ----------------------------------------------------------------------------------------------------

const RETIRED = "retired/";

/** @param at ms since the epoch */
export function retiredItem(log: string, run: Run, at: number): Item {
  const [, ...name] = runPath(log, run).split("/");
  return { pk: `log/${log}`, sk: `${RETIRED}${sortable(BigInt(Math.max(0, at)))}/${name.join("/")}` };
}

/** Of the runs that were retired before `until`, ms since the epoch, the first so many. */
export async function* retiredRuns(
  store: Store,
  log: string,
  until: number,
  limit: number,
): AsyncGenerator<{ key: Key; path: string }> {
  const to = `${RETIRED}${sortable(BigInt(Math.max(0, until)))}`;
  for await (const { pk, sk } of store.query({ pk: `log/${log}`, from: RETIRED, to, limit })) {
    yield { key: { pk, sk }, path: `${log}/${sk.split("/").slice(2).join("/")}` };
  }
}
