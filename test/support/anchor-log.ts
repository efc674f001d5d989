/** An anchor log in memory, and its static files. Its operator has the real key, and may do with it what it likes. */

import { ClientError } from "@kedge/verify/error";
import type { LogFiles } from "@kedge/verify/net/files";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { HASH_SIZE, leafHash } from "@kedge/verify/tlog/merkle";
import { formatNote } from "@kedge/verify/tlog/note";
import { encodeBundle, extendTiles, TILE_WIDTH, type Tile, tileKey, widthAt } from "@kedge/verify/tlog/tile";
import { sha256 } from "@noble/hashes/sha2.js";
import { ANCHOR_ORIGIN, anchor, type Signer, signedHead, witness1, witness2 } from "./proofs.ts";

export const everyone = [anchor, witness1, witness2];
const DOMAIN = ANCHOR_ORIGIN.slice(0, ANCHOR_ORIGIN.lastIndexOf("/"));

export const tenantOrigin = (id: string): string => `${DOMAIN}/log/${id}`;

/** A checkpoint of a tenant's log; the same `history` has the same root at a size. Signed by nobody unless by `signer`. */
export function tenantEntry(
  id: string,
  size: number,
  {
    history = "",
    origin = tenantOrigin(id),
    signer,
  }: { history?: string; origin?: string; signer?: Signer } = {},
): Uint8Array {
  const root = sha256(utf8Encode(`${id} ${size} ${history}`, "The seed"));
  const head = { origin, size: BigInt(size), root };
  const nobody = { name: "nobody", id: 7, signature: new Uint8Array(64).fill(size) };
  const note = formatNote({ text: checkpointBody(head), signatures: [signer?.sign(head) ?? nobody] });
  return utf8Encode(note, "The note");
}

/** The checkpoints of `logs` tenants in turn, from number `from` on to number `to`. */
export const tenantEntries = (from: number, to: number, { logs = 3, history = "" } = {}): Uint8Array[] =>
  Array.from({ length: to - from }, (_, i) =>
    tenantEntry(`log${(from + i) % logs}`, Math.floor((from + i) / logs) + 1, { history }),
  );

/** What an honest server serves of a log with these entries. `note` is another's word when it is given. */
export function logFiles(
  entries: readonly Uint8Array[],
  { signers = everyone, note }: { signers?: readonly Signer[]; note?: string } = {},
): LogFiles & { note: string } {
  const size = BigInt(entries.length);
  const tiles = extendTiles(0n, new Map(), entries.map(leafHash));
  const shown = note ?? signedHead(ANCHOR_ORIGIN, entries, signers);
  return {
    note: shown,
    checkpoint: async () => utf8Encode(shown, "The note"),
    async tile(tile) {
      const bytes = tileBytes(tile);
      if (bytes === undefined) throw new ClientError("not_found", "no such tile");
      return bytes;
    },
  };

  function tileBytes({ level, index, width }: Tile): Uint8Array | undefined {
    if (widthAt(size, level, index) < width) return undefined;
    if (level !== "entries") return tiles.get(tileKey(level, index))?.slice(0, width * HASH_SIZE);
    const start = Number(index) * TILE_WIDTH;
    return encodeBundle(entries.slice(start, start + width));
  }
}
