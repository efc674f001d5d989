/** What the numbering of an export shows, per source: by the numbers of its events, and by the agent's manifests beside them. */
import {
  addNumbered,
  type GivenManifest,
  judgeSource,
  type NumberedEvents,
  noNumbered,
  type SourceCompleteness,
} from "@kedge/verify/audit/completeness";
import type { Opening } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import {
  isOwnSource,
  MANIFEST_MEDIA_TYPE,
  manifestSource,
  parseManifest,
} from "@kedge/verify/events/manifest";
import type { VerifyClaim, VerifyReport } from "@kedge/verify/proof/verify";
import { hexToBytes } from "@noble/hashes/utils.js";
import { claimOf } from "./open.ts";
import type { OpenedEvent, Proofs } from "./types.ts";

/** What calls itself a manifest and is none is an event like any other: nobody hides a row behind a media type. */
export function isManifest({ opening, bytes }: OpenedEvent): boolean {
  if (opening?.mediaType !== MANIFEST_MEDIA_TYPE || opening.source === undefined) return false;
  try {
    return opening.source === manifestSource(parseManifest(bytes).source);
  } catch (error) {
    if (error instanceof EventError) return false;
    throw error;
  }
}

/**
 * Of every source that has a number, or a manifest that is proven: one that is not is none, as in a pack, for whoever hands over
 * an export may have made it up. Manifests are among the events.
 *
 * A row that was changed is not the event of its number, and the number is not missing: its hour is not as its manifest has it.
 *
 * @param verify under the keys that the rows are held against
 */
export function completenessOf(
  events: readonly OpenedEvent[],
  proofs: Proofs,
  verify: Verify,
): SourceCompleteness[] {
  const numbered = new Map<string, NumberedEvents>();
  const manifests = new Map<string, GivenManifest[]>();
  const number = ({ source, sequence }: Opening, commitment: string): void => {
    if (source === undefined || sequence === undefined || isOwnSource(source)) return;
    const ofSource = numbered.get(source) ?? noNumbered();
    numbered.set(source, ofSource);
    addNumbered(ofSource, BigInt(sequence), commitment);
  };
  const seen = new Set<string>();
  const changed = new Map<string, Opening>();
  for (const event of events) {
    const { commitment, opening, changedFrom } = event;
    if (commitment === undefined || opening === undefined) {
      if (changedFrom !== undefined) changed.set(changedFrom.commitment, changedFrom.opening);
      continue;
    }
    if (seen.has(commitment)) continue;
    seen.add(commitment);
    if (!isManifest(event)) {
      number(opening, commitment);
      continue;
    }
    const given = givenManifest(event, proofs, verify);
    if (given !== undefined) append(manifests, given.manifest.source, given);
  }
  // Of a record that opens a row elsewhere in the export nothing was changed.
  for (const [commitment, opening] of changed) if (!seen.has(commitment)) number(opening, NO_EVENT);
  const sources = [...new Set([...numbered.keys(), ...manifests.keys()])].toSorted();
  return sources.map((source) => judgeSource(source, manifests.get(source) ?? [], numbered.get(source)));
}

export type Verify = (claim: VerifyClaim) => VerifyReport;

/** In place of the commitment of what was changed: no event makes it. */
const NO_EVENT = "0".repeat(64);

function givenManifest(event: OpenedEvent, proofs: Proofs, verify: Verify): GivenManifest | undefined {
  const { bytes, commitment, opening } = event;
  const index = provenIndex(event, proofs, verify);
  if (commitment === undefined || opening?.sequence === undefined || index === undefined) return undefined;
  return {
    ...{ manifest: parseManifest(bytes), number: BigInt(opening.sequence) },
    ...{ commitment: hexToBytes(commitment), index },
  };
}

/** Where the event stands in its log; undefined unless its proof shows it. */
export function provenIndex(event: OpenedEvent, proofs: Proofs, verify: Verify): bigint | undefined {
  const claim = claimOf(event, proofs);
  const report = claim && verify(claim);
  if (!report?.proven || report.log === undefined || report.commitment !== event.commitment) return undefined;
  return BigInt(report.log.index);
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
