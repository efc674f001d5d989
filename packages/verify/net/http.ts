/** One request to the API: time-outs, size limits, retries, and from problem+json (RFC 9457) to ClientError. */
import * as z from "zod";
import { ClientError, type ClientErrorCode } from "../error.ts";
import { quoted } from "../text.ts";
import { type Answer, type Retries, readBounded, retryAfterMs, withRetries } from "./exchange.ts";
import { exchange, isLoopback } from "./fetch.ts";

export type Connection = Retries & {
  /** Where the API is, such as `https://audit.example.org`. */
  url: string;
  /** Or the token of a person's session. Absent: for calls that need none. */
  apiKey?: string;
  /** Per attempt, in ms. */
  timeout?: number;
};

export type ApiRequest = {
  method: "GET" | "POST" | "DELETE";
  path: string;
  /** Sent as JSON, or bytes as they are. */
  body?: unknown;
  /** Whether to send it again when it is not known if the first one arrived. */
  idempotent: boolean;
};

const DEFAULT_TIMEOUT = 30_000;
/** Characters of the service's reason that a message shows. */
const MAX_DETAIL = 300;
/** Lambda answers with at most 6 MB. */
const MAX_BODY = 16 << 20;

/** The text of a 2xx answer. Throws ClientError. */
export async function request(connection: Connection, what: ApiRequest): Promise<string> {
  return new TextDecoder().decode(await requestBytes(connection, what, MAX_BODY));
}

/** The bytes of a 2xx answer, `limit` at most. Throws ClientError. */
export async function requestBytes(
  connection: Connection,
  { method, path, body, idempotent }: ApiRequest,
  limit: number,
): Promise<Uint8Array> {
  const base = checkConnection(connection);
  const url = new URL(base.pathname.replace(/\/$/, "") + path, base);
  const init = {
    method,
    headers: {
      ...(connection.apiKey !== undefined && { Authorization: `Bearer ${connection.apiKey}` }),
      ...(body === undefined ? {} : { "Content-Type": isOctets(body) ? OCTETS : "application/json" }),
    },
    ...(body === undefined ? {} : { body: isOctets(body) ? body : JSON.stringify(body) }),
  };
  const limits = { timeout: connection.timeout ?? DEFAULT_TIMEOUT, signal: connection.signal };
  return await withRetries(connection, idempotent, () =>
    exchange(url, init, limits, (answer) => readAnswer(answer, limit)),
  );
}

const OCTETS = "application/octet-stream";
const isOctets = (body: unknown): body is Uint8Array<ArrayBuffer> => body instanceof Uint8Array;

async function readAnswer(answer: Answer, limit: number): Promise<Uint8Array> {
  const most = answer.ok ? limit : MAX_BODY;
  const bytes = await readBounded(answer.body, most);
  if (bytes === undefined) throw new ClientError("protocol", `The answer is larger than ${most} bytes`);
  if (answer.ok) return bytes;
  throw problemError(answer, new TextDecoder().decode(bytes));
}

/** The URL, if a request could be sent with both. Throws ClientError `invalid`. */
export function checkConnection({ url, apiKey }: Connection): URL {
  // fetch would quote a key that no header can hold.
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new ClientError("invalid", "The API key has characters that no API key has: copy it again");
  }
  return checkUrl(url);
}

/** An API key is sent in the clear to nobody but this machine. Throws ClientError `invalid`. */
export function checkUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url))) return url;
  throw new ClientError(
    "invalid",
    "The URL of the service begins with https:// (http:// only on this machine)",
  );
}

export const problemSchema = z.object({
  type: z.string(),
  title: z.string().optional(),
  detail: z.string().optional(),
});

type Problem = z.infer<typeof problemSchema>;

/** The last part of a problem's type: `pending` of `urn:kedge:problem:pending`. */
export function problemCode({ type }: Problem): string {
  return type.slice(Math.max(type.lastIndexOf(":"), type.lastIndexOf("/")) + 1);
}

function problemError(response: Answer, text: string): ClientError {
  const problem = readProblem(text);
  const reason = problem?.detail ?? problem?.title;
  const detail = reason === undefined ? "the service gave no reason" : quoted(reason, MAX_DETAIL);
  const code =
    problem !== undefined && problemCode(problem) === "pending" ? "pending" : codeOf(response.status);
  const retryAfter = retryAfterMs(response.headers.get("Retry-After"), response.headers.get("Date"));
  return new ClientError(code, `${ADVICE[code]} (${response.status}: ${detail})`, {
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}

function readProblem(text: string): Problem | undefined {
  try {
    return problemSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export function codeOf(status: number): ClientErrorCode {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (status === 404) return "not_found";
  if (status === 429) return "throttled";
  if (status >= 500) return "server";
  return status >= 400 ? "invalid" : "protocol";
}

const ADVICE: Record<ClientErrorCode, string> = {
  network: "The service cannot be reached",
  unauthorized: "The API key is not accepted: it is wrong, expired or revoked",
  forbidden: "The API key lacks the scope for this: use another, or create one that has it",
  not_found: "Not found, or not for this API key",
  pending: "Not sealed yet: try again shortly",
  invalid: "The service refused the request",
  throttled: "The service is busy: try again later, or with smaller batches",
  server: "The service failed: try again later",
  protocol: "The answer is not Kedge's: check the URL",
};
