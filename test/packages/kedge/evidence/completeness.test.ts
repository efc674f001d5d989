/** What an export shows of its numbers, and what whoever hands it over cannot make it show. */
import { completenessOf } from "@kedge/cli/evidence/completeness";
import { makePack } from "@kedge/cli/evidence/make";
import { reconcile } from "@kedge/cli/evidence/reconcile";
import type { KnownProof, OpenedEvent } from "@kedge/cli/evidence/types";
import {
  MANIFEST_MEDIA_TYPE,
  type Manifest,
  manifestBytes,
  manifestSource,
} from "@kedge/verify/events/manifest";
import { judgePack } from "@kedge/verify/pack/judge";
import { readPack } from "@kedge/verify/pack/read";
import { openVerifier } from "@kedge/verify/proof/verify";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { ALL, FHIR_FILE, opened, PROOFS, packInput } from "../../../support/evidence.ts";
import { stubReport } from "../../../support/pack.ts";
import { anchor, LOG_ORIGIN, log, logSigner, makeProof, type Signer } from "../../../support/proofs.ts";
import { readZip } from "../../../support/zip.ts";

const verify = openVerifier({ logVkeys: [log.vkey], anchorVkeys: [anchor.vkey] });

/** Of the first so many events of the source, as its agent would have counted them in one hour. */
function manifestOf(count: number, index: number, signer: Signer) {
  const manifest: Manifest = {
    source: "ehr",
    from: Date.parse("2026-03-02T08:00:00Z"),
    to: Date.parse("2026-03-02T09:00:00Z"),
    numbers: { first: 1n, last: BigInt(count) },
    root: rootOf(ALL.slice(0, count).map(({ commitment }) => leafHash(commitment))),
  };
  const bytes = manifestBytes(manifest);
  const about = { mediaType: MANIFEST_MEDIA_TYPE, source: manifestSource("ehr"), sequence: 1n };
  const made = makeProof({ event: { bytes, ...about }, index, logSigners: [signer] });
  const commitment = bytesToHex(made.commitment);
  const event: OpenedEvent = {
    ...{ file: `manifest-${count}.json`, bytes, mediaType: MANIFEST_MEDIA_TYPE, columns: {} },
    ...{ commitment, opening: made.opening },
  };
  return { event, commitment, proof: { proof: made.proof } };
}
const own = manifestOf(6, 5, log);
/** Before the agent's in its log, as its proof says, which a key of the same name signed. */
const madeUp = manifestOf(4, 0, logSigner(LOG_ORIGIN, 77));

const linesOf = (text: string): string[] => text.trimEnd().split("\n");
const rowsOf = (edit: (lines: string[]) => string[]): OpenedEvent[] => {
  const lines = edit(linesOf(new TextDecoder().decode(FHIR_FILE.bytes)));
  return opened([{ ...FHIR_FILE, bytes: new TextEncoder().encode(`${lines.join("\n")}\n`) }]).events;
};
const proofsWith = (...manifests: { commitment: string; proof: KnownProof }[]) =>
  new Map([...PROOFS, ...manifests.map(({ commitment, proof }) => [commitment, proof] as const)]);

const cut = rowsOf((lines) => lines.slice(0, 4));
const MISSING = { finding: "sequence_missing", source: "ehr", first: "5", last: "6" };

test.each([
  ["signed by a key that is not the log's", proofsWith(own, madeUp)],
  ["in no log", proofsWith(own)],
  ["with the proof of another", proofsWith(own, { ...madeUp, proof: own.proof })],
])("a made-up manifest %s hides no row that was taken out", async (_, proofs) => {
  const events = [madeUp.event, ...cut, own.event];
  const [source] = completenessOf(events, proofs, verify);
  expect(source).toEqual(completenessOf([...cut, own.event], proofs, verify)[0]);
  expect(source).toMatchObject({ periods: [{ count: 6n, verdict: "incomplete" }], findings: [MISSING] });

  const steps = reconcile({ events, unused: [], proofs, verify });
  let step = steps.next();
  while (!step.done) step = steps.next();
  expect(step.value.sources).toEqual([source]);

  for (const filter of [{}, { patient: "MRN-1" }]) {
    const about = { kind: "access", language: "en", zone: "UTC", filter } as const;
    const input = packInput({ events, proofs, case: about });
    const { zip, judged, unproven } = await makePack(input, { makeReport: stubReport });
    expect(judged.verdict).toBe("unchanged");
    expect(unproven).toEqual(proofs.has(madeUp.commitment) ? [madeUp.event] : []);
    const again = await judgePack(await readPack(zip), { makeReport: stubReport });
    expect([again.verdict, again.files]).toEqual(["unchanged", []]);
    const files = readZip(zip);
    const manifests = new TextDecoder().decode(files.get("manifests/proofs.ndjson")?.bytes());
    expect(manifests.includes(madeUp.commitment)).toBe(false);
    expect(manifests.includes(own.commitment)).toBe(true);
    const gaps = new TextDecoder().decode(files.get("gaps.json")?.bytes());
    expect(gaps).toMatch(/sequence_missing[^}]*"first":\s*"5",\s*"last":\s*"6"/);
  }
});

test("a manifest that its log's key signed counts: its hour is complete where all its events are there", () => {
  const proofs = proofsWith(own);
  const all = rowsOf((lines) => lines);
  expect(completenessOf([...all, own.event], proofs, verify)).toMatchObject([
    { periods: [{ verdict: "complete" }], findings: [] },
  ]);
  const others = openVerifier({ logVkeys: [logSigner(LOG_ORIGIN, 78).vkey], anchorVkeys: [] });
  expect(completenessOf([...all, own.event], proofs, others)).toMatchObject([{ periods: [], findings: [] }]);
});

test("a row that was changed is not missing, and is not what its hour's manifest counts", () => {
  const changed = rowsOf((lines) => lines.map((line) => line.replace("MRN-3", "MRN-8")).toSpliced(4, 1));
  expect(completenessOf(changed, PROOFS, verify)).toMatchObject([
    { findings: [{ finding: "sequence_missing", first: "5", last: "5" }] },
  ]);
  const whole = rowsOf((lines) => lines.map((line) => line.replace("MRN-3", "MRN-8")));
  expect(completenessOf([...whole, own.event], proofsWith(own), verify)).toMatchObject([
    { periods: [{ verdict: "incomplete" }], findings: [{ finding: "manifest_root" }] },
  ]);
});

test("nor is it missing in a pack of a selection that it is in, by the word of who made it", async () => {
  const edited = rowsOf((lines) => lines.map((line) => line.replace("MRN-3", "MRN-8")).toSpliced(4, 1));
  const input = packInput({
    ...{ events: [...edited, own.event], proofs: proofsWith(own) },
    case: { kind: "access", language: "en", zone: "UTC", filter: { patient: "MRN-8" } },
  });
  const { zip } = await makePack(input, { makeReport: stubReport });
  const { verdict, files, maker } = await judgePack(await readPack(zip), { makeReport: stubReport });
  expect([verdict, files]).toEqual(["changed", []]);
  expect(maker?.sources).toMatchObject([{ findings: [{ finding: "sequence_missing", first: "5" }] }]);
});
