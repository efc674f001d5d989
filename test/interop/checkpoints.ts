import { concatBytes, encodeBase64, utf8Encode } from "@kedge/verify/tlog/bytes";
import {
  type Checkpoint,
  checkpointBody,
  openCheckpoint,
  parseCheckpoint,
} from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatVkey,
  MLDSA44_COSIGNATURE,
  makeVkey,
  parseVkey,
  signatureLine,
  type Vkey,
} from "@kedge/verify/tlog/note";
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytes32, treeSize } from "../packages/verify/tlog/arbitraries.ts";
import { verdict } from "../packages/verify/tlog/reference.ts";
import {
  cosignedBy,
  ed25519Cosigner,
  ed25519Signer,
  lineBy,
  mldsaCosigner,
  signed,
} from "../packages/verify/tlog/signers.ts";
import { holdsUnusedBits } from "./base64.ts";
import { accepted, type Go, verdicts } from "./go.ts";
import { flippedBits, mutations, sample } from "./random.ts";

const encode = (text: string) => utf8Encode(text, "The text");

const ORIGIN = "log.example/log/7";
const ROOT = new Uint8Array(32).fill(7);
const HASH = encodeBase64(ROOT);
const checkpoint: Checkpoint = { origin: ORIGIN, size: 42n, root: ROOT };
const log = ed25519Signer(ORIGIN);
const witness = ed25519Cosigner("witness.example/1");
const pqWitness = mldsaCosigner("witness.example/2");
const KEYS = [log.vkey, witness.vkey, pqWitness.vkey];

const checkpointsOf = (origin: string, count: number): Checkpoint[] => [
  { origin, size: 0n, root: EMPTY_ROOT },
  ...sample(fc.record({ size: treeSize, root: bytes32 }), count).map(({ size, root }) => ({
    origin,
    size,
    root,
  })),
];

/** A body that `checkpointBody` would not write, signed all the same. */
const signedBody = (body: string) => `${body}\n${signatureLine(log.vkey, log.sign(body))}`;

