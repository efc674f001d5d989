/** What the agent gives each of its sources, and asks of it. */
import type { Intake } from "../journal/types.ts";

/** Counts and words for the operator of the agent: names of counters are closed per kind, no PHI in either. */
export type Host = {
  readonly intake: Intake;
  /** Stops the source: it takes nothing more, and finishes what it has begun. */
  readonly signal: AbortSignal;
  /** A passing trouble, said once until it is over: `key` names it, `undefined` for what is over. */
  trouble(key: string, what: string | undefined): void;
  count(counter: string, by?: number): void;
  /** Answers a FHIR search over the journal; absent where the agent keeps no index of it. @throws Refusal */
  search?(request: Request): Promise<Response>;
};

export type Source = {
  /** Listens or reads until the signal. Rejects only on what no retry can mend, in words for the operator. */
  run(): Promise<void>;
  /** Resolves once a listener accepts connections; at once for what does not listen. With where, for `--port 0`. */
  ready(): Promise<{ url?: string }>;
};
