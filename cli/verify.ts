import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { ASSURANCES, type Assurance, type VerifyReport, verifyEvent } from "../client/verify.ts";
import { type Opening, parseOpening } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { TlogError } from "../tlog/error.ts";
import type { Vkey } from "../tlog/note.ts";
import { type Policy, parsePolicy } from "../tlog/policy.ts";
import { MAX_PROOF_SIZE } from "../tlog/proof.ts";
import { type CommitFlags, deriveOpening, withCommit } from "./committer.ts";
import { pinnedKeys, withCredentials, withVkeys } from "./credentials.ts";
import { type EventSource, isNdjson, listFiles, PROOF_SUFFIX, readEvents, statOf } from "./inputs.ts";
import { EXIT_FAILED, misuse, print, printJson, progress, warn } from "./output.ts";

export function verifyCommand(command: Command): Command {
  return withCommit(withVkeys(withCredentials(command)))
    .argument(
      "<paths...>",
      "an event and its proof, or a folder (or .ndjson file) of events and one of proofs",
    )
    .option("--policy <file>", "C2SP tlog-policy: which witnesses must have cosigned the anchor log")
    .option("--opening <file>", "the opening, or the record of kedge commit, if the proof carries none")
    .option("--commitment <hex>", "instead of an event")
    .option("--line <n>", "the line of the event in an .ndjson file")
    .option("--require <assurance>", `at least ${ASSURANCES.join(", ")}`)
    .option("--json", "the report as JSON")
    .addHelpText("after", "\nExit code: 0 proven, 1 not proven, 2 used wrongly. Works without a network.")
    .action(verify);
}

type VerifyFlags = CommitFlags & {
  policy?: string;
  opening?: string;
  commitment?: string;
  line?: string;
  require?: string;
  json?: boolean;
};

/** What every proof of a run is held against. */
type Trust = { logVkeys: Vkey[]; anchorVkeys: Vkey[]; policy?: Policy; require?: Assurance };

async function verify(paths: string[], flags: VerifyFlags): Promise<void> {
  const trust = await readTrust(flags);
  const [first, second, ...more] = paths;
  if (flags.commitment !== undefined) {
    if (first === undefined || second !== undefined) throw misuse("With --commitment, give one proof file");
    const commitment = parseCommitment(flags.commitment);
    conclude(verifyEvent({ commitment, proof: await readProof(first), ...trust }), flags);
    return;
  }
  if (first === undefined || second === undefined || more.length > 0) {
    throw misuse("Give an event and its proof, or a folder of events and a folder of proofs");
  }
  if ((await statOf(second)).isDirectory()) {
    await verifyFolder(first, second, trust, flags);
    return;
  }
  const source = await readOne(first, flags);
  const proof = await readProof(second);
  const opening = flags.opening === undefined ? undefined : await readOpening(flags.opening);
  conclude(verifySource(source, proof, trust, deriveOpening(flags), opening), flags);
}

async function readTrust(flags: VerifyFlags): Promise<Trust> {
  const { require: required } = flags;
  const assurance = ASSURANCES.find((known) => known === required);
  if (required !== undefined && assurance === undefined) {
    throw misuse(`--require is one of ${ASSURANCES.join(", ")}`);
  }
  if (required === "witnessed" && flags.policy === undefined) {
    throw misuse("--require witnessed needs the policy that names the witnesses: --policy");
  }
  const { logVkeys, anchorVkeys } = pinnedKeys(flags);
  const policy = flags.policy === undefined ? undefined : await readPolicy(flags.policy);
  return {
    logVkeys,
    // A policy pins the keys of the log that it is for.
    anchorVkeys: anchorVkeys.length > 0 ? anchorVkeys : (policy?.logs ?? []).map(({ vkey }) => vkey),
    ...(assurance === undefined ? {} : { require: assurance }),
    ...(policy === undefined ? {} : { policy }),
  };
}

function verifySource(
  { bytes: event, ...source }: EventSource,
  proof: Uint8Array,
  trust: Trust,
  derive: (source: EventSource) => Opening | undefined,
  opening?: Opening,
): VerifyReport {
  const derivedOpening = opening === undefined ? derive({ bytes: event, ...source }) : undefined;
  return verifyEvent({
    event,
    proof,
    ...trust,
    ...(opening === undefined ? {} : { opening }),
    ...(derivedOpening === undefined ? {} : { derivedOpening }),
  });
}

function conclude(report: VerifyReport, { json }: VerifyFlags): void {
  if (!report.proven) process.exitCode = EXIT_FAILED;
  if (json) printJson(report);
  else print(...describe(report));
}

function describe({ assurance, failure, statements, caveats }: VerifyReport): string[] {
  if (failure !== undefined) return ["NOT PROVEN", `  ${failure.message}`];
  return [
    `PROVEN  at assurance ${assurance}`,
    ...statements.map((line) => `  ${line}`),
    "Not proven by this",
    ...caveats.map((line) => `  ${line}`),
  ];
}

