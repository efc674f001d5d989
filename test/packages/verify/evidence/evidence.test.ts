import { startAudit } from "@kedge/verify/audit/audit";
import { parseHead } from "@kedge/verify/audit/heads";
import {
  checkEvidence,
  compareTrees,
  type Evidence,
  type Fork,
  type SignedTree,
} from "@kedge/verify/evidence/evidence";
import { parseEvidence } from "@kedge/verify/evidence/evidencefile";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { makeVkey, type Vkey } from "@kedge/verify/tlog/note";
import { formatProof } from "@kedge/verify/tlog/proof";
import { extendTiles } from "@kedge/verify/tlog/tile";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tenantEntry } from "../../../support/anchor-log.ts";
import {
  filler,
  inclusion,
  LOG_ORIGIN,
  log,
  logSigner,
  type Signer,
  signedHead,
} from "../../../support/proofs.ts";

const commitments = (count: number, seed = 0): Uint8Array[] =>
  Array.from({ length: count }, (_, n) => leafHash(Uint8Array.of(n >> 8, n, seed)));
const convinces = (evidence: Evidence, vkeys: readonly Vkey[] = [log.vkey]): boolean =>
  checkEvidence(evidence, vkeys).convincing;

function treeOf(entries: readonly Uint8Array[]): SignedTree {
  const note = signedHead(LOG_ORIGIN, entries, [log]);
  const { checkpoint } = parseCheckpoint(note);
  return { note, checkpoint, tiles: extendTiles(0n, new Map(), entries.map(leafHash)) };
}

/** What an audit keeps of a log that serves these entries, once it has signed others. */
function byAudit(older: readonly Uint8Array[], served: readonly Uint8Array[]): Fork | undefined {
  const keys = { origin: LOG_ORIGIN, vkeys: [log.vkey] };
  const head = (entries: readonly Uint8Array[]) => parseHead(signedHead(LOG_ORIGIN, entries, [log]), keys);
  const period = { start: 0n, end: BigInt(served.length) };
  const kept = [{ ...head(older), name: "kept" }];
  const audit = startAudit({ log: keys, head: head(served), kept, period });
  for (let at = 0; at < served.length; at += 100)
    audit.add({ entries: served.slice(at, at + 100), history: [] });
  return audit.finish().evidence;
}

/** What a monitor keeps that has seen the older tree and is served the tiles of the newer one. */
const byMonitor = (older: readonly Uint8Array[], served: readonly Uint8Array[]) =>
  compareTrees({ ...treeOf(older), tiles: new Map() }, treeOf(served));

function forkOf(older: readonly Uint8Array[], served: readonly Uint8Array[]): Fork {
  const evidence = byAudit(older, served);
  if (evidence === undefined) throw new Error("no evidence");
  return evidence;
}

test("an audit and a monitor keep the same evidence of the same two checkpoints, and it convinces", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 600 }), fc.nat(300), fc.nat());
  fc.assert(
    fc.property(sizes, ([size, more, at]) => {
      const served = commitments(size + more);
      const older = served.slice(0, size).with(at % size, commitments(1, 1)[0] ?? new Uint8Array());
      const evidence = forkOf(older, served);
      expect(byMonitor(older, served)).toEqual(evidence);
      expect(convinces(parseEvidence(JSON.stringify(evidence)))).toBe(true);
      // Of one history, neither keeps any.
      expect(byAudit(served.slice(0, size), served)).toBeUndefined();
      expect(byMonitor(served.slice(0, size), served)).toBe("same");
    }),
    { numRuns: 50 },
  );
});

