/** What was given: files told by what they hold, keys by their names, and what a scanned code may say. */
import { FILE_KINDS, kindOfFile, linesOf, pemOf } from "@kedge/verify/page/given";
import { readTrust } from "@kedge/verify/page/given-trust";
import { parseScanned } from "@kedge/verify/page/scanned";
import { languageOf } from "@kedge/verify/page/strings/strings";
import { joinKeys, parseKeys, policyText } from "@kedge/verify/proof/keys";
import { TlogError } from "@kedge/verify/tlog/error";
import { formatVkey } from "@kedge/verify/tlog/note";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PACK_POLICY } from "../../../support/pack.ts";
import {
  anchor,
  EVENT,
  log,
  logSigner,
  makeProof,
  policyText as policyOf,
  witness1,
} from "../../../support/proofs.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const { proof, commitment, opening } = makeProof({});
const hex = Buffer.from(commitment).toString("hex");
const proofLine = JSON.stringify({ event: "a.json", commitment: hex, proof });
const record = JSON.stringify({ event: "a.json", commitment: hex, opening });

describe("a file is told by what it holds", () => {
  test.each<[string, string, Uint8Array | string]>([
    ["event", "a.json", EVENT.bytes],
    ["event", "empty.json", ""],
    ["event", "a.xml", "<AuditMessage/>"],
    ["events", "export.ndjson", '{"a":1}\n{"a":2}\n'],
    ["proof", "renamed.txt", proof],
    ["proof", "utf16", Buffer.from(`\ufeff${proof}`, "utf16le")],
    ["proof", "broken.tlog-proof", "half of a proof"],
    ["proofs", "proofs.ndjson", `${proofLine}\n${proofLine}\n`],
    ["proofs", "proofs.txt", `\n${proofLine}`],
    ["records", "records.ndjson", `${record}\n`],
    ["opening", "opening.json", JSON.stringify(opening)],
    ["keys", "policy", PACK_POLICY],
    ["keys", "utf16.txt", Buffer.from(`\ufeff${PACK_POLICY}`, "utf16le")],
    ["keys", "vkeys.txt", `# from the contract\n${formatVkey(log.vkey)}\n`],
    ["keys", "block.txt", `358391:${"0f".repeat(32)}\n`],
    ["certificate", "root.pem", "Subject: A TSA\n-----BEGIN CERTIFICATE-----\nMIIB\n"],
    ["certificate", "root.der", Uint8Array.of(0x30, 0x82, 1, 2)],
    ["pack", "case", Uint8Array.of(0x50, 0x4b, 3, 4)],
    ["pack", "cut.zip", ""],
  ])("%s: %s", (kind, name, content) => {
    expect(kindOfFile(name, typeof content === "string" ? utf8(content) : content)).toBe(kind);
  });

  test("whatever it holds, it is told", () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array(), (name, bytes) => {
        expect(FILE_KINDS).toContain(kindOfFile(name, bytes));
      }),
    );
  });

  test("lines are views of the file, blank ones are none, and a carriage return is part of its line", () => {
    const lines = [...linesOf(utf8("a\r\n\n \nb"))].map(({ line, bytes }) => [
      line,
      new TextDecoder().decode(bytes),
    ]);
    expect(lines).toEqual([
      [1, "a\r"],
      [4, "b"],
    ]);
  });

  test("a certificate in DER becomes one in PEM", () => {
    expect(pemOf(Uint8Array.of(0x30, 1, 2))).toMatch(/^-----BEGIN CERTIFICATE-----\nMAEC\n-----END/);
  });
});

