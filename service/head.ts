/** A log's head: the one item on which sealers agree, moved by compare-and-swap only. */

import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Condition, type Item, putIf, type Store } from "../platform/store.ts";
import { headKey } from "../platform/table.ts";

export type Head = {
  readonly log: string;
  /** Counts every move: what compare-and-swap compares. 0: the head has not been written yet. */
  readonly version: bigint;
  /** The committed tree. */
  readonly size: bigint;
  readonly root: Uint8Array;
  /** Compact range of the committed tree, largest subtree first. */
  readonly frontier: readonly Uint8Array[];
  /** Size of the last published checkpoint; below `size` while a committed batch is unpublished. */
  readonly published: bigint;
  /** The last published checkpoint, a signed note; empty before the first. */
  readonly checkpoint: string;
  /** Publication time of `checkpoint`, ms since the epoch; 0 before the first. */
  readonly publishedAt: bigint;
  /** Where the batch [published, size) is staged. Meaningless when they are equal. */
  readonly staging: Staging;
};

export type Staging = {
  /** The head's version that the attempt started from. */
  readonly base: bigint;
  readonly attempt: string;
  /** Number of staging items. */
  readonly items: number;
};

const HASH = 32;

const schema = z.object({
  version: z.bigint(),
  size: z.bigint(),
  root: z.instanceof(Uint8Array),
  frontier: z.instanceof(Uint8Array),
  published: z.bigint(),
  checkpoint: z.string(),
  publishedAt: z.bigint(),
  base: z.bigint(),
  attempt: z.string(),
  items: z.bigint(),
});

/** The head of a log that has none yet: version 0, an empty tree. */
export function emptyHead(log: string): Head {
  return {
    log,
    version: 0n,
    size: 0n,
    root: EMPTY_ROOT,
    frontier: [],
    published: 0n,
    checkpoint: "",
    publishedAt: 0n,
    staging: { base: 0n, attempt: "", items: 0 },
  };
}

export function decodeHead(log: string, item: Item | undefined): Head {
  if (item === undefined) return emptyHead(log);
  const parsed = schema.safeParse(item);
  if (!parsed.success) {
    throw new ServiceError("corrupt", `the head of log ${log} is malformed`, { cause: parsed.error });
  }
  const { root, frontier, base, attempt, items, ...rest } = parsed.data;
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < frontier.length; at += HASH) hashes.push(frontier.slice(at, at + HASH));
  return { log, ...rest, root, frontier: hashes, staging: { base, attempt, items: Number(items) } };
}

export async function readHead(store: Store, log: string): Promise<Head> {
  const [item] = await store.get([headKey(log)]);
  return decodeHead(log, item);
}

/**
 * Moves the head from `old` to `next` by compare-and-swap on the version.
 * @returns the moved head, or undefined when another sealer has moved it.
 */
export async function moveHead(
  store: Store,
  old: Head,
  next: Omit<Head, "version">,
): Promise<Head | undefined> {
  const moved: Head = { ...next, version: old.version + 1n };
  const condition: Condition =
    old.version === 0n ? { kind: "absent" } : { kind: "equals", attribute: "version", value: old.version };
  if (await putIf(store, encodeHead(moved), condition)) return moved;
  // The SDK repeats a write whose answer was lost, and the repetition fails its condition: ask who won.
  const now = await readHead(store, old.log);
  const won = now.version === moved.version && sameMove(now, moved);
  return won ? moved : undefined;
}

// An attempt id is drawn afresh by every sealer, so a head that carries mine was moved by me.
function sameMove(a: Head, b: Head): boolean {
  return a.staging.attempt === b.staging.attempt && a.size === b.size && a.published === b.published;
}

function encodeHead({ log, root, frontier, staging, ...rest }: Head): Item {
  const joined = new Uint8Array(frontier.length * HASH);
  for (const [i, hash] of frontier.entries()) joined.set(hash, i * HASH);
  return {
    ...headKey(log),
    ...rest,
    root,
    frontier: joined,
    base: staging.base,
    attempt: staging.attempt,
    items: BigInt(staging.items),
  };
}
