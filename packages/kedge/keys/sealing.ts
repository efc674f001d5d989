/**
 * How the keys of a keyring are kept: plain, or under a sealing key that a passphrase gives (scrypt, RFC 7914) or that a
 * command of the tenant's unwraps, so that a KMS, an HSM or a vault holds it.
 */
import { spawn } from "node:child_process";
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { once } from "node:events";
import { promisify } from "node:util";
import * as z from "zod";
import { KeyringError } from "./error.ts";

const KEY_BYTES = 32;
const SALT_BYTES = 16;
const GCM_NONCE_BYTES = 12;
const GCM_TAG_BYTES = 16;
/** 128 MiB and some 0.3 s: what OWASP's cheat sheet on passwords asks for. */
const SCRYPT = { N: 1 << 17, r: 8, p: 1 };
/** Of a file that another wrote: neither too weak nor more memory than this, 128·N·r bytes (RFC 7914 §2). */
const MIN_SCRYPT_N = 1 << 14;
const MAX_SCRYPT_MEMORY = 1 << 29;
/** A wrapped key: KMS and vaults write some hundred bytes. */
const MAX_WRAPPED = 16 << 10;
const COMMAND_TIMEOUT = 30_000;
const MAX_PASSPHRASE = 1024;

const base64 = (min: number, max = min) =>
  z.base64().refine((text) => {
    const { length } = Buffer.from(text, "base64");
    return length >= min && length <= max;
  });

const scryptSchema = z
  .strictObject({
    by: z.literal("passphrase"),
    N: z.int().min(MIN_SCRYPT_N),
    r: z.int().min(8).max(32),
    p: z.int().min(1).max(4),
    salt: base64(SALT_BYTES),
  })
  .refine(({ N, r }) => (N & (N - 1)) === 0 && 128 * N * r <= MAX_SCRYPT_MEMORY);

const commandSchema = z.array(z.string().min(1).max(4096)).min(1).max(64);

export const sealingSchema = z.union([
  z.strictObject({ by: z.literal("plain") }),
  scryptSchema,
  z.strictObject({ by: z.literal("command"), command: commandSchema, wrapped: base64(1, MAX_WRAPPED) }),
]);

export type Sealing = z.infer<typeof sealingSchema>;
/** undefined for keys that are kept plain. 32 bytes. */
export type SealingKey = Uint8Array | undefined;
/** What a keyring is to be sealed with from now on. */
export type SealWith =
  | { by: "plain" }
  | { by: "passphrase"; passphrase: Uint8Array; N?: number }
  | { by: "command"; command: readonly string[] };

/** Throws KeyringError `refused`, `command_failed`. */
export async function newSealing(wish: SealWith): Promise<{ sealing: Sealing; key: SealingKey }> {
  switch (wish.by) {
    case "plain":
      return { sealing: { by: "plain" }, key: undefined };
    case "passphrase": {
      const { N = SCRYPT.N } = wish;
      const salt = randomBytes(SALT_BYTES).toString("base64");
      const sealing = scryptSchema.parse({ ...SCRYPT, by: "passphrase", N, salt });
      return { sealing, key: await fromPassphrase(sealing, wish.passphrase) };
    }
    case "command": {
      const command = parseCommand(wish.command);
      const key = new Uint8Array(randomBytes(KEY_BYTES));
      const wrapped = await runCommand(command, "wrap", key);
      // A command that cannot undo what it did would lose every key with it.
      const back = await runCommand(command, "unwrap", wrapped);
      if (wrapped.length === 0 || !Buffer.from(key).equals(back)) {
        throw new KeyringError(
          "command_failed",
          "The command does not unwrap to the 32 bytes what it wrapped: nothing was changed. Try it by hand",
        );
      }
      return { sealing: { by: "command", command, wrapped: wrapped.toString("base64") }, key };
    }
  }
}

function parseCommand(command: readonly string[]): string[] {
  const { data } = commandSchema.safeParse(command);
  if (data !== undefined) return data;
  throw new KeyringError("refused", "The command is a program and its arguments, 64 of them at most");
}

