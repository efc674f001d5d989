/** The pure functions that everything else spends its time in. */
import { randomBytes } from "node:crypto";
import { commitEvent } from "@kedge/verify/events/commitment";
import { HASH_SIZE, leafHash, rootOf, verifyInclusion } from "@kedge/verify/tlog/merkle";
import { extendTiles, rightEdge, type Tile, tileKey } from "@kedge/verify/tlog/tile";
import { inclusionProof, inclusionTiles } from "@kedge/verify/tlog/tileproof";
import { hospitalDay } from "../examples/hospital-day/generate.ts";
import { median, type Section, spread } from "./report.ts";
import { randomCommitments } from "./stack.ts";
import { inTurn, rates } from "./timing.ts";
import { bareSignatures } from "./verification.ts";

const SIZE = 10_000_007n;
const BATCH = 1_000;

export async function tlog(): Promise<Section> {
  const entries = randomCommitments(BATCH);
  const hashes = entries.map(leafHash);
  const edge = madeUp(rightEdge(SIZE));
  const path = madeUp(inclusionTiles(SIZE / 2n, SIZE));
  const tree = treeOf(entries);
  const events = [...hospitalDay({ seed: 1, date: "2026-03-02", events: 200 })].map(({ resource }) => ({
    bytes: new TextEncoder().encode(JSON.stringify(resource)),
    mediaType: "application/fhir+json",
  }));
  const size = median(events.map(({ bytes }) => bytes.length));
  const secret = { tenantKey: new Uint8Array(randomBytes(32)) };
  const { verifyEd25519, verifyMldsa44 } = bareSignatures();
  const [entry, event] = [inTurn(entries), inTurn(events)];

  const tasks = {
    "hash a leaf": () => leafHash(entry()),
    [`extend the tiles of 10⁷ leaves by ${BATCH}`]: () => extendTiles(SIZE, edge, hashes),
    // A map of its own each time: what is hashed for one map of tiles is known to its next proof.
    "make an inclusion proof in 10⁷ leaves": () => inclusionProof(SIZE / 2n, SIZE, new Map(path)),
    "make the next one from the same tiles": () => inclusionProof(SIZE / 2n, SIZE, path),
    [`verify an inclusion proof in ${BATCH} leaves`]: () => verifyInclusion(tree),
    "verify an Ed25519 signature (@noble/curves)": verifyEd25519,
    "verify an ML-DSA-44 signature (@noble/post-quantum)": verifyMldsa44,
    [`commit to an AuditEvent of ${size} bytes, raw`]: () => commitEvent(event(), secret),
    [`commit to an AuditEvent of ${size} bytes, jcs`]: () =>
      commitEvent({ ...event(), canonicalisation: "jcs" }, secret),
  };
  const rate = await rates(tasks);
  return {
    title: "The pure functions, one core",
    head: ["", "a second"],
    rows: Object.keys(tasks).map((name) => [name, spread(rate(name))]),
    values: Object.fromEntries(Object.keys(tasks).map((name) => [name, median(rate(name))])),
  };
}

function madeUp(tiles: readonly Tile[]): Map<string, Uint8Array> {
  return new Map(
    tiles.map(({ level, index, width }) => [
      tileKey(level, index),
      new Uint8Array(randomBytes(width * HASH_SIZE)),
    ]),
  );
}

function treeOf(entries: readonly Uint8Array[]) {
  const hashes = entries.map(leafHash);
  const size = BigInt(entries.length);
  const index = size / 2n;
  const proof = inclusionProof(index, size, extendTiles(0n, new Map(), hashes));
  return {
    leafHash: leafHash(entries[Number(index)] ?? new Uint8Array()),
    index,
    size,
    root: rootOf(hashes),
    proof,
  };
}
