/** Verification: how many proofs a second the offline verifier checks, beside the bare signatures in them. */

import { openVerifier, verifyEvent } from "@kedge/verify/proof/verify";
import { checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { leafHash, nodeHash } from "@kedge/verify/tlog/merkle";
import { ED25519, formatNote, makeVkey, type Vkey } from "@kedge/verify/tlog/note";
import { formatProof } from "@kedge/verify/tlog/proof";
import { ed25519 } from "@noble/curves/ed25519.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { anchor } from "../service/anchor.ts";
import { logVkeys } from "../service/sign.ts";
import { median, type Section, spread } from "./report.ts";
import { openStack, proveAll, sealedLog } from "./stack.ts";
import { inTurn, rates } from "./timing.ts";

const EVENTS = 2_000;
const PROOFS = 100;
/** Proofs under one checkpoint of a log of so many entries. */
const SHARED_PROOFS = 10_000;
const SHARED_ENTRIES = 1_000_000;
const SHARED_RUNS = 5;

export async function verification(): Promise<Section> {
  const stack = await openStack();
  try {
    const { service } = stack;
    const { log, entries } = await sealedLog(stack, EVENTS);
    const some = entries.slice(0, PROOFS);
    const sealed = await proveAll(stack, log, some);
    await anchor(service);
    const anchored = await proveAll(stack, log, some);
    const pinned = await logVkeys(service.logKeys, log.origin);
    const anchorVkeys = await logVkeys(service.anchorKeys, service.anchorOrigin);

    const verify = (proofs: readonly string[], keys: readonly Vkey[], assurance: string) => {
      const next = inTurn(some.map((commitment, i) => ({ commitment, proof: proofs[i] ?? "" })));
      return () => {
        const report = verifyEvent({ ...next(), logVkeys: pinned, anchorVkeys: keys });
        if (!report.proven || report.assurance !== assurance) throw new Error("a proof does not verify");
      };
    };
    const { verifyEd25519, verifyMldsa44 } = bareSignatures();
    const rate = await rates({
      ed25519: verifyEd25519,
      mldsa44: verifyMldsa44,
      sealed: verify(sealed, [], "sealed"),
      anchored: verify(anchored, anchorVkeys.slice(0, 1), "anchored"),
      postQuantum: verify(anchored, anchorVkeys, "anchored"),
    });

    /** Seconds of signatures alone, pass by pass. */
    const signatures = (ed25519s: number, mldsa44s: number) => {
      const mldsa44 = rate("mldsa44");
      return rate("ed25519").map((rate, i) => ed25519s / rate + mldsa44s / (mldsa44[i] ?? Number.NaN));
    };
    const row = (what: string, name: "sealed" | "anchored" | "postQuantum", seconds: readonly number[]) => {
      const ratios = rate(name).map((rate, i) => 1 / rate / (seconds[i] ?? Number.NaN));
      const bare = seconds.map((seconds) => 1 / seconds);
      return { ratio: median(ratios), cells: [what, spread(rate(name)), spread(bare), spread(ratios)] };
    };
    const rows = [
      row("sealed: 1 Ed25519", "sealed", signatures(1, 0)),
      row("anchored: 2 Ed25519", "anchored", signatures(2, 0)),
      row("anchored, post-quantum too: 2 Ed25519, 1 ML-DSA-44", "postQuantum", signatures(2, 1)),
    ];
    const shared = sharedCheckpoint();
    const sharedRow = [`sealed: ${SHARED_PROOFS} proofs under one checkpoint of ${SHARED_ENTRIES} entries`];
    return {
      title: "Verification: offline, @noble alone, one core",
      head: [
        "what is shown, by which signatures",
        "proofs/s",
        "the bare signatures, proofs/s",
        "time ÷ theirs",
      ],
      rows: [...rows.map(({ cells }) => cells), [...sharedRow, spread(shared), "", ""]],
      values: {
        sealedPerSecond: median(rate("sealed")),
        anchoredPerSecond: median(rate("anchored")),
        postQuantumPerSecond: median(rate("postQuantum")),
        sharedPerSecond: median(shared),
        timeOverSignatures: rows[1]?.ratio ?? Number.NaN,
      },
    };
  } finally {
    await stack.close();
  }
}

/** Proofs a second, run by run, each run with a verifier that has seen nothing. */
function sharedCheckpoint(): number[] {
  const every = SHARED_ENTRIES / SHARED_PROOFS;
  const entry = (i: number) => {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(0, i);
    return bytes;
  };
  const levels = [Array.from({ length: SHARED_ENTRIES }, (_, i) => leafHash(entry(i)))];
  for (let below = levels[0] ?? []; below.length > 1; below = levels.at(-1) ?? []) {
    const pairs = Array.from({ length: Math.ceil(below.length / 2) }, (_, i) =>
      below.slice(2 * i, 2 * i + 2),
    );
    levels.push(
      pairs.flatMap(([left, right]) => (left && right ? [nodeHash(left, right)] : left ? [left] : [])),
    );
  }
  const { secretKey, publicKey } = ed25519.keygen();
  const vkey = makeVkey("audit.example.org/log/bench", ED25519, publicKey);
  const root = levels.at(-1)?.[0] ?? new Uint8Array();
  const text = checkpointBody({ origin: vkey.name, size: BigInt(SHARED_ENTRIES), root });
  const signature = ed25519.sign(new TextEncoder().encode(text), secretKey);
  const checkpoint = formatNote({ text, signatures: [{ ...vkey, signature }] });
  const claims = Array.from({ length: SHARED_PROOFS }, (_, i) => {
    const hashes = levels.flatMap((level, height) => level[Math.floor((i * every) / 2 ** height) ^ 1] ?? []);
    const proof = formatProof({ index: BigInt(i * every), hashes, checkpoint });
    return { commitment: entry(i * every), proof: new TextEncoder().encode(proof) };
  });
  return Array.from({ length: SHARED_RUNS }, () => {
    const verify = openVerifier({ logVkeys: [vkey], anchorVkeys: [] });
    const started = performance.now();
    if (!claims.every((claim) => verify(claim).proven)) throw new Error("a proof does not verify");
    return (1000 * SHARED_PROOFS) / (performance.now() - started);
  });
}

/** A checkpoint's length in bytes, about. */
const MESSAGE_BYTES = 100;

/** The libraries' own verification, which no verifier of proofs can be faster than. */
export function bareSignatures() {
  const message = new Uint8Array(MESSAGE_BYTES).fill(7);
  const ed = ed25519.keygen();
  const edSignature = ed25519.sign(message, ed.secretKey);
  const mldsa = ml_dsa44.keygen();
  const mldsaSignature = ml_dsa44.sign(message, mldsa.secretKey);
  const check = (valid: boolean) => {
    if (!valid) throw new Error("a signature does not verify");
  };
  return {
    verifyEd25519: () => check(ed25519.verify(edSignature, message, ed.publicKey, { zip215: false })),
    verifyMldsa44: () => check(ml_dsa44.verify(mldsaSignature, message, mldsa.publicKey)),
  };
}