/** The key that opens it. `passphrase` is asked for only where one is needed. Throws KeyringError. */
export async function sealingKey(
  sealing: Sealing,
  passphrase: () => Promise<Uint8Array | undefined>,
): Promise<SealingKey> {
  switch (sealing.by) {
    case "plain":
      return undefined;
    case "passphrase": {
      const given = await passphrase();
      if (given === undefined) {
        throw new KeyringError(
          "sealed",
          "The keyring is sealed with a passphrase: give it with --passphrase-file, as the systemd credential kedge-passphrase, or on a terminal",
        );
      }
      return await fromPassphrase(sealing, given);
    }
    case "command": {
      const key = await runCommand(sealing.command, "unwrap", Buffer.from(sealing.wrapped, "base64"));
      if (key.length === KEY_BYTES) return new Uint8Array(key);
      throw new KeyringError("wrong_key", "What the keyring's command unwraps is not a key of 32 bytes");
    }
  }
}

async function fromPassphrase(
  { N, r, p, salt }: z.infer<typeof scryptSchema>,
  passphrase: Uint8Array,
): Promise<Uint8Array> {
  if (passphrase.length === 0 || passphrase.length > MAX_PASSPHRASE) {
    throw new KeyringError("refused", `A passphrase has 1 to ${MAX_PASSPHRASE} bytes`);
  }
  const derive = promisify<Uint8Array, Uint8Array, number, object, Buffer>(scrypt);
  const maxmem = 2 * MAX_SCRYPT_MEMORY;
  return new Uint8Array(
    await derive(passphrase, Buffer.from(salt, "base64"), KEY_BYTES, { N, r, p, maxmem }),
  );
}

/** The nonce, the key under AES-256-GCM and the tag; plain, the key. `what` is bound to it: no two change places. */
export function seal(secret: Uint8Array, key: SealingKey, what: string): string {
  if (key === undefined) return Buffer.from(secret).toString("base64");
  const nonce = randomBytes(GCM_NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(about(what));
  const sealed = Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  return sealed.toString("base64");
}

/** Of 32 bytes. Throws KeyringError `wrong_key`. */
export function unseal(text: string, key: SealingKey, what: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length !== (key === undefined ? KEY_BYTES : GCM_NONCE_BYTES + KEY_BYTES + GCM_TAG_BYTES)) {
    throw new KeyringError("damaged", `What the keyring holds of ${what} has another length than a key`);
  }
  if (key === undefined) return new Uint8Array(bytes);
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, GCM_NONCE_BYTES));
  decipher.setAAD(about(what)).setAuthTag(bytes.subarray(-GCM_TAG_BYTES));
  try {
    const secret = decipher.update(bytes.subarray(GCM_NONCE_BYTES, -GCM_TAG_BYTES));
    return new Uint8Array(Buffer.concat([secret, decipher.final()]));
  } catch (cause) {
    throw new KeyringError(
      "wrong_key",
      `The keyring cannot be opened: the passphrase is another, or what it holds of ${what} was changed`,
      { cause },
    );
  }
}

export const sealedSchema = base64(KEY_BYTES, GCM_NONCE_BYTES + KEY_BYTES + GCM_TAG_BYTES);

const about = (what: string): Buffer => Buffer.from(`kedge/v1 keyring\0${what}`);

/**
 * Runs the tenant's command, with `wrap` or `unwrap` as its last argument: bytes in, bytes out, no shell. It has the
 * environment without Kedge's own secrets, and the terminal's error stream.
 */
async function runCommand(
  command: readonly string[],
  verb: "wrap" | "unwrap",
  input: Uint8Array,
): Promise<Buffer> {
  const [program = "", ...rest] = command;
  const { KEDGE_API_KEY: _, KEDGE_TENANT_KEY: __, ...env } = process.env;
  const child = spawn(program, [...rest, verb], { env, stdio: ["pipe", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  let length = 0;
  let why: string | undefined;
  const end = (reason: string): void => {
    why ??= reason;
    child.kill("SIGKILL");
    child.stdout.destroy(); // a grandchild may hold it open
  };
  const timer = setTimeout(() => end(`has not ended in ${COMMAND_TIMEOUT / 1000} s`), COMMAND_TIMEOUT);
  child.stdin.on("error", () => undefined); // it may not read; what it writes counts
  child.stdin.end(input);
  child.stdout.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > MAX_WRAPPED) end(`has written more than ${MAX_WRAPPED} bytes`);
    else chunks.push(chunk);
  });
  try {
    const [code]: unknown[] = await once(child, "close");
    if (why === undefined && code !== 0) why = `has ended with ${String(code ?? "a signal")}`;
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    throw new KeyringError("command_failed", `The keyring's command cannot be run (${reason})`, { cause });
  } finally {
    clearTimeout(timer);
  }
  if (why === undefined) return Buffer.concat(chunks);
  throw new KeyringError("command_failed", `The keyring's command ${why}: run ${program} by hand to see why`);
}
