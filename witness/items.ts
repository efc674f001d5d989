/**
 * What a witness keeps of each log that it watches: two items, in a partition by the SHA-256 of the log's origin (hex).
 *
 * | pk                      | sk           | attributes             |                                                  |
 * | ----------------------- | ------------ | ---------------------- | ------------------------------------------------ |
 * | `witness/<origin hash>` | `head`       | size, root, signed     | the latest tree head that the witness may cosign |
 * | `witness/<origin hash>` | `checkpoint` | size, note             | the latest checkpoint that it did cosign         |
 */
import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import type { Latest } from "@kedge/verify/tlog/witness";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import type { Item, Key, Store } from "../platform/store.ts";

const headSchema = z.object({
  size: z.bigint(),
  root: z.instanceof(Uint8Array).refine(({ length }) => length === HASH_SIZE),
  /** The note by which the log signed this tree head, without cosignatures. Needed for evidence only. */
  signed: z.string().exactOptional(),
});
export type WitnessedHead = Latest & { readonly signed?: string };

export const witnessedHeadKey = (originHash: string): Key => ({ pk: `witness/${originHash}`, sk: "head" });
export const encodeWitnessedHead = (originHash: string, head: WitnessedHead): Item => ({
  ...witnessedHeadKey(originHash),
  ...head,
});

const cosignedSchema = z.object({
  size: z.bigint(),
  /** With the log's signatures that were verified and the witness's newest cosignatures. */
  note: z.string(),
});
export type CosignedCheckpoint = Readonly<z.infer<typeof cosignedSchema>>;

export const cosignedKey = (originHash: string): Key => ({ pk: `witness/${originHash}`, sk: "checkpoint" });
export const encodeCosigned = (originHash: string, cosigned: CosignedCheckpoint): Item => ({
  ...cosignedKey(originHash),
  ...cosigned,
});

/** @returns undefined before the first checkpoint of this log. @throws ServiceError `corrupt`, and as the store. */
export const readWitnessedHead = (store: Store, originHash: string): Promise<WitnessedHead | undefined> =>
  read(store, witnessedHeadKey(originHash), headSchema);

/** @returns undefined when no checkpoint of this log was cosigned. @throws ServiceError `corrupt`, and as the store. */
export const readCosigned = (store: Store, originHash: string): Promise<CosignedCheckpoint | undefined> =>
  read(store, cosignedKey(originHash), cosignedSchema);

async function read<T>(store: Store, key: Key, schema: z.ZodType<T>): Promise<T | undefined> {
  const [item] = await store.get([key]);
  if (item === undefined) return undefined;
  const parsed = schema.safeParse(item);
  if (parsed.success) return parsed.data;
  throw corrupt(key, parsed.error);
}

export function corrupt({ pk, sk }: Key, cause?: Error): ServiceError {
  const message = `${pk} ${sk} is not what a witness writes: cosign nothing until it is known why`;
  return new ServiceError("corrupt", message, { cause });
}
