/** A log's head: the one item on which sealers agree, moved by compare-and-swap only. */

import { type Checkpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT, HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { concatBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, ifVersion, type Key, parseItem, putIf, type Store } from "../platform/store.ts";
import type { PublishedCheckpoint } from "./checkpoints.ts";

export type Head = {
  readonly log: string;
  /** Counts every move: what compare-and-swap compares. 0: the head has not been written yet. */
  readonly version: bigint;
  /** The committed tree. */
  readonly size: bigint;
  readonly root: Uint8Array;
  /** Compact range of the committed tree, largest subtree first. */
  readonly frontier: readonly Uint8Array[];
  /** Size of the published tree; below `size` while a committed batch is unpublished. */
  readonly published: bigint;
  /** The checkpoint of the published tree; undefined before the first. */
  readonly checkpoint: PublishedCheckpoint | undefined;
  /** Where the last committed batch was staged; undefined before the first. */
  readonly staging: Staging | undefined;
};

/** The committed tree. */
export type Tree = Pick<Head, "size" | "root" | "frontier">;

export type Staging = {
  /** The head's version that the attempt started from. */
  readonly base: bigint;
  readonly attempt: string;
  /** Number of staging items. */
  readonly items: number;
  /**
   * Arrival of the batch's oldest entry, ms since the epoch: whoever finishes the batch publishes the same. Absent for a
   * batch of a restore, for its record outside the store does not hold it, and of the anchor log.
   */
  readonly pendingSince?: bigint;
};

export const headKey = (log: string): Key => ({ pk: `log/${log}`, sk: "head" });

/** The head of a log that has none yet: version 0, an empty tree. */
export const emptyHead = (log: string): Head => ({
  log,
  version: 0n,
  size: 0n,
  root: EMPTY_ROOT,
  frontier: [],
  published: 0n,
  checkpoint: undefined,
  staging: undefined,
});

const schema = z.object({
  version: z.bigint(),
  size: z.bigint(),
  root: binary,
  /** Hashes of HASH_SIZE bytes, one after the other. */
  frontier: binary,
  published: z.bigint(),
  // Before the first checkpoint the stored attributes are "" and 0.
  checkpoint: z.string(),
  publishedAt: z.bigint(),
  // Before the first batch they are 0, "" and 0.
  base: z.bigint(),
  attempt: z.string(),
  items: z.bigint(),
  pendingSince: z.bigint().exactOptional(),
});

export function decodeHead(log: string, item: Item | undefined): Head {
  if (item === undefined) return emptyHead(log);
  const { version, size, root, published, ...stored } = parseItem(schema, item);
  const frontier: Uint8Array[] = [];
  for (let at = 0; at < stored.frontier.length; at += HASH_SIZE) {
    frontier.push(stored.frontier.slice(at, at + HASH_SIZE));
  }
  const { checkpoint: note, publishedAt: at, base, attempt, items, pendingSince } = stored;
  if ((note === "") !== (published === 0n)) {
    throw new ServiceError("corrupt", `the head of log ${log} has a published size without a checkpoint`);
  }
  return {
    log,
    version,
    size,
    root,
    frontier,
    published,
    checkpoint: note === "" ? undefined : { note, at },
    staging:
      attempt === ""
        ? undefined
        : { base, attempt, items: Number(items), ...(pendingSince !== undefined && { pendingSince }) },
  };
}

function encodeHead({ log, frontier, checkpoint, staging, ...tree }: Head): Item {
  return {
    ...headKey(log),
    ...tree,
    frontier: concatBytes(...frontier),
    checkpoint: checkpoint?.note ?? "",
    publishedAt: checkpoint?.at ?? 0n,
    base: staging?.base ?? 0n,
    attempt: staging?.attempt ?? "",
    items: BigInt(staging?.items ?? 0),
    ...(staging?.pendingSince !== undefined && { pendingSince: staging.pendingSince }),
  };
}

export async function readHead(store: Store, log: string): Promise<Head> {
  const [item] = await store.get([headKey(log)]);
  return decodeHead(log, item);
}

/** The checkpoint of a published tree that is not empty. @throws ServiceError `corrupt` when the tree is. */
export function lastCheckpoint({ log, checkpoint }: Head): PublishedCheckpoint {
  if (checkpoint !== undefined) return checkpoint;
  throw new ServiceError("corrupt", `log ${log} has published nothing`);
}

/** The tree head that was published last; undefined before the first. */
export const publishedHead = ({ checkpoint }: Head): Checkpoint | undefined =>
  checkpoint && parseCheckpoint(checkpoint.note).checkpoint;

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
  if (await putIf(store, encodeHead(moved), ifVersion(old.version))) return moved;
  // The SDK repeats a write whose answer was lost, and the repetition fails its condition: ask who won.
  const now = await readHead(store, old.log);
  const won = now.version === moved.version && isSameMove(now, moved);
  return won ? moved : undefined;
}

/** An attempt id is drawn afresh by every sealer, so a head that carries this one's was moved by it. */
function isSameMove(a: Head, b: Head): boolean {
  return a.staging?.attempt === b.staging?.attempt && a.size === b.size && a.published === b.published;
}
