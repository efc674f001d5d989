/**
 * The anchor log's public files: static, so that any web server can serve and anyone can copy them (c2sp.org/tlog-tiles).
 *
 *     anchor/tile/…             hash tiles and entry bundles           written once
 *     anchor/checkpoints/<size> the public checkpoint of a size        written once
 *     anchor/timestamps/<size>  timestamps over it (JSON)              only gains
 *     anchor/timestamped        the newest of those that have one      replaced by a larger one
 *     anchor/checkpoint         the newest public checkpoint           replaced by a larger one, or one with more cosignatures
 *     anchor/policy, …/vkeys    whom to trust, by the operator's word  replaced when the configuration changes
 *
 * Tiles first and `checkpoint` last: whatever a visible checkpoint needs can be read (I5). Nothing here is replaced by
 * something that contradicts it: a table that is older than these files, or has another history, is refused (I6).
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
import { changeFile, createFile, type Publication, policyText, vkeysText } from "../platform/publication.ts";
import type { Store } from "../platform/store.ts";
import { ANCHOR } from "./anchor-items.ts";
import { checkpointKey, decodeCheckpoint } from "./checkpoints.ts";
import { decodeHead, headKey } from "./head.ts";
import { sameHead } from "./record.ts";
import { readLogTiles, tileBytes } from "./tiles.ts";

export type PublicFilesContext = {
  readonly store: Store;
  readonly publication: Publication;
  readonly anchorOrigin: string;
  /** The keys that the anchor log signs with now. */
  readonly anchorVkeys: () => Promise<readonly Vkey[]>;
  readonly policy: Policy;
};

/** A public checkpoint, as its file holds it. */
export type CheckpointFile = { readonly note: string; readonly checkpoint: Checkpoint };

const NEWEST = "anchor/checkpoint";
const sizePath = (size: bigint): string => `anchor/checkpoints/${size}`;

/**
 * The newest public checkpoint, once it is certain that the table has it in its history.
 * @returns undefined before the first.
 * @throws ServiceError `rollback` when the table is older or another: nothing may be signed then; `corrupt`.
 */
export async function readNewest({
  store,
  publication,
  anchorOrigin,
}: PublicFilesContext): Promise<CheckpointFile | undefined> {
  const file = await publication.read(NEWEST);
  if (file === undefined) return undefined;
  const newest = parseFile(NEWEST, file.bytes, anchorOrigin);
  const { size } = newest.checkpoint;
  // Read after the file, so another anchorer that is at work makes no false alarm: the table has it first.
  const [headItem, item] = await store.get([headKey(ANCHOR), checkpointKey(ANCHOR, size)]);
  const head = decodeHead(ANCHOR, headItem);
  const history = item && parseCheckpoint(decodeCheckpoint(ANCHOR, item).note).checkpoint;
  // A restore that died has committed it, and signs it again.
  const isKnown = sameHead(history, newest.checkpoint) || sameHead(head, newest.checkpoint);
  if (isKnown && head.size >= size) return newest;
  throw new ServiceError(
    "rollback",
    `log ${ANCHOR}: size ${size} is public at ${NEWEST}, and not in the history of the store, which is at ` +
      `${head.size}; nothing was signed, see rollback-refused in docs/operations.md`,
  );
}

function parseFile(path: string, bytes: Uint8Array, origin: string): CheckpointFile {
  let file: CheckpointFile;
  try {
    const note = utf8Decode(bytes, path);
    file = { note, checkpoint: parseCheckpoint(note).checkpoint };
  } catch (cause) {
    throw new ServiceError("corrupt", `${path} is no checkpoint; bring back its newest good version`, {
      cause,
    });
  }
  if (file.checkpoint.origin === origin) return file;
  throw new ServiceError("corrupt", `${path} is of another log: ${file.checkpoint.origin}`);
}

/** Of the files that say whom to trust. */
export type TrustFile = "policy" | "vkeys";

/**
 * Writes policy and vkeys: whom to trust, by the operator's own word. Replaced when the configuration changes.
 * @returns those that were.
 */
export async function writeTrust(ctx: PublicFilesContext): Promise<TrustFile[]> {
  const vkeys = await ctx.anchorVkeys();
  const texts = [
    ["policy", policyText(ctx.policy, vkeys)],
    ["vkeys", vkeysText(vkeys)],
  ] as const;
  const changed = texts.map(async ([file, text]) =>
    (await keepUpToDate(ctx.publication, `anchor/${file}`, text)) ? [file] : [],
  );
  return (await Promise.all(changed)).flat();
}

