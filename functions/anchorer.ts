/** Lambda: folds the tenants' new checkpoints into the anchor log, on a schedule. */

import { ServiceError } from "../platform/error.ts";
import { errorFields, logLine, type Metrics, metricLine, metricsWanted } from "../platform/log.ts";
import { anchor, waitingSince } from "../service/anchor.ts";
import { ANCHOR } from "../service/anchor-items.ts";
import { ageOf } from "../service/clock.ts";
import { isIndexFault } from "../service/index/fault.ts";
import { codeOf } from "../service/runs.ts";
import type { AskedWitness } from "../service/witnesses.ts";
import { reportIndex } from "./indexed.ts";
import { service, takeSignatures } from "./open.ts";
import { onRequest } from "./rebuild.ts";
import { anchorLog } from "./restore.ts";
import { noteRun } from "./runs.ts";
import { stampPublic } from "./stamp.ts";

/**
 * Also takes an operator's `{"restore": "anchor"}` and `{"rebuild": "anchor"}` (restore.ts, rebuild.ts).
 * @throws when the run failed, so that Lambda counts it; the next run makes it good.
 */
export async function handler(event?: unknown): ReturnType<typeof onRequest> {
  const done = await onRequest(event, service(), [anchorLog(service())]);
  if (done === undefined) await anchorNow();
  return done;
}

/** @returns whether all that was published is public then: false while it waits for witnesses. @throws when the run failed. */
export async function anchorNow(): Promise<boolean> {
  try {
    const { anchored, size, publicSize, quorum, asked, changed, index } = await anchor(service());
    for (const file of changed) logLine("info", { event: file, changed: true });
    for (const witness of asked) witnessLine(witness, quorum);
    const line = {
      event: "anchor",
      anchored,
      size: Number(size),
      publicSize: Number(publicSize),
      quorum,
    };
    const { lag, fault } = reportIndex(ANCHOR, index);
    const metrics: Metrics = {
      ...(await runMetrics()),
      WitnessQuorum: quorum ? 1 : 0,
      IndexFault: fault ? 1 : 0,
      IndexLag: lag,
    };
    if (anchored > 0 || !quorum) logLine(quorum ? "info" : "error", line, metrics);
    else metricLine(line, metrics);
    const missing = asked.flatMap(({ outcome, witness }) => (outcome === "cosigned" ? [] : [witness]));
    await noteRun("anchorer", quorum ? { codes: [] } : { codes: ["witness_quorum"], missing });
    await stampPublic();
    return quorum;
  } catch (error) {
    logLine("error", { event: "anchor", ...errorFields(error) }, await runMetrics(error));
    await noteRun("anchorer", { codes: [codeOf(error)] });
    throw error;
  }
}

/** A line for a witness that did not cosign, or not with all of its keys; never its URL, nor a word of its answer. */
function witnessLine({ witness, outcome, status, invalid, cause }: AskedWitness, quorum: boolean): void {
  if (outcome === "cosigned" && invalid.length === 0) return;
  // Whoever says that there is another history, or signs what it was not asked, is to be looked at, quorum or not.
  const harmless = quorum && invalid.length === 0 && !["inconsistent", "ahead", "invalid"].includes(outcome);
  logLine(harmless ? "info" : "error", {
    event: "witness",
    witness,
    outcome,
    status,
    ...(invalid.length > 0 && { invalid: invalid.join(" ") }),
    ...(cause instanceof Error && { cause: `${cause.name}: ${cause.message}` }),
  });
}

/** What is known of a run, also of one that failed. */
async function runMetrics(error?: unknown): Promise<Metrics> {
  if (!metricsWanted()) return {};
  const age = await anchorAge();
  return {
    // After a failure it is not known that nothing waits: the run may not have come to look.
    AnchorAge: age === 0 && error !== undefined ? undefined : age,
    Signatures: takeSignatures("anchor"),
    RollbackRefused: error instanceof ServiceError && error.code === "rollback" ? 1 : 0,
    IndexFault: isIndexFault(error) ? 1 : 0,
  };
}

/** How long the oldest checkpoint has waited to be public, in ms; 0: none does; undefined: it cannot be told. */
async function anchorAge(): Promise<number | undefined> {
  try {
    const { store, clock } = service();
    const since = await waitingSince(store);
    return since === undefined ? 0 : ageOf(since, clock());
  } catch {
    return undefined;
  }
}
