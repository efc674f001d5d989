/** The words of the three verdicts: each fact has a sentence in both languages, and none says what no proof shows. */
import { allLoggedBy, areBytes, loggedBy } from "@kedge/verify/proof/verdict";
import { type RecordFacts, tellVerdict, VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { type VerifyFailure, type VerifyReport, verifyEvent } from "@kedge/verify/proof/verify";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { describe, expect, test } from "vitest";
import {
  anchor,
  EVENT,
  log,
  makeProof,
  policyText,
  type Signer,
  witness1,
  witness2,
  witnessSigner,
} from "../../../support/proofs.ts";

const { en, de } = VERDICT_WORDS;
const { proof } = makeProof({ anchorSigners: [anchor, witness1, witness2] });
const trust = { logVkeys: [log.vkey], anchorVkeys: [anchor.vkey], policy: parsePolicy(policyText(2)) };
const report = verifyEvent({ ...trust, proof, event: EVENT.bytes });

test("an unchanged record is said to be what was logged, at or before the earliest time that another than the operator shows", () => {
  expect(loggedBy(report)).toMatchObject({ kind: "witness", at: "2026-02-25T06:14:25.000Z" });
  expect(tellVerdict({ verdict: "unchanged", report }, en)).toEqual({
    headline: "Unchanged",
    sentence: "This record is, byte for byte, what was logged at or before 25 February 2026, 06:14 UTC.",
  });
  expect(tellVerdict({ verdict: "unchanged", report }, de).sentence).toBe(
    "Dieser Datensatz ist Byte für Byte das, was spätestens am 25. Februar 2026, 06:14 Uhr UTC protokolliert war.",
  );
});

test("no witness dates back alone: of those of the quorum the latest counts, and below the quorum none", () => {
  const old = witnessSigner(witness2.vkey.name, 5, 1_577_836_800n);
  expect(old.vkey).toEqual(witness2.vkey);
  const timeBy = (...signers: Signer[]) =>
    loggedBy(
      verifyEvent({ ...trust, ...makeProof({ anchorSigners: [anchor, ...signers] }), event: EVENT.bytes }),
    );
  expect(timeBy(witness1, old)).toMatchObject({ kind: "witness", by: witness1.vkey.name });
  expect(timeBy(old)).toBeUndefined();
  const authority = { at: "2026-02-25T06:14:22.000Z", by: "CN=TSA", kind: "authority" } as const;
  expect(loggedBy({ times: [...report.times, authority] })).toEqual(authority);
});

test("of several, the time is named by which all were logged, and none where one shows none; where it is the operator's word of one, it is of all", () => {
  const later = { times: [{ at: "2026-02-26T00:00:00.000Z", by: "w", kind: "witness" as const }] };
  expect(allLoggedBy([report, later, report])?.at).toBe("2026-02-26T00:00:00.000Z");
  const own = { times: [{ at: "2026-02-25T00:00:00.000Z", by: "log", kind: "operator" as const }] };
  expect(allLoggedBy([own, later])).toMatchObject({ at: "2026-02-26T00:00:00.000Z", kind: "operator" });
  expect(allLoggedBy([report, { times: [] }])).toBeUndefined();
  expect(allLoggedBy([report, undefined])).toBeUndefined();
  expect(allLoggedBy([])).toBeUndefined();
});

test("of JSON that was committed to by its values, nobody says bytes of all", () => {
  const { mediaType } = EVENT;
  expect(areBytes([report, undefined])).toBe(true);
  expect(areBytes([report, { opening: { canonicalisation: "jcs", mediaType } }])).toBe(false);
});

test("without a time none is said, and the operator's own is called so", () => {
  const untimed = { ...report, times: [] };
  expect(tellVerdict({ verdict: "unchanged", report: untimed }, en).sentence).toContain("shows no time");
  const own = { ...report, times: report.times.map((time) => ({ ...time, kind: "operator" as const })) };
  expect(tellVerdict({ verdict: "unchanged", report: own }, en).sentence).toContain(
    "by the clock of who runs the log",
  );
});

test("of a record that is withheld only its entry is called unchanged", () => {
  const told = tellVerdict({ verdict: "unchanged", report, record: "withheld" }, en);
  expect(told.headline).not.toBe("Unchanged");
  expect(told.sentence).not.toMatch(/record is, byte for byte/);
});

const failed = (failure: VerifyFailure): VerifyReport => ({ proven: false, times: [], caveats: [], failure });
const changed = verifyEvent({ ...trust, proof, event: new Uint8Array(3) });
const facts: [name: string, facts: RecordFacts][] = [
  ["another record", { verdict: "changed", report: changed }],
  [
    "one that was converted",
    { verdict: "changed", report: failed({ step: "log", code: "converted", conversions: ["lf"] }) },
  ],
  [
    "a proof that was converted",
    { verdict: "changed", report: failed({ step: "proof", code: "converted", conversions: ["crlf"] }) },
  ],
  [
    "two histories",
    { verdict: "changed", report: failed({ step: "anchor", code: "two_histories", origin: "a", size: "1" }) },
  ],
  ["one log", { verdict: "changed", report: failed({ step: "anchor", code: "same_log" }) }],
  ["another row", { verdict: "changed", report }],
  [
    "an unknown key",
    { verdict: "untold", report: failed({ step: "log", code: "unknown_key", origin: "a", pinned: [] }) },
  ],
  ["no opening", { verdict: "untold", report: failed({ step: "opening", code: "no_opening" }) }],
  [
    "too little",
    { verdict: "untold", report: failed({ step: "requirement", code: "missing_signature", vkeys: [] }) },
  ],
  [
    "an unreadable proof",
    { verdict: "untold", report: verifyEvent({ ...trust, proof: "none", event: EVENT.bytes }) },
  ],
  ["a record that is not here", { verdict: "untold", report, record: "absent" }],
  ["a pending one", { verdict: "untold", noProof: "pending" }],
  ["one that the log does not know", { verdict: "untold", noProof: "unknown" }],
  ["one without a proof", { verdict: "untold" }],
];

describe.each(facts)("of %s", (_, fact) => {
  test("the verdict comes first, then what it means, then what to do, in both languages", () => {
    for (const words of [en, de]) {
      const { headline, sentence, advice } = tellVerdict(fact, words);
      expect(headline).toBe(words.headlines[fact.verdict]);
      expect(sentence.length).toBeGreaterThan(20);
      expect(advice?.length).toBeGreaterThan(15);
    }
    expect(tellVerdict(fact, de).sentence).not.toBe(tellVerdict(fact, en).sentence);
  });
});

test("no two of them are said alike", () => {
  const said = facts.map(([, fact]) => tellVerdict(fact, en).sentence);
  expect(new Set(said).size).toBe(facts.length);
});

test("no sentence says what no proof shows", () => {
  const all = JSON.stringify(VERDICT_WORDS);
  expect(all).not.toMatch(
    /anonym|certified|guarantee|legally binding|hash mismatch|zertifiziert|garantiert|rechtsverbindlich/i,
  );
  expect(en.notShown).toBe(
    "This does not show that the access was justified, that the record is true, or that nothing else happened.",
  );
});
