/**
 * What an agent saw and could not take as an event: it is written down as an event of its own, with a number of the same
 * source, so that it shows where something is missing.
 */
import { utf8ToBytes } from "@noble/hashes/utils.js";

export const GAP_MEDIA_TYPE = "application/vnd.kedge.gap+json";

/**
 * - `overlong`: a message above the limit; `octets` were passed over
 * - `truncated`: a message that its sender or the network cut; what came is the event after it
 * - `unreadable`: what is no event of the format that the source has, and is not taken as bytes
 * - `lost`: what was there and is gone, as a file that was truncated before it was read
 */
export type GapKind = "overlong" | "truncated" | "unreadable" | "lost";
export type Gap = { kind: GapKind; octets?: number; detail?: string };

/** The bytes of a gap: JCS (RFC 8785), its members already in order. `detail` has no PHI. */
export function gapBytes({ detail, kind, octets }: Gap): Uint8Array {
  return utf8ToBytes(JSON.stringify({ detail, kind, octets }));
}
