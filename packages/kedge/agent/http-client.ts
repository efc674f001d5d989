/** The agent's own requests to other systems: where a secret may go and where it comes from, and bounded answers. */
import { readRegular } from "@kedge/verify/cli/regular";
import { ClientError, type ClientErrorCode } from "@kedge/verify/error";
import { type Answer, readBounded, retryAfterMs } from "@kedge/verify/net/exchange";
import { exchange, isLoopback } from "@kedge/verify/net/fetch";
import * as z from "zod";
import { AgentError } from "./error.ts";

const MAX_SECRET = 1 << 16;
const TIMEOUT = 120_000;
const MAX_TOKEN_ANSWER = 1 << 20;
const MAX_ERROR_ANSWER = 1 << 16;
/** Ms. A server that asks for a longer pause is asked again all the same. */
const LONGEST_PAUSE = 3_600_000;
/** Ms before a token ends that another is asked for. */
const RENEWAL = 30_000;

/** Where what is sent cannot be read on the way. The URL itself is shown, so it has no secret. */
export const urlSchema = z
  .url({ protocol: /^https?$/ })
  .refine(
    (url) => url.startsWith("https:") || isLoopback(new URL(url)),
    "http:// is for loopback alone: write https://",
  )
  .refine(
    (url) => new URL(url).username === "" && new URL(url).password === "",
    "a URL has no name and password: put what is secret into a file",
  );

/** A file that holds one line. It is read anew each time, for whoever renews it. @throws AgentError `config` */
export function secretOf(path: string): string {
  const text = new TextDecoder().decode(readSecret(path)).trim();
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new AgentError("config", `${path} holds no token: it is one line without spaces.`);
}

function readSecret(path: string): Uint8Array {
  try {
    return readRegular(path, MAX_SECRET);
  } catch (cause) {
    throw new AgentError("config", cause instanceof Error ? cause.message : `${path} cannot be read`, {
      cause,
    });
  }
}

/** A bearer token in a file, or the client credentials of OAuth 2.0 (RFC 6749 §4.4) that one is had for. */
export const authorizationSchema = z.union([
  z.strictObject({ tokenFile: z.string() }),
  z.strictObject({
    tokenUrl: urlSchema,
    clientId: z.string().min(1),
    secretFile: z.string(),
    scope: z.string().optional(),
  }),
]);

export type Authorization = {
  /** The header; undefined for none. @throws ClientError, AgentError `config` */
  header(signal: AbortSignal): Promise<string | undefined>;
  /** It was refused: another is asked for next time. */
  refused(): void;
};

const tokenAnswer = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]+$/),
  expires_in: z.number().optional(),
});

export function openAuthorization(options: z.output<typeof authorizationSchema> | undefined): Authorization {
  if (options === undefined) return { header: async () => undefined, refused: () => undefined };
  if ("tokenFile" in options) {
    return { header: async () => `Bearer ${secretOf(options.tokenFile)}`, refused: () => undefined };
  }
  let kept: { token: string; until: number } | undefined;
  return {
    refused() {
      kept = undefined;
    },
    async header(signal) {
      if (kept === undefined || performance.now() > kept.until) {
        const { tokenUrl, clientId, secretFile, scope } = options;
        // RFC 6749 §2.3.1
        const pair = [clientId, secretOf(secretFile)].map(encodeURIComponent).join(":");
        const { bytes } = await requestBytes(new URL(tokenUrl), {
          ...{ signal, limit: MAX_TOKEN_ANSWER, method: "POST" },
          headers: {
            Accept: "application/json",
            Authorization: `Basic ${Buffer.from(pair).toString("base64")}`,
            "Content-Type": "application/x-www-form-urlencoded",
          },
          body: new URLSearchParams({ grant_type: "client_credentials", ...(scope && { scope }) }).toString(),
        });
        const { success, data } = tokenAnswer.safeParse(jsonOf(bytes));
        if (!success) throw new ClientError("protocol", "The token server gave no token");
        const lifetime = (data.expires_in ?? 300) * 1000 - RENEWAL;
        kept = { token: data.access_token, until: performance.now() + lifetime };
      }
      return `Bearer ${kept.token}`;
    },
  };
}

type BytesRequest = {
  authorization?: Authorization;
  signal: AbortSignal;
  /** Octets of the answer, decoded. */
  limit: number;
  headers: Record<string, string>;
  method?: string;
  body?: string;
};

/** The body of a 200, and the server's time. @throws ClientError, or the signal's reason */
export async function requestBytes(
  url: URL,
  { authorization, signal, limit, headers, ...init }: BytesRequest,
): Promise<{ bytes: Uint8Array; date: number | undefined }> {
  const bearer = await authorization?.header(signal);
  const sent = { ...init, headers: { ...headers, ...(bearer !== undefined && { Authorization: bearer }) } };
  return exchange(url, sent, { timeout: TIMEOUT, signal }, async (answer) => {
    if (answer.status === 401) authorization?.refused();
    if (answer.status !== 200) throw await refusalOf(answer);
    const bytes = await readBounded(answer.body, limit);
    if (bytes === undefined) {
      const what = `The server's answer is larger than ${limit} octets: ask for less at a time`;
      throw new ClientError("protocol", what);
    }
    const date = Date.parse(answer.headers.get("date") ?? "");
    return { bytes, date: Number.isNaN(date) ? undefined : date };
  });
}

/** In our own words, which quote nothing that came. */
async function refusalOf({ status, headers, body }: Answer): Promise<ClientError> {
  const retryAfter = retryAfterMs(headers.get("retry-after"), headers.get("date"));
  const codes = issueCodes(await readBounded(body, MAX_ERROR_ANSWER));
  const because = codes.length === 0 ? "" : ` (${codes.join(", ")})`;
  const isRedirect = status >= 300 && status < 400;
  const what = isRedirect
    ? `${status}, which is elsewhere: name the address itself in url`
    : `${status}${because}`;
  return new ClientError(codeOf(status), `The server answered ${what}`, {
    ...(retryAfter === undefined ? {} : { retryAfter: Math.min(retryAfter, LONGEST_PAUSE) }),
  });
}

function codeOf(status: number): ClientErrorCode {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (status === 404) return "not_found";
  if (status === 429) return "throttled";
  return status >= 500 ? "server" : status >= 400 ? "invalid" : "protocol";
}

const outcomeAnswer = z.object({ issue: z.array(z.object({ code: z.string().regex(/^[a-z-]{1,30}$/) })) });

/** Of an OperationOutcome. Its texts may name a patient. */
function issueCodes(bytes: Uint8Array | undefined): string[] {
  const { data } = outcomeAnswer.safeParse(jsonOf(bytes ?? new Uint8Array()));
  return data?.issue.slice(0, 5).map(({ code }) => code) ?? [];
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
