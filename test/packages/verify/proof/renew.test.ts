import { ClientError } from "@kedge/verify/error";
import type { AnchorFiles } from "@kedge/verify/net/files";
import {
  anchoringsOf,
  formatProofFile,
  MAX_ANCHORINGS,
  parseProofFile,
  withAnchoring,
} from "@kedge/verify/proof/extra";
import { openRenewer } from "@kedge/verify/proof/renew";
import { type VerifyTrust, verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import { describe, expect, test } from "vitest";
import { logFiles } from "../../../support/anchor-log.ts";
import {
  ANCHOR_ORIGIN,
  anchor,
  anchorMldsa,
  EVENT,
  filler,
  inclusion,
  log,
  logSigner,
  makeProof,
  OPERATOR_TIME,
  policyText,
  type Signer,
  signedHead,
  WITNESS_TIME,
  witness1,
  witness2,
  witnessSigner,
} from "../../../support/proofs.ts";

const everyone = [anchor, witness1, witness2];
const anchorVkeys = [anchor.vkey];
const trust: VerifyTrust = { logVkeys: [log.vkey], anchorVkeys, policy: parsePolicy(policyText(2)) };
const YEAR = 31_536_000n;

/** An anchor log that goes on for `more` entries after the five that `makeProof` anchors in. */
function grown(
  proof: string,
  more: number,
  { signers = everyone, timestamps = [] as unknown[], timestamped = true, forked = false } = {},
): AnchorFiles {
  const { checkpoint } = parseProof(proof);
  const first = filler(5).with(2, utf8Encode(checkpoint, ""));
  const entries = [...(forked ? first.with(0, new Uint8Array(32)) : first), ...filler(more)];
  const files = logFiles(entries, { signers });
  const absent = async () => {
    throw new ClientError("not_found", "no such file");
  };
  return {
    ...files,
    timestamped: timestamped ? files.checkpoint : absent,
    timestamps: timestamped ? async () => timestamps : absent,
  };
}

async function renewed(proof: string, files: AnchorFiles): Promise<string> {
  const renew = await openRenewer(files, [anchor.vkey, anchorMldsa.vkey]);
  const renewal = await renew(utf8Encode(proof, ""));
  if (renewal.kind !== "renewed") throw new Error(renewal.kind);
  return renewal.proof;
}

const verified = (proof: string, more: Partial<VerifyTrust> = {}) =>
  verifyEvent({ event: EVENT.bytes, proof, ...trust, ...more });

/** The same witness and anchor keys, signing a year later. */
const later = (signer: typeof witness1, seed: number): Signer =>
  witnessSigner(signer.vkey.name, seed, WITNESS_TIME + YEAR);

describe("a renewed proof", () => {
  test("has a newer anchoring, keeps the old one and the opening, and proves the same event", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const files = grown(proof, 700, {
      signers: [anchor, later(witness1, 4), later(witness2, 5)],
      timestamps: ["a"],
    });
    const next = await renewed(proof, files);
    const before = parseProofFile(proof);
    const after = parseProofFile(next);
    expect(after.proof.checkpoint).toBe(before.proof.checkpoint);
    expect(after.extra.opening).toEqual(before.extra.opening);
    expect(after.extra.earlier).toEqual(anchoringsOf(before.extra));
    expect(after.extra.timestamps).toEqual(["a"]);

    const report = verified(next);
    expect(report).toMatchObject({ proven: true, assurance: "witnessed", anchor: { treeSize: "5" } });
    expect(report.others).toMatchObject([{ assurance: "witnessed", anchor: { treeSize: "705" } }]);
  });

  test("keeps its time: the event was in the log by the earliest anchoring, and the later one is said beside it", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const signers = [anchor, later(witness1, 4), later(witness2, 5)];
    const told = tellReport(verified(await renewed(proof, grown(proof, 3, { signers })))).statements.join(
      "\n",
    );
    expect(told).toContain(`in the log by ${new Date(Number(WITNESS_TIME + 5n) * 1000).toISOString()}`);
    expect(told).toMatch(/stands as well in the anchor log's tree of 8 entries/);
  });

  test("rests on the newer anchoring once the older one's key is no longer pinned, and says so", async () => {
    const old = logSigner(ANCHOR_ORIGIN, 77);
    const { proof } = makeProof({ anchorSigners: [old, witness1, witness2] });
    expect(verified(proof).failure).toMatchObject({ step: "anchor", code: "unknown_key" });
    const report = verified(await renewed(proof, grown(proof, 3)));
    expect(report).toMatchObject({ proven: true, assurance: "witnessed", anchor: { treeSize: "8" } });
    expect(report.caveats).toContainEqual(expect.objectContaining({ code: "anchoring_not_checked" }));
  });

  test("is judged by the best of its anchorings: one that meets what is required is enough", async () => {
    const { proof } = makeProof({ anchorSigners: [anchor] });
    expect(verified(proof, { require: "witnessed" }).failure).toMatchObject({ code: "too_low" });
    const next = await renewed(proof, grown(proof, 3, { signers: [...everyone, anchorMldsa] }));
    expect(verified(next, { require: "witnessed" })).toMatchObject({
      proven: true,
      anchor: { treeSize: "8" },
    });
    const both = { anchorVkeys: [anchor.vkey, anchorMldsa.vkey], requireAllKeys: true };
    expect(verified(proof, both).failure).toMatchObject({ code: "missing_signature" });
    expect(verified(next, both)).toMatchObject({
      proven: true,
      times: [{ at: new Date(Number(OPERATOR_TIME) * 1000).toISOString() }, {}, {}],
    });
  });

  test("with one altered anchoring proves nothing, whichever it is", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const next = await renewed(proof, grown(proof, 3));
    const { extra } = parseProofFile(next);
    const altered = (text: string) => text.replace(/^index \d+$/m, "index 0");
    const [first] = extra.earlier ?? [];
    if (first === undefined || extra.anchor === undefined) throw new Error("not renewed");
    const cases = [
      { ...extra, anchor: altered(extra.anchor) },
      { ...extra, earlier: [{ ...first, anchor: altered(first.anchor) }] },
      { ...extra, earlier: [{ ...first, anchor: `${first.anchor}x` }] },
    ];
    for (const value of cases) {
      const { proof: made } = makeProof({ extra: () => value });
      expect(verified(made)).toMatchObject({ proven: false, failure: { step: "anchor" } });
    }
  });

  test("that holds two trees of one size proves nothing: the log has shown two histories", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const twice = await renewed(proof, grown(proof, 3));
    const other = filler(8)
      .with(2, utf8Encode(parseProof(proof).checkpoint, ""))
      .with(7, new Uint8Array(32));
    const anchor = formatProof({
      index: 2n,
      hashes: inclusion(other, 2),
      checkpoint: signedHead(ANCHOR_ORIGIN, other, everyone),
    });
    const forked = formatProofFile(withAnchoring(parseProofFile(twice), { anchor, timestamps: [] }));
    const { proven, failure } = verified(forked);
    expect([proven, failure?.code]).toEqual([false, "two_histories"]);
    expect(tellReport(verified(forked)).failure).toMatchObject({
      kind: "refuted",
      message: expect.stringMatching(/two histories/),
    });
  });

  test("can be renewed again, up to a bound", async () => {
    let { proof } = makeProof({ anchorSigners: everyone });
    for (let i = 1; i < MAX_ANCHORINGS; i++) proof = await renewed(proof, grown(proof, i));
    expect(verified(proof).others).toHaveLength(MAX_ANCHORINGS - 1);
    await expect(renewed(proof, grown(proof, 100))).rejects.toMatchObject({ code: "out_of_range" });
    const { extra } = parseProofFile(proof);
    const tooMany = { ...extra, earlier: [...(extra.earlier ?? []), extra.earlier?.[0]] };
    expect(verified(makeProof({ extra: () => tooMany }).proof).failure).toMatchObject({ step: "proof" });
  });
});

