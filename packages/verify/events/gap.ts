/**
 * What an agent saw and could not take as an event: it is written down as an event of its own, with a number of the same
 * source, so that it shows where something is missing.
 */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { EventError } from "./error.ts";
import { readJson } from "./json.ts";

export const GAP_MEDIA_TYPE = "application/vnd.kedge.gap+json";

/**
 * - `overlong`: a message above the limit; `octets` were passed over
 * - `truncated`: a message that its sender or the network cut; what came is the event after it
 * - `unreadable`: what is no event of the format that the source has, and is not taken as bytes
 * - `lost`: what was there and is gone, as a file that was truncated before it was read
 */
export type GapKind = "overlong" | "truncated" | "unreadable" | "lost";
export type Gap = { kind: GapKind; octets?: number; detail?: string };

const KINDS: readonly GapKind[] = ["overlong", "truncated", "unreadable", "lost"];

/** Reads what `gapBytes` writes. Throws EventError `malformed_json`, `malformed_field`. */
export function parseGap(bytes: Uint8Array): Gap {
  const value = readJson(bytes);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const { kind, octets, detail, ...others } = value;
    const known = KINDS.find((one) => one === kind);
    const isCount =
      octets === undefined || (typeof octets === "number" && Number.isSafeInteger(octets) && octets >= 0);
    const isText = detail === undefined || typeof detail === "string";
    if (known !== undefined && isCount && isText && Object.keys(others).length === 0) {
      return {
        kind: known,
        ...(octets === undefined ? {} : { octets }),
        ...(detail === undefined ? {} : { detail }),
      };
    }
  }
  throw new EventError("malformed_field", "This is no gap that an agent saw: it has other members.");
}

/** The bytes of a gap: JCS (RFC 8785), its members already in order. `detail` has no PHI. */
export function gapBytes({ detail, kind, octets }: Gap): Uint8Array {
  return utf8ToBytes(JSON.stringify({ detail, kind, octets }));
}
