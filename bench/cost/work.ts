/** What one run of a handler costs, whatever AWS charges for it: counts that add up. */
import { type Calls, NO_CALLS } from "./calls.ts";

export type Work = Calls & {
  /** Bytes that the run left in the table, per-item overhead included, in the published bucket and in the index. */
  readonly tableBytes: number;
  readonly bucketBytes: number;
  readonly indexBytes: number;
  readonly cpuMs: number;
  /** Bytes of the lines that it logged, CloudWatch's own of each line included. */
  readonly logBytes: number;
  /** Bytes of the HTTP response, headers included. */
  readonly responseBytes: number;
};

export const NO_WORK: Work = {
  ...NO_CALLS,
  tableBytes: 0,
  bucketBytes: 0,
  indexBytes: 0,
  cpuMs: 0,
  logBytes: 0,
  responseBytes: 0,
};

/** Between two measured runs: of `a` at 0, of `b` at 1. */
export function between(a: Work, b: Work, share: number): Work {
  return each((name) => a[name] * (1 - share) + b[name] * share);
}

/** What one run does beyond another. */
export const beyond = (more: Work, less: Work): Work => each((name) => more[name] - less[name]);

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
    indexGets: value("indexGets"),
    indexPuts: value("indexPuts"),
    ed25519Signatures: value("ed25519Signatures"),
    mldsaSignatures: value("mldsaSignatures"),
    dynamodbRounds: value("dynamodbRounds"),
    kmsRounds: value("kmsRounds"),
    s3Rounds: value("s3Rounds"),
    failures: value("failures"),
    tableBytes: value("tableBytes"),
    bucketBytes: value("bucketBytes"),
    indexBytes: value("indexBytes"),
    cpuMs: value("cpuMs"),
    logBytes: value("logBytes"),
    responseBytes: value("responseBytes"),
  };
}
