/** Re-verifies a log from nothing but its stored bytes, against the invariants I1 to I6. Returns what is wrong. */
import { createPublicKey, verify } from "node:crypto";
import { parseCheckpoint, parseCheckpointBody } from "@kedge/verify/tlog/checkpoint";
import { HASH_SIZE, leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import type { Vkey } from "@kedge/verify/tlog/note";
import {
  bundlesChanged,
  decodeBundle,
  type Entries,
  listEntries,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tilesChanged,
} from "@kedge/verify/tlog/tile";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Publication } from "../../platform/publication.ts";
import type { Item } from "../../platform/store.ts";
import { ANCHOR } from "../../service/anchor-items.ts";
import { decodeHead, headKey } from "../../service/head.ts";
import { coverKey, decodeCover, RUN_SIZES, type RunSizes } from "../../service/index/cover.ts";
import { readBatch, readRecord } from "../../service/record.ts";
import { tileItemKey } from "../../service/tiles.ts";
import { LOG, type Observed, type World } from "./world.ts";

type Stored = ReadonlyMap<string, Item>;

export const indexItems = (items: readonly Item[]): Stored =>
  new Map(items.map((item) => [`${item.pk} ${item.sk}`, item]));

const at = (stored: Stored, { pk, sk }: { pk: string; sk: string }): Item | undefined =>
  stored.get(`${pk} ${sk}`);

/** Everything about one log: tiles, bundles, index, checkpoints, signatures, acknowledged entries. */
export function auditLog(input: {
  readonly items: readonly Item[];
  readonly log: string;
  readonly vkey: Vkey;
  readonly acknowledged: readonly Uint8Array[];
  readonly observed: Observed;
  readonly record: Uint8Array | undefined;
  readonly runs: { readonly files: ReadonlyMap<string, Uint8Array>; readonly sizes: RunSizes };
}): string[] {
  const { log, vkey, observed } = input;
  const stored = indexItems(input.items);
  const wrong: string[] = [...observed.violations];
  const head = decodeHead(log, at(stored, headKey(log)));
  if (head.size !== head.published)
    wrong.push(`${log}: ${head.size - head.published} entries committed, not published`);

  const entries = readEntries(stored, log, head.published, wrong);
  const hashes = entries.map(leafHash);
  const names = hashes.map(bytesToHex);
  const roots = new Map<bigint, string>();
  const rootAt = (size: bigint): string => {
    const root = roots.get(size) ?? bytesToHex(rootOf(hashes.slice(0, Number(size))));
    roots.set(size, root);
    return root;
  };

  // I1, I2
  const positions = new Map(names.map((name, i) => [name, i]));
  if (positions.size !== names.length) wrong.push(`I2: ${log} holds an entry twice`);
  for (const entry of input.acknowledged) {
    if (!positions.has(bytesToHex(leafHash(entry)))) wrong.push(`I1: ${log} lost an acknowledged entry`);
  }

  wrong.push(...auditRuns(input, head.published, names));

  // Every tile of the tree, byte for byte, from the entries alone.
  for (const tile of tilesChanged(0n, head.published)) {
    const expected = tileFromScratch(tile, hashes);
    const item = at(stored, tileItemKey(log, tile.level, tile.index));
    if (item?.["width"] !== BigInt(tile.width) || hex(item["data"]) !== expected) {
      wrong.push(`${log}: ${tilePath(tile)} is not what its entries make it`);
    }
  }

  // I3, I4: every signature ever made, and every checkpoint ever visible, is a prefix of the one tree.
  for (const { size, root, note } of observed.signed.filter((s) => s.log === log)) {
    openQuickly(note, vkey);
    if (size > head.published) wrong.push(`I3: ${log} signed size ${size}, never published`);
    else if (root !== rootAt(size)) wrong.push(`I3: ${log} signed two roots at size ${size}`);
  }
  let last = 0n;
  for (const { note, snapshot } of observed.visible.filter((v) => v.log === log)) {
    const { checkpoint } = openQuickly(note, vkey);
    if (checkpoint.size <= last) wrong.push(`I4: ${log} published ${checkpoint.size} after ${last}`);
    last = checkpoint.size;
    if (bytesToHex(checkpoint.root) !== rootAt(checkpoint.size))
      wrong.push(`I4: ${log} forked at ${checkpoint.size}`);
    wrong.push(...unreadable(indexItems(snapshot), log, checkpoint.size, hashes));
  }

  // I6: the record outside the store is of the last published checkpoint.
  const recorded =
    input.record === undefined ? 0n : parseCheckpointBody(new TextDecoder().decode(input.record)).size;
  if (recorded !== head.published)
    wrong.push(`I6: ${log} is at ${head.published}, its record at ${recorded}`);
  return wrong;
}

