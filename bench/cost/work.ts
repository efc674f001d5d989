/** What one run of a handler costs, whatever AWS charges for it: counts that add up. */
import type { Calls } from "./calls.ts";

export type Work = Calls & {
  /** Bytes that the run left in the table, per-item overhead included, and in the bucket. */
  readonly tableBytes: number;
  readonly bucketBytes: number;
  readonly cpuMs: number;
  /** Bytes of the lines that it logged, CloudWatch's own of each line included. */
  readonly logBytes: number;
  /** Bytes of the HTTP response, headers included. */
  readonly responseBytes: number;
};

/** Between two measured runs: of `a` at 0, of `b` at 1. */
export function between(a: Work, b: Work, share: number): Work {
  return each((name) => a[name] * (1 - share) + b[name] * share);
}

export const scaled = (work: Work, factor: number): Work => each((name) => work[name] * factor);

/** @throws RangeError of no work at all. */
export function average(works: readonly Work[]): Work {
  if (works.length === 0) throw new RangeError("there is no work to average");
  return each((name) => works.reduce((sum, work) => sum + work[name], 0) / works.length);
}

function each(value: (name: keyof Work) => number): Work {
  return {
    readUnits: value("readUnits"),
    writeUnits: value("writeUnits"),
    gets: value("gets"),
    puts: value("puts"),
    ed25519Signatures: value("ed25519Signatures"),
    mldsaSignatures: value("mldsaSignatures"),
    dynamodbRounds: value("dynamodbRounds"),
    kmsRounds: value("kmsRounds"),
    s3Rounds: value("s3Rounds"),
    failures: value("failures"),
    tableBytes: value("tableBytes"),
    bucketBytes: value("bucketBytes"),
    cpuMs: value("cpuMs"),
    logBytes: value("logBytes"),
    responseBytes: value("responseBytes"),
  };
}
