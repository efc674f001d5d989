/** Where `kedge proof` writes: a folder, a file of one proof, or a file of many. No proof replaces that of another event. */
import { constants, existsSync } from "node:fs";
import { access, type FileHandle, link, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { makeFolder } from "@kedge/verify/cli/files";
import { statOf } from "@kedge/verify/cli/inputs";
import { CliError, misuse } from "@kedge/verify/cli/output";
import {
  formatProofLine,
  isNamedNdjson,
  type KeptProof,
  readKept,
  readProofLines,
} from "@kedge/verify/cli/proofs";
import type { ProofLine } from "@kedge/verify/pack/lines";
import { formatProofFile, parseProofFile, uniteProofs } from "@kedge/verify/proof/extra";
import { markedName, PROOF_SUFFIX } from "@kedge/verify/proof/names";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { leafHash, verifyInclusion } from "@kedge/verify/tlog/merkle";
import { MAX_PROOF_SIZE, parseProof } from "@kedge/verify/tlog/proof";
import { hexToBytes } from "@noble/hashes/utils.js";

/** A proof to keep; `name` is what a file of its own is called, without the suffix. */
export type NamedProof = ProofLine & { name: string };

export type ProofStore = {
  /** Where it is now. Throws CliError `failed` for this one proof: others may still be kept. */
  keep(proof: NamedProof): Promise<string>;
  /** What was kept until now survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
};

/** Fails at once, and not after a long wait, where nothing can be written. */
export async function openProofStore(out: string): Promise<ProofStore> {
  const isFile = out.endsWith(PROOF_SUFFIX) || isNamedNdjson(out);
  await checkFolder(isFile ? dirname(out) : out);
  if (isNamedNdjson(out)) return await openProofLines(out);
  return out.endsWith(PROOF_SUFFIX) ? openOne(out) : openFolder(out);
}

async function checkFolder(path: string): Promise<void> {
  let folder = resolve(path);
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  try {
    if (!(await stat(folder)).isDirectory()) throw misuse(`--out: ${folder} is not a folder`);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw cause instanceof CliError ? cause : misuse(`--out: ${folder} cannot be written to`, cause);
  }
}

const nothing = async (): Promise<void> => undefined;

function openFolder(out: string): ProofStore {
  // By names as a file system that ignores case has them: what is written here is copied to such.
  const taken = new Map<string, string>();
  const isTaken = (name: string, commitment: string): boolean => {
    const folded = name.toLowerCase();
    const owner = taken.get(folded) ?? commitment;
    taken.set(folded, owner);
    return owner !== commitment;
  };
  return {
    keep: async ({ name, commitment, proof }) => {
      for (const each of [name, markedName(name, commitment)]) {
        const path = join(out, `${each}${PROOF_SUFFIX}`);
        if (!isTaken(each, commitment) && (await putProof(path, commitment, proof))) return path;
      }
      throw new CliError(
        "failed",
        `${join(out, name)}: its names hold other files. Name another folder with --out`,
      );
    },
    sync: nothing,
    close: nothing,
  };
}

function openOne(out: string): ProofStore {
  let owner: string | undefined;
  return {
    keep: async ({ commitment, proof }) => {
      owner ??= commitment;
      if (owner !== commitment) throw misuse(`${out} is one file: name a folder with --out`);
      if (await putProof(out, commitment, proof)) return out;
      throw new CliError(
        "failed",
        `${out} is no proof of this event, and is left as it is: name another file`,
      );
    },
    sync: nothing,
    close: nothing,
  };
}

/**
 * For the owner alone, for the opening in it is a secret until disclosed. False where another event's proof, or anything
 * else, is: it stays. Nothing is there by half, and two processes do not take one name.
 */
async function putProof(path: string, commitment: string, text: string): Promise<boolean> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await makeFolder(dirname(path));
    await rm(partial, { force: true }); // a process that was killed had the same id
    await writeFile(partial, text, { mode: 0o600, flag: "wx" });
    try {
      if (await linked(partial, path)) return true;
      if (!(await isProofOf(path, commitment))) return false;
      await writeFile(partial, await unite(path, text), { mode: 0o600, flag: "w" });
      await rename(partial, path);
      return true;
    } finally {
      await rm(partial, { force: true });
    }
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError("failed", `${path} cannot be written: check the folder and the disk`, { cause });
  }
}

