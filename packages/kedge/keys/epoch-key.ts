/** What is derived from a tenant key beside nonces: an id that tells keys apart, and the key of the journal's bodies. */
import { createHmac, hkdfSync } from "node:crypto";
import type { EpochKey } from "../journal/types.ts";

/** 16 hex digits: says which tenant key is meant, and nothing of the key itself. */
export const keyId = (tenantKey: Uint8Array): string =>
  createHmac("sha256", tenantKey).update("kedge/v1 numbers key").digest("hex").slice(0, 16);

/**
 * Bodies are always encrypted, under HKDF-SHA256 (RFC 5869) of the tenant key without a salt: then to destroy the key is
 * to erase them, in every copy of the journal too, whether or not the keyring is sealed.
 */
export function epochKey(epoch: number, tenantKey: Uint8Array): EpochKey {
  const bodyKey = new Uint8Array(hkdfSync("sha256", tenantKey, new Uint8Array(), "kedge/v1 body", 32));
  return { epoch, tenantKey, bodyKey };
}
