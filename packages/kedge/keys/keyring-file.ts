/**
 * The keyring as it lies on the disk: one JSON file for its owner alone, always replaced whole.
 *
 *     {"v": 1, "sealing": {…}, "signer": {"vkey", "seed"}, "epochs": [{"epoch": 0, "id", "createdAt", "key"}, …]}
 *
 * Epochs count from 0 without a gap, and the last one is current. Of one whose shredding was begun there is `shred`, and
 * `key` until it was destroyed.
 */
import { statSync } from "node:fs";
import { readIfThere, replaceFile } from "@kedge/verify/cli/files";
import { CliError, warn } from "@kedge/verify/cli/output";
import { COMMITMENT_HEX, type Opening, parseOpening } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import * as z from "zod";
import { KeyringError } from "./error.ts";
import { sealedSchema, sealingSchema } from "./sealing.ts";

/** A rotation a month for eighty years. */
const MAX_EPOCHS = 1_000;
const MAX_BYTES = 8 << 20;

const openingSchema = z.unknown().transform((value, ctx): Opening => {
  try {
    return parseOpening(value);
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    ctx.addIssue({ code: "custom", message: error.code });
    return z.NEVER;
  }
});

const shredSchema = z.strictObject({
  /** The signed note that says so, and its event as it was committed. */
  record: z.string().max(4096),
  commitment: z.string().regex(COMMITMENT_HEX),
  opening: openingSchema,
  /** What is done: the service has it; its proof is kept. */
  posted: z.literal(true).optional(),
  anchored: z.literal(true).optional(),
});

const epochSchema = z
  .strictObject({
    epoch: z.int().nonnegative(),
    id: z.string().regex(/^[0-9a-f]{16}$/),
    createdAt: z.iso.datetime(),
    key: sealedSchema.optional(),
    shred: shredSchema.optional(),
  })
  .refine(({ key, shred }) => key !== undefined || shred !== undefined);

const fileSchema = z
  .strictObject({
    v: z.literal(1),
    sealing: sealingSchema,
    signer: z.strictObject({ vkey: z.string().max(512), seed: sealedSchema }),
    epochs: z.array(epochSchema).min(1).max(MAX_EPOCHS),
  })
  .refine(({ epochs }) => epochs.every(({ epoch }, i) => epoch === i))
  .refine(({ epochs }) => epochs.at(-1)?.shred === undefined);

export type KeyringFile = z.infer<typeof fileSchema>;
export type EpochRecord = z.infer<typeof epochSchema>;
export type Shred = z.infer<typeof shredSchema>;

/** undefined when there is none. Throws KeyringError `damaged`. */
export function readKeyringFile(path: string): { text: string; file: KeyringFile } | undefined {
  // A reader may have opened the version that a shred overwrites: it reads the one after it.
  return readOnce(path, false) ?? readOnce(path, true);
}

function readOnce(path: string, isLast: boolean): { text: string; file: KeyringFile } | undefined {
  const text = reading(path);
  if (text === undefined) return undefined;
  const { success, data, error } = parseKeyringFile(text);
  if (success) {
    warnOfOthers(path);
    return { text, file: data };
  }
  if (!isLast) return undefined;
  const where = error.issues[0]?.path.join(".") ?? "";
  throw new KeyringError(
    "damaged",
    `${path} is not a keyring${where === "" ? "" : ` (at ${where})`}: bring it back from a backup. It is not made anew, because every key in it would be lost`,
  );
}

export const parseKeyringFile = (text: string) => fileSchema.safeParse(parseJson(text));

function reading(path: string): string | undefined {
  try {
    return readIfThere(path, MAX_BYTES);
  } catch (cause) {
    throw cause instanceof CliError ? new KeyringError("damaged", cause.message, { cause }) : cause;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the cause would quote what is in it
  }
}

/** A reader sees the old one or the new one, and when this returns, the new one survives a power cut. */
export async function writeKeyringFile(path: string, file: KeyringFile): Promise<void> {
  if (file.epochs.length > MAX_EPOCHS) {
    throw new KeyringError("refused", `A keyring has ${MAX_EPOCHS} epochs at most`);
  }
  try {
    await replaceFile(path, `${JSON.stringify(file, undefined, 2)}\n`, 0o600);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new KeyringError("unwritable", `${what} The keyring is as it was`, { cause });
  }
}

const warned = new Set<string>();

function warnOfOthers(path: string): void {
  if (process.platform === "win32" || warned.has(path) || (statSync(path).mode & 0o077) === 0) return;
  warned.add(path);
  warn(`${path} can be read by others on this machine: chmod 600 ${path}`);
}
