import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { MAX_PROOFS, type ProofAnswer } from "../client/api.ts";
import { withOpening } from "../client/extra.ts";
import { verifyEvent } from "../client/verify.ts";
import type { Opening } from "../events/commitment.ts";
import type { Vkey } from "../tlog/note.ts";
import { type CommitFlags, withCommit } from "./committer.ts";
import { openLog, pinnedKeys, withLog, withVkeys } from "./credentials.ts";
import { PROOF_SUFFIX } from "./inputs.ts";
import { CliError, EXIT_FAILED, misuse, print, progress, warn } from "./output.ts";
import { batches } from "./post.ts";
import { readRecords } from "./records.ts";
import { awaitProofs, DEFAULT_TIMEOUT, parseWait, type WaitFlags } from "./wait.ts";

export function proofCommand(command: Command): Command {
  return withVkeys(withCommit(withLog(command)))
    .argument(
      "<items...>",
      "event files, folders, .ndjson files, records of kedge commit, -, or commitments in hex",
    )
    .option("--out <path>", `a folder, or for one event a file whose name ends in ${PROOF_SUFFIX}`, ".")
    .option("--wait [assurance]", "until all are sealed (default), anchored or witnessed")
    .option("--timeout <seconds>", "how long to wait", DEFAULT_TIMEOUT)
    .option("--no-opening", "leave the opening out: the proof then shows the commitment alone")
    .action(proof);
}

type ProofFlags = CommitFlags & WaitFlags & { out: string; opening: boolean };
/** What a proof is wanted of, and the file it goes to. */
type Wanted = { name: string; commitment: string; opening?: Opening; path: string };

async function proof(items: string[], flags: ProofFlags): Promise<void> {
  const wait = parseWait(flags);
  const keys = pinnedKeys(flags);
  const target = await openLog(flags);
  const shown = progress("proofs fetched");
  let written = 0;
  let asked = 0;
  for await (const batch of batches(wanted(items, flags), MAX_PROOFS)) {
    asked += batch.length;
    const commitments = batch.map(({ commitment }) => new Uint8Array(Buffer.from(commitment, "hex")));
    let at = 0;
    for await (const answer of awaitProofs(target, commitments, wait)) {
      const item = batch[at++];
      if (item !== undefined && (await keep(item, answer, keys))) written += 1;
      shown.add(1);
    }
  }
  shown.done();
  if (asked === 0) throw misuse("There is no event in these files");
  print(`${written} of ${asked} proofs fetched, verified and written to ${flags.out}`);
  if (written < asked) process.exitCode = EXIT_FAILED;
}

async function* wanted(items: readonly string[], flags: ProofFlags): AsyncGenerator<Wanted> {
  const seen = new Set<string>();
  const pathOf = (below: string): string => {
    const path = flags.out.endsWith(PROOF_SUFFIX) ? flags.out : join(flags.out, `${below}${PROOF_SUFFIX}`);
    if (seen.has(path)) throw misuse(`${path} would hold the proofs of two events: name a folder with --out`);
    seen.add(path);
    return path;
  };
  for (const item of items) {
    if (/^[0-9a-f]{64}$/.test(item)) {
      yield { name: item, commitment: item, path: pathOf(item) };
      continue;
    }
    for await (const { event, line, commitment, opening, below } of readRecords([item], flags)) {
      const suffix = line === undefined ? "" : `.${line}`;
      const path = pathOf(`${below}${suffix}`);
      yield { name: `${event}${suffix}`, commitment, path, ...(flags.opening ? { opening } : {}) };
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
    warn(`${name}: ${answer.detail}. Was it posted to this log, with the same tenant key and options?`);
    return false;
  }
  const { failure } = verifyEvent({
    commitment: new Uint8Array(Buffer.from(commitment, "hex")),
    proof: answer.proof,
    ...keys,
  });
  if (failure !== undefined) {
    warn(`${name}: the service's proof does not verify and was not written. ${failure.message}`);
    return false;
  }
  await writeProof(path, opening === undefined ? answer.proof : withOpening(answer.proof, opening));
  return true;
}

/** Whole or not at all; for the owner alone, for the opening in it is a secret until disclosed. */
async function writeProof(path: string, text: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(partial, text, { mode: 0o600, flag: "wx" });
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw new CliError("failed", `${path} cannot be written: check the folder and the disk`, { cause });
  }
}
