/**
 * Renewing a proof: the same tenant checkpoint, proven in a newer tree of the anchor log, with the signatures, cosignatures
 * and timestamps of today. What the proof carried before is kept. Its only I/O is `AnchorFiles`: any copy of the anchor
 * log's files will do, and nobody's API is needed.
 */
import { ClientError } from "../error.ts";
import type { AnchorFiles } from "../net/files.ts";
import { utf8Decode, utf8Encode } from "../tlog/bytes.ts";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { leafHash, verifyConsistency, verifyInclusion } from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/note.ts";
import { formatProof, parseProof } from "../tlog/proof.ts";
import { type Tile, type TileMap, tileKey } from "../tlog/tile.ts";
import { consistencyProof, consistencyTiles, inclusionProof, inclusionTiles } from "../tlog/tileproof.ts";
import { formatProofFile, MAX_TIMESTAMPS, parseProofFile, withAnchoring } from "./extra.ts";

/**
 * `renewed`: `proof` is to take the old one's place. `current`: the anchor log has nothing newer for it.
 * `not_anchored`: it has no anchor part yet, so the service has to be asked for one.
 */
export type Renewal = { kind: "renewed"; proof: string } | { kind: "current" } | { kind: "not_anchored" };

/** Tiles kept from proof to proof: 32 MiB. */
const MAX_TILES = 4_096;

/**
 * Reads the newest timestamped checkpoint of the anchor log, or the newest where none is timestamped, and returns what
 * renews proofs by it. Nothing that is served is trusted: the pinned keys signed the tree, it has the tenant checkpoint,
 * and it extends the tree that the proof was anchored in.
 *
 * Throws ClientError when a file cannot be read, and TlogError: `unknown_key` or `bad_signature` when no pinned key signed
 * the checkpoint; `bad_proof` when the proof and this log do not go together: one of the two was altered.
 */
export async function openRenewer(
  files: AnchorFiles,
  anchorVkeys: readonly Vkey[],
): Promise<(proof: Uint8Array) => Promise<Renewal>> {
  const note = utf8Decode(await newest(files), "The checkpoint");
  const { origin, size } = parseCheckpoint(note).checkpoint;
  const vkeys = anchorVkeys.filter(({ name }) => name === origin);
  const { checkpoint } = openCheckpoint(note, { origin, vkeys });
  const timestamps = (await orUndefined(files.timestamps(size))) ?? [];
  const readTiles = tileReader(files);
  return async (bytes) => {
    const file = parseProofFile(bytes);
    if (file.extra.anchor === undefined) return { kind: "not_anchored" };
    const anchored = parseProof(file.extra.anchor);
    const before = parseCheckpoint(anchored.checkpoint).checkpoint;
    if (before.origin === origin && before.size >= size) return { kind: "current" };
    const entry = leafHash(utf8Encode(file.proof.checkpoint, "The checkpoint"));
    await checkExtends(before, checkpoint, readTiles);
    const { index } = anchored;
    const hashes = inclusionProof(index, size, await readTiles(inclusionTiles(index, size)));
    verifyInclusion({ leafHash: entry, index, size, root: checkpoint.root, proof: hashes });
    const anchor = formatProof({ index, hashes, checkpoint: note });
    return {
      kind: "renewed",
      proof: formatProofFile(
        withAnchoring(file, { anchor, timestamps: timestamps.slice(0, MAX_TIMESTAMPS) }),
      ),
    };
  };
}

async function newest(files: AnchorFiles): Promise<Uint8Array> {
  return (await orUndefined(files.timestamped())) ?? (await files.checkpoint());
}

/** A renewed proof must not hide that the log has another history now. Throws as `verifyConsistency`. */
async function checkExtends(
  before: Checkpoint,
  after: Checkpoint,
  readTiles: (tiles: readonly Tile[]) => Promise<TileMap>,
): Promise<void> {
  const tiles = await readTiles(consistencyTiles(before.size, after.size));
  const proof = consistencyProof(before.size, after.size, tiles);
  verifyConsistency({
    from: before.size,
    to: after.size,
    fromRoot: before.root,
    toRoot: after.root,
    proof,
  });
}

function tileReader(files: AnchorFiles): (tiles: readonly Tile[]) => Promise<TileMap> {
  const known = new Map<string, Uint8Array>();
  return async (tiles) => {
    if (known.size > MAX_TILES) known.clear();
    const read = await Promise.all(
      tiles.map(async (tile): Promise<[string, Uint8Array]> => {
        const key = tileKey(tile.level, tile.index);
        const bytes = known.get(key) ?? (await files.tile(tile));
        known.set(key, bytes);
        return [key, bytes];
      }),
    );
    return new Map(read);
  };
}

async function orUndefined<T>(file: Promise<T>): Promise<T | undefined> {
  try {
    return await file;
  } catch (error) {
    if (error instanceof ClientError && error.code === "not_found") return undefined;
    throw error;
  }
}
