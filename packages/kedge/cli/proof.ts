/** `kedge proof`: fetches proofs, and writes those that verify. */
import { constants, existsSync } from "node:fs";
import { access, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type NumberedFlags, type NumberOf, withCommit } from "@kedge/verify/cli/committer";
import { pinnedKeys, withLog, withVkeys } from "@kedge/verify/cli/credentials";
import { makeFolder, replacing } from "@kedge/verify/cli/files";
import { PROOF_SUFFIX, proofName } from "@kedge/verify/cli/inputs";
import { isCommitment } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, misuse, print, progress, warn } from "@kedge/verify/cli/output";
import { readRecords } from "@kedge/verify/cli/records";
import type { Opening } from "@kedge/verify/events/commitment";
import { withOpening } from "@kedge/verify/proof/extra";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { sayFailure } from "@kedge/verify/proof/words";
import { quoted } from "@kedge/verify/text";
import type { Vkey } from "@kedge/verify/tlog/note";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { ProofAnswer } from "../client/api.ts";
import { MAX_PROOFS } from "../contract/limits.ts";
import { openNumberOf, withSource } from "./numbered.ts";
import { batches } from "./post.ts";
import { type RenewFlags, renewProofs } from "./renew.ts";
import { openLog } from "./service.ts";
import { Trouble } from "./survey.ts";
import { awaitProofs, type WaitFlags, withWait } from "./wait.ts";

export function proofCommand(command: Command): Command {
  return withWait(withVkeys(withSource(withCommit(withLog(command)))))
    .argument(
      "<items...>",
      "event files, folders, .ndjson files, records of kedge commit, -, or commitments in hex",
    )
    .option("--out <path>", `a folder, or for one event a file whose name ends in ${PROOF_SUFFIX}`, ".")
    .option(
      "--renew",
      "the items are proofs: give each a newer anchoring, in its place, and keep the one it has",
    )
    .option("--anchor-log <url>", "with --renew: where the anchor log's files are (default: the service's)")
    .option("--no-opening", "leave the opening out: the proof then shows the commitment alone")
    .action(proof);
}

type ProofFlags = NumberedFlags & WaitFlags & RenewFlags & { out: string; opening: boolean; renew?: boolean };
/** What a proof is wanted of, and the file it goes to. */
type Wanted = { name: string; commitment: string; opening?: Opening; path: string };

async function proof(items: string[], flags: ProofFlags): Promise<void> {
  if (flags.renew) return await renewProofs(items, flags);
  const keys = pinnedKeys(flags);
  const target = await openLog(flags);
  await checkOut(flags.out);
  const numbers = await openNumberOf(flags);
  const trouble = new Trouble();
  const shown = progress("proofs fetched");
  let written = 0;
  let asked = 0;
  for await (const batch of batches(wanted(items, flags, { ...numbers, trouble }), MAX_PROOFS)) {
    asked += batch.length;
    const commitments = batch.map(({ commitment }) => hexToBytes(commitment));
    let at = 0;
    for await (const answer of awaitProofs(target, commitments, flags)) {
      const item = batch[at++];
      if (item !== undefined && (await keep(item, answer, keys))) written += 1;
      shown.add(1);
    }
  }
  shown.done();
  await numbers.close();
  if (asked === 0 && trouble.isNone) throw misuse("There is no event in these files");
  const counted = `${written} of ${asked} proofs fetched, verified and written to ${flags.out}`;
  print([counted, ...trouble.tell()].join("; "));
  if (written < asked || !trouble.isNone) process.exitCode = EXIT_FAILED;
}

async function* wanted(
  items: readonly string[],
  flags: ProofFlags,
  { trouble, ...numbers }: { trouble: Trouble; numberOf?: NumberOf },
): AsyncGenerator<Wanted> {
  const options = { ...numbers, onError: trouble.fail };
  const seen = new Map<string, string>();
  const isFile = flags.out.endsWith(PROOF_SUFFIX);
  const pathOf = (name: string, below: string): string => {
    const path = isFile ? flags.out : join(flags.out, `${below}${PROOF_SUFFIX}`);
    const other = seen.get(path);
    if (other !== undefined && isFile) throw misuse(`${path} is one file: name a folder with --out`);
    if (other !== undefined) {
      const both = other === name ? `${quoted(name)} twice` : `${quoted(other)} and ${quoted(name)}`;
      throw misuse(`${path} would be the proof of ${both}: fetch them apart, each into a folder of its own`);
    }
    seen.set(path, name);
    return path;
  };
  for (const item of items) {
    if (isCommitment(item)) {
      yield { name: item, commitment: item, path: pathOf(item, item) };
      continue;
    }
    for await (const { event, line, commitment, opening, below } of readRecords(
      [item],
      flags,
      trouble.leftOut,
      options,
    )) {
      const name = line === undefined ? event : `${event}.${line}`;
      const path = pathOf(name, proofName(below, line));
      yield { name, commitment, path, ...(flags.opening ? { opening } : {}) };
    }
  }
}

/** Nothing is written that does not verify. */
async function keep(
  { name, commitment, opening, path }: Wanted,
  answer: ProofAnswer,
  keys: { logVkeys: Vkey[]; anchorVkeys: Vkey[] },
): Promise<boolean> {
  if (answer.state === "pending") {
    warn(`${name}: not sealed yet. Ask again shortly, or use --wait`);
    return false;
  }
  if (answer.state === "unknown") {
    const said = quoted(answer.detail);
    warn(
      `${name}: the service says ${said}. Was it posted to this log, with the same tenant key and options?`,
    );
    return false;
  }
  const { failure } = verifyEvent({
    commitment: hexToBytes(commitment),
    proof: answer.proof,
    ...keys,
  });
  if (failure !== undefined) {
    warn(`${name}: the service's proof does not verify and was not written. ${sayFailure(failure)}`);
    return false;
  }
  await writeProof(path, opening === undefined ? answer.proof : withOpening(answer.proof, opening));
  return true;
}

/** For the owner alone, for the opening in it is a secret until disclosed. */
async function writeProof(path: string, text: string): Promise<void> {
  try {
    await makeFolder(dirname(path));
    await replacing(path, (partial) => writeFile(partial, text, { mode: 0o600, flag: "wx" }));
  } catch (cause) {
    throw new CliError("failed", `${path} cannot be written: check the folder and the disk`, { cause });
  }
}

/** Fails at once, and not after a long wait, where nothing can be written. */
async function checkOut(out: string): Promise<void> {
  let folder = resolve(out.endsWith(PROOF_SUFFIX) ? dirname(out) : out);
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  try {
    if (!(await stat(folder)).isDirectory()) throw misuse(`--out: ${folder} is not a folder`);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw cause instanceof CliError ? cause : misuse(`--out: ${folder} cannot be written to`, cause);
  }
}