/** What is to stand there so that nothing is lost of the proof that does. */
async function unite(path: string, text: string): Promise<string> {
  const bytes = await readKept({ path });
  if (bytes.length === 0) return text;
  const before = parseProofFile(bytes);
  const after = parseProofFile(text);
  if (before.extra.opening !== undefined && after.extra.opening === undefined) {
    throw new CliError(
      "failed",
      `${path} has the event's opening, and is left as it is: name another folder with --out for a proof without it`,
    );
  }
  return formatProofFile(uniteProofs(before, after));
}

/** False when there is such a file. Where a file system has no links, what is not there is taken by renaming. */
async function linked(partial: string, path: string): Promise<boolean> {
  try {
    await link(partial, path);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    if (existsSync(path)) return false;
    await rename(partial, path);
    return true;
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;

/** Whether a file holds a proof of this commitment, or nothing at all. No signature is checked: it is ours to renew. */
async function isProofOf(path: string, commitment: string): Promise<boolean> {
  const entry = await statOf(path);
  if (!entry.isFile() || entry.size > MAX_PROOF_SIZE) return false;
  if (entry.size === 0) return true;
  try {
    const { index, hashes, checkpoint } = parseProof(await readKept({ path }));
    const { size, root } = parseCheckpoint(checkpoint).checkpoint;
    verifyInclusion({ leafHash: leafHash(hexToBytes(commitment)), index, size, root, proof: hashes });
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}

/**
 * Lines are only added, each in one write: nothing that is there is touched, a crash cuts the last line at most, and two
 * processes may add at once. A proof that is there already is not added again; of two of one event the later counts.
 */
export async function openProofLines(
  out: string,
): Promise<ProofStore & { newest: ReadonlyMap<string, KeptProof> }> {
  const known = existsSync(out) ? await newestLines(out) : new Map<string, KeptProof>();
  let file: FileHandle | undefined;
  return {
    newest: known,
    keep: async ({ name: _, ...proof }) => {
      const before = known.get(keyOf(proof));
      if (before !== undefined && Buffer.from(await readKept(before)).equals(Buffer.from(proof.proof)))
        return out;
      try {
        file ??= await openToAdd(out);
        const bytes = Buffer.from(formatProofLine(proof));
        const { bytesWritten } = await file.write(bytes);
        if (bytesWritten < bytes.length) throw new Error("no room");
        return out;
      } catch (cause) {
        throw new CliError("failed", `${out} cannot be written: check the folder and the disk`, { cause });
      }
    },
    sync: async () => file?.sync(),
    close: async () => file?.close(),
  };
}

const keyOf = ({ event, line, commitment }: Omit<ProofLine, "proof">): string =>
  `${commitment} ${line ?? ""} ${event ?? ""}`;

/** The proofs of a file of many, of two of one event the later. */
async function newestLines(path: string): Promise<Map<string, KeptProof>> {
  if (!(await statOf(path)).isFile()) throw misuse(`--out: ${path} is no regular file`);
  const known = new Map<string, KeptProof>();
  let isEmpty = (await statOf(path)).size === 0;
  for await (const { proof: _, at, ...of } of readProofLines(path)) {
    known.set(keyOf(of), { path, at });
    isEmpty = false;
  }
  if (isEmpty || known.size > 0) return known;
  throw misuse(`--out: ${path} holds something else than proofs, and is left as it is: name another file`);
}

/** What a crash cut short stays, on a line of its own. */
async function openToAdd(path: string): Promise<FileHandle> {
  await makeFolder(dirname(path));
  const file = await open(path, "a+", 0o600);
  const { size } = await file.stat();
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.max(size - 1, 0));
  if (size > 0 && buffer[0] !== 0x0a) await file.write("\n");
  return file;
}
