/**
 * Publish: the anchor log as static files, which any web server can serve and anyone can copy (c2sp.org/tlog-tiles).
 *
 *     anchor/tile/…             hash tiles and entry bundles           written once
 *     anchor/checkpoints/<size> the public checkpoint of a size        written once
 *     anchor/timestamps/<size>  timestamps over it (JSON)              only gains
 *     anchor/checkpoint         the newest public checkpoint           replaced by a larger one, or one with more cosignatures
 *     anchor/policy, …/vkeys    whom to trust, by the operator's word  replaced when the configuration changes
 *
 * Content first and `checkpoint` last, so whoever reads it can read all that it needs (I5). Nothing here is replaced by
 * what contradicts it: a table that is older than these files, or has another history, is refused (I6).
 */

import { type Timestamp, timestampSchema } from "@kedge/verify/time/timestampform";
import { equalBytes, utf8Decode } from "@kedge/verify/tlog/bytes";
import {
  type Checkpoint,
  checkpointBody,
  openCheckpoint,
  parseCheckpoint,
} from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { ED25519, formatNote, signaturesBy, type Vkey } from "@kedge/verify/tlog/note";
import type { Policy } from "@kedge/verify/tlog/policy";
import {
  bundlesChanged,
  decodeBundle,
  edgeOf,
  extendTiles,
  rightEdge,
  TILE_WIDTH,
  type Tile,
  type TileMap,
  tilePath,
  tilesChanged,
  widthAt,
} from "@kedge/verify/tlog/tile";
import { rootFromTiles } from "@kedge/verify/tlog/tileproof";
import { uniteSignatures, validCosignatures } from "@kedge/verify/tlog/witness-client";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import {
  contended,
  createFile,
  MAX_TRIES,
  type Publication,
  policyText,
  sameHead,
  vkeysText,
} from "../platform/publication.ts";
import type { Store } from "../platform/store.ts";
import { ANCHOR, checkpointKey, headKey } from "../platform/table.ts";
import { decodeCheckpoint } from "./checkpoints.ts";
import { decodeHead } from "./head.ts";
import { tileBytes } from "./seal.ts";
import { readTiles } from "./tiles.ts";

export type PublishContext = {
  readonly store: Store;
  readonly publication: Publication;
  readonly anchorOrigin: string;
  /** The keys that the anchor log signs with now. */
  readonly anchorVkeys: () => Promise<readonly Vkey[]>;
  readonly policy: Policy;
};

/** A public checkpoint, as its file holds it. */
export type Shown = { readonly note: string; readonly checkpoint: Checkpoint };

const NEWEST = "anchor/checkpoint";
const sizePath = (size: bigint): string => `anchor/checkpoints/${size}`;

/**
 * The newest public checkpoint, once it is certain that the table has it in its history.
 * @returns undefined before the first.
 * @throws ServiceError `rollback` when the table is older or another: nothing may be signed then; `corrupt`.
 */
export async function readShown({
  store,
  publication,
  anchorOrigin,
}: PublishContext): Promise<Shown | undefined> {
  const shown = (await readNewest(publication, anchorOrigin))?.shown;
  if (shown === undefined) return undefined;
  // Read after the file, so another anchorer that is at work makes no false alarm: the table has it first.
  const [headItem, item] = await store.get([headKey(ANCHOR), checkpointKey(ANCHOR, shown.checkpoint.size)]);
  const head = decodeHead(ANCHOR, headItem);
  const history = item && parseCheckpoint(decodeCheckpoint(ANCHOR, item).note).checkpoint;
  // A restore that died has committed it, and signs it again.
  const isKnown = sameHead(history, shown.checkpoint) || sameHead(head, shown.checkpoint);
  if (isKnown && head.size >= shown.checkpoint.size) return shown;
  throw new ServiceError(
    "rollback",
    `log ${ANCHOR}: size ${shown.checkpoint.size} is public at ${NEWEST}, and not in the history of the store, which is at ` +
      `${head.size}; nothing was signed, see rollback-refused in docs/operations.md`,
  );
}

