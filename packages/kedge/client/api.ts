/** The HTTP API as typed calls. Every answer is checked against its shape before it is used. */

import { ClientError } from "@kedge/verify/error";
import { withRetries } from "@kedge/verify/net/exchange";
import {
  type ApiRequest,
  type Connection,
  problemCode,
  problemSchema,
  request,
} from "@kedge/verify/net/http";
import { logPath, openLogReader, parseAnswer, read } from "@kedge/verify/net/log";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as z from "zod";
import { MAX_ENTRIES, MAX_PROOFS } from "../contract/limits.ts";
import {
  acceptedSchema,
  apiKeySchema,
  entryStatusSchema,
  logSchema,
  progressSchema,
  proofLineSchema,
  publishedSchema,
  secretSchema,
} from "../contract/wire.ts";

/** One API key's view of the service. Commitments are 32 bytes in the calls and lower-case hex in the answers. */
export type Client = ReturnType<typeof openClient>;

/** Every call throws ClientError. Calls that may be repeated are, on network errors, 429 and 5xx. */
export function openClient(connection: Connection) {
  return {
    /** Posts 1 to 10,000 commitments; returns once they are durable. */
    post: (log: string, commitments: readonly Uint8Array[]) =>
      call(connection, countedSchema, {
        method: "POST",
        path: `${logPath(log)}/entries`,
        body: { hashes: commitments.map(bytesToHex) },
        idempotent: true,
      }),
    entry: (log: string, commitment: Uint8Array) =>
      call(connection, entrySchema, read(`${logPath(log)}/entries/${bytesToHex(commitment)}`)),
    /** How far each has come, in order, without its proof. */
    statuses: (log: string, commitments: readonly Uint8Array[]) => statuses(connection, log, commitments),
    proofs: (log: string, commitments: readonly Uint8Array[]) => proofs(connection, log, commitments),
    /** `vkeys` are all that sign its checkpoints now, by the service's own word. */
    log: (log: string) => call(connection, namedLogSchema, read(logPath(log))),
    /** How far the log has come, by the service's own word. */
    progress: (log: string) => call(connection, progressSchema, read(`${logPath(log)}/progress`)),
    /** The log's signed checkpoint; nothing is verified. */
    checkpoint: (log: string) => openLogReader(connection, log).checkpoint(),

    logs: async () => (await call(connection, namedLogsSchema, read("/v1/logs"))).logs,
    createLog: (name: string) => call(connection, namedLogSchema, create("/v1/logs", { name })),
    keys: async () => (await call(connection, keysSchema, read("/v1/keys"))).keys,
    /** `apiKey` is in the answer to this call and never again. */
    createKey: (key: KeyRequest) => call(connection, newKeySchema, create("/v1/keys", key)),
    revokeKey: async (id: string): Promise<void> => {
      const path = `/v1/keys/${encodeURIComponent(id)}`;
      await request(connection, { method: "DELETE", path, idempotent: true });
    },
  };
}

/** `expiresAt` in RFC 3339. */
type KeyRequest = { name: string; scopes: string[]; log?: string; expiresAt?: string };

/** One hash's answer: its proof at the highest assurance there is, or why there is none. */
export type ProofAnswer = { hash: string } & (
  | { state: "proof"; assurance: string; proof: string }
  | { state: "pending" }
  | { state: "unknown"; detail: string }
);

/** One hash's answer: how far it has come. `sealed` and all beyond it are in a tree; times are RFC 3339, by the service's word. */
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

// The contract's answers, as a client reads them: what another version of the service may say in other words, or leave
// out, is any text, or optional; what the calls rely on is checked.
const anyText = z.string();
const countedSchema = acceptedSchema.extend({ accepted: z.int().nonnegative() });
const entrySchema = entryStatusSchema.extend({ hash: anyText, assurance: anyText });
const lineSchema = z.union([
  proofLineSchema.pick({ proof: true }).required().extend({ hash: anyText, assurance: anyText }),
  z.object({ hash: anyText, problem: problemSchema }),
]);
const statusLineSchema = z.union([
  entrySchema.required({ index: true, treeSize: true, sealedAt: true }),
  z.object({ hash: anyText, assurance: z.literal("pending") }),
  z.object({ hash: anyText, problem: problemSchema }),
]);
const namedLogSchema = logSchema
  .partial({ createdAt: true })
  .extend({ vkeys: z.array(anyText).min(1), size: publishedSchema.shape.size.optional() });
const namedLogsSchema = z.object({ logs: z.array(namedLogSchema) });
const keySchema = apiKeySchema.extend({ scopes: z.array(anyText) });
const keysSchema = z.object({ keys: z.array(keySchema) });
const newKeySchema = keySchema.and(secretSchema);
type ProofLine = z.infer<typeof lineSchema>;

/** Answers for every commitment, in order, in as many requests as the sizes of the proofs take. */
async function* proofs(
  connection: Connection,
  log: string,
  commitments: readonly Uint8Array[],
): AsyncGenerator<ProofAnswer> {
  const hashes = commitments.map(bytesToHex);
  for (let from = 0; from < hashes.length; ) {
    const asked = hashes.slice(from, from + MAX_PROOFS);
    const lines = await askLines(connection, `${logPath(log)}/proofs`, asked, lineSchema);
    const isFull = (line: ProofLine): boolean =>
      "problem" in line && problemCode(line.problem) === "response_full";
    const firstFull = lines.findIndex(isFull);
    const answered = firstFull === -1 ? lines : lines.slice(0, firstFull);
    if (answered.length === 0) throw new ClientError("protocol", "The service answered none of the hashes");
    yield* answered.map(answerOf);
    from += answered.length;
  }
}

async function* statuses(
  connection: Connection,
  log: string,
  commitments: readonly Uint8Array[],
): AsyncGenerator<StatusAnswer> {
  for (let from = 0; from < commitments.length; from += MAX_ENTRIES) {
    const asked = commitments.slice(from, from + MAX_ENTRIES).map(bytesToHex);
    const lines = await askLines(connection, `${logPath(log)}/entries/status`, asked, statusLineSchema);
    yield* lines.map(statusOf);
  }
}

/** What a question of many hashes is answered: NDJSON, one line for each in their order. */
async function askLines<Line extends { hash: string }>(
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

function statusOf(line: z.infer<typeof statusLineSchema>): StatusAnswer {
  const { hash } = line;
  if ("problem" in line) return { hash, state: "unknown", detail: detailOf(line.problem) };
  return "index" in line ? { state: "sealed", ...line } : { hash, state: "pending" };
}

function answerOf(line: ProofLine): ProofAnswer {
  const { hash } = line;
  if ("proof" in line) return { hash, state: "proof", assurance: line.assurance, proof: line.proof };
  const code = problemCode(line.problem);
  if (code === "pending") return { hash, state: "pending" };
  return { hash, state: "unknown", detail: detailOf(line.problem) };
}

const detailOf = (problem: z.infer<typeof problemSchema>): string => problem.detail ?? problemCode(problem);

function create(path: string, body: unknown) {
  return { method: "POST", path, body, idempotent: false } as const;
}

async function call<T>(connection: Connection, schema: z.ZodType<T>, what: ApiRequest): Promise<T> {
  return parseAnswer(schema, await request(connection, what));
}
