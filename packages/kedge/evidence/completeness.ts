/** What the numbering of an export shows, per source: by the numbers of its events, and by the agent's manifests beside them. */
import {
  addNumbered,
  type GivenManifest,
  judgeSource,
  type NumberedEvents,
  noNumbered,
  type SourceCompleteness,
} from "@kedge/verify/audit/completeness";
import { EventError } from "@kedge/verify/events/error";
import {
  isOwnSource,
  MANIFEST_MEDIA_TYPE,
  manifestSource,
  parseManifest,
} from "@kedge/verify/events/manifest";
import { parseProofFile } from "@kedge/verify/proof/extra";
import { TlogError } from "@kedge/verify/tlog/error";
import { hexToBytes } from "@noble/hashes/utils.js";
import { commitsOf } from "./open.ts";
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
 * Of every source that has a number or a manifest. Manifests are among the events: opened ones, whose proofs say where they
 * stand. A manifest without a proof is not relied on.
 */
export function completenessOf(events: readonly OpenedEvent[], proofs: Proofs): SourceCompleteness[] {
  const numbered = new Map<string, NumberedEvents>();
  const manifests = new Map<string, GivenManifest[]>();
  const seen = new Set<string>();
  for (const event of events) {
    const { commitment, opening } = commitsOf(event) ?? {};
    if (commitment === undefined || seen.has(commitment)) continue;
    seen.add(commitment);
    if (opening?.source === undefined || opening.sequence === undefined) continue;
    if (isManifest(event)) {
      const given = givenManifest(event, proofs);
      if (given !== undefined) append(manifests, given.manifest.source, given);
    } else if (!isOwnSource(opening.source)) {
      const ofSource = numbered.get(opening.source) ?? noNumbered();
      numbered.set(opening.source, ofSource);
      addNumbered(ofSource, BigInt(opening.sequence), commitment);
    }
  }
  const sources = [...new Set([...numbered.keys(), ...manifests.keys()])].toSorted();
  return sources.map((source) => judgeSource(source, manifests.get(source) ?? [], numbered.get(source)));
}

function givenManifest(event: OpenedEvent, proofs: Proofs): GivenManifest | undefined {
  const { bytes, commitment, opening } = event;
  if (commitment === undefined || opening?.sequence === undefined) return undefined;
  try {
    const manifest = parseManifest(bytes);
    if (opening.source !== manifestSource(manifest.source)) return undefined;
    const index = indexOf(proofs.get(commitment)?.proof);
    return {
      ...{ manifest, number: BigInt(opening.sequence), commitment: hexToBytes(commitment) },
      ...(index === undefined ? {} : { index }),
    };
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
}

function indexOf(proof: string | undefined): bigint | undefined {
  try {
    return proof === undefined ? undefined : parseProofFile(proof).proof.index;
  } catch (error) {
    if (error instanceof TlogError || error instanceof EventError) return undefined;
    throw error;
  }
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
