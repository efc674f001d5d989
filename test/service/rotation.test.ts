/** Keys of a log and of the anchor log change, one at a time; what was proven under the old ones stays proven. */

import { verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { verifyConsistency } from "@kedge/verify/tlog/merkle";
import { formatVkey, type Vkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { parseProof } from "@kedge/verify/tlog/proof";
import { sha256 } from "@noble/hashes/sha2.js";
import { beforeAll, describe, expect, test } from "vitest";
import { anchor } from "../../service/anchor.ts";
import { ANCHOR } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { consistency } from "../../service/history.ts";
import { prove } from "../../service/prove.ts";
import { seal } from "../../service/seal.ts";
import { checkpointSigner, type LogKeys, logVkeys } from "../../service/sign.ts";
import {
  cosignedBy,
  ed25519Cosigner,
  ed25519Key,
  inKms,
  mldsa44Key,
} from "../packages/verify/tlog/signers.ts";
import { ANCHOR_ORIGIN, LOG, newWorld, ORIGIN } from "../support/world.ts";

type Name = "A" | "B";
type Names = readonly Name[];

/** Each list signs; then the next key rides along; then it takes over. */
const RIDES: readonly Names[] = [["A"], ["A", "B"], ["B"]];
/** Which of RIDES signs the log, and the anchor log with Ed25519 and with ML-DSA-44. */
const PHASES = [
  { log: 0, anchor: 0, mldsa: 0 },
  { log: 1, anchor: 0, mldsa: 0 },
  { log: 1, anchor: 1, mldsa: 0 },
  { log: 1, anchor: 1, mldsa: 1 },
  { log: 2, anchor: 1, mldsa: 1 },
  { log: 2, anchor: 2, mldsa: 1 },
  { log: 2, anchor: 2, mldsa: 2 },
];
const SUBSETS: readonly Names[] = [[], ...RIDES];

const KEYS = {
  log: { A: inKms(ed25519Key(1)), B: inKms(ed25519Key(2)) },
  anchor: { A: inKms(ed25519Key(3)), B: inKms(ed25519Key(4)) },
  mldsa: { A: inKms(mldsa44Key(5)), B: inKms(mldsa44Key(6)) },
};

const ride = (phase: number): Names => RIDES[phase] ?? expect.fail(`no phase ${phase}`);
const logKeys = (names: Names): LogKeys => ({ ed25519: names.map((name) => KEYS.log[name]), mldsa44: [] });
const anchorKeys = (names: Names, mldsa: Names): LogKeys => ({
  ed25519: names.map((name) => KEYS.anchor[name]),
  mldsa44: mldsa.map((name) => KEYS.mldsa[name]),
});

const witness = ed25519Cosigner("witness.example/w");
const WITNESS_LINES = `witness w ${formatVkey(witness.vkey)}\nquorum w\n`;
const cosign = (note: string): string =>
  `${note}${cosignedBy(witness, parseCheckpoint(note).checkpoint, 1_700_000_000n)}`;

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));
const NO_WITNESSES = parsePolicy("quorum none\n");
const world = newWorld();
/** Of each phase, its proof as it was when it was made. */
const proofs: string[] = [];

async function proofOf(n: number): Promise<string> {
  const [proof] = await prove({ ...world.reading, policy: NO_WITNESSES }, LOG, [entry(n)]);
  if (proof === undefined || proof === "pending") throw new Error("no proof");
  return proof.proof;
}

beforeAll(async () => {
  for (const [n, phase] of PHASES.entries()) {
    const sign = checkpointSigner(logKeys(ride(phase.log)), world.tick);
    const signAnchor = checkpointSigner(anchorKeys(ride(phase.anchor), ride(phase.mldsa)), world.tick);
    const actor = {
      ...world.actor(),
      signLog: sign,
      policy: parsePolicy(WITNESS_LINES),
      anchorVkeys: () => logVkeys(anchorKeys(ride(phase.anchor), ride(phase.mldsa)), ANCHOR_ORIGIN),
      signAnchor: async (head: Parameters<typeof signAnchor>[0]) => cosign(await signAnchor(head)),
    };
    await append(actor, LOG, [entry(n)]);
    await seal(actor, { id: LOG, origin: ORIGIN, sign });
    await anchor(actor);
    proofs.push(await proofOf(n));
  }
});

type Pins = { log: Names; anchor: Names; mldsa: Names };
const vkeysOf = async ({ log, anchor, mldsa }: Pins) => ({
  logVkeys: await logVkeys(logKeys(log), ORIGIN),
  anchorVkeys: await logVkeys(anchorKeys(anchor, mldsa), ANCHOR_ORIGIN),
});
const verified = async (n: number, pins: Pins, more: { requireAllKeys?: boolean; policy?: string } = {}) => {
  const { policy, ...rest } = more;
  const report = verifyEvent({
    commitment: entry(n),
    proof: proofs[n] ?? "",
    require: "anchored",
    ...(await vkeysOf(pins)),
    ...rest,
    ...(policy === undefined ? {} : { policy: parsePolicy(policy) }),
  });
  return tellReport(report);
};
const policyOf = (vkeys: readonly Vkey[]): string =>
  `${vkeys.map((vkey) => `log ${formatVkey(vkey)}\n`).join("")}${WITNESS_LINES}`;

