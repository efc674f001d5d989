/** Timestamps as `extra.timestamps` of a proof and `/anchor/timestamps/{size}` carry them. */
import { encodeBase64 } from "../tlog/bytes.ts";

/** Base64 of a TimeStampToken in DER, or of a `.ots` file over the SHA-256, each of the anchor log's signed note, whole. */
export type Timestamp =
  | { readonly type: "rfc3161"; readonly token: string }
  | { readonly type: "ots"; readonly proof: string };

export const rfc3161 = (token: Uint8Array): Timestamp => ({ type: "rfc3161", token: encodeBase64(token) });
export const ots = (proof: Uint8Array): Timestamp => ({ type: "ots", proof: encodeBase64(proof) });
