/** Timestamps that are stored: over exactly the anchor log's public checkpoint of a size. How they get here: stamp.ts. */

import { ots, rfc3161, type Timestamp } from "@kedge/verify/time/timestampform";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { sha256 } from "@noble/hashes/sha2.js";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, type Key, parseItem, type Store, sortable } from "../platform/store.ts";
import { ANCHOR } from "./anchor-items.ts";

/** More sources than anybody configures. */
const MAX_TIMESTAMPS = 16;

/** `name` is of the authority; empty: sorts before all of this size. */
export const timestampKey = (size: bigint, name: string): Key => ({
  pk: `log/${ANCHOR}`,
  sk: `timestamp/${sortable(size)}/${name}`,
});

const schema = z.object({
  /** Of the anchor log. */
  size: z.bigint(),
  /** SHA-256 of the note that it is over. */
  imprint: binary,
  type: z.enum(["rfc3161", "ots"]),
  /** A TimeStampToken in DER, or a `.ots` file. */
  bytes: binary,
  /** The time that it shows, ms since the epoch, as it was checked when it came; absent in what earlier versions stored. */
  time: z.bigint().exactOptional(),
});

export type StoredTimestamp = Readonly<z.infer<typeof schema>>;

/** The timestamps of the smallest timestamped checkpoint of at least this size; undefined while there is none. */
export async function firstTimestamps(store: Store, size: bigint): Promise<StoredTimestamp[] | undefined> {
  return await read(store, timestampKey(size, "").sk, "timestamp/~");
}

/** Those over this note, the public checkpoint of this size. */
export async function timestampsOf(store: Store, size: bigint, note: string): Promise<Timestamp[]> {
  const { sk } = timestampKey(size, "");
  return timestampsOver(note, (await read(store, sk, `${sk}~`)) ?? []);
}

/** Those that are over exactly this note, in the form that a proof carries. */
export const timestampsOver = (note: string, stored: readonly StoredTimestamp[]): Timestamp[] =>
  storedOver(note, stored).map(({ type, bytes }) => (type === "ots" ? ots(bytes) : rfc3161(bytes)));

/** Those that are over exactly this note. */
export function storedOver(note: string, stored: readonly StoredTimestamp[]): StoredTimestamp[] {
  const imprint = imprintOf(note);
  return stored.filter((timestamp) => equalBytes(timestamp.imprint, imprint));
}

/** SHA-256 of the signed note, whole, in UTF-8. */
export const imprintOf = (note: string): Uint8Array => sha256(new TextEncoder().encode(note));

async function read(store: Store, from: string, to: string): Promise<StoredTimestamp[] | undefined> {
  const found: StoredTimestamp[] = [];
  for await (const item of store.query({ pk: `log/${ANCHOR}`, from, to, limit: MAX_TIMESTAMPS })) {
    const timestamp = decodeTimestamp(item);
    if (timestamp.size !== (found[0] ?? timestamp).size) break;
    found.push(timestamp);
  }
  return found.length === 0 ? undefined : found;
}

/** @param name of the authority. */
export const encodeTimestamp = (name: string, timestamp: StoredTimestamp): Item => ({
  ...timestampKey(timestamp.size, name),
  ...timestamp,
});

export const decodeTimestamp = (item: Item): StoredTimestamp => parseItem(schema, item);

// ---- which is the newest of them ------------------------------------------------------------------------------------

/** The largest size of which there is a timestamp, and when one of it came. A timestamp covers what is smaller, too. */
export const stampedKey = (): Key => ({ pk: `log/${ANCHOR}`, sk: "stamped" });
const stampedSchema = z.object({ size: z.bigint(), at: z.bigint() });
export type Stamped = Readonly<z.infer<typeof stampedSchema>>;

export const encodeStamped = (stamped: Stamped): Item => ({ ...stampedKey(), ...stamped });
export const decodeStamped = (item: Item | undefined): Stamped | undefined =>
  item && decodeStampState(stampedSchema, item);

/** All of the state of stamping can be made again, so what is malformed may go. */
export function decodeStampState<T>(schema: z.ZodType<T>, item: Item): T {
  const parsed = schema.safeParse(item);
  if (parsed.success) return parsed.data;
  throw new ServiceError("corrupt", `${item.pk} ${item.sk} is not what an anchorer writes: delete it`);
}
