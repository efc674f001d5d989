/**
 * How the last run of each schedule ended, and what that means for whoever asks whether the service is ready. The API reads
 * it from the store: it cannot see the publication, in which a table that was set back is recognised.
 */
import * as z from "zod";
import { type Item, type Key, parseItem, type Store } from "../platform/store.ts";

/** Who runs on a schedule. */
export type Runner = "sealer" | "anchorer";

const runKey = (runner: Runner): Key => ({ pk: `run/${runner}`, sk: "-" });

const schema = z.object({
  /** When it ended, ms since the epoch. */
  at: z.bigint(),
  /** Of what went wrong, distinct, spaces between; empty: nothing. */
  codes: z.string(),
  /** The names in the policy of witnesses that were asked and did not cosign, likewise. */
  missing: z.string(),
});
export type Run = Readonly<z.infer<typeof schema>>;

export async function keepRun(store: Store, runner: Runner, run: Run): Promise<void> {
  await store.put({ ...runKey(runner), ...run });
}

/** A part of the service that does not do its work, and why. No id of a tenant or a log is in it. */
export type Reason = {
  readonly part: "store" | "sealing" | "anchoring";
  readonly code: string;
  readonly detail: string;
};

export type ReadyContext = {
  readonly store: Store;
  readonly clock: () => number;
  /** Between two runs, ms. */
  readonly every: Readonly<Record<Runner, number>>;
};

/** Runs that may be missed before a part counts as standing still. */
const MISSED_RUNS = 5;

/** @returns nothing when all is well. @throws ServiceError of the store. */
export async function readiness({ store, clock, every }: ReadyContext): Promise<Reason[]> {
  const [sealer, anchorer] = await store.get([runKey("sealer"), runKey("anchorer")]);
  const now = clock();
  return [
    ...reasonsOf("sealing", decode(sealer), { now, every: every.sealer }),
    ...reasonsOf("anchoring", decode(anchorer), { now, every: every.anchorer }),
  ];
}

const decode = (item: Item | undefined): Run | undefined => item && parseItem(schema, item);

function reasonsOf(
  part: "sealing" | "anchoring",
  run: Run | undefined,
  { now, every }: { now: number; every: number },
): Reason[] {
  // From the future: a clock was wrong then, and the next run would have put it right.
  if (run === undefined || Math.abs(now - Number(run.at)) > MISSED_RUNS * every) {
    const when =
      run === undefined ? "has not run yet" : `last ran at ${new Date(Number(run.at)).toISOString()}`;
    return [{ part, code: "stale", detail: `${part} ${when}: look at its schedule and its log lines` }];
  }
  const codes = run.codes.split(" ").filter((code) => code !== "");
  return codes.map((code) => ({ part, code, detail: `${part}: ${detailOf(code, run)}` }));
}

/** What to do stands in docs/operations.md, under these names. */
function detailOf(code: string, { missing }: Run): string {
  switch (code) {
    case "rollback":
      return "the store is not what was published, so nothing of it is signed (rollback-refused)";
    case "corrupt":
      return "stored bytes are missing or altered, so nothing of them is signed (corrupt)";
    case "signer":
      return "KMS does not sign (signer)";
    case "throttled":
      return "the store is throttled (table-throttled)";
    case "unavailable":
      return "the store, KMS or the publication does not answer (unavailable)";
    case "witness_quorum":
      return `too few witnesses have cosigned (witness-quorum)${missing === "" ? "" : `; missing: ${missing.replaceAll(" ", ", ")}`}`;
    default:
      return "it fails; its log lines say why";
  }
}

/** The code of what a run met. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "failed";
