/**
 * A copy of a data folder, taken while it is served or not; and what makes a folder of such a copy.
 *
 * The store is copied first and the publication after it: so the copy's records are as new as its store or newer, and the
 * batches that lead to them bring the store forward (service/restore.ts). The other way there would be none.
 */
import { constants } from "node:fs";
import { chmod, copyFile, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { copyNumbers, NumberingError } from "@kedge/cli/numbering/numbers";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { type Checkpoint, parseCheckpoint, parseCheckpointBody } from "@kedge/verify/tlog/checkpoint";
import { parseProof } from "@kedge/verify/tlog/proof";
import { ignoreAbsent, makeFolder, syncFolder } from "../platform/durable.ts";
import { writePrivately } from "../platform/embedded/embedded.ts";
import { ServiceError } from "../platform/error.ts";
import { withStore } from "./open.ts";
import {
  BACKUP_MARK,
  checkFolder,
  INDEX,
  isBackup,
  PUBLISHED,
  readSigningKeys,
  SOURCES,
  STORE,
} from "./state.ts";

/** Taken last, keys.json before kms.json, which then has every key that it names. The tenant's may have been moved away. */
const KEYS = ["keys.json", "kms.json", "credentials.json", "keyring.json"];

/** What is underway, or says who writes: no part of what is kept. */
const isTransient = (name: string): boolean => name.startsWith(".") || /\.(tmp|lock)$/.test(name);

/**
 * @param out a folder that is not there yet; it is whole once it is.
 * @returns its absolute path and that of the folder it is of.
 * @throws ServiceError `invalid`, `conflict` when `out` exists, `corrupt` when part of the folder is lost or damaged,
 * `unavailable` when there is none, or a disk is full.
 */
export async function backUp(data: string, out: string): Promise<{ folder: string; out: string }> {
  const [folder, to] = [resolve(data), resolve(out)];
  if (`${to}${sep}`.startsWith(`${folder}${sep}`)) {
    throw new ServiceError("invalid", `${to} is in the data folder: name one on another disk`);
  }
  if ((await stat(to).catch(ignoreAbsent)) !== undefined) {
    throw new ServiceError("conflict", `${to} exists: name a folder that does not`);
  }
  await checkFolder(folder);
  if ((await readSigningKeys(folder)) === undefined) {
    throw new ServiceError(
      "unavailable",
      `there is nothing to back up in ${folder}: name its folder with --data`,
    );
  }
  const partial = `${to}.partial`;
  try {
    await rm(partial, { recursive: true, force: true });
    await makeFolder(join(partial, STORE), 0o700);
    await withStore(folder, (store) => store.backup(join(partial, STORE)));
    await syncFile(join(partial, STORE, "data.mdb"), 0o600);
    await syncFolder(join(partial, STORE));
    // The runs that the copied store names are kept for a while after others take their place.
    await copyFiles(folder, partial, await filesIn(folder, INDEX));
    await copyPublication(folder, partial);
    // After what was posted under them: an event in the copied log then has its number in the copy.
    await copySources(join(folder, SOURCES), join(partial, SOURCES));
    await copyFiles(folder, partial, KEYS);
    await rename(partial, to);
    await syncFolder(dirname(to));
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError("unavailable", `${to} cannot be written: look at its disk, and at who owns it`, {
      cause,
    });
  }
  return { folder, out: to };
}

/**
 * What moves forward is copied first, since all that it names was there before it, and is not deleted: the anchor log's heads
 * before those of the tenants' logs, whose checkpoints it holds.
 */
async function copyPublication(folder: string, to: string): Promise<void> {
  await mkdir(join(to, PUBLISHED), 0o755);
  await writePrivately(join(to, BACKUP_MARK), { at: new Date().toISOString() });
  const heads = (await readdir(join(folder, PUBLISHED, "logs")).catch(ignoreAbsent)) ?? [];
  const moving = [
    join(PUBLISHED, "anchor", "checkpoint"),
    join(PUBLISHED, "logs", "anchor", "head"),
    ...heads.filter((log) => log !== "anchor").map((log) => join(PUBLISHED, "logs", log, "head")),
  ];
  await copyFiles(folder, to, moving);
  const copied = new Set(moving);
  await copyFiles(
    folder,
    to,
    (await filesIn(folder, PUBLISHED)).filter((path) => !copied.has(path)),
  );
}

async function copySources(from: string, to: string): Promise<void> {
  const copies = await copyNumbers(from, to).catch((cause: unknown) => {
    throw cause instanceof NumberingError ? new ServiceError("corrupt", cause.message, { cause }) : cause;
  });
  for (const path of copies) await syncFile(path, 0o600);
  if (copies.length > 0) await syncFolder(to);
}

/** Paths from the data folder. */
async function filesIn(folder: string, name: string): Promise<string[]> {
  const root = join(folder, name);
  const entries = (await readdir(root, { recursive: true, withFileTypes: true }).catch(ignoreAbsent)) ?? [];
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((path) => !path.split(sep).some(isTransient));
}

/** Durably, with their modes. What is absent by now was replaced: a partial tile by a wider one, a run by a larger. */
async function copyFiles(from: string, to: string, paths: readonly string[]): Promise<void> {
  const folders = new Set<string>();
  for (const path of paths) {
    const source = await stat(join(from, path)).catch(ignoreAbsent);
    if (source === undefined) continue;
    await copyFolder(from, to, dirname(path), folders);
    const copied = await copyFile(join(from, path), join(to, path), constants.COPYFILE_FICLONE).then(
      () => true,
      (error: unknown) => ignoreAbsent(error) ?? false,
    );
    if (copied) await syncFile(join(to, path), source.mode & 0o777);
  }
  for (const path of folders) await syncFolder(join(to, path));
}

async function copyFolder(from: string, to: string, path: string, made: Set<string>): Promise<void> {
  if (path === "." || made.has(path)) return;
  await copyFolder(from, to, dirname(path), made);
  const { mode } = await stat(join(from, path));
  await mkdir(join(to, path), { recursive: true });
  await chmod(join(to, path), mode & 0o777);
  made.add(path);
}

async function syncFile(path: string, mode: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

// ---- a folder of a copy ---------------------------------------------------------------------------------------------

/** A log of the folder, and whether a checkpoint of it was given. */
export type Reopened = Checkpoint & { readonly isCompared: boolean };

/**
 * Lets the logs of a copied folder go on, where the publication that was copied is lost and nothing newer was ever signed: by
 * the checkpoints that witnesses and tenants have.
 * @param files signed checkpoints, or proofs, of its logs: the newest that anybody has.
 * @param nothingNewer the operator's word for the logs of which none is given.
 * @throws ServiceError `rollback` when one is newer, or of another history; `invalid` when a log has none, for a file that
 * is neither, and for a folder that is no copy.
 */
export async function reopen(
  data: string,
  files: readonly string[],
  nothingNewer: boolean,
): Promise<Reopened[]> {
  const folder = resolve(data);
  if (!isBackup(folder)) {
    throw new ServiceError("invalid", `${folder} is not a backup that kedge backup made`);
  }
  const records = await readRecords(folder);
  const compared = new Set<string>();
  for (const file of files) {
    const known = await readKnown(file);
    const record = records.find(({ origin }) => origin === known.origin);
    if (record === undefined)
      throw new ServiceError("invalid", `${file} is of no log of ${folder}: ${known.origin}`);
    const isOther = known.size === record.size && !equalBytes(known.root, record.root);
    if (known.size > record.size || isOther) {
      throw new ServiceError(
        "rollback",
        `${known.origin} was signed at size ${known.size}${isOther ? " with another root" : ""}, the backup is at ` +
          `${record.size}: its logs cannot go on here without a second history; begin new ones (docs/operations.md, Back up and restore one machine)`,
      );
    }
    compared.add(known.origin);
  }
  const logs = records.map((record) => ({ ...record, isCompared: compared.has(record.origin) }));
  const left = logs.filter(({ isCompared }) => !isCompared);
  if (left.length > 0 && !nothingNewer) {
    const names = left.map(({ origin, size }) => `${origin} at ${size}`).join(", ");
    throw new ServiceError(
      "invalid",
      `no checkpoint was given of ${names}: name the newest that its witnesses or its tenant have with --checkpoint, or say ` +
        "--nothing-newer if nobody can have a larger one",
    );
  }
  await rm(join(folder, BACKUP_MARK));
  await syncFolder(join(folder, PUBLISHED));
  return logs;
}

/** The tree heads that were recorded, of every log. */
async function readRecords(folder: string): Promise<Checkpoint[]> {
  const logs = join(folder, PUBLISHED, "logs");
  const records: Checkpoint[] = [];
  for (const log of ((await readdir(logs).catch(ignoreAbsent)) ?? []).sort()) {
    const path = join(logs, log, "head");
    const text = await readFile(path, "utf8").catch(ignoreAbsent);
    if (text !== undefined) records.push(parsed(path, () => parseCheckpointBody(text)));
  }
  return records;
}

async function readKnown(path: string): Promise<Checkpoint> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new ServiceError("invalid", `${path} cannot be read`, { cause });
  });
  return parsed(
    path,
    () =>
      parseCheckpoint(text.startsWith("c2sp.org/tlog-proof") ? parseProof(text).checkpoint : text).checkpoint,
  );
}

function parsed(path: string, parse: () => Checkpoint): Checkpoint {
  try {
    return parse();
  } catch (cause) {
    throw new ServiceError("invalid", `${path} is neither a signed checkpoint nor a proof`, { cause });
  }
}