async function readNewest(publication: Publication, origin: string) {
  const file = await publication.read(NEWEST);
  return file && { shown: parseShown(NEWEST, file.bytes, origin), tag: file.tag };
}

function parseShown(path: string, bytes: Uint8Array, origin: string): Shown {
  let shown: Shown;
  try {
    const note = utf8Decode(bytes, path);
    shown = { note, checkpoint: parseCheckpoint(note).checkpoint };
  } catch (cause) {
    throw new ServiceError("corrupt", `${path} is no checkpoint; bring back its newest good version`, {
      cause,
    });
  }
  if (shown.checkpoint.origin === origin) return shown;
  throw new ServiceError("corrupt", `${path} is of another log: ${shown.checkpoint.origin}`);
}

/** Whom to trust, by the operator's own word. Replaced when the configuration changes. */
export async function publishTrust(ctx: PublishContext): Promise<void> {
  const vkeys = await ctx.anchorVkeys();
  await Promise.all([
    keepUpToDate(ctx.publication, "anchor/policy", policyText(ctx.policy, vkeys)),
    keepUpToDate(ctx.publication, "anchor/vkeys", vkeysText(vkeys)),
  ]);
}

/** Where two write at once, one wins, and the next run compares again. */
async function keepUpToDate(publication: Publication, path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  const now = await publication.read(path);
  if (now === undefined || !equalBytes(now.bytes, bytes)) await publication.replace(path, bytes, now?.tag);
}

/** What stands in public under a size; undefined when nothing does. @throws ServiceError `corrupt` */
export async function readOfSize(
  { publication, anchorOrigin }: PublishContext,
  size: bigint,
): Promise<string | undefined> {
  const file = await publication.read(sizePath(size));
  return file && parseShown(sizePath(size), file.bytes, anchorOrigin).note;
}

/** What is to be made public. */
export type Candidate = {
  /** Signed by the log, with the cosignatures that `meets` asks for; its tree is published in the store. */
  readonly note: string;
  /** The newest public checkpoint, whose tiles are there already; undefined: none is. */
  readonly shown: Shown | undefined;
  /** What the store has under this size, where the files were lost. */
  readonly ofSize: string | undefined;
  readonly meets: (note: string) => boolean;
};

/**
 * Makes a checkpoint public: its tiles, itself under its size, and then the newest.
 * @returns what stands under its size for ever, and the newest: both may be another anchorer's.
 * @throws ServiceError `corrupt` when note or tiles are not what the log signed, or other bytes stand in a file's place.
 */
export async function publishCheckpoint(
  ctx: PublishContext,
  { note, shown, ofSize, meets }: Candidate,
): Promise<{ ofSize: string; newest: string }> {
  const own = await ownNote(ctx, note, shown);
  const { checkpoint } = own;
  await publishTiles(ctx, shown?.checkpoint.size ?? 0n, checkpoint);
  const path = sizePath(checkpoint.size);
  const first = ofSize === undefined ? own : await ownNote(ctx, ofSize, shown);
  const bytes = await createFile(ctx.publication, path, new TextEncoder().encode(first.note));
  const stands = parseShown(path, bytes, ctx.anchorOrigin);
  if (!sameHead(stands.checkpoint, checkpoint)) throw otherBytes(path);
  // One that died before the end has left it: its cosignatures are as good, unless the policy has changed since.
  const newest = await showNewest(ctx, meets(stands.note) ? stands : own, meets);
  return { ofSize: stands.note, newest };
}

/**
 * The note as it may stand in public for ever: without extension lines, a verified line of each of the log's keys, and
 * the policy's valid cosignatures. The store is not trusted: nothing that somebody else wrote into it gets out.
 */
