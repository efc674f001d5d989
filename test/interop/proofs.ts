import { encodeBase64, utf8Encode } from "@kedge/verify/tlog/bytes";
import type { Checkpoint } from "@kedge/verify/tlog/checkpoint";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatVkey,
  MLDSA44_COSIGNATURE,
  parseVkey,
} from "@kedge/verify/tlog/note";
import { formatProof, parseProof, type TlogProof, verifyProof } from "@kedge/verify/tlog/proof";
import fc from "fast-check";
import { expect, test } from "vitest";
import { sizeAndIndex } from "../packages/verify/tlog/arbitraries.ts";
import { referenceTree, verdict } from "../packages/verify/tlog/reference.ts";
import {
  cosignedBy,
  ed25519Cosigner,
  ed25519Signer,
  lineBy,
  mldsaCosigner,
  signed,
} from "../packages/verify/tlog/signers.ts";
import { holdsUnusedBits, setUnusedBit } from "./base64.ts";
import { accepted, type Go, verdicts } from "./go.ts";
import { THEIR_MAX } from "./merkle.ts";
import { flippedBits, mutations, sample } from "./random.ts";

const encode = (text: string) => utf8Encode(text, "The text");

const ORIGIN = "log.example/log/7";
const log = ed25519Signer(ORIGIN);
const witness = ed25519Cosigner("witness.example/1");
const pqWitness = mldsaCosigner("witness.example/2");
const tree = referenceTree(7n);

const checkpointOf = (size: bigint): Checkpoint => ({ origin: ORIGIN, size, root: tree.root(size) });

/** The longest extra data that they read: a line of 65,535 bytes, which their scanner of lines stops at. */
const THEIR_MAX_EXTRA = 49_146;

/** Sizes that both can compute with, and an index in each. */
const placesIn = sizeAndIndex.filter(({ size }) => size <= THEIR_MAX);

