/** Request bodies: media type and size are settled before anything is parsed. */
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { Problem } from "./problem.ts";

/** 1 MiB: 10,000 hashes in JSON are 670 kB. */
const MAX_BODY = 1 << 20;

export const JSON_TYPE = "application/json";
export const OCTETS = "application/octet-stream";

/**
 * Replaces the request by one whose body is in memory and within the limit.
 * @throws Problem `unsupported_media_type`, `too_large`, or `invalid` for JSON that is not UTF-8.
 */
export const acceptBody = (...types: readonly string[]) =>
  createMiddleware(async (c, next) => {
    const type = mediaType(c);
    if (type === undefined || !types.includes(type) || c.req.header("content-encoding") !== undefined) {
      const detail = `Send the body as ${types.join(" or ")}, without Content-Encoding.`;
      throw new Problem("unsupported_media_type", detail, { Accept: types.join(", ") });
    }
    const body = await readLimited(c.req.raw, MAX_BODY, "split it into several requests");
    if (type === JSON_TYPE) checkUtf8(body);
    c.req.raw = new Request(c.req.raw, { body });
    await next();
  });

/** The media type, when its only parameter is at most a charset of UTF-8. */
export function mediaType(c: Context): string | undefined {
  const header = c.req.header("content-type") ?? "";
  const [, type, charset] = /^([a-z/+.-]+)(; ?charset="?utf-8"?)?$/i.exec(header) ?? [];
  const name = type?.toLowerCase();
  return charset !== undefined && name !== JSON_TYPE ? undefined : name;
}

/**
 * Never holds more than one chunk over the limit, whatever Content-Length claims. `advice` is for who sent more.
 * @throws Problem `too_large`, or `invalid` for a body that ends early.
 */
export async function readLimited(
  request: Request,
  limit: number,
  advice: string,
): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get("content-length")) > limit) throw tooLarge(limit, advice);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.length;
      if (length > limit) throw tooLarge(limit, advice);
      chunks.push(chunk);
    }
  } catch (error) {
    // Nothing else stops a body half-way than that its sender went away.
    throw error instanceof Problem ? error : new Problem("invalid", "The body ended early: send it again.");
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

const tooLarge = (limit: number, advice: string): Problem =>
  new Problem("too_large", `A body is at most ${limit} bytes: ${advice}.`);

function checkUtf8(body: Uint8Array): void {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new Problem("invalid", "The body is not UTF-8.");
  }
}