async function ownNote(ctx: PublishContext, text: string, shown: Shown | undefined): Promise<Shown> {
  const { anchorOrigin: origin, anchorVkeys, policy } = ctx;
  const vkeys = await anchorVkeys();
  try {
    const parsed = parseCheckpoint(text);
    const { checkpoint, note } = parsed;
    const before = shown && parseCheckpoint(shown.note).note;
    // What is public already was verified under the keys of its time.
    const isShown = before?.text === note.text;
    const verified = isShown ? [] : openCheckpoint(text, { origin, vkeys }).verified;
    const isSigned = isShown || verified.some(({ vkey }) => vkey.type === ED25519);
    if (!isSigned || note.text !== checkpointBody(checkpoint)) {
      throw new TlogError("bad_signature", "It is not the bare tree head, or Ed25519 has not signed it");
    }
    const own = isShown ? before.signatures : signaturesBy(note, vkeys);
    const witnesses = policy.witnesses.map(({ vkey }) => vkey);
    const { valid } = validCosignatures(parsed, note.signatures, witnesses);
    return { note: formatNote({ text: note.text, signatures: uniteSignatures(own, valid) }), checkpoint };
  } catch (cause) {
    throw new ServiceError(
      "corrupt",
      `log ${ANCHOR}: its head's checkpoint is not signed by the log's keys; it is not made public`,
      { cause },
    );
  }
}

async function showNewest(
  { publication, anchorOrigin }: PublishContext,
  { note, checkpoint: next }: Shown,
  meets: (note: string) => boolean,
): Promise<string> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const now = await readNewest(publication, anchorOrigin);
    let added = note;
    if (now !== undefined) {
      const { size } = now.shown.checkpoint;
      if (size === next.size && !sameHead(now.shown.checkpoint, next)) throw otherBytes(NEWEST);
      if (size > next.size || (size === next.size && meets(now.shown.note))) return now.shown.note;
      // Another anchorer may go by another policy: what it has shown stays in it.
      if (size === next.size) added = united(now.shown.note, note);
    }
    if (await publication.replace(NEWEST, new TextEncoder().encode(added), now?.tag)) return added;
  }
  throw contended(NEWEST);
}

function united(first: string, more: string): string {
  const { text, signatures } = parseCheckpoint(first).note;
  return formatNote({ text, signatures: uniteSignatures(signatures, parseCheckpoint(more).note.signatures) });
}

const otherBytes = (path: string): ServiceError =>
  new ServiceError(
    "corrupt",
    `${path} is published with other content than the store's, and stays as it is; find out who wrote it`,
  );

// ---- tiles ----------------------------------------------------------------------------------------------------------

type TileFile = { readonly tile: Tile; readonly bytes: Uint8Array };

/** Entries that are read in one step, whole bundles: some 4 MB of them, 23 MB at most (append.ts). */
const STEP = BigInt(64 * TILE_WIDTH);
/** Files under way at a time. */
const PARALLEL = 16;

/** Writes the tiles and bundles of the tree that the tree of `from` entries lacks. */
async function publishTiles(ctx: PublishContext, from: bigint, tree: Checkpoint): Promise<void> {
  // Wrong bytes would stay for ever: nothing is written before all that is new has been seen to make the signed root, and
  // then only what makes the same roots on the way.
  const roots: Uint8Array[] = [];
  if (tree.size - lastWhole(from) > STEP) {
    for await (const { root } of newFiles(ctx.store, from, tree)) roots.push(root);
  }
  let step = 0;
  for await (const { root, files } of newFiles(ctx.store, from, tree)) {
    if (!equalBytes(root, roots[step++] ?? tree.root)) throw notTheRoot(tree.size);
    for (let at = 0; at < files.length; at += PARALLEL) {
      await Promise.all(files.slice(at, at + PARALLEL).map((file) => publishTile(ctx.publication, file)));
    }
  }
}