export function proofs(go: Go): void {
  const here = (proof: string | Uint8Array, index: bigint, vkeys = [log.vkey]) =>
    verdict(() =>
      verifyProof({ proof: parseProof(proof), leafHash: tree.leaf(index), origin: ORIGIN, vkeys }),
    );

  const asked = (proof: string | Uint8Array, index: bigint, logVkey = formatVkey(log.vkey)) => ({
    proof: typeof proof === "string" ? encode(proof) : proof,
    leaf: tree.leaf(index),
    origin: ORIGIN,
    logVkey,
  });

  function provenAt(index: bigint, size: bigint, extra?: Uint8Array): TlogProof {
    const made = checkpointOf(size);
    const lines = [lineBy(log, made), cosignedBy(witness, made, 1n), cosignedBy(pqWitness, made, 2n)];
    const proof = { index, hashes: tree.path(index, size), checkpoint: signed(made, ...lines) };
    return extra === undefined ? proof : { ...proof, extra };
  }

  test("proofs made here verify there, with the same fields", async () => {
    const extras = fc.option(fc.uint8Array({ minLength: 1, maxLength: 2000 }), { nil: undefined });
    const made = sample(fc.tuple(placesIn, extras), 60).map(([{ size, index }, extra]) =>
      provenAt(index, size, extra === undefined ? undefined : Uint8Array.from(extra)),
    );
    const answers = await go.checkProof(made.map((proof) => asked(formatProof(proof), proof.index)));
    expect(accepted(answers)).toEqual(
      made.map((proof) => ({ ...proof, checkpoint: encode(proof.checkpoint) })),
    );
  });

  test("proofs written there, with checkpoints signed there, verify here and are written the same here", async () => {
    const signers = [
      { name: ORIGIN, type: ED25519 },
      { name: "witness.example/go", type: ED25519_COSIGNATURE },
      { name: "witness.example/go", type: MLDSA44_COSIGNATURE },
    ];
    const places = sample(placesIn, 60);
    const notes = accepted(
      await go.signCheckpoint(places.map(({ size }) => ({ ...checkpointOf(size), signers }))),
    );
    const fields = notes.map(({ note }, i) => {
      const { size, index } = places[i] ?? { size: 1n, index: 0n };
      const proof = { index, hashes: tree.path(index, size), checkpoint: note };
      return i % 2 === 0 ? proof : { ...proof, extra: Uint8Array.of(1, 2, 3) };
    });
    for (const [i, { proof }] of accepted(await go.writeProof(fields)).entries()) {
      const { index = 0n } = fields[i] ?? {};
      const vkeys = (notes[i]?.vkeys ?? []).map(parseVkey);
      const { verified } = verifyProof({
        proof: parseProof(proof),
        leafHash: tree.leaf(index),
        origin: ORIGIN,
        vkeys,
      });
      expect(verified.map(({ vkey }) => vkey)).toEqual(vkeys);
      expect(encode(formatProof(parseProof(proof)))).toEqual(proof);
    }
  });

  const made = checkpointOf(600n);
  const sample300 = {
    index: 300n,
    hashes: tree.path(300n, 600n),
    checkpoint: signed(made, lineBy(log, made)),
  };
  const text = formatProof(sample300);

  test("one flipped bit, in any byte of a proof of either, is refused by both", async () => {
    const [note] = accepted(
      await go.signCheckpoint([{ ...made, signers: [{ name: ORIGIN, type: ED25519 }] }]),
    );
    const checkpoint = note?.note ?? new Uint8Array();
    const [written] = accepted(await go.writeProof([{ ...sample300, checkpoint }]));
    const cases = [
      { proof: encode(text), vkey: formatVkey(log.vkey) },
      { proof: written?.proof ?? new Uint8Array(), vkey: note?.vkeys[0] ?? "" },
    ];
    for (const { proof, vkey } of cases) {
      const vkeys = [parseVkey(vkey)];
      expect(here(proof, 300n, vkeys)).toBe("accepted");
      expect(verdicts(await go.checkProof([asked(proof, 300n, vkey)]))).toEqual(["accepted"]);
      const flips = flippedBits(proof);
      const unnoticed = flips.filter(({ flipped }) => here(flipped, 300n, vkeys) === "accepted");
      expect(unnoticed.map(({ at }) => at)).toEqual([]);
      const answers = verdicts(await go.checkProof(flips.map(({ flipped }) => asked(flipped, 300n, vkey))));
      const missed = flips.filter(({ at }, i) => answers[i] === "accepted" && !holdsUnusedBits(proof, at));
      expect(missed.map(({ at }) => at)).toEqual([]);
    }
  });

  test("a changed proof that is accepted here is accepted there, as the same proof", async () => {
    const stranger = cosignedBy(ed25519Cosigner("stranger.example/1"), made, 1n);
    const long = formatProof({
      ...sample300,
      checkpoint: sample300.checkpoint + stranger,
      extra: new Uint8Array(150),
    });
    const changed = mutations(long, 1500).filter((proof) => here(proof, 300n) === "accepted");
    expect(changed.length).toBeGreaterThan(50);
    const answers = accepted(await go.checkProof(changed.map((proof) => asked(proof, 300n))));
    expect(answers).toEqual(
      changed
        .map((text) => parseProof(text))
        .map((proof) => ({ ...proof, checkpoint: encode(proof.checkpoint) })),
    );
  });

  const [header = "", index = "", hash = ""] = text.split("\n");
  const withExtra = (base64: string) => text.replace(`${header}\n`, `${header}\nextra ${base64}\n`);

  test.each([
    ["Windows line ends", "malformed", "accepted", text.replaceAll("\n", "\r\n")],
    ["no newline at the end", "malformed", "accepted", text.slice(0, -1)],
    ["a byte order mark", "malformed", "refused", `\ufeff${text}`],
    ["index with a leading zero", "malformed", "accepted", text.replace(index, "index 0300")],
    ["index with a sign", "malformed", "refused", text.replace(index, "index +300")],
    ["a hash with bits beyond the end", "malformed", "accepted", text.replace(hash, setUnusedBit(hash))],
    ["an empty extra line", "malformed", "accepted", withExtra("")],
    ["two extra lines", "malformed", "refused", withExtra("AQID\nextra AQID")],
    ["two empty lines before the checkpoint", "malformed", "refused", text.replace("\n\n", "\n\n\n")],
    [
      "extra of 49,146 bytes",
      "accepted",
      "accepted",
      withExtra(encodeBase64(new Uint8Array(THEIR_MAX_EXTRA))),
    ],
    [
      "extra of 49,147 bytes",
      "accepted",
      "refused",
      withExtra(encodeBase64(new Uint8Array(THEIR_MAX_EXTRA + 1))),
    ],
  ] as const)("proof, %s: %s here, %s there", async (_what, ours, theirs, proof) => {
    const [answer] = verdicts(await go.checkProof([asked(proof, 300n)]));
    expect([here(proof, 300n), answer]).toEqual([ours, theirs]);
  });
}
