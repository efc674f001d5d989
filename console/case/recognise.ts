/** What a file is that an officer drops, by its beginning: most need not say. Hostile bytes; never throws. */
import { isObject, parseOr } from "@kedge/verify/cli/recognise";
import { COMMITMENT_HEX } from "@kedge/verify/events/commitment";
import { parseManifest } from "@kedge/verify/events/manifest";
import { parseKeys } from "@kedge/verify/proof/keys";
import { decodedText } from "@kedge/verify/text";

/**
 * - `events`: an export
 * - `records`: what `kedge commit` or `kedge find --export` kept of each event: its commitment and opening
 * - `keys`: a keyring, credentials, or a tenant key
 * - `headers`: what stood above the rows of tables, and what their columns are, as `kedge find --export` wrote it
 * - `proofs`: proofs, one a line
 * - `manifests`: how many events each source had, hour by hour
 * - `policy`: keys of the logs, and witnesses
 * - `authority`: certificates of a timestamping authority
 */
export const FILE_KINDS = [
  "events",
  "records",
  "keys",
  "headers",
  "proofs",
  "manifests",
  "policy",
  "authority",
] as const;
export type FileKind = (typeof FILE_KINDS)[number];

/** Bytes of a file that are looked at. A keyring of eighty years is smaller; a proof is one line, and may be long. */
export const LOOKED_AT = 1 << 18;

const HEADERS_BEGIN = `{"header":{"separator":"`;

/** @param isWhole whether the beginning is all of the file */
export function recognise(beginning: Uint8Array, isWhole: boolean): FileKind {
  const text = new TextDecoder().decode(beginning).replace(/^\ufeff/, "");
  const decoded = decodedText(beginning);
  if (decoded.startsWith("-----BEGIN CERTIFICATE-----")) return "authority";
  if (isWhole && isPolicy(decoded)) return "policy";
  // Its first line may be longer than what is looked at.
  if (text.startsWith(HEADERS_BEGIN)) return "headers";
  const end = text.indexOf("\n");
  const line = end === -1 ? text : text.slice(0, end);
  const value = parseOr(line) ?? (isWhole ? parseOr(text) : undefined);
  if (isWhole && /^[0-9a-f]{64}\s*$/.test(text)) return "keys";
  if (!isObject(value)) return "events";
  const { commitment, opening, proof, tenantKey, sealing, epochs } = value;
  if (typeof proof === "string" && proof.startsWith("c2sp.org/tlog-proof@")) return "proofs";
  if (typeof commitment === "string" && COMMITMENT_HEX.test(commitment) && opening !== undefined)
    return "records";
  if (Array.isArray(epochs) && sealing !== undefined) return "keys";
  if (typeof tenantKey === "string" && /^[0-9a-f]{64}$/.test(tenantKey)) return "keys";
  return isManifest(line) ? "manifests" : "events";
}

function isManifest(line: string): boolean {
  try {
    parseManifest(new TextEncoder().encode(line));
    return true;
  } catch {
    return false;
  }
}

/** A policy, or verifier keys, one a line. */
function isPolicy(text: string): boolean {
  if (!/\+[0-9a-f]{8}\+/.test(text)) return false;
  try {
    parseKeys(text);
    return true;
  } catch {
    return false;
  }
}