/** Where the last whole bundle ends: from there on every entry of what is published is hashed. */
const lastWhole = (size: bigint): bigint => size - (size % BigInt(TILE_WIDTH));

const notTheRoot = (size: bigint): ServiceError =>
  new ServiceError(
    "corrupt",
    `log ${ANCHOR}: its entries and tiles do not make the root of size ${size}; nothing is published`,
  );

async function publishTile(publication: Publication, { tile, bytes }: TileFile): Promise<void> {
  const path = `anchor/${tilePath(tile)}`;
  if (!equalBytes(await createFile(publication, path, bytes), bytes)) throw otherBytes(path);
}

/** In steps, each with the root so far; the last is yielded only if it is the tree's. @throws ServiceError `corrupt` */
async function* newFiles(
  store: Store,
  from: bigint,
  { size, root: signed }: Checkpoint,
): AsyncGenerator<{ root: Uint8Array; files: TileFile[] }> {
  const isNew = ({ level, index, width }: Tile) =>
    width === widthAt(size, level, index) && width !== widthAt(from, level, index);
  let at = lastWhole(from);
  let edge = await readAll(store, rightEdge(at));
  while (at < size) {
    const to = at + STEP < size ? at + STEP : size;
    const bundles = bundlesChanged(at, to);
    const bytes = await readAll(store, bundles);
    const made = extendTiles(at, edge, bundles.flatMap((tile) => entriesOf(tile, bytes)).map(leafHash));
    edge = edgeOf(to, new Map([...edge, ...made]));
    const root = rootFromTiles(to, edge);
    if (to === size && !equalBytes(root, signed)) throw notTheRoot(size);
    const files = [
      ...bundles.filter(isNew).map((tile) => ({ tile, bytes: tileBytes(tile, bytes) })),
      ...tilesChanged(at, to)
        .filter(isNew)
        .map((tile) => ({ tile, bytes: tileBytes(tile, made) })),
    ];
    yield { root, files };
    at = to;
  }
}

const readAll = async (store: Store, tiles: readonly Tile[]): Promise<TileMap> =>
  (
    await readTiles(
      store,
      tiles.map((tile) => ({ log: ANCHOR, tile })),
    )
  ).get(ANCHOR) ?? new Map();

function entriesOf(tile: Tile, from: TileMap): Uint8Array[] {
  try {
    return decodeBundle(tileBytes(tile, from), tile.width);
  } catch (cause) {
    throw new ServiceError("corrupt", `log ${ANCHOR}: ${tilePath(tile)} is no entry bundle`, { cause });
  }
}

// ---- timestamps -----------------------------------------------------------------------------------------------------

const timestampsSchema = z.strictObject({ timestamps: z.array(timestampSchema) });

/**
 * Adds timestamps to those that are published of a size; none is ever taken away.
 * @throws ServiceError `corrupt` when what is there cannot be read.
 */
export async function publishTimestamps(
  publication: Publication,
  size: bigint,
  timestamps: readonly Timestamp[],
): Promise<void> {
  const path = `anchor/timestamps/${size}`;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const file = await publication.read(path);
    const known = file === undefined ? [] : parseTimestamps(path, file.bytes);
    const isKnown = new Set(known.map((one) => JSON.stringify(one)));
    const added = timestamps.filter((one) => !isKnown.has(JSON.stringify(one)));
    if (added.length === 0) return;
    const bytes = new TextEncoder().encode(JSON.stringify({ timestamps: [...known, ...added] }));
    if (await publication.replace(path, bytes, file?.tag)) return;
  }
  throw contended(path);
}

function parseTimestamps(path: string, bytes: Uint8Array): Timestamp[] {
  try {
    return timestampsSchema.parse(JSON.parse(utf8Decode(bytes, path))).timestamps;
  } catch (cause) {
    throw new ServiceError("corrupt", `${path} holds no timestamps; bring back its newest good version`, {
      cause,
    });
  }
}
