/** Bodies and their media types: of a request both are settled, and its size, before anything is parsed. */
import { MAX_BODY } from "@kedge/cli/contract/limits";
import type { Context } from "hono";
import { readLimited } from "../../platform/limit.ts";
import { Problem } from "./problem.ts";

export const JSON_TYPE = "application/json";
export const OCTETS = "application/octet-stream";
/** A text, so that generated clients hand it out: of application/x-ndjson they know nothing, and lose the answer. */
export const NDJSON = "text/x-ndjson; charset=utf-8";

/**
 * The body, in memory and within the limit. Where there is a validator, which reads the request, it finds the same there.
 * @throws Problem `unsupported_media_type`, `too_large`, or `invalid` for JSON that is not UTF-8.
 */
export async function acceptBody(c: Context, types: readonly string[]): Promise<Uint8Array> {
  const type = mediaType(c);
  if (type === undefined || !types.includes(type) || c.req.header("content-encoding") !== undefined) {
    const detail = `Send the body as ${types.join(" or ")}, without Content-Encoding.`;
    throw new Problem("unsupported_media_type", detail, { Accept: types.join(", ") });
  }
  const body = await readLimited(c.req.raw, MAX_BODY);
  if (body === "too_large") {
    throw new Problem("too_large", `A body is at most ${MAX_BODY} bytes: split it into several requests.`);
  }
  if (body === "ended_early") throw new Problem("invalid", "The body ended early: send it again.");
  if (type === JSON_TYPE) checkUtf8(body);
  // Octets are for the handler to split, and so is what else such a route takes.
  if (!types.includes(OCTETS)) c.req.raw = new Request(c.req.raw, { body });
  return body;
}

/** The media type, when its only parameter is at most a charset of UTF-8. */
export function mediaType(c: Context): string | undefined {
  const header = c.req.header("content-type") ?? "";
  const [, type, charset] = /^([a-z/+.-]+)(; ?charset="?utf-8"?)?$/i.exec(header) ?? [];
  const name = type?.toLowerCase();
  return charset !== undefined && name !== JSON_TYPE ? undefined : name;
}

function checkUtf8(body: Uint8Array): void {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new Problem("invalid", "The body is not UTF-8.");
  }
}