const meet = (pinned: Names, signed: Names): boolean => pinned.some((name) => signed.includes(name));
/** Whether a key of the pinned ones signed, of each kind and each log. */
const signedBy = (n: number, pins: Pins) => {
  const { log = 0, anchor = 0, mldsa = 0 } = PHASES[n] ?? {};
  return {
    log: meet(pins.log, ride(log)),
    anchor: meet(pins.anchor, ride(anchor)),
    mldsa: meet(pins.mldsa, ride(mldsa)),
  };
};
const ALL: Names = ["A", "B"];
const ROTATED = /may have rotated its key: get the new vkey from a source you trust/;

describe.each(PHASES.map((phase, n) => ({ n, ...phase })))(
  "a proof of the phase log $log, anchor $anchor, ML-DSA-44 $mldsa",
  ({ n }) => {
    test("is the same at the end as when it was made", async () => {
      expect(await proofOf(n)).toBe(proofs[n]);
    });

    test("holds under any pinned keys of which one signed each log, and under no others", async () => {
      for (const log of RIDES) {
        for (const anchor of SUBSETS) {
          for (const mldsa of SUBSETS) {
            if (anchor.length + mldsa.length === 0) continue;
            const pins = { log, anchor, mldsa };
            const signed = signedBy(n, pins);
            const { proven, failure } = await verified(n, pins);
            expect([pins, proven]).toEqual([pins, signed.log && (signed.anchor || signed.mldsa)]);
            if (proven) continue;
            expect(failure).toMatchObject({ step: signed.log ? "anchor" : "log", code: "unknown_key" });
            expect(failure?.message).toMatch(ROTATED);
          }
        }
      }
    });

    test("when all keys are required, needs one of every kind that is pinned", async () => {
      for (const anchor of RIDES) {
        for (const mldsa of RIDES) {
          const pins = { log: ALL, anchor, mldsa };
          const signed = signedBy(n, pins);
          const { proven } = await verified(n, pins, { requireAllKeys: true });
          expect([pins, proven]).toEqual([pins, signed.anchor && signed.mldsa]);
        }
      }
    });

    test("says nothing of a pinned key whose predecessor or successor signed", async () => {
      const { caveats, statements } = await verified(n, { log: ALL, anchor: ALL, mldsa: ALL });
      expect(caveats.join("\n")).not.toMatch(/did not sign/);
      const { logVkeys } = await vkeysOf({ log: ride(PHASES[n]?.log ?? 0), anchor: [], mldsa: [] });
      for (const { id } of logVkeys) expect(statements[0]).toContain(id.toString(16).padStart(8, "0"));
    });

    test("is witnessed under a policy that names a key that signed, and refused under one that does not", async () => {
      for (const anchor of RIDES) {
        const { anchorVkeys } = await vkeysOf({ log: [], anchor, mldsa: [] });
        const pins = { log: ALL, anchor: ALL, mldsa: [] };
        const { assurance, failure } = await verified(n, pins, { policy: policyOf(anchorVkeys) });
        if (signedBy(n, { ...pins, anchor }).anchor) expect(assurance).toBe("witnessed");
        else {
          expect(failure).toMatchObject({ step: "policy", code: "unknown_key" });
          expect(failure?.message).toMatch(ROTATED);
        }
      }
    });
  },
);

test("every checkpoint of both logs is consistent with every later one, whichever keys signed them", async () => {
  const anchorOf = (proof: string): string => {
    const extra: { anchor: string } = JSON.parse(new TextDecoder().decode(parseProof(proof).extra));
    return parseProof(extra.anchor).checkpoint;
  };
  for (const [log, noteOf] of [
    [LOG, (proof: string) => parseProof(proof).checkpoint],
    [ANCHOR, anchorOf],
  ] as const) {
    const heads = proofs.map((proof) => parseCheckpoint(noteOf(proof)).checkpoint);
    expect(heads.map(({ size }) => size)).toEqual(PHASES.map((_, n) => BigInt(n + 1)));
    for (const [i, older] of heads.entries()) {
      for (const newer of heads.slice(i)) {
        const proof = await consistency(world.store, log, { from: older.size, to: newer.size });
        const sizes = { from: older.size, to: newer.size };
        const roots = { fromRoot: older.root, toRoot: newer.root };
        expect(() => verifyConsistency({ ...sizes, ...roots, proof })).not.toThrow();
      }
    }
  }
});
