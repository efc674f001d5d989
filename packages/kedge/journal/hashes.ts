/** SHA-256 of Node itself: four times as fast as what runs anywhere, and the same bytes. */
import { createHash, createHmac } from "node:crypto";
import type { Hashes } from "@kedge/verify/events/commitment";

export const NATIVE: Hashes = {
  sha256: (bytes) => createHash("sha256").update(bytes).digest(),
  hmac: (key, bytes) => createHmac("sha256", key).update(bytes).digest(),
};
