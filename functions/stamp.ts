/** Timestamps from outside, where any authority is configured: after anchoring, and never in its way. */

import { errorFields, logLine, type Metrics, metricLine, metricsWanted } from "../platform/log.ts";
import type { Timestamping } from "../service/authorities.ts";
import { ageOf } from "../service/clock.ts";
import { service } from "./open.ts";

let opened: Timestamping | undefined;

/** Throws for a wrong configuration only. */
export async function stampPublic(): Promise<void> {
  if (!process.env["KEDGE_TSA_URLS"] && !process.env["KEDGE_OTS_CALENDARS"]) return;
  // Certificates and their cryptography are loaded by those who configured them.
  const { openTimestamping } = await import("../service/authorities.ts");
  const { timestampPublic, unstampedSince } = await import("../service/stamp.ts");
  opened ??= openTimestamping(process.env);
  const { store, publication, clock } = service();
  const { size, stored, failures } = await timestampPublic({ store, publication, clock, ...opened });
  for (const { authority, error } of failures) {
    logLine("error", { event: "timestamp", authority, ...errorFields(error) });
  }
  const line = { event: "timestamp", size: Number(size ?? 0n), stored };
  const metrics = metricsWanted() ? await age() : {};
  if (stored > 0) logLine("info", line, metrics);
  else metricLine(line, metrics);

  /** Without the age where it cannot be told. */
  async function age(): Promise<Metrics> {
    try {
      const now = clock();
      const since = await unstampedSince(store, now);
      return { TimestampAge: since === undefined ? 0 : ageOf(since, now) };
    } catch {
      return {};
    }
  }
}
