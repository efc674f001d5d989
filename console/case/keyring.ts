/**
 * The tenant's keys in the browser: a tenant key, a credentials file, or a keyring as packages/kedge/keys writes it, plain or
 * sealed with a passphrase (scrypt, RFC 7914; AES-256-GCM). They stay in the worker's memory, and nowhere else.
 */
import { parseTenantKey } from "@kedge/verify/events/commitment";
import { hmac } from "@noble/hashes/hmac.js";
import { scryptAsync } from "@noble/hashes/scrypt.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";

/**
 * - `malformed`: it is no keyring, and no tenant key
 * - `sealed`: it is sealed with a passphrase, and none was given
 * - `wrong_passphrase`: the passphrase is another, or the file was changed
 * - `command`: a command of the tenant's holds its key, which no browser can run
 */
export type KeysErrorCode = "malformed" | "sealed" | "wrong_passphrase" | "command";
export class KeysError extends Error {
  readonly code: KeysErrorCode;
  constructor(code: KeysErrorCode, options?: ErrorOptions) {
    super(code, options);
    this.name = "KeysError";
    this.code = code;
  }
}

const KEY_BYTES = 32;
const GCM_NONCE_BYTES = 12;
/** As keys/sealing.ts: a file that another wrote takes no more memory than this, 128·N·r bytes (RFC 7914 §2). */
const MAX_SCRYPT_MEMORY = 1 << 29;
const MAX_PASSPHRASE = 1_024;

const sealingSchema = z.union([
  z.object({ by: z.literal("plain") }),
  z
    .object({
      by: z.literal("passphrase"),
      N: z.int().min(2),
      r: z.int().min(1).max(32),
      p: z.int().min(1).max(4),
      salt: z.base64(),
    })
    .refine(({ N, r }) => (N & (N - 1)) === 0 && 128 * N * r <= MAX_SCRYPT_MEMORY),
  z.object({ by: z.literal("command") }),
]);
const keyringSchema = z.object({
  v: z.literal(1),
  sealing: sealingSchema,
  epochs: z
    .array(
      z.object({
        epoch: z.int().nonnegative(),
        id: z.string(),
        key: z.base64().optional(),
        shred: z.unknown().optional(),
      }),
    )
    .min(1)
    .max(1_000),
});
const credentialsSchema = z.object({ tenantKey: z.string() });

/** Every tenant key that the text holds, the current one first. Throws KeysError. */
export async function openKeys(text: string, passphrase: string | undefined): Promise<Uint8Array[]> {
  const value = parseJson(text);
  if (value === undefined) return [tenantKey(text.trim())];
  const credentials = credentialsSchema.safeParse(value).data;
  if (credentials !== undefined) return [tenantKey(credentials.tenantKey.trim())];
  const { data } = keyringSchema.safeParse(value);
  if (data === undefined) throw new KeysError("malformed");
  const sealingKey = await sealingKeyOf(data.sealing, passphrase);
  const keys: Uint8Array[] = [];
  for (const { epoch, id, key, shred } of data.epochs.toReversed()) {
    if (key === undefined || shred !== undefined) continue;
    const opened = await unseal(fromBase64(key), sealingKey, `epoch ${epoch}`);
    if (keyId(opened) !== id) throw new KeysError("malformed");
    keys.push(opened);
  }
  return keys;
}

/** As keys/epoch-key.ts has it. */
const keyId = (key: Uint8Array): string =>
  bytesToHex(hmac(sha256, key, utf8ToBytes("kedge/v1 numbers key"))).slice(0, 16);

function tenantKey(text: string): Uint8Array {
  try {
    return parseTenantKey(text);
  } catch (cause) {
    throw new KeysError("malformed", { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the cause would quote what is in it
  }
}

type Bytes = Uint8Array<ArrayBuffer>;

async function sealingKeyOf(
  sealing: z.infer<typeof sealingSchema>,
  passphrase: string | undefined,
): Promise<CryptoKey | undefined> {
  if (sealing.by === "plain") return undefined;
  if (sealing.by === "command") throw new KeysError("command");
  const given = utf8ToBytes(passphrase ?? "");
  if (given.length === 0) throw new KeysError("sealed");
  if (given.length > MAX_PASSPHRASE) throw new KeysError("wrong_passphrase");
  const { N, r, p, salt } = sealing;
  const key = new Uint8Array(await scryptAsync(given, fromBase64(salt), { N, r, p, dkLen: KEY_BYTES }));
  return await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
}

async function unseal(sealed: Bytes, key: CryptoKey | undefined, what: string): Promise<Uint8Array> {
  if (key === undefined) {
    if (sealed.length !== KEY_BYTES) throw new KeysError("malformed");
    return sealed;
  }
  const iv = sealed.subarray(0, GCM_NONCE_BYTES);
  const additionalData = new Uint8Array(utf8ToBytes(`kedge/v1 keyring\0${what}`));
  try {
    const algorithm = { name: "AES-GCM", iv, additionalData };
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, sealed.subarray(GCM_NONCE_BYTES)));
  } catch (cause) {
    throw new KeysError("wrong_passphrase", { cause });
  }
}

const fromBase64 = (text: string): Bytes => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