describe("renewing", () => {
  test("leaves a proof alone that has as new an anchoring, or none", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const renew = await openRenewer(grown(proof, 0), anchorVkeys);
    expect(await renew(utf8Encode(proof, ""))).toEqual({ kind: "current" });
    expect(await renew(utf8Encode(makeProof({}).proof, ""))).toEqual({ kind: "not_anchored" });
  });

  test("goes by the newest checkpoint where none is timestamped", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const { extra } = parseProofFile(await renewed(proof, grown(proof, 3, { timestamped: false })));
    expect(parseProof(extra.anchor ?? "").checkpoint).toContain("\n8\n");
    expect(extra.timestamps).toEqual([]);
  });

  test("refuses a log that no pinned key signed, and one that does not extend the tree of the proof", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const foreign = [logSigner(ANCHOR_ORIGIN, 78), witness1, witness2];
    await expect(renewed(proof, grown(proof, 3, { signers: foreign }))).rejects.toMatchObject({
      code: "unknown_key",
    });
    await expect(renewed(proof, grown(proof, 3, { forked: true }))).rejects.toMatchObject({
      code: "bad_proof",
    });
  });

  test("refuses tiles that do not have the tenant checkpoint", async () => {
    const { proof } = makeProof({ anchorSigners: everyone });
    const other = makeProof({
      anchorSigners: everyone,
      index: 4,
      event: { ...EVENT, source: "other" },
    }).proof;
    await expect(renewed(proof, grown(other, 3))).rejects.toMatchObject({ code: "bad_proof" });
  });
});
