/** The hash index: at which index of a log a leaf hash stands. One item for each entry. */
import { bytesToHex } from "@noble/hashes/utils.js";
import * as z from "zod";
import { type Item, type Key, parseItem } from "../platform/store.ts";

export const indexKey = (log: string, leafHex: string): Key => ({ pk: `index/${log}/${leafHex}`, sk: "-" });

export const encodeIndex = (log: string, leafHash: Uint8Array, index: bigint): Item => ({
  ...indexKey(log, bytesToHex(leafHash)),
  index,
});

const schema = z.object({ index: z.bigint() });

export const decodeIndex = (item: Item): bigint => parseItem(schema, item).index;