describe("keys", () => {
  test("a policy with the keys of both logs", () => {
    const { logVkeys, anchorVkeys, policy } = parseKeys(PACK_POLICY);
    expect([logVkeys, anchorVkeys]).toEqual([[log.vkey], [anchor.vkey]]);
    expect(policy?.quorum).toBe("all");
  });

  test("keys one a line are sorted by their names; Windows line endings do no harm", () => {
    const text = `${formatVkey(anchor.vkey)}\r\n\r\n  ${formatVkey(log.vkey)}`;
    expect(parseKeys(text)).toEqual({ logVkeys: [log.vkey], anchorVkeys: [anchor.vkey] });
  });

  test("a policy that a program saved as UTF-16 is the same policy", () => {
    const bytes = new Uint8Array(Buffer.from(`\ufeff${PACK_POLICY}`, "utf16le"));
    const {
      refused,
      leftOut: _,
      isGiven,
      malformed,
      tsaCerts,
      ...keys
    } = readTrust([{ id: 0, name: "policy.txt", bytes, sha256: "", kind: "keys" }], "");
    expect([refused, isGiven, malformed, tsaCerts]).toEqual([[], true, undefined, []]);
    expect(keys).toEqual({ ...parseKeys(PACK_POLICY), bitcoinBlocks: [] });
  });

  test("keys that are pasted count alone: a file that was handed over beside the records may hold one too", () => {
    const theirs = logSigner("audit.example.org/log/another", 40).vkey;
    const file = (name: string, text: string) =>
      ({ id: 0, name, bytes: utf8(text), sha256: "", kind: "keys" }) as const;
    const files = [file("policy.txt", policyOf(1)), file("notes.txt", formatVkey(theirs))];
    const { leftOut, ...trust } = readTrust(files, PACK_POLICY);
    expect(trust).toMatchObject(parseKeys(PACK_POLICY));
    expect(leftOut).toEqual(["policy.txt", "notes.txt"]);
    const dropped = readTrust(files, `358391:${"0f".repeat(32)}`);
    expect([dropped.leftOut, dropped.logVkeys]).toEqual([[], [theirs]]);
    // What cannot be read is no reason to take others in its place.
    expect(readTrust(files, "log what")).toMatchObject({ isGiven: false, malformed: expect.any(String) });
  });

  test("Bitcoin blocks stand among keys, each on a line of its own; half of one is refused", () => {
    const root = `${"0f".repeat(31)}aa`;
    const { bitcoinBlocks, isGiven, malformed } = readTrust([], `358391:${root}\r\n${PACK_POLICY}`);
    expect(bitcoinBlocks).toEqual([
      { height: 358391, root: new Uint8Array(Buffer.from(root, "hex").reverse()) },
    ]);
    expect([isGiven, malformed]).toEqual([true, undefined]);
    expect(readTrust([], `1:${"00".repeat(40)}`).malformed).toMatch(/160 hex digits/);
    expect(readTrust([], `1:${"00".repeat(80)}`).malformed).toMatch(/work/);
  });

  test("as one file they are the same keys, one that is of either kind of log once", () => {
    const other = formatVkey(logSigner("log.example.com/2026", 30).vkey);
    for (const text of [PACK_POLICY, `${formatVkey(log.vkey)}\n${formatVkey(anchor.vkey)}`]) {
      const { logVkeys, anchorVkeys } = parseKeys(text);
      expect(parseKeys(policyText(parseKeys(text)))).toMatchObject({ logVkeys, anchorVkeys });
    }
    expect(policyText(parseKeys(other)).split(other)).toHaveLength(2);
  });

  test("a key whose name says neither counts for the log of its name, whichever kind that is", () => {
    const other = logSigner("log.example.com/2026", 30).vkey;
    expect(parseKeys(formatVkey(other))).toEqual({ logVkeys: [other], anchorVkeys: [other] });
  });

  test("of several texts, each key once; and no choice between two policies", () => {
    const joined = joinKeys([PACK_POLICY, formatVkey(log.vkey), ""].map(parseKeys));
    expect(joined.logVkeys).toEqual([log.vkey]);
    expect(() => joinKeys([policyOf(1), policyOf(2)].map(parseKeys))).toThrow(TlogError);
  });

  test.each(["nonsense", formatVkey(witness1.vkey).slice(0, -1), "log x\n", "quorum none\nquorum none"])(
    "%s is refused",
    (text) => {
      expect(() => parseKeys(text)).toThrow(TlogError);
    },
  );
});

describe("a scanned code", () => {
  const root = "ab".repeat(32);
  test("what is malformed in it is left out, and what speaks of nothing is nothing", () => {
    expect(parseScanned(`#root=${root}&size=7&index=-1&leaf=x&log=a%2Fb`)).toEqual({
      ...{ root, size: "7", log: "a/b" },
    });
    expect(parseScanned("#size=7&index=3")).toBeUndefined();
    expect(parseScanned("")).toBeUndefined();
  });

  test("nothing in an address makes it throw, or shows what is not of its form", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (log, leaf) => {
        const found = parseScanned(`#log=${encodeURIComponent(log)}&leaf=${leaf}&root=${root}`);
        expect(found?.log ?? "x").toMatch(/^[\x21-\x7e]{1,256}$/);
        expect(found?.leaf ?? root).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });
});

test.each([
  [["de-CH", "en"], "de"],
  [["fr", "de"], "de"],
  [["en-GB", "de"], "en"],
  [["ja"], "en"],
  [[], "en"],
])("of %j the page speaks %s", (languages, spoken) => {
  expect(languageOf(languages)).toBe(spoken);
});
