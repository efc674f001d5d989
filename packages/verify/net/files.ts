/** The static files of a public log (c2sp.org/tlog-tiles) over HTTP. Their content is hostile; so are their lengths. */

import { ClientError } from "../error.ts";
import { HASH_SIZE } from "../tlog/merkle.ts";
import { MAX_NOTE_SIZE } from "../tlog/note.ts";
import { TILE_WIDTH, type Tile, tilePath } from "../tlog/tile.ts";
import { readBounded, reasonOf, withRetries, withTimeout } from "./exchange.ts";
import { checkUrl, codeOf } from "./http.ts";

/** Every call throws ClientError when it gets no such file: all of its codes say that the log could not be read. */
export type LogFiles = {
  checkpoint(): Promise<Uint8Array>;
  /** At this width, or the full tile where the partial one is gone (c2sp.org/tlog-tiles, Partial Tiles). */
  tile(tile: Tile): Promise<Uint8Array>;
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

/** `url` is the log's prefix, such as `https://audit.example.org/anchor`. Throws ClientError `invalid`. */
export function openLogFiles(url: string, options: FilesOptions = {}): LogFiles {
  const base = checkUrl(url);
  if (`${base.username}${base.password}${base.search}${base.hash}` !== "") {
    throw new ClientError("invalid", "The URL of a log has no user, query or fragment");
  }
  const get = (path: string, limit: number) => {
    const file = new URL(`${base.pathname.replace(/\/$/, "")}/${path}`, base);
    const attempts = options.attempts ?? DEFAULT_ATTEMPTS;
    return withRetries({ attempts }, true, () => attempt(file, limit, options));
  };
  return logFiles(get);
}

/** The files that `get` reads, by their paths below the log's prefix; it refuses more than `limit` bytes. */
export function logFiles(get: (path: string, limit: number) => Promise<Uint8Array>): LogFiles {
  const tile = (wanted: Tile) =>
    get(tilePath(wanted), wanted.level === "entries" ? MAX_BUNDLE : TILE_WIDTH * HASH_SIZE);
  return {
    checkpoint: () => get("checkpoint", MAX_NOTE_SIZE),
    tile: (wanted) =>
      tile(wanted).catch((error: unknown) => {
        const isGone = error instanceof ClientError && error.code === "not_found";
        if (!isGone || wanted.width === TILE_WIDTH) throw error;
        return tile({ ...wanted, width: TILE_WIDTH });
      }),
  };
}

async function attempt(url: URL, limit: number, options: FilesOptions): Promise<Uint8Array> {
  try {
    return await withTimeout(
      options.timeout ?? DEFAULT_TIMEOUT,
      (signal) => getFile(url, limit, signal),
      options.signal,
    );
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (cause instanceof ClientError) throw cause;
    const reason = reasonOf(cause);
    throw new ClientError("network", `Cannot get ${url} (${reason}): check the URL and the network`, {
      cause,
    });
  }
}

async function getFile(url: URL, limit: number, signal: AbortSignal): Promise<Uint8Array> {
  // Elsewhere is not the log that was asked for; a cache in between may hold an old checkpoint.
  const headers = { "Cache-Control": "no-cache" };
  const response = await fetch(url, { redirect: "manual", signal, headers });
  if (!response.ok) {
    await response.body?.cancel();
    throw refusal(url, response.status);
  }
  const bytes = await readBounded(response.body, limit);
  if (bytes !== undefined) return bytes;
  throw new ClientError("protocol", `${url} is larger than ${limit} bytes: no log has that`);
}

function refusal(url: URL, status: number): ClientError {
  if (status >= 300 && status < 400) {
    const message = `${url} is said to be elsewhere (${status}), which is not followed: give the URL of the log itself`;
    return new ClientError("protocol", message);
  }
  return new ClientError(codeOf(status), `${url} is not there to be read (${status}): check the URL`);
}
