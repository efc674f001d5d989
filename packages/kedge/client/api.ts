/** The HTTP API as typed calls, in Node.js and in a browser. Every answer is checked against its shape before it is used. */

import { type ApiRequest, type Connection, request } from "@kedge/verify/net/http";
import { logPath, openLogReader, parseAnswer, read } from "@kedge/verify/net/log";
import * as z from "zod";
import { trailSchema } from "../contract/people.ts";
import {
  apiKeySchema,
  logSchema,
  progressSchema,
  publishedSchema,
  secretSchema,
  timelineSchema,
} from "../contract/wire.ts";
import { entrySchema, hexOf, proofs, statuses } from "./ask.ts";
import { type FollowOptions, follow } from "./follow.ts";
import { type Commitments, type PostOptions, post } from "./post.ts";

export type { Receipt } from "../contract/receipt.ts";
export type { ProofAnswer, StatusAnswer } from "./ask.ts";
export type { Followed } from "./follow.ts";
export type { Commitments } from "./post.ts";

/** One API key's view of the service. Commitments are 32 bytes in the calls and lower-case hex in the answers. */
export type Client = ReturnType<typeof openClient>;

/** `signal` ends the call, pauses included, with its reason; in place of the connection's. */
export type CallOptions = { signal?: AbortSignal | undefined };

/**
 * Every call throws ClientError, or the reason of the signal that ended it. Calls that may be repeated are, on network
 * errors, 429 and 5xx: after the pause that the service asks for, or after a growing one of some chance.
 */
export function openClient(connection: Connection) {
  const by = ({ signal }: CallOptions): Connection =>
    signal === undefined ? connection : { ...connection, signal };
  const call = async <T>(schema: z.ZodType<T>, what: ApiRequest, options: CallOptions): Promise<T> =>
    parseAnswer(schema, await request(by(options), what));

  const statusesOf = (log: string, commitments: Commitments, options: CallOptions = {}) =>
    statuses(by(options), log, commitments);
  const proofsOf = (log: string, commitments: Commitments, options: CallOptions = {}) =>
    proofs(by(options), log, commitments);

  return {
    /** Posts them all, and returns once they are durable. To post again what was posted changes nothing. */
    post: (log: string, commitments: Commitments, options: PostOptions & CallOptions = {}) =>
      post(by(options), log, commitments, options),
    entry: (log: string, commitment: Uint8Array, options: CallOptions = {}) =>
      call(entrySchema, read(`${logPath(log)}/entries/${hexOf(commitment)}`), options),
    /** How far each has come, in order, without its proof. */
    statuses: statusesOf,
    /** Each once it has come as far as `to`. */
    follow: (log: string, commitments: Commitments, options: FollowOptions = {}) =>
      follow((some) => statusesOf(log, some, options), commitments, options),
    /** In order. Nothing is verified. */
    proofs: proofsOf,
    proof: async (log: string, commitment: Uint8Array, options: CallOptions = {}) => {
      for await (const answer of proofsOf(log, [commitment], options)) return answer;
      throw new Error("a question without an answer");
    },
    /** `vkeys` are all that sign its checkpoints now, by the service's own word. */
    log: (log: string, options: CallOptions = {}) => call(namedLogSchema, read(logPath(log)), options),
    /** How far the log has come, by the service's own word. */
    progress: (log: string, options: CallOptions = {}) =>
      call(progressSchema, read(`${logPath(log)}/progress`), options),
    /** How the log came to where it is, by the service's own word. */
    timeline: (log: string, options: CallOptions = {}) =>
      call(timelineSchema, read(`${logPath(log)}/timeline`), options),
    /** The log's signed checkpoint; nothing is verified. */
    checkpoint: (log: string, options: CallOptions = {}) => openLogReader(by(options), log).checkpoint(),

    logs: async (options: CallOptions = {}) => (await call(namedLogsSchema, read("/v1/logs"), options)).logs,
    /** Who did what in Kedge, newest first; nothing is verified. */
    trail: ({ before, limit }: TrailPage, options: CallOptions = {}) => {
      const query = new URLSearchParams({ limit: `${limit}`, ...(before !== undefined && { before }) });
      return call(trailSchema, read(`/v1/trail?${query}`), options);
    },
    createLog: (name: string, options: CallOptions = {}) =>
      call(namedLogSchema, create("/v1/logs", { name }), options),
    keys: async (options: CallOptions = {}) => (await call(keysSchema, read("/v1/keys"), options)).keys,
    /** `apiKey` is in the answer to this call and never again. */
    createKey: (key: KeyRequest, options: CallOptions = {}) =>
      call(newKeySchema, create("/v1/keys", key), options),
    revokeKey: async (id: string, options: CallOptions = {}): Promise<void> => {
      const path = `/v1/keys/${encodeURIComponent(id)}`;
      await request(by(options), { method: "DELETE", path, idempotent: true });
    },
  };
}

/** `before`: the `next` of the page before. */
type TrailPage = { limit: number; before?: string | undefined };
/** `expiresAt` in RFC 3339. */
type KeyRequest = { name: string; scopes: string[]; log?: string; expiresAt?: string };

// The contract's answers, as a client reads them: what another version of the service may say in other words, or leave
// out, is any text, or optional; what the calls rely on is checked.
const anyText = z.string();
const namedLogSchema = logSchema
  .partial({ createdAt: true })
  .extend({ vkeys: z.array(anyText).min(1), size: publishedSchema.shape.size.optional() });
const namedLogsSchema = z.object({ logs: z.array(namedLogSchema) });
const keySchema = apiKeySchema.extend({ scopes: z.array(anyText) });
const keysSchema = z.object({ keys: z.array(keySchema) });
const newKeySchema = keySchema.and(secretSchema);

function create(path: string, body: unknown) {
  return { method: "POST", path, body, idempotent: false } as const;
}