/** Each run that the cover names is there, and has the leaves of its range, sorted, each with its place. */
function auditRuns(
  { items, log, runs }: Parameters<typeof auditLog>[0],
  published: bigint,
  names: readonly string[],
): string[] {
  const cover = decodeCover(log, at(indexItems(items), coverKey(log)), runs.sizes);
  const wrong = cover.end > published ? [`index: ${log} covers ${cover.end} of ${published} entries`] : [];
  for (const run of cover.runs) {
    const first = Number(run.first);
    const leaves = names.slice(first, first + run.count);
    const root = bytesToHex(rootOf(leaves.map(hexToBytes)));
    const path = `${log}/${run.level}/${first / run.count}-${root}`;
    const file = runs.files.get(path);
    const sorted = leaves.map((name, i) => `${name}${i.toString(16).padStart(8, "0")}`).sort();
    const entries = hex(file?.slice(file.length - run.count * (HASH_SIZE + 4)));
    if (entries !== sorted.join("")) wrong.push(`index: ${path} is not what its leaves make it`);
  }
  return wrong;
}

/** Both logs, and what was shown of the anchor log. `acknowledged` are the tenant log's. */
export function auditWorld(world: World, acknowledged: readonly Uint8Array[]): string[] {
  const { observed, vkeys, publication, index, reading } = world;
  const runs = { files: index.files, sizes: reading.runSizes ?? RUN_SIZES };
  const items = world.store.items();
  const record = (log: string) => publication.files.get(`logs/${log}/head`);
  return [
    ...auditLog({ items, log: LOG, vkey: vkeys.log, acknowledged, observed, record: record(LOG), runs }),
    ...auditLog({
      ...{ items, log: ANCHOR, vkey: vkeys.anchor, acknowledged: [], observed, record: record(ANCHOR), runs },
    }),
    ...auditShown(observed, vkeys.anchor),
  ];
}

/** From the record back to the empty tree, every batch is kept outside the store and leads to its head (restore.ts). */
export async function auditBatches(
  publication: Publication,
  log: { id: string; origin: string },
): Promise<string[]> {
  const batches: Entries[] = [];
  const record = await readRecord(publication, log);
  for (let at = record; at !== undefined; ) {
    const { before, entries } = await readBatch(publication, log, at);
    batches.unshift(entries);
    at = before;
  }
  const root = rootOf(batches.flatMap(listEntries).map(leafHash));
  return record === undefined || bytesToHex(root) === bytesToHex(record.root)
    ? []
    : [`I6: the batches of ${log.id} do not give the recorded root`];
}

/**
 * The anchor log's static files, at every moment when a checkpoint was shown: each path that a client of c2sp.org/tlog-tiles
 * asks for is there and makes the signed root (I5), each tree is the beginning of the next (I4), and no tenant's
 * checkpoint comes after a larger one.
 */
