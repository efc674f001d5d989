/** Questions about many entries: their proofs, or how far they have come. NDJSON, one line for each in their order. */
import { ClientError } from "@kedge/verify/error";
import { withRetries } from "@kedge/verify/net/exchange";
import { type Connection, problemCode, problemSchema, request } from "@kedge/verify/net/http";
import { logPath, parseAnswer } from "@kedge/verify/net/log";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as z from "zod";
import { MAX_ENTRIES, MAX_PROOFS } from "../contract/limits.ts";
import { entryStatusSchema, proofLineSchema } from "../contract/wire.ts";
import { chunks } from "./chunks.ts";
import { type Commitments, checked } from "./post.ts";

/** One hash's answer: its proof at the highest assurance there is, or why there is none. */
export type ProofAnswer = { hash: string } & (
  | { state: "proof"; assurance: string; proof: string }
  | { state: "pending" }
  | { state: "unknown"; detail: string }
);

/** One hash's answer: how far it has come. `sealed` and all beyond are in a tree; times are RFC 3339, by the service's word. */
export type StatusAnswer = { hash: string } & (
  | { state: "pending" }
  | {
      state: "sealed";
      assurance: string;
      index: number;
      treeSize: number;
      sealedAt: string;
      anchoredAt?: string | undefined;
    }
  | { state: "unknown"; detail: string }
);

// What another version of the service may say in other words is any text here; what the calls rely on is checked.
const anyText = z.string();
export const entrySchema = entryStatusSchema.extend({ hash: anyText, assurance: anyText });
const refusedSchema = z.object({ hash: anyText, problem: problemSchema });
const proofSchema = z.union([
  proofLineSchema.pick({ proof: true }).required().extend({ hash: anyText, assurance: anyText }),
  refusedSchema,
]);
const statusSchema = z.union([
  entrySchema.required({ index: true, treeSize: true, sealedAt: true }),
  z.object({ hash: anyText, assurance: z.literal("pending") }),
  refusedSchema,
]);

/** Answers for every commitment, in order, in as many requests as the sizes of the proofs take. */
export async function* proofs(
  connection: Connection,
  log: string,
  commitments: Commitments,
): AsyncGenerator<ProofAnswer> {
  for await (const some of chunks(commitments, MAX_PROOFS)) {
    const hashes = some.map(hexOf);
    for (let from = 0; from < hashes.length; ) {
      const lines = await ask(connection, `${logPath(log)}/proofs`, hashes.slice(from), proofSchema);
      const firstFull = lines.findIndex(
        (line) => "problem" in line && problemCode(line.problem) === "response_full",
      );
      const answered = firstFull === -1 ? lines : lines.slice(0, firstFull);
      if (answered.length === 0) throw new ClientError("protocol", "The service answered none of the hashes");
      yield* answered.map(proofOf);
      from += answered.length;
    }
  }
}

/** Answers for every commitment, in order. */
export async function* statuses(
  connection: Connection,
  log: string,
  commitments: Commitments,
): AsyncGenerator<StatusAnswer> {
  for await (const some of chunks(commitments, MAX_ENTRIES)) {
    const lines = await ask(connection, `${logPath(log)}/entries/status`, some.map(hexOf), statusSchema);
    yield* lines.map(statusOf);
  }
}

export const hexOf = (commitment: Uint8Array): string => bytesToHex(checked(commitment));

async function ask<Line extends { hash: string }>(
  connection: Connection,
  path: string,
  hashes: readonly string[],
  schema: z.ZodType<Line>,
): Promise<Line[]> {
  // An answer cut short is a network error that only shows once the lines are counted: hence retries of its own.
  const once = { ...connection, attempts: 1 };
  const what = { method: "POST", path, body: { hashes }, idempotent: true } as const;
  return await withRetries(connection, true, async () =>
    readLines(await request(once, what), hashes, schema),
  );
}

function readLines<Line extends { hash: string }>(
  text: string,
  asked: readonly string[],
  schema: z.ZodType<Line>,
): Line[] {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.length < asked.length) {
    throw new ClientError("network", "The service's answer was cut short: try again");
  }
  const parsed = lines.map((line) => parseAnswer(schema, line));
  if (parsed.length > asked.length || parsed.some(({ hash }, i) => hash !== asked[i])) {
    throw new ClientError("protocol", "The service answered for other hashes than were asked for");
  }
  return parsed;
}

function proofOf(line: z.infer<typeof proofSchema>): ProofAnswer {
  const { hash } = line;
  if ("proof" in line) return { hash, state: "proof", assurance: line.assurance, proof: line.proof };
  return problemCode(line.problem) === "pending" ? { hash, state: "pending" } : unknown(line);
}

function statusOf(line: z.infer<typeof statusSchema>): StatusAnswer {
  if ("problem" in line) return unknown(line);
  return "index" in line ? { state: "sealed", ...line } : { hash: line.hash, state: "pending" };
}

const unknown = ({ hash, problem }: z.infer<typeof refusedSchema>) =>
  ({ hash, state: "unknown", detail: problem.detail ?? problemCode(problem) }) as const;
