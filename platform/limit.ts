import { readBounded } from "@kedge/verify/net/exchange";

/**
 * A request's body, of at most so many bytes. Never holds more than one chunk over the limit, whatever Content-Length
 * claims.
 */
export async function readLimited(
  request: Request,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | "too_large" | "ended_early"> {
  if (Number(request.headers.get("content-length")) > limit) return "too_large";
  try {
    return (await readBounded(request.body, limit)) ?? "too_large";
  } catch {
    // Nothing else stops a body half-way than that its sender went away.
    return "ended_early";
  }
}
