/** Bodies of requests, bounded: one by one, and all that are being received at a time. */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { joinBytes } from "@kedge/verify/tlog/bytes";
import { Refusal } from "./fhir-answers.ts";

/** What all requests may hold in memory at a time, in octets. A body takes its part as it comes, not as it is announced. */
export type Room = { free: number };

export type Body = {
  /** As it was sent. */
  sent: Uint8Array;
  /** Without its Content-Encoding. */
  bytes: Uint8Array;
  isEncoded: boolean;
  /** Gives its part of the room back: once nothing of the body is needed any more. */
  leave(): void;
};

/** No stream of deflate is longer, decoded, than so many times its own length. */
const MOST_INFLATED = 1032;

/**
 * The whole body. `limit` is in octets, of what is sent and of what it decodes to.
 * @throws Refusal `unsupported_media_type`, `too_large`, `busy`, `malformed`
 */
export async function readBody(request: Request, limit: number, room: Room): Promise<Body> {
  const coding = (request.headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  const isEncoded = coding === "gzip" || coding === "x-gzip"; // RFC 9110 §8.4.1.3
  if (!isEncoded && coding !== "identity") {
    const headers = { "Accept-Encoding": "gzip" }; // RFC 9110 §12.5.3
    throw new Refusal("unsupported_media_type", "Send the body as it is, or in gzip.", { headers });
  }
  let held = 0;
  const hold = (octets: number): void => {
    if (octets > room.free) throw busy("octets");
    room.free -= octets;
    held += octets;
  };
  const leave = (): void => {
    room.free += held;
    held = 0;
  };
  try {
    const sent = await collect(request, limit, hold);
    if (!isEncoded) return { sent, bytes: sent, isEncoded, leave };
    const before = held;
    hold(Math.min(limit, sent.length * MOST_INFLATED));
    const bytes = await inflate(sent, limit);
    room.free += held - before - bytes.length;
    held = before + bytes.length;
    return { sent, bytes, isEncoded, leave };
  } catch (error) {
    leave();
    throw error;
  }
}

async function collect(request: Request, limit: number, hold: (octets: number) => void): Promise<Uint8Array> {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (length > limit) throw tooLarge(limit);
  try {
    // Node lets no more through than was announced; below this, what all connections hold needs no counting.
    if (length <= UNCOUNTED) return new Uint8Array(await request.arrayBuffer());
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of request.body ?? []) {
      size += part.length;
      if (size > limit) throw tooLarge(limit);
      hold(part.length);
      parts.push(part);
    }
    return joinBytes(parts);
  } catch (cause) {
    if (cause instanceof Refusal) throw cause;
    throw new Refusal("malformed", "The body ended early: send it again.", { cause });
  }
}

const UNCOUNTED = 1 << 16;
const gunzipped = promisify(gunzip);

async function inflate(sent: Uint8Array, limit: number): Promise<Uint8Array> {
  try {
    return new Uint8Array(await gunzipped(sent, { maxOutputLength: limit }));
  } catch (cause) {
    const isTooLarge = cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE";
    if (isTooLarge) throw tooLarge(limit);
    throw new Refusal("malformed", "The body is not gzip, as its Content-Encoding says.", { cause });
  }
}

const tooLarge = (limit: number): Refusal =>
  new Refusal("too_large", `At most ${limit} octets are taken here: send less at a time.`);

export const busy = (what: "octets" | "requests"): Refusal =>
  new Refusal("busy", `Too many ${what} are under way: send it again.`, { headers: { "Retry-After": "1" } });
