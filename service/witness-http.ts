/** One HTTP exchange with a witness. What it answers is hostile until its signatures have been verified. */
import { readBounded } from "@kedge/verify/net/exchange";

export type WitnessRequest = {
  readonly url: string;
  /** Present: POST it; absent: GET. */
  readonly body?: string;
  readonly signal: AbortSignal;
};

export type WitnessResponse = {
  readonly status: number;
  /** The header of that name. */
  readonly retryAfter: string | null;
  /** Of the answer, as the witness's clock has it; absent: it does not say. */
  readonly date?: string | null;
  /** Empty when it is larger than MAX_BODY bytes. */
  readonly body: Uint8Array;
};

/** Rejects when there is no whole answer by the signal. A redirect is an answer, and not followed. */
export type Exchange = (request: WitnessRequest) => Promise<WitnessResponse>;

/** 64 signature lines of ML-DSA-44 are 220 kB. */
const MAX_BODY = 256 * 1024;

/**
 * Connections are kept alive by fetch's own agent, as the specification asks: a 409 and what follows it share one. A
 * function that slept finds its connection closed; that exchange fails and is tried again.
 */
export const httpExchange: Exchange = async ({ url, body, signal }) => {
  const response = await fetch(url, {
    ...(body === undefined ? { method: "GET" } : { method: "POST", body }),
    redirect: "manual",
    signal,
  }).catch((error: unknown) => {
    // "fetch failed" says nothing; what does is its cause.
    throw error instanceof TypeError && error.cause instanceof Error ? error.cause : error;
  });
  return {
    status: response.status,
    retryAfter: response.headers.get("Retry-After"),
    date: response.headers.get("Date"),
    body: (await readBounded(response.body, MAX_BODY)) ?? new Uint8Array(),
  };
};