describe.each([
  ["two histories", forkOf(commitments(77, 1), commitments(300))],
  ["two roots of one size", forkOf(commitments(77, 1), commitments(77))],
])("evidence of %s", (_, evidence) => {
  const { checkpoints, roots, proofs } = evidence;
  const stranger = commitments(1, 2)[0] ?? new Uint8Array();
  const hash = Buffer.from(stranger).toString("base64");

  test("does not convince with any field changed", () => {
    const other = signedHead(LOG_ORIGIN, commitments(78, 2), [log]);
    const altered: Partial<Fork>[] = [
      { size: "0", proofs: [[], []] },
      ...["0", "1", "76", "78", "300", "077", "-77", ""].map((size) => ({ size })),
      ...pairs(roots, [hash, "", roots[0], roots[1]]).map((roots) => ({ roots })),
      ...proofs.flatMap((proof, i) =>
        [
          [...proof, hash],
          [hash, ...proof],
          ...proof.flatMap((_, at) => [proof.with(at, hash), proof.toSpliced(at, 1)]),
        ].map((wrong): Partial<Fork> => ({ proofs: i === 0 ? [wrong, proofs[1]] : [proofs[0], wrong] })),
      ),
      ...pairs(checkpoints, [other, "", checkpoints[0], checkpoints[1]]).map((checkpoints) => ({
        checkpoints,
      })),
      ...checkpoints.map(
        (note): Partial<Fork> => ({ checkpoints: [note.replace("\n77\n", "\n76\n"), note] }),
      ),
    ];
    expect(convinces(evidence)).toBe(true);
    for (const change of altered)
      expect([change, convinces({ ...evidence, ...change })]).toEqual([change, false]);
  });

  test("of one history with itself does not convince", () => {
    const [a, b] = [0, 1] as const;
    for (const i of [a, b]) {
      const self: Fork = {
        ...evidence,
        checkpoints: [checkpoints[i], checkpoints[i]],
        roots: [roots[i], roots[i]],
        proofs: [proofs[i], proofs[i]],
      };
      expect(convinces(self)).toBe(false);
      expect(convinces({ ...self, roots })).toBe(false);
    }
  });

  test("does not convince with any character changed", () => {
    const line = JSON.stringify(evidence);
    fc.assert(
      fc.property(fc.nat(line.length - 1), fc.integer({ min: 1, max: 92 }), (at, shift) => {
        const code = 33 + ((line.charCodeAt(at) - 33 + shift) % 93);
        const altered = line.slice(0, at) + String.fromCharCode(code) + line.slice(at + 1);
        expect([altered, readAndJudge(altered)]).toEqual([altered, false]);
      }),
      { numRuns: 200 },
    );
  });

  test("does not convince under another key, one of another log, or none", () => {
    const { type, publicKey } = log.vkey;
    for (const vkeys of [
      [logSigner(LOG_ORIGIN, 99).vkey],
      [makeVkey("other.example/log/x", type, publicKey)],
      [],
    ]) {
      expect(convinces(evidence, vkeys)).toBe(false);
    }
    expect(convinces(evidence, [logSigner("other.example/log/x", 99).vkey, log.vkey])).toBe(true);
  });
});

/** Those with one of the two replaced, or both exchanged. */
function pairs([a, b]: [string, string], others: readonly string[]): [string, string][] {
  const replaced = others.flatMap((other): [string, string][] => [
    [other, b],
    [a, other],
  ]);
  return [...replaced.filter(([first, second]) => first !== a || second !== b), [b, a]];
}

function readAndJudge(line: string): boolean {
  try {
    return convinces(parseEvidence(line));
  } catch (error) {
    expect(error).toBeInstanceOf(TlogError);
    return false;
  }
}

describe("of several pinned keys, each counts for its own log:", () => {
  const another = logSigner("other.example/log/x", 5);
  const both = [log.vkey, another.vkey];

  test("a checkpoint that only another log signed is not signed", () => {
    const signedBy = (signer: Signer) => (count: number, seed: number) =>
      signedHead(LOG_ORIGIN, commitments(count, seed), [signer]);
    for (const [signer, expected] of [
      [log, true],
      [another, false],
    ] as const) {
      const make = signedBy(signer);
      const { roots, proofs, size } = forkOf(commitments(9), commitments(9, 1));
      const checkpoints: [string, string] = [make(9, 0), make(9, 1)];
      expect(convinces({ kind: "fork", checkpoints, size, roots, proofs }, both)).toBe(expected);
    }
  });

  test("the trees of two logs do not contradict each other", () => {
    const { checkpoints, ...rest } = forkOf(commitments(9), commitments(9, 1));
    const second = signedHead(another.vkey.name, commitments(9, 1), [another]);
    const first = signedHead(another.vkey.name, commitments(9), [another]);
    expect(convinces({ ...rest, checkpoints: [first, second] }, both)).toBe(true);
    expect(convinces({ ...rest, checkpoints: [checkpoints[0], second] }, both)).toBe(false);
  });

  test("two roots of which each log holds one are not held by either", () => {
    const [one, two] = ["a", "b"].map((history) => tenantEntry("t", 5, { history }));
    if (one === undefined || two === undefined) throw new Error("no entries");
    const proofIn = (signer: Signer, entry: Uint8Array) => {
      const entries = filler(3).with(1, entry);
      const checkpoint = signedHead(signer.vkey.name, entries, [signer]);
      return formatProof({ index: 1n, hashes: inclusion(entries, 1), checkpoint });
    };
    const text = (entry: Uint8Array) => new TextDecoder().decode(entry);
    const held = (first: Signer, second: Signer): Evidence => ({
      kind: "entries",
      entries: [text(one), text(two)],
      proofs: [proofIn(first, one), proofIn(second, two)],
    });
    expect(convinces(held(another, another), both)).toBe(true);
    expect(convinces(held(log, another), both)).toBe(false);
  });
});

test.each(["", "{}", "[]", "null", '{"kind":"fork"}'])("%j is none", (line) => {
  expect(() => parseEvidence(line)).toThrow(TlogError);
});
