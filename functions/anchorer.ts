/** Lambda: folds the tenants' new checkpoints into the anchor log, on a schedule. */
import { anchor } from "../service/anchor.ts";
import { errorFields, logLine } from "./http/log.ts";
import { service } from "./open.ts";

/** @throws when the run failed, so that Lambda counts it; the next run makes it good. */
export async function handler(): Promise<void> {
  try {
    const { anchored, size, publicSize, quorum } = await anchor(service());
    const sizes = { size: Number(size), publicSize: Number(publicSize) };
    if (anchored > 0 || !quorum)
      logLine(quorum ? "info" : "error", { event: "anchor", anchored, ...sizes, quorum });
  } catch (error) {
    logLine("error", { event: "anchor", ...errorFields(error) });
    throw error;
  }
}
