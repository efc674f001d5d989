/** `kedge proof --renew`: gives proofs that were fetched long ago a newer anchoring, and keeps the one they have. */
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openFiles } from "@kedge/verify/cli/copy";
import { pinnedKeys, type SettingFlags, serviceUrl } from "@kedge/verify/cli/credentials";
import { readInput, replacing } from "@kedge/verify/cli/files";
import { statOf } from "@kedge/verify/cli/inputs";
import { asMisuse, CliError, EXIT_FAILED, misuse, print, progress, warn } from "@kedge/verify/cli/output";
import { holdsProofLines, isNamedNdjson, readKeptLine, readNames } from "@kedge/verify/cli/proofs";
import { EventError } from "@kedge/verify/events/error";
import { PROOF_SUFFIX } from "@kedge/verify/proof/names";
import { openRenewer, type Renewal } from "@kedge/verify/proof/renew";
import { TlogError } from "@kedge/verify/tlog/error";
import { MAX_PROOF_SIZE } from "@kedge/verify/tlog/proof";
import { openProofLines } from "./proof-store.ts";

export type RenewFlags = SettingFlags & { anchorLog?: string };

/** Renews each proof in its place. One that cannot be is named and left as it is, and the others go on. */
export async function renewProofs(paths: readonly string[], flags: RenewFlags): Promise<void> {
  const { anchorVkeys } = pinnedKeys(flags);
  if (anchorVkeys.length === 0) throw misuse("No key of the anchor log is pinned: renewing needs one");
  const url = flags.anchorLog ?? `${serviceUrl(flags).replace(/\/$/, "")}/anchor`;
  const renew = await openRenewer(
    asMisuse(() => openFiles(url)),
    anchorVkeys,
  );
  const shown = progress("proofs looked at");
  const counts = { renewed: 0, current: 0, failed: 0 };
  for await (const { path, hasMany } of proofFiles(paths)) {
    for await (const outcome of hasMany ? renewLines(path, renew) : [renewOne(path, renew)]) {
      counts[outcome] += 1;
      shown.add(1);
    }
  }
  shown.done();
  const total = counts.renewed + counts.current + counts.failed;
  if (total === 0) throw misuse(`There is no ${PROOF_SUFFIX} file in ${paths.join(", ")}`);
  print(
    `${counts.renewed} of ${total} proofs renewed by ${url}; ${counts.current} have nothing newer there.`,
  );
  if (counts.failed > 0) {
    print(`${counts.failed} not renewed, and left as they are.`);
    process.exitCode = EXIT_FAILED;
  }
}

type Renew = (proof: Uint8Array) => Promise<Renewal>;
type Outcome = "renewed" | "current" | "failed";

/** Of a file of many, each renewed proof is added, and the one before stays in its line. */
async function* renewLines(path: string, renew: Renew): AsyncGenerator<Outcome> {
  const store = await openProofLines(path);
  try {
    for (const kept of store.newest.values()) {
      const line = await readKeptLine(kept);
      if (line === undefined) continue;
      const put = async (proof: string): Promise<void> => {
        await store.keep({ ...line, name: "", proof });
      };
      yield await renewed(`${path} line ${kept.at?.line}`, new TextEncoder().encode(line.proof), renew, put);
    }
    await store.sync();
  } finally {
    await store.close();
  }
}

async function renewOne(path: string, renew: Renew): Promise<Outcome> {
  try {
    return await renewed(path, readInput(path, MAX_PROOF_SIZE), renew, (proof) => write(path, proof));
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    warn(`${path} is not renewed. ${error.message}`);
    return "failed";
  }
}

async function renewed(
  path: string,
  proof: Uint8Array,
  renew: Renew,
  put: (proof: string) => Promise<void>,
): Promise<Outcome> {
  try {
    const renewal = await renew(proof);
    if (renewal.kind === "current") return "current";
    if (renewal.kind === "renewed") {
      await put(renewal.proof);
      return "renewed";
    }
    warn(`${path} has no anchor part to renew. Fetch the proof of its event again`);
  } catch (error) {
    if (!(error instanceof TlogError || error instanceof EventError || error instanceof CliError))
      throw error;
    warn(`${path} is not renewed. ${explain(error)}`);
  }
  return "failed";
}

function explain(error: TlogError | EventError | CliError): string {
  if (error instanceof CliError) return error.message;
  if (error instanceof EventError || error.code === "malformed") return `It cannot be read. ${error.message}`;
  return (
    `${error.message}: the anchor log that is served is not the one that this proof is from, or one of the two was altered. ` +
    "Keep both, and hold the proof against the log with kedge monitor --compare"
  );
}

/** For the owner alone, as the proof was: the opening in it is a secret until disclosed. */
async function write(path: string, text: string): Promise<void> {
  try {
    const { mode } = await stat(path);
    await replacing(path, (partial) =>
      writeFile(partial, text, { mode: mode & 0o777, flag: "wx", flush: true }),
    );
  } catch (cause) {
    throw new CliError("failed", `${path} cannot be written: check the folder and the disk`, { cause });
  }
}

async function* proofFiles(paths: readonly string[]): AsyncGenerator<{ path: string; hasMany: boolean }> {
  for (const path of paths) {
    if (!(await statOf(path)).isDirectory()) {
      yield { path, hasMany: !path.endsWith(PROOF_SUFFIX) && (await holdsProofLines(path)) };
      continue;
    }
    for (const name of await readNames(path)) {
      const file = join(path, name);
      if (name.endsWith(PROOF_SUFFIX)) yield { path: file, hasMany: false };
      else if (isNamedNdjson(name) && (await holdsProofLines(file))) yield { path: file, hasMany: true };
    }
  }
}
