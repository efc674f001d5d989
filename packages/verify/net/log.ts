/** A tenant's log as an auditor reads it: the C2SP tlog-tiles prefix of the HTTP API, with an API key of scope `read`. */
import type { z } from "zod";
import { ClientError } from "../error.ts";
import { type Tile, tilePath } from "../tlog/tile.ts";
import { type Connection, request, requestBytes } from "./http.ts";
import { checkpointsSchema, MAX_PAGE } from "./page.ts";

/** Every call throws ClientError, and is repeated on network errors, 429 and 5xx. Nothing is verified. */
export type LogReader = ReturnType<typeof openLogReader>;

/** @param log the log's id */
export function openLogReader(connection: Connection, log: string) {
  const path = logPath(log);
  return {
    /** The log's signed checkpoint. */
    checkpoint: () => request(connection, read(`${path}/checkpoint`)),
    /** A page of its published checkpoints of more than `after` entries, smallest first. */
    checkpoints: async (after: bigint) =>
      parseAnswer(
        checkpointsSchema,
        await request(connection, read(`${path}/checkpoints?after=${after}&limit=${MAX_PAGE}`)),
      ),
    /** A tile or entry bundle of at most `limit` bytes. */
    tile: (tile: Tile, limit: number) => requestBytes(connection, read(`${path}/${tilePath(tile)}`), limit),
  };
}

export function logPath(log: string): string {
  return `/v1/logs/${encodeURIComponent(log)}`;
}

export function read(path: string) {
  return { method: "GET", path, idempotent: true } as const;
}

/** Throws ClientError `protocol` for JSON of another shape. */
export function parseAnswer<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ClientError("protocol", "The answer is not what Kedge's API promises: check the URL", {
      cause,
    });
  }
}
