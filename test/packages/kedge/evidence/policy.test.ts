/** The keys that go with a case. The logs of a tenant have one public key, each under its own name. */
import { policyOfCase } from "@kedge/cli/evidence/policy";
import type { KnownProof } from "@kedge/cli/evidence/types";
import { keysOfPolicy } from "@kedge/verify/pack/read";
import type { Vkey } from "@kedge/verify/tlog/note";
import { expect, test } from "vitest";
import { hexOf, opened, PROOFS } from "../../../support/evidence.ts";
import { anchor, LOG_ORIGIN, log, logSigner } from "../../../support/proofs.ts";

const SECOND_ORIGIN = "audit.example.org/log/second";
const second = logSigner(SECOND_ORIGIN, 1).vkey;
const given = {
  events: opened().events,
  proofs: PROOFS,
  case: { filter: {}, zone: "UTC" },
};
const asOfSecond = ({ proof = "" }: KnownProof): KnownProof => ({
  proof: proof.replace(`\n${LOG_ORIGIN}\n`, `\n${SECOND_ORIGIN}\n`),
});
const logsIn = (logVkeys: Vkey[], over: Partial<typeof given> = {}): string[] =>
  keysOfPolicy(policyOfCase({ logVkeys, anchorVkeys: [anchor.vkey] }, { ...given, ...over })).logVkeys.map(
    ({ name }) => name,
  );
const proofsOfSecond = new Map([...PROOFS].map(([hex, known]) => [hex, asOfSecond(known)]));

test("keys of another log of the tenant are left out, whichever was pinned first", () => {
  expect(logsIn([log.vkey, second])).toEqual([LOG_ORIGIN]);
  expect(logsIn([second, log.vkey])).toEqual([LOG_ORIGIN]);
  expect(logsIn([log.vkey, second], { proofs: proofsOfSecond })).toEqual([SECOND_ORIGIN]);
});

test("all keys of the log go along: it signs with two while one takes over from another", () => {
  const next = logSigner(LOG_ORIGIN, 77).vkey;
  expect(logsIn([log.vkey, second, next])).toEqual([LOG_ORIGIN, LOG_ORIGIN]);
});

test("where there is no proof it is the log that was pinned first", () => {
  expect(logsIn([second, log.vkey], { proofs: new Map() })).toEqual([SECOND_ORIGIN]);
});

test("rows in two logs that one key signs make no policy; those outside the case do not matter", () => {
  const proofs = new Map(PROOFS).set(hexOf(1), asOfSecond(PROOFS.get(hexOf(1)) ?? { noProof: "unknown" }));
  expect(() => logsIn([log.vkey, second], { proofs })).toThrow(expect.objectContaining({ code: "case" }));
  const about = { filter: { patient: "MRN-3" }, zone: "UTC" };
  expect(logsIn([log.vkey, second], { proofs, case: about })).toEqual([LOG_ORIGIN]);
});

test("logs that have keys of their own stand in it side by side", () => {
  const other = logSigner(SECOND_ORIGIN, 78).vkey;
  const proofs = new Map(PROOFS).set(hexOf(1), asOfSecond(PROOFS.get(hexOf(1)) ?? { noProof: "unknown" }));
  expect(logsIn([log.vkey, other], { proofs })).toEqual([LOG_ORIGIN, SECOND_ORIGIN]);
});