/** Where two write at once, one wins, and the next run compares again. @returns whether this one wrote. */
async function keepUpToDate(publication: Publication, path: string, text: string): Promise<boolean> {
  const bytes = new TextEncoder().encode(text);
  const now = await publication.read(path);
  if (now !== undefined && equalBytes(now.bytes, bytes)) return false;
  return await publication.replace(path, bytes, now?.tag);
}

/** What stands in public under a size; undefined when nothing does. @throws ServiceError `corrupt` */
export async function readOfSize(
  { publication, anchorOrigin }: PublicFilesContext,
  size: bigint,
): Promise<string | undefined> {
  const file = await publication.read(sizePath(size));
  return file && parseFile(sizePath(size), file.bytes, anchorOrigin).note;
}

/** What is to be made public. */
type Candidate = {
  /** Signed by the log, with the cosignatures that `meets` asks for; its tree is published. */
  readonly note: string;
  /** The newest public checkpoint, whose tiles are there already; undefined: none is. */
  readonly before: CheckpointFile | undefined;
  /** What the store has under this size, where the files were lost. */
  readonly ofSize: string | undefined;
  readonly meets: (note: string) => boolean;
};

/**
 * Makes a checkpoint public: its tiles, itself under its size, and then the newest.
 * @returns what stands under its size for ever, and the newest: both may be another anchorer's.
 * @throws ServiceError `corrupt` when note or tiles are not what the log signed, or other bytes stand in a file's place.
 */
export async function makePublic(
  ctx: PublicFilesContext,
  { note, before, ofSize, meets }: Candidate,
): Promise<{ ofSize: string; newest: string }> {
  const own = await ownNote(ctx, note, before);
  const { checkpoint } = own;
  await writeTiles(ctx, before?.checkpoint.size ?? 0n, checkpoint);
  const path = sizePath(checkpoint.size);
  const first = ofSize === undefined ? own : await ownNote(ctx, ofSize, before);
  const bytes = await createFile(ctx.publication, path, new TextEncoder().encode(first.note));
  const stands = parseFile(path, bytes, ctx.anchorOrigin);
  if (!sameHead(stands.checkpoint, checkpoint)) throw otherBytes(path);
  // Where another run wrote it first, its cosignatures are as good, unless the policy has changed since.
  const newest = await replaceNewest(ctx, meets(stands.note) ? stands : own, meets);
  return { ofSize: stands.note, newest };
}

/**
 * The note as it may stand in public for ever: no extension lines, a verified signature by each of the log's keys, and the
 * policy's valid cosignatures. The store is not trusted: nothing else that was written into it gets out.
 */