export function auditShown(observed: Observed, vkey: Vkey): string[] {
  const wrong: string[] = [];
  let last: string[] = [];
  for (const files of observed.shown) {
    const read = (path: string) => files.get(`anchor/${path}`);
    const note = new TextDecoder().decode(read("checkpoint"));
    const { checkpoint } = openQuickly(note, vkey);
    const { size, root } = checkpoint;
    const entries = bundlesChanged(0n, size).flatMap((tile) => {
      const bytes = read(tilePath(tile));
      if (bytes === undefined) wrong.push(`I5: ${tilePath(tile)} is not there when size ${size} is shown`);
      return bytes === undefined ? [] : decodeBundle(bytes, tile.width);
    });
    const hashes = entries.map(leafHash);
    if (bytesToHex(rootOf(hashes)) !== bytesToHex(root))
      wrong.push(`I5: the entries shown do not make size ${size}`);
    for (const tile of tilesChanged(0n, size)) {
      if (hex(read(tilePath(tile))) !== tileFromScratch(tile, hashes))
        wrong.push(`I5: ${tilePath(tile)} is wrong`);
    }
    const ofSize = read(`checkpoints/${size}`);
    const twin = ofSize && openQuickly(new TextDecoder().decode(ofSize), vkey).checkpoint;
    if (hex(twin?.root) !== bytesToHex(root))
      wrong.push(`I5: checkpoints/${size} is not of the tree that is shown`);
    const names = hashes.map(bytesToHex);
    if (last.some((name, i) => name !== names[i]))
      wrong.push(`I4: size ${size} is shown after another history`);
    if (names.length < last.length) wrong.push(`I4: size ${size} is shown after ${last.length}`);
    last = names;
    wrong.push(...outOfOrder(entries));
  }
  return [...new Set(wrong)];
}

function outOfOrder(entries: readonly Uint8Array[]): string[] {
  const largest = new Map<string, bigint>();
  return entries.flatMap((entry) => {
    const { origin, size } = parseCheckpoint(new TextDecoder().decode(entry)).checkpoint;
    const before = largest.get(origin) ?? 0n;
    largest.set(origin, size > before ? size : before);
    return size > before ? [] : [`${origin} of size ${size} stands in the anchor log after ${before}`];
  });
}

/** As openCheckpoint, with OpenSSL's Ed25519: the matrix opens hundreds of thousands. */
function openQuickly(text: string, vkey: Vkey) {
  const { checkpoint, note } = parseCheckpoint(text);
  const key = createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(vkey.publicKey).toString("base64url") },
    format: "jwk",
  });
  const signed = note.signatures.filter(({ name, id }) => name === vkey.name && id === vkey.id);
  const good = signed.filter(({ signature }) => verify(null, Buffer.from(note.text), key, signature));
  if (good.length !== 1 || checkpoint.origin !== vkey.name)
    throw new Error(`not signed by ${vkey.name}: ${text}`);
  return { checkpoint };
}

/** I5: when a checkpoint became visible, every tile and bundle of its tree was there, at least as wide as it needs. */
function unreadable(stored: Stored, log: string, size: bigint, hashes: readonly Uint8Array[]): string[] {
  const wrong: string[] = [];
  for (const tile of [...tilesChanged(0n, size), ...bundlesChanged(0n, size)]) {
    const item = at(stored, tileItemKey(log, tile.level, tile.index));
    const width = item?.["width"];
    if (typeof width !== "bigint" || width < BigInt(tile.width)) {
      wrong.push(`I5: ${log} ${tilePath(tile)} was not readable when size ${size} became visible`);
    } else if (tile.level !== "entries" && !hex(item?.["data"]).startsWith(tileFromScratch(tile, hashes))) {
      wrong.push(`I5: ${log} ${tilePath(tile)} was wrong when size ${size} became visible`);
    }
  }
  return wrong;
}

function readEntries(stored: Stored, log: string, size: bigint, wrong: string[]): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (const tile of bundlesChanged(0n, size)) {
    const item = at(stored, tileItemKey(log, tile.level, tile.index));
    const data = item?.["data"];
    if (!(data instanceof Uint8Array) || item?.["width"] !== BigInt(tile.width)) {
      wrong.push(`${log}: ${tilePath(tile)} is missing or of another width`);
      return entries;
    }
    entries.push(...decodeBundle(data, tile.width));
  }
  return entries;
}

function tileFromScratch({ level, index, width }: Tile, hashes: readonly Uint8Array[]): string {
  if (level === "entries") throw new Error("a bundle has no hashes");
  const span = TILE_WIDTH ** level;
  const first = Number(index) * TILE_WIDTH;
  const roots = Array.from({ length: width }, (_, i) =>
    rootOf(hashes.slice((first + i) * span, (first + i + 1) * span)),
  );
  return roots.map(bytesToHex).join("");
}

const hex = (value: unknown): string => (value instanceof Uint8Array ? bytesToHex(value) : "");
