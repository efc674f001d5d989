/** How far each source has come, as it stands in the journal: beside a running agent, or without one. */
import { EventError } from "@kedge/verify/events/error";
import { GAP_MEDIA_TYPE, type Gap, parseGap } from "@kedge/verify/events/gap";
import { isOwnSource } from "@kedge/verify/events/manifest";
import type { Entry, JournalReader } from "../journal/types.ts";

/** A number up to 2^53 - 1; above, the same as a decimal string. */
export type Count = number | string;
export type GapStatus = {
  number: Count;
  /** As of `GapKind`; `unknown` where the journal's keys are not at hand, or what it says is unreadable. */
  kind: string;
  /** When it was journalled, RFC 3339. */
  at: string;
  octets?: number;
  detail?: string;
};
/** `last` is 0 before the first event: numbers begin at 1. `gaps` are the newest of them. */
export type SourceStatus = {
  name: string;
  seen: Count;
  journalled: Count;
  posted: Count;
  sealed: Count;
  last: Count;
  gaps: GapStatus[];
};

/** Of a source that has more, the newest are listed. */
const MAX_GAPS = 1_000;

/** Without the agent's own sources. Throws JournalError. */
export function statusOf(journal: Pick<JournalReader, "sources" | "gaps">): { sources: SourceStatus[] } {
  return {
    sources: journal
      .sources()
      .filter(({ name }) => !isOwnSource(name))
      .map(({ name, seen, journalled, posted, sealed, last = 0n }) => ({
        ...{ name, seen: count(seen), journalled: count(journalled) },
        ...{ posted: count(posted), sealed: count(sealed), last: count(last) },
        gaps: newest(journal.gaps(name)).map(gapStatus),
      })),
  };
}

function count(value: bigint): Count {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : `${value}`;
}

function newest(entries: Iterable<Entry>): Entry[] {
  let kept: Entry[] = [];
  for (const entry of entries) {
    kept.push(entry);
    if (kept.length >= 2 * MAX_GAPS) kept = kept.slice(-MAX_GAPS);
  }
  return kept.slice(-MAX_GAPS);
}

function gapStatus({ number, at, mediaType, bytes }: Entry): GapStatus {
  const common = { number: count(number), at: new Date(at).toISOString() };
  const gap = bytes === undefined || mediaType !== GAP_MEDIA_TYPE ? undefined : gapOf(bytes);
  if (gap === undefined) return { ...common, kind: "unknown" };
  const { kind, octets, detail } = gap;
  return {
    ...common,
    kind,
    ...(octets === undefined ? {} : { octets }),
    ...(detail === undefined ? {} : { detail }),
  };
}

/** undefined for what says that it is a gap and is none: one event must not keep the state of all from being told. */
function gapOf(bytes: Uint8Array): Gap | undefined {
  try {
    return parseGap(bytes);
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
}
