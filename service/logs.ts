/** The registry of tenant logs: what sweeps walk, and where a log's origin is fixed for ever. */
import { logOrigin } from "@kedge/cli/contract/ids";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Item, type Key, parseItem, type Store } from "../platform/store.ts";

/** All logs are one partition, so that one query walks them. */
export const LOGS_PARTITION = "logs";
export const logsKey = (log: string): Key => ({ pk: LOGS_PARTITION, sk: log });

export type RegisteredLog = {
  readonly id: string;
  readonly origin: string;
  readonly tenant: string;
  /** Kedge's own trail of the tenant (trail.ts). */
  readonly kind?: "system" | undefined;
};

const schema = z.object({ origin: z.string(), tenant: z.string(), kind: z.literal("system").optional() });

/** @returns undefined when no such log was created. */
export async function findLog(store: Store, id: string): Promise<RegisteredLog | undefined> {
  const [item] = await store.get([logsKey(id)]);
  return item && decode(item);
}

/** @param onBad is told of a registration that cannot be read, so that it stops no other log; absent: it is thrown. */
export async function* allLogs(
  store: Store,
  onBad?: (id: string, error: unknown) => void,
): AsyncGenerator<RegisteredLog> {
  for await (const item of store.query({ pk: LOGS_PARTITION })) {
    try {
      yield decode(item);
    } catch (error) {
      if (onBad === undefined || !(error instanceof ServiceError)) throw error;
      onBad(item.sk, error);
    }
  }
}

function decode(item: Item): RegisteredLog {
  const log = parseItem(schema, item);
  // One key signs for all logs: whoever can write here must not have it sign under another log's name.
  if (!log.origin.endsWith(logOrigin("", item.sk))) {
    throw new ServiceError("corrupt", `registered log ${item.sk} has the origin of another`);
  }
  return { id: item.sk, ...log };
}