async function verifyFolder(events: string, proofs: string, trust: Trust, flags: VerifyFlags): Promise<void> {
  if (flags.opening !== undefined || flags.line !== undefined) {
    throw misuse("--opening and --line are for one event, not for a folder");
  }
  const present = new Set(await listProofs(proofs));
  const unused = new Set(present);
  const derive = deriveOpening(flags);
  const shown = progress("events checked");
  const assurances = new Map<string, number>();
  const caveats = new Map<string, number>();
  let total = 0;
  for await (const file of listFiles([events])) {
    for await (const source of readEvents(file, flags.ndjson)) {
      const name = source.line === undefined ? source.name : `${source.name}.${source.line}`;
      const path = pairedProof(name, present);
      if (path !== undefined) unused.delete(path);
      const report =
        path === undefined
          ? undefined
          : verifySource(source, await readProof(join(proofs, path)), trust, derive);
      total += 1;
      if (report?.assurance !== undefined) count(assurances, report.assurance);
      for (const caveat of report?.caveats ?? []) count(caveats, caveat);
      if (flags.json) printJson({ event: name, proof: path, report });
      else if (!report?.proven) {
        print(`NOT PROVEN  ${name}: ${report?.failure?.message ?? "there is no proof file"}`);
      }
      shown.add(1);
    }
  }
  shown.done();
  if (total === 0) throw misuse(`There is no event in ${events}`);
  summarise({ total, assurances, caveats, unused: [...unused] }, flags);
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

/** Of a folder: how many events reached which assurance, how many have which caveat, and proofs that no event took. */
type Summary = {
  total: number;
  assurances: Map<string, number>;
  caveats: Map<string, number>;
  unused: string[];
};

function summarise({ total, assurances, caveats, unused }: Summary, { json }: VerifyFlags): void {
  const proven = [...assurances.values()].reduce((sum, n) => sum + n, 0);
  if (proven < total) process.exitCode = EXIT_FAILED;
  if (json) {
    const counts = { assurances: Object.fromEntries(assurances), caveats: Object.fromEntries(caveats) };
    printJson({ proven: proven === total, total, ...counts, proofsWithoutEvent: unused });
    return;
  }
  const counts = [...assurances].map(([assurance, n]) => `${n} ${assurance}`).join(", ");
  print(
    `${proven === total ? "PROVEN" : "NOT PROVEN"}  ${proven} of ${total} events${counts && `: ${counts}`}`,
  );
  if (unused.length > 0 || caveats.size > 0) print("Not proven by this");
  if (unused.length > 0) {
    print(`  ${unused.length} proofs have no event here, such as ${unused[0]}: was it removed or renamed?`);
  }
  for (const [caveat, n] of caveats) print(`  ${caveat}${n === total ? "" : ` (${n} of ${total} events)`}`);
}

async function listProofs(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true });
  return entries.map((path) => path.replaceAll("\\", "/")).filter((path) => path.endsWith(PROOF_SUFFIX));
}

/** The proof named after the most of the event's path: `day/a.json` rather than `a.json` for `events/day/a.json`. */
function pairedProof(name: string, present: ReadonlySet<string>): string | undefined {
  const parts = name.split(/[/\\]/).filter((part) => part !== "" && part !== "." && part !== "..");
  return parts
    .map((_, i) => `${parts.slice(i).join("/")}${PROOF_SUFFIX}`)
    .find((candidate) => present.has(candidate));
}

async function readOne(path: string, flags: VerifyFlags): Promise<EventSource> {
  if (path !== "-" && (await statOf(path)).isDirectory()) {
    throw misuse("Events in a folder need a folder of proofs");
  }
  const wanted = flags.line === undefined ? undefined : parseLine(flags.line);
  for await (const file of listFiles([path])) {
    if (wanted === undefined && isNdjson(file, flags.ndjson)) {
      throw misuse(`${path} has one event a line: say which with --line, or give a folder of proofs`);
    }
    for await (const source of readEvents(file, flags.ndjson || wanted !== undefined)) {
      if (source.line === wanted) return source;
    }
  }
  throw misuse(`${path} has no event in line ${wanted}`);
}

function parseLine(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw misuse("--line is a number from 1 on");
}

function parseCommitment(hex: string): Uint8Array {
  if (/^[0-9a-f]{64}$/.test(hex)) return new Uint8Array(Buffer.from(hex, "hex"));
  throw misuse("--commitment is 64 lower-case hex digits");
}

/** A file too large to be a proof is read no further than shows it. */
async function readProof(path: string): Promise<Uint8Array> {
  const { size } = await statOf(path);
  if (size > MAX_PROOF_SIZE) warn(`${path} is too large to be a proof`);
  return size > MAX_PROOF_SIZE ? new Uint8Array() : await readInput(path);
}

async function readInput(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw misuse(`${path} cannot be read: there is no such file, or no permission`, cause);
  }
}

async function readPolicy(path: string): Promise<Policy> {
  const text = new TextDecoder().decode(await readInput(path));
  try {
    return parsePolicy(text);
  } catch (cause) {
    throw cause instanceof TlogError ? misuse(`${path} is not a policy. ${cause.message}`, cause) : cause;
  }
}

/** An opening, or the one of a record. */
async function readOpening(path: string): Promise<Opening> {
  const text = new TextDecoder().decode(await readInput(path));
  try {
    const value: unknown = JSON.parse(text);
    const isRecord = typeof value === "object" && value !== null && "opening" in value;
    return parseOpening(isRecord ? value.opening : value);
  } catch (cause) {
    if (cause instanceof EventError) throw misuse(`${path}: ${cause.message}`, cause);
    throw misuse(`${path} does not hold one opening or one record of kedge commit as JSON`);
  }
}
