/** Keeps in the store how the runs of this process ended (service/runs.ts). */
import { keepRun, type Run, type Runner } from "../service/runs.ts";
import { service } from "./open.ts";

/** On one machine a schedule runs every second: what is as before is written again after so long. */
const REWRITE_MS = 10_000;

const written = new Map<Runner, Run>();

/** Never a reason for the run to fail: where it cannot be kept, it is seen to be old. */
export async function noteRun(
  runner: Runner,
  { codes, missing = [] }: { readonly codes: readonly string[]; readonly missing?: readonly string[] },
): Promise<void> {
  const { store, clock } = service();
  const distinct = (all: readonly string[]) => [...new Set(all)].sort().join(" ");
  const run = { at: BigInt(clock()), codes: distinct(codes), missing: distinct(missing) };
  const last = written.get(runner);
  const isSame = last?.codes === run.codes && last.missing === run.missing;
  if (isSame && run.at >= last.at && run.at - last.at < REWRITE_MS) return;
  try {
    await keepRun(store, runner, run);
    written.set(runner, run);
  } catch {
    written.delete(runner);
  }
}
