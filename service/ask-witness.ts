/**
 * The conversation with one witness about one checkpoint (c2sp.org/tlog-witness, add-checkpoint). Its answers never
 * throw: whatever it says, or does not say, is an outcome.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { retryAfterMs, withTimeout } from "@kedge/verify/net/exchange";
import { type ParsedCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { type NoteSignature, parseSignatureLines, type Vkey } from "@kedge/verify/tlog/note";
import { formatAddCheckpoint, originHash, parseSize } from "@kedge/verify/tlog/witness";
import { validCosignatures } from "@kedge/verify/tlog/witness-client";
import { type Exchange, httpExchange, type WitnessResponse } from "./witness-http.ts";

/**
 * - `cosigned`: it gave at least one valid cosignature of a known key
 * - `unreachable`: no whole answer in time, or a 5xx
 * - `busy`: 429
 * - `refused`: it does not know this log or its key, or does not like the request: 400, 403, 404, a redirect…
 * - `inconsistent`: it cosigned another history: 422, or 409 for the size that it was just offered
 * - `ahead`: it says that it cosigned a larger tree than this checkpoint's
 * - `invalid`: 200 without a valid cosignature of a known key
 */
export type WitnessOutcome =
  | "cosigned"
  | "unreachable"
  | "busy"
  | "refused"
  | "inconsistent"
  | "ahead"
  | "invalid";

export type WitnessAnswer = {
  readonly outcome: WitnessOutcome;
  /** Of the last answer; absent: there was none. */
  readonly status?: number;
  readonly cosignatures: readonly NoteSignature[];
  /** Known keys under which a cosignature failed. */
  readonly invalid: readonly Vkey[];
  /** Why there was no answer. */
  readonly cause?: unknown;
};

export type Asking = {
  readonly exchange: Exchange;
  /** For one exchange. */
  readonly requestMs: number;
  /** Upper bound of the pause before the second attempt; doubled for each of the next. */
  readonly firstPauseMs: number;
};

/** A witness signs with a key of a key service, and may have to start first. */
export const ASKING: Asking = { exchange: httpExchange, requestMs: 8_000, firstPauseMs: 250 };

export type Question = {
  /** The submission prefix, without a slash at its end. */
  readonly url: string;
  readonly checkpoint: ParsedCheckpoint;
  /** The same as a signed note. */
  readonly note: string;
  /** The size that the witness is thought to have cosigned last; 0: unknown. */
  readonly oldSize: bigint;
  readonly prove: (oldSize: bigint) => Promise<readonly Uint8Array[]>;
  /** Keys whose cosignatures are wanted. */
  readonly vkeys: readonly Vkey[];
  /** Ends the conversation. */
  readonly signal: AbortSignal;
};

/** At one exchange. */
const ATTEMPTS = 3;
/** Old sizes that are tried: the remembered one, what the witness then says, and what it may have moved to meanwhile. */
const MAX_OFFERS = 4;
/** A witness that wants to be left alone for longer is asked again by the next run. */
const MAX_RETRY_AFTER_MS = 10_000;

/** @throws what `prove` throws, and nothing else. */
export async function askWitness(asking: Asking, question: Question): Promise<WitnessAnswer> {
  const { size } = question.checkpoint.checkpoint;
  const offered = new Set<bigint>();
  let oldSize = question.oldSize;
  for (;;) {
    offered.add(oldSize);
    const body = formatAddCheckpoint({
      oldSize,
      proof: await question.prove(oldSize),
      checkpoint: question.note,
    });
    const response = await exchangeWithRetries(asking, question, {
      url: `${question.url}/add-checkpoint`,
      body,
    });
    if ("cause" in response) return uncosigned("unreachable", response);
    if (response.status !== 409) return outcomeOf(question, response);

    const latest = await latestSize(asking, question, response, offered);
    if (latest === undefined) return uncosigned("refused", response);
    if (latest > size) return uncosigned("ahead", response);
    // Before tlog-witness said 422, witnesses answered 409 to another root of the same size.
    if (latest === oldSize) return uncosigned("inconsistent", response);
    if (offered.has(latest) || offered.size === MAX_OFFERS) return uncosigned("refused", response);
    oldSize = latest;
  }
}

/** The size that the witness cosigned last, as its 409 says or as it can be asked. Only a hint: it may lie. */
async function latestSize(
  asking: Asking,
  question: Question,
  { body }: WitnessResponse,
  offered: ReadonlySet<bigint>,
): Promise<bigint | undefined> {
  const said = attempt(() => parseSize(body));
  if (said !== undefined) return said;
  // "If a client doesn't have information on the latest cosigned checkpoint, it MAY [offer] a old size of zero."
  if (!offered.has(0n)) return 0n;
  const { origin } = question.checkpoint.checkpoint;
  const url = `${question.url}/${originHash(origin)}/checkpoint`;
  const response = await exchangeWithRetries(asking, question, { url });
  if ("cause" in response || response.status !== 200) return undefined;
  const found = attempt(() => parseCheckpoint(response.body).checkpoint);
  return found?.origin === origin ? found.size : undefined;
}

function outcomeOf({ checkpoint, vkeys }: Question, response: WitnessResponse): WitnessAnswer {
  const { status } = response;
  if (status === 200) {
    const signatures = attempt(() => parseSignatureLines(response.body)) ?? [];
    const { valid, invalid } = validCosignatures(checkpoint, signatures, vkeys);
    return { outcome: valid.length > 0 ? "cosigned" : "invalid", status, cosignatures: valid, invalid };
  }
  if (status === 429) return uncosigned("busy", response);
  if (status === 422) return uncosigned("inconsistent", response);
  return uncosigned(status >= 500 ? "unreachable" : "refused", response);
}

const uncosigned = (
  outcome: WitnessOutcome,
  { status, cause }: { readonly status?: number; readonly cause?: unknown },
): WitnessAnswer => ({
  outcome,
  cosignatures: [],
  invalid: [],
  ...(status !== undefined && { status }),
  ...(cause !== undefined && { cause }),
});

/** Tries again after no answer, a 429 or a 5xx: after Retry-After and a random pause. @returns what the last try gave. */
async function exchangeWithRetries(
  { exchange, requestMs, firstPauseMs }: Asking,
  { signal }: Question,
  request: { readonly url: string; readonly body?: string },
): Promise<WitnessResponse | { readonly cause: unknown }> {
  for (let attempts = 1; ; attempts++) {
    const asking = withTimeout(requestMs, (signal) => exchange({ ...request, signal }), signal);
    const response = await asking.catch((cause: unknown) => ({ cause }));
    const mayPass = "cause" in response || response.status === 429 || response.status >= 500;
    if (!mayPass || attempts === ATTEMPTS || signal.aborted) return response;
    const retryAfter = "cause" in response ? 0 : (retryAfterMs(response.retryAfter, response.date) ?? 0);
    if (retryAfter > MAX_RETRY_AFTER_MS) return response;
    const pause = Math.random() * firstPauseMs * 2 ** (attempts - 1);
    await sleep(retryAfter + pause, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return response;
  }
}

/** Undefined for what cannot be parsed: a witness may send anything. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}
