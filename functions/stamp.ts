/** Timestamps from outside, where any authority is configured: after anchoring, and never in its way. */
import type { Timestamping } from "../service/authorities.ts";
import { errorFields, logLine } from "./http/log.ts";
import { service } from "./open.ts";

let opened: Timestamping | undefined;

/** Throws for a wrong configuration only. */
export async function stampPublic(): Promise<void> {
  if (!process.env["KEDGE_TSA_URLS"] && !process.env["KEDGE_OTS_CALENDARS"]) return;
  // Certificates and their cryptography are loaded by those who configured them.
  const { openTimestamping } = await import("../service/authorities.ts");
  const { timestampPublic } = await import("../service/stamp.ts");
  opened ??= openTimestamping(process.env);
  const { size, stored, failures } = await timestampPublic({ ...service(), ...opened });
  for (const { authority, error } of failures) {
    logLine("error", { event: "timestamp", authority, ...errorFields(error) });
  }
  if (stored > 0) logLine("info", { event: "timestamp", size: Number(size), stored });
}
