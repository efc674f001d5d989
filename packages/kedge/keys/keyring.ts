/** The tenant's keys by epochs: opened to commit with, rotated, sealed otherwise. docs/decisions/0027 */
import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { makeFolder } from "@kedge/verify/cli/files";
import { ED25519, formatVkey, makeVkey, type Vkey } from "@kedge/verify/tlog/note";
import type { EpochKey, EpochKeys } from "../journal/types.ts";
import { takeOwnership } from "../lmdb/owner.ts";
import { epochKey, keyId } from "./epoch-key.ts";
import { KeyringError } from "./error.ts";
import { type EpochRecord, type KeyringFile, readKeyringFile, writeKeyringFile } from "./keyring-file.ts";
import {
  newSealing,
  type Sealing,
  type SealingKey,
  type SealWith,
  seal,
  sealingKey,
  unseal,
} from "./sealing.ts";

export type KeyringPlace = {
  /** Of `keyring.json`; it need not be there. */
  path: string;
  /** What the credentials hold, 32 bytes: epoch 0 as long as there is no keyring, and of the same tenant ever after. */
  tenantKey?: Uint8Array | undefined;
  /** Asked only for a keyring that is sealed with one; undefined when there is none to be had. */
  passphrase?: () => Promise<Uint8Array | undefined>;
};

export type Keyring = EpochKeys & {
  /** All that can be committed under or were, the current one first. */
  all(): EpochKey[];
  /** Ids (`keyId`) of those that are no more. */
  shredded(): string[];
  /** Reads the file again if it was changed, by a rotation say. Whether it was. Throws KeyringError, and keeps what it had. */
  refresh(): Promise<boolean>;
};

/** Throws KeyringError. */
export async function openKeyring(place: KeyringPlace): Promise<Keyring> {
  let opened = await load(place);
  return {
    current: () => opened.current,
    of: (epoch) => opened.keys.get(epoch),
    all: () => [...opened.keys.values()].toReversed(),
    shredded: () => opened.shredded,
    async refresh() {
      const found = readKeyringFile(place.path);
      if (found?.text === opened.text) return false;
      // What vanished was not rotated: the keys go on being used, and are not lost as long as this runs.
      if (found === undefined) throw new KeyringError("absent", `${place.path} is gone: bring it back`);
      opened = await load(place);
      return true;
    },
  };
}

type Opened = {
  text: string | undefined;
  current: EpochKey;
  keys: ReadonlyMap<number, EpochKey>;
  shredded: string[];
};

async function load(place: KeyringPlace): Promise<Opened> {
  const found = readKeyringFile(place.path);
  if (found === undefined) {
    if (place.tenantKey === undefined) throw noKey(place.path);
    const current = epochKey(0, place.tenantKey);
    return { text: undefined, current, keys: new Map([[0, current]]), shredded: [] };
  }
  const { file, text } = found;
  checkTenant(file, place);
  const { key } = await unlock(file, place);
  const keys = new Map<number, EpochKey>();
  for (const record of file.epochs) {
    const tenantKey = keyOfEpoch(record, key);
    if (tenantKey !== undefined) keys.set(record.epoch, epochKey(record.epoch, tenantKey));
  }
  const current = keys.get(file.epochs.length - 1);
  if (current === undefined) throw new KeyringError("damaged", `${place.path} has no current epoch`);
  const shredded = file.epochs.filter(({ epoch }) => !keys.has(epoch)).map(({ id }) => id);
  return { text, current, keys, shredded };
}

/** undefined once its shredding was begun: whoever was told that it is gone is not to meet it again. */
export function keyOfEpoch(
  { epoch, id, key: sealed, shred }: EpochRecord,
  key: SealingKey,
): Uint8Array | undefined {
  if (sealed === undefined || shred !== undefined) return undefined;
  const tenantKey = unseal(sealed, key, epochName(epoch));
  if (keyId(tenantKey) === id) return tenantKey;
  throw new KeyringError("damaged", `What the keyring holds of ${epochName(epoch)} is another key`);
}

const epochName = (epoch: number): string => `epoch ${epoch}`;
const SIGNER = "the signer";

/** With the seed of the signer. A key that does not open what there is would seal what nobody opens again. */
async function unlock(file: KeyringFile, { passphrase }: KeyringPlace): Promise<Unlocked> {
  const key = await sealingKey(file.sealing, passphrase ?? (async () => undefined));
  return { file, key, seed: unseal(file.signer.seed, key, SIGNER) };
}

function checkTenant({ epochs }: KeyringFile, { path, tenantKey }: KeyringPlace): void {
  if (tenantKey === undefined || epochs.some(({ id }) => id === keyId(tenantKey))) return;
  throw new KeyringError(
    "refused",
    `The tenant key of the credentials is none of ${path}: they are of two tenants. Name the keyring of this one with --keyring`,
  );
}

