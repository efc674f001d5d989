/**
 * Destroying the key of an epoch, for erasure: commitments under it stay in the log, and nobody can tell any more what they
 * stand for. A record that it happened, a signed note (c2sp.org/signed-note) by the keyring, is an event like others. Each step is durable,
 * and may be repeated: docs/decisions/0027
 */
import { sign } from "node:crypto";
import { open, readdir, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { commitEvent } from "@kedge/verify/events/commitment";
import { formatNote, parseVkey } from "@kedge/verify/tlog/note";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { KeyringError } from "./error.ts";
import { changing, type KeyringPlace, keyOfEpoch, signerKey, type Unlocked } from "./keyring.ts";
import { type EpochRecord, type KeyringFile, type Shred, writeKeyringFile } from "./keyring-file.ts";

export const SHRED_MEDIA_TYPE = "application/vnd.kedge.shred";

/** How far it has come. `id` is the key's. */
export type Shredding = Shred & { epoch: number; id: string; destroyed: boolean };

/**
 * Writes down that the epoch is to be shredded, with the signed record. From then on nothing is opened with its key, though
 * the file has it. Goes on with one that was begun. Throws KeyringError; `refused` for the current epoch, or one there is not.
 */
export async function beginShred(place: KeyringPlace, epoch: number, now: number): Promise<Shredding> {
  return await changing(place, async (found) => {
    const { unlocked, record } = find(place, found, epoch);
    if (record.shred !== undefined) return shreddingOf(record, record.shred);
    const shred = makeRecord(unlocked, record, now);
    await put(place, unlocked.file, { ...record, shred });
    return shreddingOf(record, shred);
  });
}

/** Remembers what has been done. Throws KeyringError. */
export async function noteShred(
  place: KeyringPlace,
  epoch: number,
  done: { posted: true } | { anchored: true },
): Promise<void> {
  await changing(place, async (found) => {
    const { unlocked, record } = find(place, found, epoch);
    if (record.shred === undefined) throw notBegun(epoch);
    await put(place, unlocked.file, { ...record, shred: { ...record.shred, ...done } });
  });
}

/** Overwrites the key in the file, then takes it out. Throws KeyringError. */
export async function destroyKey(place: KeyringPlace, epoch: number): Promise<void> {
  await changing(place, async (found) => {
    const { unlocked, record } = find(place, found, epoch);
    if (record.shred === undefined) throw notBegun(epoch);
    const { key, ...kept } = record;
    if (key !== undefined) {
      await overwriteIn(place.path, key);
      await put(place, unlocked.file, kept);
    }
    await destroyPartial(place.path);
  });
}

/** What a command left that was stopped while it replaced a file with keys. Nobody replaces it meanwhile. */
export async function destroyPartial(path: string): Promise<void> {
  const pattern = /\.\d+\.partial$/;
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(basename(path)) || !pattern.test(name.slice(basename(path).length))) continue;
    const partial = join(dirname(path), name);
    await overwriteIn(partial, await readFile(partial, "latin1"));
    await rm(partial);
  }
}

/**
 * Puts zeroes in place of a secret, where it stands in the file, and returns when they are on the disk; the file keeps its
 * form. Where the file system copies on write, or a disk spreads what is written, older blocks may stay.
 */
export async function overwriteIn(path: string, secret: string): Promise<void> {
  if (secret === "") return;
  const file = await open(path, "r+");
  try {
    const bytes = await file.readFile("latin1");
    const zeroes = Buffer.from(secret.replaceAll(/[^=]/g, "0"), "latin1");
    for (let at = bytes.indexOf(secret); at !== -1; at = bytes.indexOf(secret, at + secret.length)) {
      await file.write(zeroes, 0, zeroes.length, at);
    }
    await file.sync();
  } catch (cause) {
    throw new KeyringError("unwritable", `${path} cannot be overwritten: is there permission?`, { cause });
  } finally {
    await file.close();
  }
}

function find(
  { path }: KeyringPlace,
  unlocked: Unlocked | undefined,
  epoch: number,
): { unlocked: Unlocked; record: EpochRecord } {
  const { epochs } = unlocked?.file ?? { epochs: [] };
  const record = epochs[epoch];
  if (unlocked === undefined || epoch === epochs.length - 1) {
    throw new KeyringError(
      "refused",
      `Epoch ${epoch} is what events are committed under now: begin another first, with kedge keys rotate`,
    );
  }
  if (record === undefined)
    throw new KeyringError("refused", `${path} has no epoch ${epoch}: see kedge keys list`);
  return { unlocked, record };
}

/** The source is the signer's name, and numbered here: there is one keyring of that name. */
function makeRecord({ file, key, seed }: Unlocked, { epoch, id }: EpochRecord, now: number): Shred {
  const current = file.epochs.at(-1);
  const tenantKey = current && keyOfEpoch(current, key);
  if (tenantKey === undefined) throw new KeyringError("damaged", "The keyring has no current epoch");
  const vkey = parseVkey(file.signer.vkey);
  const text = `kedge/v1 shred\nepoch ${epoch}\nkey ${id}\nat ${new Date(now).toISOString()}\n`;
  const signature = new Uint8Array(sign(null, utf8ToBytes(text), signerKey(seed)));
  const record = formatNote({ text, signatures: [{ name: vkey.name, id: vkey.id, signature }] });
  const sequence = BigInt(file.epochs.filter(({ shred }) => shred !== undefined).length + 1);
  const event = { bytes: utf8ToBytes(record), mediaType: SHRED_MEDIA_TYPE, source: vkey.name, sequence };
  const { commitment, opening } = commitEvent(event, { tenantKey });
  return { record, commitment: bytesToHex(commitment), opening };
}

async function put({ path }: KeyringPlace, file: KeyringFile, record: EpochRecord): Promise<void> {
  const epochs = file.epochs.map((other) => (other.epoch === record.epoch ? record : other));
  await writeKeyringFile(path, { ...file, epochs });
}

const shreddingOf = ({ epoch, id, key }: EpochRecord, shred: Shred): Shredding => ({
  ...shred,
  ...{ epoch, id, destroyed: key === undefined },
});

const notBegun = (epoch: number): KeyringError =>
  new KeyringError("refused", `The shredding of epoch ${epoch} was not begun`);
