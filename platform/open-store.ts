/** The store's place, a URL in the configuration: `dynamodb:<table>`, or `lmdb:///folder` on one machine. */
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { dynamodbClient, dynamodbStore } from "./dynamodb.ts";
import { lmdbStore } from "./lmdb.ts";
import type { Store } from "./store.ts";

export type OpenStore = Store & { close(): Promise<void> };

/** What of an environment says where the store is. */
export const storePlace = {
  KEDGE_STORE: z
    .string()
    .refine((place) => /^dynamodb:[\w.-]{3,255}$/.test(place) || folderOf(place) !== undefined, {
      error: "dynamodb:<table> or lmdb:///<folder>",
    }),
  /** Of version 0.1.0. */
  KEDGE_TABLE: z
    .literal("", { error: "leave it out, KEDGE_STORE=dynamodb:<table> has taken its place" })
    .optional(),
};

/** @param place as `storePlace` has checked it. @throws ServiceError `unavailable` when a folder cannot be opened. */
export function openStore(place: string): OpenStore {
  const folder = folderOf(place);
  if (folder !== undefined) return lmdbStore(folder);
  const client = dynamodbClient();
  return {
    ...dynamodbStore(client, place.slice("dynamodb:".length)),
    close: async () => client.destroy(),
  };
}

function folderOf(place: string): string | undefined {
  if (!place.startsWith("lmdb:///")) return undefined;
  try {
    return fileURLToPath(`file:${place.slice("lmdb:".length)}`);
  } catch {
    return undefined;
  }
}
