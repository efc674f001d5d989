/** Timestamps as `extra.timestamps` of a proof and `/anchor/timestamps/{size}` carry them. */
import * as z from "zod";
import { encodeBase64 } from "../tlog/bytes.ts";

/** Base64 of a TimeStampToken in DER, or of a `.ots` file over the SHA-256, each of the anchor log's signed note, whole. */
export const timestampSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("rfc3161"), token: z.string() }),
  z.strictObject({ type: z.literal("ots"), proof: z.string() }),
]);

export type Timestamp = Readonly<z.infer<typeof timestampSchema>>;

export const rfc3161 = (token: Uint8Array): Timestamp => ({ type: "rfc3161", token: encodeBase64(token) });
export const ots = (proof: Uint8Array): Timestamp => ({ type: "ots", proof: encodeBase64(proof) });
