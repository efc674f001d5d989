import { parseExtra } from "@kedge/verify/proof/extra";
import { type VerifyInput, verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { timestampRequest } from "@kedge/verify/time/rfc3161";
import { rfc3161 } from "@kedge/verify/time/timestampform";
import { checkTimestamps, timestampVerifier } from "@kedge/verify/time/timestamps";
import { parsePemCertificates } from "@kedge/verify/time/x509";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  anchor,
  anchorMldsa,
  EVENT,
  log,
  makeProof,
  policyText,
  witness1,
  witness2,
} from "../../../support/proofs.ts";
import { hasOpenssl, type Identity, opensslTsa, type Tsa } from "../../../support/tsa.ts";

const everyone = [anchor, anchorMldsa, witness1, witness2];
const pinned = { logVkeys: [log.vkey], anchorVkeys: [anchor.vkey, anchorMldsa.vkey] };
const policy = parsePolicy(policyText(2));

/** Made once: an ML-DSA signature is another each time. */
const base = parseProof(makeProof({ anchorSigners: everyone }).proof);
const baseExtra = parseExtra(base.extra ?? new Uint8Array());
const NOTE = parseProof(baseExtra.anchor ?? "").checkpoint;

const proofWith = (timestamps: unknown): string =>
  formatProof({ ...base, extra: utf8Encode(JSON.stringify({ ...baseExtra, timestamps }), "") });

describe.skipIf(!hasOpenssl)("timestamps in a proof", () => {
  let tsa: Tsa;
  let root: Identity;
  let good: unknown;
  /** A good token, over another note. */
  let elsewhere: unknown;
  beforeAll(async () => {
    tsa = opensslTsa();
    root = tsa.root("p256");
    const signer = tsa.issue(root, "tsa", { key: "p256", subject: "/CN=A TSA" });
    const stamp = async (text: string) => {
      const { der } = await timestampRequest(new TextEncoder().encode(text));
      return rfc3161(tsa.token(tsa.reply(signer, der)));
    };
    good = await stamp(NOTE);
    elsewhere = await stamp("another note");
  });
  afterAll(() => tsa.close());

  const verify = (proof: string, more: Partial<VerifyInput> = {}) =>
    timestampVerifier(
      { tsaCerts: parsePemCertificates(root.pem), bitcoinBlocks: [] },
      verifyEvent,
    )({
      event: EVENT.bytes,
      proof,
      ...pinned,
      ...more,
    });

  test("with a quorum of witnesses: timestamped, and by whom and when", async () => {
    const report = await verify(proofWith([good]), { policy, require: "timestamped" });
    expect(report.failure).toBeUndefined();
    expect(report.assurance).toBe("timestamped");
    expect(report.timestamps).toMatchObject([{ type: "rfc3161", by: "CN=A TSA", accuracy: 1500.1 }]);
    expect(report.times.at(-1)).toMatchObject({ by: "CN=A TSA", kind: "authority" });
    expect(tellReport(report).statements.join("\n")).toMatch(
      /timestamped by "CN=A TSA" at .*, to within 1\.5001 s \(RFC 3161\)/,
    );
    expect(tellReport(report).caveats.join("\n")).not.toMatch(/timestamp/i);
  });

  test("without witnesses: anchored, and the timestamp is told, and can be required", async () => {
    const report = await verify(proofWith([good]), { requireTimestamp: true });
    expect(report.assurance).toBe("anchored");
    expect(tellReport(report).statements.join("\n")).toContain('timestamped by "CN=A TSA"');
    expect(tellReport(report).statements.join("\n")).toContain("the latest time that a timestamp shows");
    expect(tellReport(report).caveats.join("\n")).not.toMatch(/independent time/);
    const required = await verify(proofWith([good]), { require: "timestamped" });
    expect(required.failure).toMatchObject({ step: "requirement", code: "too_low" });
  });

  test("a timestamp never stands for a witness", async () => {
    const report = await verify(
      makeProof({ anchorSigners: [anchor], extra: (extra) => ({ ...extra, timestamps: [good] }) }).proof,
      { policy, require: "witnessed" },
    );
    expect(report.failure?.code).toBe("too_low");
  });

  test("over another checkpoint, or of an authority that is not pinned, it does not count", async () => {
    const moved = await verify(proofWith([elsewhere]), { policy });
    expect(moved.assurance).toBe("witnessed");
    expect(moved.timestamps).toEqual([]);
    expect(tellReport(moved).caveats.join("\n")).toMatch(/did not count.*over other bytes/);
    const required = await verify(proofWith([elsewhere]), { policy, require: "timestamped" });
    expect(tellReport(required).failure?.message).toMatch(/over other bytes/);
    const alone = await verify(proofWith([elsewhere]), { requireTimestamp: true });
    expect(alone.failure).toMatchObject({ step: "requirement", code: "no_timestamp" });
  });

  test("a good one counts beside any number of others, which are told", async () => {
    const others = [
      elsewhere,
      "AAAA",
      {},
      null,
      { type: "rfc3161" },
      { type: "roughtime" },
      { type: "ots", proof: "AA" },
    ];
    const report = await verify(proofWith([...others, good]), { policy });
    expect(report.assurance).toBe("timestamped");
    expect(tellReport(report).caveats.filter((line) => line.includes("did not count"))).toHaveLength(
      others.length,
    );
  });

  test("what was checked of one checkpoint does not count for another", async () => {
    const trust = { tsaCerts: parsePemCertificates(root.pem), bitcoinBlocks: [] };
    const timestamps = await checkTimestamps(NOTE, [good], trust);
    expect(timestamps.shown).toHaveLength(1);
    const { proof } = makeProof({ anchorSigners: [anchor] });
    const report = verifyEvent({ event: EVENT.bytes, proof, ...pinned, timestamps: [timestamps] });
    expect(report.timestamps).toBeUndefined();
    expect(tellReport(report).statements.join("\n")).not.toContain("timestamped");
  });

  test("of a thousand timestamps sixteen are looked at", async () => {
    const trust = { tsaCerts: [], bitcoinBlocks: [] };
    const { refused } = await checkTimestamps(
      "note",
      Array.from({ length: 1000 }, () => "x"),
      trust,
    );
    expect(refused).toHaveLength(17);
  });
});