export function checkpoints(go: Go): void {
  /** The keys, the log's own first, whose signatures were found good here, with their timestamps. */
  function here(note: string | Uint8Array, keys: readonly Vkey[]) {
    const opened = openCheckpoint(note, { origin: ORIGIN, vkeys: keys });
    const verified = opened.verified.map(({ vkey: { name, id }, timestamp }) =>
      timestamp === undefined ? { name, id } : { name, id, timestamp },
    );
    return { ...opened.checkpoint, verified };
  }

  const asked = (note: string | Uint8Array, [first, ...others]: readonly Vkey[]) => ({
    note: typeof note === "string" ? encode(note) : note,
    origin: ORIGIN,
    logVkey: first === undefined ? "" : formatVkey(first),
    vkeys: others.map(formatVkey),
  });

  test("checkpoints and cosignatures made here verify there, with their timestamps", async () => {
    const notes = checkpointsOf(ORIGIN, 40).map((made, i) =>
      signed(
        made,
        lineBy(log, made),
        cosignedBy(witness, made, 1n + BigInt(i)),
        cosignedBy(pqWitness, made, (1n << 63n) - 1n - BigInt(i)),
      ),
    );
    const opened = accepted(await go.openCheckpoint(notes.map((note) => asked(note, KEYS))));
    for (const [i, { rest, ...result }] of opened.entries()) {
      const { extensions, ...ours } = here(notes[i] ?? "", KEYS);
      expect(result).toEqual(ours);
      expect([rest.length, extensions.length]).toEqual([0, 0]);
      expect(result.verified).toHaveLength(3);
    }
  });

  test("checkpoints and cosignatures made there verify here, with their timestamps", async () => {
    const made = checkpointsOf(ORIGIN, 40);
    const signers = [
      { name: ORIGIN, type: ED25519 },
      { name: ORIGIN, type: MLDSA44_COSIGNATURE },
      { name: "witness.example/go", type: ED25519_COSIGNATURE },
      { name: "witness.example/go", type: MLDSA44_COSIGNATURE },
    ];
    const notes = accepted(await go.signCheckpoint(made.map((wanted) => ({ ...wanted, signers }))));
    const keys = notes.map(({ vkeys }) => vkeys.map(parseVkey));
    const opened = accepted(await go.openCheckpoint(notes.map(({ note }, i) => asked(note, keys[i] ?? []))));
    for (const [i, { note }] of notes.entries()) {
      const { extensions, ...ours } = here(note, keys[i] ?? []);
      expect(ours).toMatchObject(made[i] ?? {});
      expect(ours.verified).toHaveLength(4);
      expect(ours.verified).toEqual(opened[i]?.verified);
      expect(parseCheckpoint(note).note.text).toBe(checkpointBody(made[i] ?? checkpoint));
    }
  });

  test("extension lines are read, and signed, alike", async () => {
    const body = `${checkpointBody(checkpoint)}one\ntwo three\n`;
    const [opened] = accepted(await go.openCheckpoint([asked(signedBody(body), [log.vkey])]));
    expect(opened?.rest).toEqual(encode("one\ntwo three\n"));
    expect(here(signedBody(body), [log.vkey]).extensions).toEqual(["one", "two three"]);

    const cosigners = [ED25519_COSIGNATURE, MLDSA44_COSIGNATURE].map((type) => ({ name: "w", type }));
    const [made] = accepted(
      await go.signNote([{ text: encode(body), signers: [{ name: ORIGIN, type: ED25519 }, ...cosigners] }]),
    );
    expect(here(made?.note ?? "", made?.vkeys.map(parseVkey) ?? []).verified).toHaveLength(3);
  });

  test("after one flipped bit, in the text or a signature, neither finds every signature valid", async () => {
    const signers = [
      { name: ORIGIN, type: ED25519 },
      { name: "witness.example/go", type: ED25519_COSIGNATURE },
    ];
    const [theirs] = accepted(await go.signCheckpoint([{ ...checkpoint, signers }]));
    const cases = [
      {
        note: encode(signed(checkpoint, lineBy(log, checkpoint), cosignedBy(witness, checkpoint, 1n))),
        keys: [log.vkey, witness.vkey],
        every: 1,
      },
      {
        note: encode(signed(checkpoint, lineBy(log, checkpoint), cosignedBy(pqWitness, checkpoint, 1n))),
        keys: [log.vkey, pqWitness.vkey],
        every: 71,
      },
      { note: theirs?.note ?? new Uint8Array(), keys: theirs?.vkeys.map(parseVkey) ?? [], every: 1 },
    ];
    for (const { note, keys, every } of cases) {
      const verifiedHere = (bytes: Uint8Array) => {
        let count = 0;
        verdict(() => {
          count = here(bytes, keys).verified.length;
        });
        return count;
      };
      const verifiedThere = async (notes: readonly Uint8Array[]) => {
        const answers = await go.openCheckpoint(notes.map((bytes) => asked(bytes, keys)));
        return answers.map((answer) => ("accepted" in answer ? answer.accepted.verified.length : 0));
      };
      expect([verifiedHere(note), ...(await verifiedThere([note]))]).toEqual([2, 2]);
      const flips = flippedBits(note).filter(({ at }) => at % every === 0);
      const unnoticed = flips.filter(({ flipped }) => verifiedHere(flipped) === 2);
      expect(unnoticed.map(({ at }) => at)).toEqual([]);
      const counts = await verifiedThere(flips.map(({ flipped }) => flipped));
      const missed = flips.filter(({ at }, i) => counts[i] === 2 && !holdsUnusedBits(note, at));
      expect(missed.map(({ at }) => at)).toEqual([]);
    }
  });

  test("a changed checkpoint that is accepted here is accepted there, as the same tree", async () => {
    const stranger = ed25519Cosigner("stranger.example/1");
    const note = signed(checkpoint, lineBy(log, checkpoint), cosignedBy(stranger, checkpoint, 1n));
    const changed = mutations(note, 1500).filter(
      (text) => verdict(() => here(text, [log.vkey])) === "accepted",
    );
    expect(changed.length).toBeGreaterThan(100);
    const opened = accepted(await go.openCheckpoint(changed.map((text) => asked(text, [log.vkey]))));
    for (const { origin, size, root } of opened) {
      expect({ origin, size, root }).toEqual(checkpoint);
    }
  });

  /** A cosignature by `lateKey` at a time that Kedge does not write. */
  const secret = sha256(encode("late"));
  const lateKey = makeVkey("witness.example/late", ED25519_COSIGNATURE, ed25519.getPublicKey(secret));
  const lateMessage = encode(`cosignature/v1\ntime ${1n << 63n}\n${checkpointBody(checkpoint)}`);
  const lateCosignature = concatBytes(
    Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0),
    ed25519.sign(lateMessage, secret),
  );
  const late = `${signed(checkpoint, lineBy(log, checkpoint))}${signatureLine(lateKey, lateCosignature)}`;
  const atZero = (cosigner: typeof witness) =>
    signed(checkpoint, lineBy(log, checkpoint), cosignedBy(cosigner, checkpoint, 0n));
  const newKey = ed25519Signer(ORIGIN, "the next key");
  const other = { ...checkpoint, origin: "log.example/log/8" };
  const otherRoot = HASH.replace(/.=$/, "d=");

  test.each([
    ["its origin is another's", "unknown_key", "refused", signed(other, lineBy(log, other)), [log.vkey]],
    [
      "only a witness signed",
      "unknown_key",
      "refused",
      signed(checkpoint, cosignedBy(witness, checkpoint, 1n)),
      KEYS,
    ],
    [
      "the second of two log keys signed",
      "accepted",
      "refused",
      signed(checkpoint, lineBy(newKey, checkpoint)),
      [log.vkey, newKey.vkey],
    ],
    [
      "size with a leading zero",
      "malformed",
      "accepted",
      signedBody(`${ORIGIN}\n042\n${HASH}\n`),
      [log.vkey],
    ],
    ["size with a sign", "malformed", "refused", signedBody(`${ORIGIN}\n+42\n${HASH}\n`), [log.vkey]],
    ["size 2^63", "malformed", "accepted", signedBody(`${ORIGIN}\n${1n << 63n}\n${HASH}\n`), [log.vkey]],
    ["size 2^64", "malformed", "refused", signedBody(`${ORIGIN}\n${1n << 64n}\n${HASH}\n`), [log.vkey]],
    ["size 0, another root", "malformed", "accepted", signedBody(`${ORIGIN}\n0\n${HASH}\n`), [log.vkey]],
    [
      "root of 31 bytes",
      "malformed",
      "accepted",
      signedBody(`${ORIGIN}\n1\n${encodeBase64(ROOT.slice(1))}\n`),
      [log.vkey],
    ],
    ["no root", "malformed", "accepted", signedBody(`${ORIGIN}\n0\n\n`), [log.vkey]],
    [
      "root with bits beyond the end",
      "malformed",
      "accepted",
      signedBody(`${ORIGIN}\n1\n${otherRoot}\n`),
      [log.vkey],
    ],
    [
      "an empty line before extensions",
      "malformed",
      "accepted",
      signedBody(`${ORIGIN}\n1\n${HASH}\n\nx\n`),
      [log.vkey],
    ],
    ["cosignature at time 0", "bad_signature", "accepted", atZero(witness), [log.vkey, witness.vkey]],
    [
      "ML-DSA-44 cosignature at time 0",
      "bad_signature",
      "accepted",
      atZero(pqWitness),
      [log.vkey, pqWitness.vkey],
    ],
    ["cosignature at time 2^63", "bad_signature", "accepted", late, [log.vkey, lateKey]],
  ] as const)("checkpoint, %s: %s here, %s there", async (_what, ours, theirs, note, keys) => {
    const [answer] = verdicts(await go.openCheckpoint([asked(note, keys)]));
    expect([verdict(() => here(note, keys)), answer]).toEqual([ours, theirs]);
  });

  test("an ML-DSA-44 cosignature on an origin above 255 bytes is refused here; there its length wraps", async () => {
    const origin = "o".repeat(300);
    const signers = [ED25519, MLDSA44_COSIGNATURE].map((type) => ({ name: "w", type }));
    const [made] = accepted(await go.signCheckpoint([{ ...checkpoint, origin, signers }]));
    if (made === undefined) throw new Error("one was asked for");
    const [logVkey = "", ...vkeys] = made.vkeys;
    expect(verdicts(await go.openCheckpoint([{ note: made.note, origin, logVkey, vkeys }]))).toEqual([
      "accepted",
    ]);
    const open = (keys: string[]) => openCheckpoint(made.note, { origin, vkeys: keys.map(parseVkey) });
    expect(verdict(() => open([logVkey]))).toBe("accepted");
    expect(verdict(() => open([logVkey, ...vkeys]))).toBe("bad_signature");
  });
}
