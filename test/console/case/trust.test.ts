/** Keys of logs as an officer drops them: the verifier page reads the same files alike. */
import { TlogError } from "@kedge/verify/tlog/error";
import { formatVkey } from "@kedge/verify/tlog/note";
import { expect, test } from "vitest";
import { recognise } from "../../../console/case/recognise.ts";
import { givenTrust } from "../../../console/case/trust.ts";
import { PACK_POLICY } from "../../support/pack.ts";
import { anchor, log, policyText } from "../../support/proofs.ts";

const COMMENTED = `# from the contract\r\n${formatVkey(log.vkey)}\r\n${formatVkey(anchor.vkey)}\r\n`;

test.each<[string, Uint8Array]>([
  ["a policy", Buffer.from(PACK_POLICY)],
  ["a policy as UTF-16", Buffer.from(`\ufeff${PACK_POLICY}`, "utf16le")],
  ["keys under a comment", Buffer.from(COMMENTED)],
])("%s is told by what it holds", (_, bytes) => {
  expect(recognise(new Uint8Array(bytes), true)).toBe("policy");
});

test("keys under a comment are keys of their logs", () => {
  expect(givenTrust([COMMENTED])).toEqual({ by: "given", logVkeys: [log.vkey], anchorVkeys: [anchor.vkey] });
});

test("two policies that differ are no trust: which of them counts is the officer's to say", () => {
  expect(() => givenTrust([policyText(1), policyText(2)])).toThrow(TlogError);
});

test("a file without a key is not taken for one with keys", () => {
  expect(givenTrust([])).toBeUndefined();
  expect(() => givenTrust(["", "# none yet\n"])).toThrow(TlogError);
});
