/**
 * Passes the original messages of a source on to its upstream, in order, for as long as it takes: the queue lies in the
 * journal, so a dead upstream, or an agent that is killed, loses none. What was on its way meanwhile may come twice.
 */
import { insist } from "./insist.ts";
import type { Backoff } from "./pause.ts";
import type { Host } from "./source.ts";

/**
 * Sends messages, oldest first. It gives up by itself on an upstream that hangs, and at the signal.
 * @returns how many of them, from the first on, the upstream has now: one at least. Throws when it has none, with words for
 * the operator that quote nothing of a message.
 */
export type Send = (messages: readonly Uint8Array[], signal: AbortSignal) => Promise<number>;

export type Forwarding = {
  /** There is, or may be, something new in the queue. */
  wake(): void;
  /** Once the source is stopped, and what was on its way has come to an end. Never rejects. */
  done: Promise<void>;
};

/** Messages at a time; the journal bounds their octets. */
const BATCH = 512;
/** Ms that what is on its way has left once the source is stopped: cut off, it is sent again after the next start. */
const GRACE = 5000;
const QUEUE = "upstream queue";

export function startForwarding({
  host,
  send,
  pauses,
}: {
  host: Pick<Host, "intake" | "signal" | "trouble" | "count">;
  send: Send;
  pauses?: Backoff;
}): Forwarding {
  const { intake, signal } = host;
  const bell = newBell();
  const cut = new AbortController();
  let grace: NodeJS.Timeout | undefined;
  const stop = (): void => {
    bell.ring();
    grace = setTimeout(() => cut.abort(), GRACE);
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      const batch = await insist(host, QUEUE, () => intake.forwards(BATCH), pauses);
      if (batch?.length === 0) await bell.rung();
      if (batch === undefined || batch.length === 0) continue;
      const messages = batch.map(({ message }) => message);
      const count = await insist(host, "upstream", () => send(messages, cut.signal), pauses);
      const last = batch[(count ?? 0) - 1];
      if (count === undefined || last === undefined) continue;
      // Apart from the sending: what the upstream has does not go there again because the journal's disk is full.
      await insist(host, QUEUE, () => intake.forwarded(last.id), pauses);
      host.count("forwarded", count);
    }
  };

  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const done = run().finally(() => {
    signal.removeEventListener("abort", stop);
    clearTimeout(grace);
  });
  return { wake: bell.ring, done };
}

/** Rung before anybody waits, it is heard all the same. */
function newBell(): { ring(): void; rung(): Promise<void> } {
  let isRung = false;
  let hear: (() => void) | undefined;
  return {
    ring: () => {
      isRung = true;
      hear?.();
    },
    rung: async () => {
      if (!isRung) await new Promise<void>((resolve) => (hear = resolve));
      isRung = false;
      hear = undefined;
    },
  };
}