const noKey = (path: string): KeyringError =>
  new KeyringError("absent", `There is neither a keyring at ${path} nor a tenant key in the credentials`);

/**
 * Begins the next epoch: what is committed to from now on is under a new key, and the old ones stay. Without a keyring
 * this makes it, the tenant key of the credentials taken over as epoch 0. Throws KeyringError.
 */
export async function rotate(
  place: KeyringPlace,
  now: number,
): Promise<{ epoch: number; isNew: boolean; sealing: Sealing["by"] }> {
  return await changing(place, async (found) => {
    const { file, key } = found ?? (await begin(place, { by: "plain" }, now));
    const epoch = file.epochs.length;
    await writeKeyringFile(place.path, {
      ...file,
      epochs: [...file.epochs, newEpoch(epoch, randomKey(), key, now)],
    });
    return { epoch, isNew: found === undefined, sealing: file.sealing.by };
  });
}

/** Keeps the same keys in another way; without a keyring this makes it, with epoch 0 alone. Throws KeyringError. */
export async function sealAnew(place: KeyringPlace, wish: SealWith, now: number): Promise<void> {
  await changing(place, async (found) => {
    if (found === undefined) {
      await writeKeyringFile(place.path, (await begin(place, wish, now)).file);
      return;
    }
    const begun = found.file.epochs.find(({ key, shred }) => key !== undefined && shred !== undefined);
    if (begun !== undefined) {
      const { epoch } = begun;
      throw new KeyringError(
        "refused",
        `Epoch ${epoch} is being shredded: finish it, kedge shred --epoch ${epoch}`,
      );
    }
    const { sealing, key } = await newSealing(wish);
    const { file, key: before } = found;
    const again = (sealed: string, what: string) => seal(unseal(sealed, before, what), key, what);
    await writeKeyringFile(place.path, {
      ...file,
      sealing,
      signer: { ...file.signer, seed: again(file.signer.seed, SIGNER) },
      epochs: file.epochs.map((record) =>
        record.key === undefined ? record : { ...record, key: again(record.key, epochName(record.epoch)) },
      ),
    });
  });
}

export type Unlocked = { file: KeyringFile; key: SealingKey; seed: Uint8Array };

async function begin({ path, tenantKey }: KeyringPlace, wish: SealWith, now: number): Promise<Unlocked> {
  if (tenantKey === undefined) throw noKey(path);
  const { sealing, key } = await newSealing(wish);
  const seed = randomKey();
  const vkey = formatVkey(signerVkey(`kedge.keyring/${randomBytes(8).toString("hex")}`, seed));
  const signer = { vkey, seed: seal(seed, key, SIGNER) };
  return { key, seed, file: { v: 1, sealing, signer, epochs: [newEpoch(0, tenantKey, key, now)] } };
}

const randomKey = (): Uint8Array => new Uint8Array(randomBytes(32));

function newEpoch(epoch: number, tenantKey: Uint8Array, key: SealingKey, now: number): EpochRecord {
  const createdAt = new Date(now).toISOString();
  return { epoch, id: keyId(tenantKey), createdAt, key: seal(tenantKey, key, epochName(epoch)) };
}

/** One process at a time changes a keyring. `found` is undefined when there is none. */
export async function changing<T>(
  place: KeyringPlace,
  change: (found: Unlocked | undefined) => Promise<T>,
): Promise<T> {
  const folder = dirname(place.path);
  const release = await owning(folder, place.path);
  try {
    const found = readKeyringFile(place.path);
    if (found === undefined) return await change(undefined);
    checkTenant(found.file, place);
    return await change(await unlock(found.file, place));
  } finally {
    await release();
  }
}

async function owning(folder: string, path: string): Promise<() => Promise<void>> {
  let release: (() => Promise<void>) | undefined;
  try {
    await makeFolder(folder, 0o700);
    release = await takeOwnership(folder, path);
  } catch (cause) {
    throw new KeyringError("unwritable", `${folder} cannot be written: is there permission?`, { cause });
  }
  if (release !== undefined) return release;
  throw new KeyringError("in_use", `Another process is changing ${path}: wait until it ends`);
}

/** Ed25519 by `node:crypto` takes a seed as PKCS #8 (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

export const signerKey = (seed: Uint8Array) =>
  createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });

function signerVkey(name: string, seed: Uint8Array): Vkey {
  const spki = createPublicKey(signerKey(seed)).export({ format: "der", type: "spki" });
  return makeVkey(name, ED25519, new Uint8Array(spki.subarray(-32)));
}