async function ownNote(
  ctx: PublicFilesContext,
  text: string,
  before: CheckpointFile | undefined,
): Promise<CheckpointFile> {
  const { anchorOrigin: origin, anchorVkeys, policy } = ctx;
  const vkeys = await anchorVkeys();
  try {
    const parsed = parseCheckpoint(text);
    const { checkpoint, note } = parsed;
    const known = before && parseCheckpoint(before.note).note;
    // What is public already was verified under the keys of its time.
    const isPublic = known?.text === note.text;
    const verified = isPublic ? [] : openCheckpoint(text, { origin, vkeys }).verified;
    const isSigned = isPublic || verified.some(({ vkey }) => vkey.type === ED25519);
    if (!isSigned || note.text !== checkpointBody(checkpoint)) {
      throw new TlogError("bad_signature", "It is not the bare tree head, or Ed25519 has not signed it");
    }
    const own = isPublic ? known.signatures : signaturesBy(note, vkeys);
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

/** @returns the newest then. */
async function replaceNewest(
  { publication, anchorOrigin }: PublicFilesContext,
  next: CheckpointFile,
  meets: (note: string) => boolean,
): Promise<string> {
  let newest = next.note;
  await changeFile(publication, NEWEST, (bytes) => {
    const now = bytes && parseFile(NEWEST, bytes, anchorOrigin);
    newest = now === undefined ? next.note : newer(now, next, meets);
    return newest === now?.note ? undefined : new TextEncoder().encode(newest);
  });
  return newest;
}

function newer(now: CheckpointFile, next: CheckpointFile, meets: (note: string) => boolean): string {
  const { size } = now.checkpoint;
  if (size !== next.checkpoint.size) return size > next.checkpoint.size ? now.note : next.note;
  if (!sameHead(now.checkpoint, next.checkpoint)) throw otherBytes(NEWEST);
  // Another anchorer may go by another policy: what it has made public stays in it.
  return meets(now.note) ? now.note : united(now.note, next.note);
}

function united(first: string, more: string): string {
  const { text, signatures } = parseCheckpoint(first).note;
  return formatNote({ text, signatures: uniteSignatures(signatures, parseCheckpoint(more).note.signatures) });
}

const otherBytes = (path: string): ServiceError =>
  new ServiceError(
    "corrupt",
    `${path} is public with other content than the store's, and stays as it is; find out who wrote it`,
  );

// ---- tiles ----------------------------------------------------------------------------------------------------------

type TileFile = { readonly tile: Tile; readonly bytes: Uint8Array };

/** Entries that are read in one step, whole bundles: some 4 MB of them, 23 MB at most (append.ts). */
const STEP = BigInt(64 * TILE_WIDTH);
/** Files under way at a time. */
const PARALLEL = 16;

/** Writes the tiles and bundles of the tree that the tree of `from` entries lacks. */
async function writeTiles(ctx: PublicFilesContext, from: bigint, tree: Checkpoint): Promise<void> {
  // Wrong bytes would stay for ever. So a first pass checks that the new entries make the signed root, and the second one
  // writes them only as long as they make the same roots on the way.
  const roots: Uint8Array[] = [];
  if (tree.size - lastWhole(from) > STEP) {
    for await (const { root } of newFiles(ctx.store, from, tree)) roots.push(root);
  }
  let step = 0;
  for await (const { root, files } of newFiles(ctx.store, from, tree)) {
    if (!equalBytes(root, roots[step++] ?? tree.root)) throw notTheRoot(tree.size);
    for (let at = 0; at < files.length; at += PARALLEL) {
      await Promise.all(files.slice(at, at + PARALLEL).map((file) => writeTile(ctx.publication, file)));
    }
  }
}

/** Where the last whole bundle ends: entries are read and hashed from there on. */
const lastWhole = (size: bigint): bigint => size - (size % BigInt(TILE_WIDTH));

const notTheRoot = (size: bigint): ServiceError =>
  new ServiceError(
    "corrupt",
    `log ${ANCHOR}: its entries and tiles do not make the root of size ${size}; nothing is made public`,
  );

async function writeTile(publication: Publication, { tile, bytes }: TileFile): Promise<void> {
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
  let edge = await readLogTiles(store, ANCHOR, rightEdge(at));
  while (at < size) {
    const to = at + STEP < size ? at + STEP : size;
    const bundles = bundlesChanged(at, to);
    const bytes = await readLogTiles(store, ANCHOR, bundles);
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
 * Adds timestamps to those that are public of a size; none is ever taken away.
 * @throws ServiceError `corrupt` when what is there cannot be read.
 */
export async function writeTimestamps(
  publication: Publication,
  size: bigint,
  timestamps: readonly Timestamp[],
): Promise<void> {
  const path = `anchor/timestamps/${size}`;
  await changeFile(publication, path, (bytes) => {
    const known = bytes === undefined ? [] : parseTimestamps(path, bytes);
    const isKnown = new Set(known.map((one) => JSON.stringify(one)));
    const added = timestamps.filter((one) => !isKnown.has(JSON.stringify(one)));
    if (added.length === 0) return undefined;
    return new TextEncoder().encode(JSON.stringify({ timestamps: [...known, ...added] }));
  });
}

const TIMESTAMPED = "anchor/timestamped";

/**
 * Shows a public checkpoint that has a timestamp as the newest of them, unless a larger one is there: proofs are renewed by it.
 * @throws ServiceError `corrupt` when what is there is no checkpoint of this log.
 */
export async function showTimestamped(publication: Publication, note: string): Promise<void> {
  const { origin, size } = parseCheckpoint(note).checkpoint;
  await changeFile(publication, TIMESTAMPED, (bytes) => {
    const isNewer = bytes === undefined || parseFile(TIMESTAMPED, bytes, origin).checkpoint.size < size;
    return isNewer ? new TextEncoder().encode(note) : undefined;
  });
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
