/** A review as it is signed off: who reviewed which rows under which filter. It is committed like any event, and stays here. */
import { REVIEW_FILTERS } from "@kedge/cli/contract/people";
import type { OpenedEvent } from "@kedge/cli/evidence/types";
import { canonicalise } from "@kedge/verify/events/canonical";
import { commitEvent } from "@kedge/verify/events/commitment";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { zipSync } from "fflate";
import type { Counts, NewReview, Wanted } from "./messages.ts";

const MEDIA_TYPE = "application/vnd.kedge.review+json";

export type ReviewInput = {
  by: string;
  log: string;
  wanted: Wanted;
  /** In any order: how a screen sorts, in which language, is nothing that could be told later. */
  rows: Iterable<Pick<OpenedEvent, "commitment">>;
  counts: Counts;
  /** Ms since the epoch. */
  now: number;
};

/**
 * `review`: what is posted, and nothing more of it. `zip`: the document, JCS (RFC 8785), and its record as `kedge commit` has
 * one, so that `kedge verify` opens it. The nonce is random: nobody finds out the filter's words by trying.
 */
export function makeReview({ by, log, wanted, rows, counts, now }: ReviewInput): {
  name: string;
  zip: Uint8Array<ArrayBuffer>;
  review: NewReview;
} {
  const { filter, zone, verdict } = wanted;
  const commitments: string[] = [];
  let count = 0;
  for (const { commitment } of rows) {
    count += 1;
    if (commitment !== undefined) commitments.push(commitment);
  }
  const root = bytesToHex(rootOf(commitments.sort().map((commitment) => leafHash(hexToBytes(commitment)))));
  const at = new Date(now).toISOString();
  const document = {
    ...{ v: 1, by, at, log, zone, filter: { ...filter, ...(verdict && { verdict }) } },
    ...{ count, commitments: commitments.length, root, verdicts: counts },
  };
  const bytes = canonicalise("jcs", new TextEncoder().encode(JSON.stringify(document)));
  const nonce = crypto.getRandomValues(new Uint8Array(32));
  const { commitment, opening } = commitEvent({ bytes, mediaType: MEDIA_TYPE }, { nonce });
  const name = `review-${at.slice(0, 10)}-${bytesToHex(commitment).slice(0, 8)}`;
  const record = { event: `${name}.json`, commitment: bytesToHex(commitment), opening };
  const zip = zipSync(
    {
      [`${name}.json`]: bytes,
      "records.ndjson": new TextEncoder().encode(`${JSON.stringify(record)}\n`),
    },
    { mtime: new Date(now) },
  );
  const { from, to } = filter;
  const narrowed: Partial<Record<(typeof REVIEW_FILTERS)[number], unknown>> = document.filter;
  return {
    ...{ name: `${name}.zip`, zip },
    review: {
      commitment: record.commitment,
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
      filter: REVIEW_FILTERS.filter((member) => narrowed[member] !== undefined),
      ...{ count, root },
    },
  };
}
