/** An officer's exports over a small log, made of keys that exist only in the test. It runs in a browser. */
import { readExports } from "@kedge/cli/evidence/exports";
import type { PackInput } from "@kedge/cli/evidence/make";
import { openEvents } from "@kedge/cli/evidence/open";
import type { GivenFile, GivenRecord, KnownProof, OpenedEvent } from "@kedge/cli/evidence/types";
import type { EventInput } from "@kedge/verify/events/commitment";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Committed, committed, PACK_POLICY } from "./pack.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const fhirEvent = (n: number): EventInput => ({
  bytes: utf8(
    JSON.stringify({
      resourceType: "AuditEvent",
      action: "R",
      recorded: `2026-03-02T08:0${n}:00Z`,
      agent: [{ name: "Ines Beispiel", requestor: true }],
      entity: [{ what: { reference: `Patient/MRN-${n}` }, role: { code: "1" }, name: "Erika Mustermann" }],
    }),
  ),
  mediaType: "application/fhir+json",
  source: "ehr",
  sequence: BigInt(n),
});

export const HEADER = "ACCESS_TIME|USER_ID|PAT_MRN_ID|PAT_NAME|BTG_EXPLANATION";
const row = (n: number): string =>
  `2026-03-0${n} 10:00:00|u${n}|MRN-${n}|Muster, Erika|${n === 2 ? "on call" : ""}`;
const rowEvent = (n: number): EventInput => ({ bytes: utf8(row(n)), mediaType: "text/csv" });

/** Six rows of a FHIR server, numbered, and four of an access log. */
export const ALL: readonly Committed[] = committed([
  ...Array.from({ length: 6 }, (_, i) => fhirEvent(i + 1)),
  ...Array.from({ length: 4 }, (_, i) => rowEvent(i + 1)),
]);

export const hexOf = (n: number): string => bytesToHex(ALL[n]?.commitment ?? new Uint8Array());

const lineOf = ({ event }: Committed): string => new TextDecoder().decode(event.bytes);

export const FHIR_FILE: GivenFile = {
  name: "ehr.ndjson",
  bytes: utf8(
    ALL.slice(0, 6)
      .map((one) => `${lineOf(one)}\n`)
      .join(""),
  ),
};
export const CSV_FILE: GivenFile = {
  name: "access.csv",
  bytes: utf8(`${[HEADER, ...ALL.slice(6).map(lineOf)].join("\r\n")}\r\n`),
};

export const RECORDS: readonly GivenRecord[] = ALL.map(({ commitment, opening }, i) => ({
  event: i < 6 ? "ehr.ndjson" : "access.csv",
  line: i < 6 ? i + 1 : i - 4,
  commitment: bytesToHex(commitment),
  opening,
}));

export const PROOFS: ReadonlyMap<string, KnownProof> = new Map(
  ALL.map(({ commitment, proof }) => [bytesToHex(commitment), { proof }]),
);

export function opened(
  files: readonly GivenFile[] = [FHIR_FILE, CSV_FILE],
  records: readonly GivenRecord[] = RECORDS,
): { events: OpenedEvent[]; unused: readonly GivenRecord[] } {
  const opening = openEvents(readExports(files), { records });
  const events: OpenedEvent[] = [];
  for (;;) {
    const step = opening.next();
    if (step.done) return { events, unused: step.value.unused };
    events.push(step.value);
  }
}

export const packInput = (over: Partial<PackInput> = {}): PackInput => ({
  events: opened().events,
  proofs: PROOFS,
  policy: PACK_POLICY,
  case: { kind: "access", language: "en", filter: {}, zone: "Europe/Berlin" },
  page: utf8("<!doctype html><title>Verify</title>\n"),
  ...over,
});
