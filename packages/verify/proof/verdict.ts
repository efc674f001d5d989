/** The three verdicts on a record, which a page and a report say before anything else. Facts; the words are beside. */
import { type FailureKind, kindOf, type SignedTime, type VerifyReport } from "./verify.ts";

/**
 * - `unchanged`: the record is, byte for byte, what was logged
 * - `changed`: it was changed, or was never logged
 * - `untold`: nothing can be told yet: pending, or keys, opening or evidence are missing
 */
export type RecordVerdict = "unchanged" | "changed" | "untold";

/** A record of which only the form was converted is not, byte for byte, what was logged. */
const OF_KIND: Record<FailureKind, RecordVerdict> = {
  refuted: "changed",
  converted: "changed",
  insufficient: "untold",
  untold: "untold",
};

/**
 * Of a proof as it was checked, or of none. Only a proof shows that something was changed. That the log says it has none shows
 * nothing, nor does a row that is not what its own record was made of, while that record is not proven to be in the log.
 *
 * @param commitment hex: what the record is said to be in the log, where that is said
 */
export function verdictOf(
  report: Pick<VerifyReport, "failure" | "commitment"> | undefined,
  commitment?: string,
): RecordVerdict {
  if (report === undefined) return "untold";
  if (report.failure !== undefined) return OF_KIND[kindOf(report.failure)];
  // Record and proof belong together, and to another than they stand for.
  return commitment === undefined || report.commitment === commitment ? "unchanged" : "changed";
}

/** Of several: one that was changed outweighs any that cannot be told. Of none: nothing can be told. */
export function worstVerdict(verdicts: Iterable<RecordVerdict>): RecordVerdict {
  let worst: RecordVerdict | undefined;
  for (const verdict of verdicts) {
    if (verdict === "changed") return "changed";
    if (worst === undefined || verdict === "untold") worst = verdict;
  }
  return worst ?? "untold";
}

/** Whether each was committed to as its bytes are, and none by the values of its JSON (RFC 8785). */
export const areBytes = (reports: Iterable<Pick<VerifyReport, "opening"> | undefined>): boolean =>
  ![...reports].some((report) => report?.opening?.canonicalisation === "jcs");

/**
 * By then, all of them were logged: the operator's word where it is of any of them. Undefined if of any of them no time is shown,
 * and of none.
 */
export function allLoggedBy(
  reports: Iterable<Pick<VerifyReport, "times"> | undefined>,
): SignedTime | undefined {
  let latest: SignedTime | undefined;
  let operator: SignedTime | undefined;
  for (const report of reports) {
    const time = report && loggedBy(report);
    if (time === undefined) return undefined;
    if (time.kind === "operator") operator = time;
    if (latest === undefined || Date.parse(time.at) > Date.parse(latest.at)) latest = time;
  }
  return latest && operator ? { ...operator, at: latest.at } : latest;
}

/**
 * The time that "at or before" names: the earliest that somebody else than the operator shows, or else the operator's own. Of
 * witnesses it is the latest, by which all of them say so: none of them dates back alone. Undefined when the proof shows none.
 */
export function loggedBy({ times }: Pick<VerifyReport, "times">): SignedTime | undefined {
  const inOrder = times.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const others = inOrder.filter(({ kind }) => kind !== "operator");
  const lastWitness = others.findLast(({ kind }) => kind === "witness");
  const [earliest] =
    others.length > 0 ? others.filter((it) => it.kind !== "witness" || it === lastWitness) : inOrder;
  return earliest;
}
