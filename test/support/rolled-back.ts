/** A table that is older than what was published, and what brings it back. */
import { sha256 } from "@noble/hashes/sha2.js";
import type { Item } from "../../platform/store.ts";
import { anchor } from "../../service/anchor.ts";
import { ANCHOR } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { restore } from "../../service/restore.ts";
import { seal } from "../../service/seal.ts";
import { type Actor, ANCHOR_ORIGIN, LOG, newWorld, ORIGIN } from "./world.ts";

export const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));
export const logOf = (actor: Actor) => ({ id: LOG, origin: ORIGIN, sign: actor.signLog });
export const anchorOf = (actor: Actor) => ({ id: ANCHOR, origin: ANCHOR_ORIGIN, sign: actor.signAnchor });

/** Appends these entries and seals them, then anchors. */
export async function publish(actor: Actor, from: number, to: number): Promise<Uint8Array[]> {
  const entries = Array.from({ length: to - from }, (_, i) => entry(from + i));
  await append(actor, LOG, entries);
  await seal(actor, logOf(actor));
  await anchor(actor);
  return entries;
}

/** A world whose table is an older copy, and what was acknowledged and published since. */
export async function rolledBack(sizes: readonly number[], backupAt: number, registryOnly = false) {
  const before = newWorld();
  const acknowledged: Uint8Array[] = [];
  let backup: readonly Item[] = before.store.items();
  for (const [i, size] of sizes.entries()) {
    acknowledged.push(...(await publish(before.actor(), acknowledged.length, acknowledged.length + size)));
    if (i + 1 === backupAt && !registryOnly) backup = before.store.items();
  }
  const after = newWorld({ items: backup, files: before.publication.files, runs: before.index.files });
  // Signatures and files outlive the table: both worlds' are audited as one.
  after.observed.signed.push(...before.observed.signed);
  after.observed.shown.push(...before.observed.shown);
  return { before, after, acknowledged };
}

export async function restoreAll(actor: Actor, whole = false) {
  const log = await restore(actor, logOf(actor), { whole });
  return { log, anchor: await restore(actor, anchorOf(actor), { whole }) };
}
