/** What anyone may read of the anchor log: up to its public checkpoint, and nothing beyond. Needs no principal. */
import type { Timestamp } from "@kedge/verify/time/timestampform";
import type { Vkey } from "@kedge/verify/tlog/note";
import type { Store } from "../platform/store.ts";
import { ANCHOR, decodePublic, publicCheckpointKey, publicKey } from "./anchor-items.ts";
import { decodeCheckpoint } from "./checkpoints.ts";
import { publishedTile } from "./history.ts";
import { type LogKeys, logVkeys } from "./sign.ts";
import { decodeStamped, stampedKey, timestampsOf } from "./timestamps.ts";

/** The newest one's signed note; undefined while there is none. */
export async function publicCheckpoint(store: Store): Promise<string | undefined> {
  return (await readPublic(store))?.note;
}

/** The signed note of a size; undefined where no public checkpoint has it. */
export async function publicCheckpointOf(store: Store, size: bigint): Promise<string | undefined> {
  const [item] = await store.get([publicCheckpointKey(size)]);
  return item && decodeCheckpoint(ANCHOR, item).note;
}

/** The newest public checkpoint that has a timestamp; undefined while none has. */
export async function timestampedCheckpoint(store: Store): Promise<string | undefined> {
  const [item] = await store.get([stampedKey()]);
  const stamped = decodeStamped(item);
  return stamped && (await publicCheckpointOf(store, stamped.size));
}

/** Undefined as publicCheckpointOf; empty while the checkpoint has none. */
export async function publicTimestampsOf(store: Store, size: bigint): Promise<Timestamp[] | undefined> {
  const note = await publicCheckpointOf(store, size);
  return note === undefined ? undefined : await timestampsOf(store, size, note);
}

/** As publishedTile. */
export async function publicTile(store: Store, path: string): Promise<Uint8Array | undefined> {
  return await publishedTile(store, ANCHOR, path, async () => (await readPublic(store))?.size ?? 0n);
}

export async function anchorVkeys(ctx: {
  readonly anchorKeys: LogKeys;
  readonly anchorOrigin: string;
}): Promise<Vkey[]> {
  return await logVkeys(ctx.anchorKeys, ctx.anchorOrigin);
}

async function readPublic(store: Store) {
  const [item] = await store.get([publicKey()]);
  return decodePublic(item);
}
