/** The static files of a public log (c2sp.org/tlog-tiles) over HTTP. Their content is hostile; so are their lengths. */

import * as z from "zod";
import { ClientError, type ClientErrorCode } from "../error.ts";
import { HASH_SIZE } from "../tlog/merkle.ts";
import { MAX_NOTE_SIZE } from "../tlog/note.ts";
import { TILE_WIDTH, type Tile, tilePath } from "../tlog/tile.ts";
import { type Answer, readBounded, retryAfterMs, withRetries } from "./exchange.ts";
import { exchange } from "./fetch.ts";
import { checkUrl, codeOf } from "./http.ts";
import { parseAnswer } from "./log.ts";

/** Every call throws ClientError when it gets no such file: all of its codes say that the log could not be read. */
export type LogFiles = {
  checkpoint(): Promise<Uint8Array>;
  /** At this width, or the full tile where the partial one is gone (c2sp.org/tlog-tiles, Partial Tiles). */
  tile(tile: Tile): Promise<Uint8Array>;
};

/** What of the anchor log's files is Kedge's own: timestamps are over its checkpoints. */
export type AnchorFiles = LogFiles & {
  /** The newest checkpoint that has a timestamp. */
  timestamped(): Promise<Uint8Array>;
  /** Over the checkpoint of this size; unverified. */
  timestamps(size: bigint): Promise<unknown[]>;
};

export type FilesOptions = {
  /** How often to try a file, the first time included. */
  attempts?: number;
  /** Per attempt, in ms. */
  timeout?: number;
  /** Ends everything, with its reason. */
  signal?: AbortSignal;
};

const DEFAULT_ATTEMPTS = 4;
const DEFAULT_TIMEOUT = 30_000;
/** Each of 256 entries after its length, a uint16. */
const MAX_BUNDLE = TILE_WIDTH * (2 + 0xffff);
/** Sixteen tokens with their certificates take some 200 KB. */
const MAX_TIMESTAMPS_FILE = 1 << 20;

const timestampsSchema = z.object({ timestamps: z.array(z.unknown()) });

/** `url` is the log's prefix, such as `https://audit.example.org/anchor`. Throws ClientError `invalid`. */
export function openLogFiles(url: string, options: FilesOptions = {}): AnchorFiles {
  const base = checkUrl(url);
  if (`${base.username}${base.password}${base.search}${base.hash}` !== "") {
    throw new ClientError("invalid", "The URL of a log has no user, query or fragment");
  }
  const get = (path: string, limit: number) => {
    const file = new URL(`${base.pathname.replace(/\/$/, "")}/${path}`, base);
    // A cache in between may hold an old checkpoint.
    const headers = { "Cache-Control": "no-cache" };
    const limits = { timeout: options.timeout ?? DEFAULT_TIMEOUT, signal: options.signal };
    const retries = {
      attempts: options.attempts ?? DEFAULT_ATTEMPTS,
      ...(options.signal && { signal: options.signal }),
    };
    return withRetries(retries, true, () =>
      exchange(file, { headers }, limits, (answer) => readFile(file, answer, limit)),
    );
  };
  return logFiles(get);
}

/** The files that `get` reads, by their paths below the log's prefix; it refuses more than `limit` bytes. */
export function logFiles(get: (path: string, limit: number) => Promise<Uint8Array>): AnchorFiles {
  const tile = (wanted: Tile) =>
    get(tilePath(wanted), wanted.level === "entries" ? MAX_BUNDLE : TILE_WIDTH * HASH_SIZE);
  return {
    checkpoint: () => get("checkpoint", MAX_NOTE_SIZE),
    timestamped: () => get("timestamped", MAX_NOTE_SIZE),
    timestamps: async (size) =>
      parseAnswer(
        timestampsSchema,
        new TextDecoder().decode(await get(`timestamps/${size}`, MAX_TIMESTAMPS_FILE)),
      ).timestamps,
    tile: (wanted) =>
      tile(wanted).catch((error: unknown) => {
        const isGone = error instanceof ClientError && error.code === "not_found";
        if (!isGone || wanted.width === TILE_WIDTH) throw error;
        return tile({ ...wanted, width: TILE_WIDTH });
      }),
  };
}

async function readFile(url: URL, answer: Answer, limit: number): Promise<Uint8Array> {
  if (!answer.ok) {
    await answer.body?.cancel();
    throw refusal(url, answer);
  }
  const bytes = await readBounded(answer.body, limit);
  if (bytes !== undefined) return bytes;
  throw new ClientError("protocol", `${url} is larger than ${limit} bytes: no log has that`);
}

function refusal(url: URL, { status, headers }: Answer): ClientError {
  const code = codeOf(status);
  const retryAfter = retryAfterMs(headers.get("Retry-After"), headers.get("Date"));
  const options = retryAfter === undefined ? {} : { retryAfter };
  return new ClientError(code, `${url} ${whyNot(code, status)}`, options);
}

/** Elsewhere is not the log that was asked for. */
function whyNot(code: ClientErrorCode, status: number): string {
  if (status >= 300 && status < 400) {
    return `is said to be elsewhere (${status}), which is not followed: give the URL of the log itself`;
  }
  if (code === "throttled") return `is not given now (${status}): too many requests. Try again later`;
  if (code === "server") return `is not given now (${status}): the server failed. Try again later`;
  return `is not there to be read (${status}): check the URL`;
}
