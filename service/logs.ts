/** The registry of tenant logs: what sweeps walk, and where a log's origin is fixed for ever. */
import * as z from "zod";
import { ServiceError } from "./error.ts";
import type { Item, Store } from "./store.ts";
import { LOGS_PARTITION, logsKey } from "./table.ts";

export type RegisteredLog = { readonly id: string; readonly origin: string; readonly tenant: string };

const schema = z.object({ origin: z.string(), tenant: z.string() });

/** @returns undefined when no such log was created. */
export async function findLog(store: Store, id: string): Promise<RegisteredLog | undefined> {
  const [item] = await store.get([logsKey(id)]);
  return item && decode(item);
}

export async function* allLogs(store: Store): AsyncGenerator<RegisteredLog> {
  for await (const item of store.query({ pk: LOGS_PARTITION })) yield decode(item);
}

function decode(item: Item): RegisteredLog {
  const parsed = schema.safeParse(item);
  if (!parsed.success) throw new ServiceError("corrupt", `registered log ${item.sk} is malformed`);
  return { id: item.sk, ...parsed.data };
}
