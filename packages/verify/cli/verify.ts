/** `kedge verify`: holds events and their proofs against pinned keys, and says what they prove. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { hexToBytes } from "@noble/hashes/utils.js";
import { type Command, Option } from "commander";
import { type Opening, parseOpening } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import {
  ASSURANCES,
  type Assurance,
  openVerifier,
  type VerifyClaim,
  type VerifyReport,
} from "../proof/verify.ts";
import { type Hints, type ToldReport, tellReport } from "../proof/words.ts";
import { keyLabel, quoted } from "../text.ts";
import { timestampVerifier } from "../time/timestamps.ts";
import { MAX_PROOF_SIZE } from "../tlog/proof.ts";
import {
  deriveOpening,
  type NumberedFlags,
  type NumberOf,
  type OpenNumberOf,
  where,
  withCommit,
} from "./committer.ts";
import { type PinnedKeys, pinnedKeys, withCredentials, withVkeys } from "./credentials.ts";
import { readInput, readText } from "./files.ts";
import {
  type EventSource,
  isNdjson,
  listFiles,
  looksLikeRecord,
  PROOF_SUFFIX,
  proofName,
  readEvents,
  statOf,
} from "./inputs.ts";
import { commitmentHex, wholeNumber } from "./options.ts";
import { EXIT_FAILED, misuse, print, printJson, progress, warn } from "./output.ts";
import { readTimestampTrust, type TimestampFlags, withTimestamps } from "./timestamps.ts";

/** `openNumberOf` is given by a program that knows the numbers of sources. */
export function verifyCommand(
  command: Command,
  openNumberOf: OpenNumberOf = async () => ({ close: async () => undefined }),
): Command {
  return withTimestamps(withCommit(withVkeys(withCredentials(command))))
    .argument(
      "<paths...>",
      "an event and its proof, or a folder (or .ndjson file) of events and one of proofs",
    )
    .option("--opening <file>", "the opening, or the record of kedge commit, if the proof carries none")
    .option("--commitment <hex>", "instead of an event", commitmentHex)
    .option("--line <n>", "the line of the event in an .ndjson file", wholeNumber(1))
    .addOption(new Option("--require <assurance>", "at least").choices(ASSURANCES))
    .option("--require-all-keys", "a key of every kind that is pinned must have signed: Ed25519, ML-DSA-44")
    .option("--json", "the report as JSON")
    .addHelpText("after", "\nExit code: 0 proven, 1 not proven, 2 used wrongly. Works without a network.")
    .action(async (paths: string[], flags: VerifyFlags) => {
      const numbers = await openNumberOf(flags);
      await verify(paths, flags, numbers.numberOf).finally(() => numbers.close());
    });
}

type VerifyFlags = NumberedFlags &
  TimestampFlags & {
    opening?: string;
    commitment?: string;
    line?: number;
    require?: Assurance;
    requireAllKeys?: boolean;
    json?: boolean;
  };

/** The flags that give what a sentence of the report asks for. */
const HINTS: Hints = {
  no_opening: "--opening",
  anchor_not_checked: "--anchor-vkey",
  no_policy: "--policy",
  timestamps_not_checked: "--tsa-cert, --btc-header",
};

/** The keys that every proof of a run is held against, and the verifier that holds it against them. */
type Trust = PinnedKeys & { verifyClaim: (claim: VerifyClaim) => Promise<VerifyReport> };

async function verify(paths: string[], flags: VerifyFlags, numberOf?: NumberOf): Promise<void> {
  process.exitCode = EXIT_FAILED; // until it is proven: a reader may close the pipe before that
  const trust = await readTrust(flags);
  const [first, second, ...more] = paths;
  if (flags.commitment !== undefined) {
    if (first === undefined || second !== undefined) throw misuse("With --commitment, give one proof file");
    const commitment = hexToBytes(flags.commitment);
    const report = await trust.verifyClaim({ commitment, proof: await readProof(first) });
    conclude(report, trust, flags);
    return;
  }
  if (first === undefined || second === undefined || more.length > 0) {
    throw misuse("Give an event and its proof, or a folder of events and a folder of proofs");
  }
  if ((await statOf(second)).isDirectory()) {
    await verifyFolder(first, second, trust, flags, numberOf);
    return;
  }
  const source = await readOne(first, flags, numberOf);
  const proof = await readProof(second);
  const opening = flags.opening === undefined ? undefined : await readOpening(flags.opening);
  conclude(await verifySource(source, proof, trust, deriveOpening(flags, numberOf), opening), trust, flags);
}

async function readTrust(flags: VerifyFlags): Promise<Trust> {
  const { require: required } = flags;
  if ((required === "witnessed" || required === "timestamped") && flags.policy === undefined) {
    const instead =
      required === "timestamped" ? ". For a timestamp without witnesses: --require-timestamp" : "";
    throw misuse(`--require ${required} needs the policy that names the witnesses: --policy${instead}`);
  }
  const timestamps = await readTimestampTrust(flags, required === "timestamped");
  const pinned = pinnedKeys(flags);
  const { policy } = pinned;
  const verify = openVerifier({
    ...pinned,
    requireAllKeys: flags.requireAllKeys ?? false,
    requireTimestamp: flags.requireTimestamp ?? false,
    ...(required === undefined ? {} : { require: required }),
    ...(policy === undefined ? {} : { policy }),
  });
  const verifyClaim =
    timestamps === undefined
      ? async (claim: VerifyClaim) => verify(claim)
      : timestampVerifier(timestamps, verify);
  return { ...pinned, verifyClaim };
}

async function verifySource(
  { bytes: event, ...source }: EventSource,
  proof: Uint8Array,
  trust: Trust,
  derive: (source: EventSource) => Opening | undefined,
  opening?: Opening,
): Promise<VerifyReport> {
  const derivedOpening = opening === undefined ? derive({ bytes: event, ...source }) : undefined;
  return await trust.verifyClaim({
    event,
    proof,
    ...(opening === undefined ? {} : { opening }),
    ...(derivedOpening === undefined ? {} : { derivedOpening }),
  });
}

function conclude(report: VerifyReport, trust: Trust, { json }: VerifyFlags): void {
  if (report.proven) process.exitCode = 0;
  const words = tellReport(report, HINTS);
  const told = { ...words, caveats: [...words.caveats, ...keyCaveats(trust)] };
  if (json) printJson({ ...told, keys: keysOf(trust) });
  else print(...describe(told), keysLine(trust));
}

function describe({ assurance, failure, statements, caveats }: ToldReport): string[] {
  if (failure !== undefined) return ["NOT PROVEN", `  ${failure.message}`];
  return [
    `PROVEN  at assurance ${assurance}`,
    ...statements.map((line) => `  ${line}`),
    "Not proven by this",
    ...caveats.map((line) => `  ${line}`),
  ];
}

function keyCaveats({ areFound }: Trust): string[] {
  return areFound
    ? ["The keys were found in the current folder: a proof is worth as much as its keys. Name yours."]
    : [];
}

function keysOf({ sources, logVkeys, anchorVkeys }: Trust) {
  return { source: sources.join(", "), log: logVkeys.map(keyLabel), anchor: anchorVkeys.map(keyLabel) };
}

/** Whose word the answer rests on. */
function keysLine(trust: Trust): string {
  const { source, log, anchor } = keysOf(trust);
  const named = [...log.map((key) => `log ${key}`), ...anchor.map((key) => `anchor ${key}`)];
  return `Keys  ${source}: ${named.join(", ")}`;
}

async function verifyFolder(
  events: string,
  proofs: string,
  trust: Trust,
  flags: VerifyFlags,
  numberOf?: NumberOf,
): Promise<void> {
  if (flags.opening !== undefined || flags.line !== undefined) {
    throw misuse("--opening and --line are for one event, not for a folder");
  }
  const present = await listProofs(proofs);
  const derive = deriveOpening(flags, numberOf);
  const shown = progress("events checked");
  const summary: Summary = {
    total: 0,
    assurances: new Map(),
    caveats: new Map(),
    entries: new Map(),
    unused: new Set(present.values()),
    leftOut: [],
  };
  for await (const file of listFiles([events], summary.leftOut, flags)) {
    for await (const source of readEvents(file, flags.ndjson)) {
      const name = source.line === undefined ? source.name : `${source.name}.${source.line}`;
      const path = pairedProof(proofName(source.name, source.line), present);
      const report =
        path === undefined
          ? undefined
          : tellReport(await verifySource(source, await readProof(join(proofs, path)), trust, derive), HINTS);
      if (path !== undefined) summary.unused.delete(path);
      else numberOf?.(source); // equal lines after it have numbers of their own
      include(summary, name, report);
      if (flags.json) printJson({ event: name, proof: path, report });
      else if (!report?.proven) {
        print(`NOT PROVEN  ${name}: ${report?.failure?.message ?? whyNoProof(source)}`);
      }
      shown.add(1);
    }
  }
  shown.done();
  if (summary.total === 0) throw misuse(`There is no event in ${events}`);
  for (const caveat of keyCaveats(trust)) summary.caveats.set(caveat, summary.total);
  summarise(summary, trust, flags);
}

function whyNoProof({ bytes }: EventSource): string {
  return looksLikeRecord(bytes)
    ? "it is a record of kedge commit, not an event: give the events themselves"
    : "there is no proof file";
}

/** What a folder has shown so far. */
type Summary = {
  total: number;
  /** How many events reached which. */
  assurances: Map<string, number>;
  /** How many events have which. */
  caveats: Map<string, number>;
  /** The first event that was proven to be this entry of this log. */
  entries: Map<string, string>;
  /** Two events that are one entry. */
  copies?: [string, string];
  /** Proofs that no event took. */
  unused: Set<string>;
  leftOut: string[];
};

function include(summary: Summary, event: string, report: ToldReport | undefined): void {
  summary.total += 1;
  if (report?.assurance === undefined) return;
  count(summary.assurances, report.assurance);
  for (const caveat of report.caveats) count(summary.caveats, caveat);
  const entry = `${report.log?.origin} ${report.commitment}`;
  const first = summary.entries.get(entry);
  if (first === undefined) summary.entries.set(entry, event);
  else summary.copies ??= [first, event];
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

function summarise(summary: Summary, trust: Trust, { json }: VerifyFlags): void {
  const { total, assurances, entries, unused, leftOut } = summary;
  const provenEvents = [...assurances.values()].reduce((sum, n) => sum + n, 0);
  const proven = provenEvents === total;
  if (proven) process.exitCode = 0;
  if (json) {
    printJson({
      proven,
      total,
      entries: entries.size,
      assurances: Object.fromEntries(assurances),
      caveats: Object.fromEntries(summary.caveats),
      proofsWithoutEvent: [...unused],
      leftOut,
      keys: keysOf(trust),
    });
    return;
  }
  const counts = [...assurances].map(([assurance, n]) => `${n} ${assurance}`).join(", ");
  print(`${proven ? "PROVEN" : "NOT PROVEN"}  ${provenEvents} of ${total} events${counts && `: ${counts}`}`);
  const caveats = folderCaveats(summary, provenEvents);
  if (caveats.length > 0) print("Not proven by this", ...caveats.map((line) => `  ${line}`));
  print(keysLine(trust));
}

function folderCaveats(summary: Summary, provenEvents: number): string[] {
  const { total, entries, copies, unused, leftOut } = summary;
  const lines: string[] = [];
  if (copies !== undefined) {
    const [first, second] = copies.map((name) => quoted(name));
    lines.push(
      `Distinct entries of the log: ${entries.size}, for ${provenEvents} events. Some, such as ${first} and ${second}, are the same entry: was one copied in place of another?`,
    );
  }
  const [lost] = unused;
  if (lost !== undefined) {
    lines.push(
      `Proofs without an event: ${unused.size}, such as ${quoted(lost)}. Was it removed or renamed?`,
    );
  }
  const [left] = leftOut;
  if (left !== undefined) {
    lines.push(`Left out, and not checked: ${leftOut.length}, such as ${quoted(left)}.`);
  }
  const each = [...summary.caveats].map(([text, n]) =>
    n === total ? text : `${text} (${n} of ${total} events)`,
  );
  return [...lines, ...each];
}

/** The proofs of a folder by the names that they pair by. */
async function listProofs(folder: string): Promise<Map<string, string>> {
  const proofs = new Map<string, string>();
  for (const path of await readNames(folder)) {
    const name = proofName(path);
    if (path.endsWith(PROOF_SUFFIX) && (name === path || !proofs.has(name))) proofs.set(name, path);
  }
  return proofs;
}

async function readNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder, { recursive: true });
  } catch (cause) {
    throw misuse(`The folder ${folder} cannot be read: is there no permission?`, cause);
  }
}

/** The proof named after the most of the event's path: `day/a.json` rather than `a.json` for `events/day/a.json`. */
function pairedProof(name: string, present: ReadonlyMap<string, string>): string | undefined {
  const parts = name.split("/");
  return parts
    .map((_, i) => present.get(`${parts.slice(i).join("/")}${PROOF_SUFFIX}`))
    .find((path) => path !== undefined);
}

async function readOne(path: string, flags: VerifyFlags, numberOf?: NumberOf): Promise<EventSource> {
  if (path !== "-" && (await statOf(path)).isDirectory()) {
    throw misuse("Events in a folder need a folder of proofs");
  }
  const wanted = flags.line;
  for await (const file of listFiles([path])) {
    if (wanted === undefined && isNdjson(file, flags.ndjson)) {
      throw misuse(`${path} has one event a line: say which with --line, or give a folder of proofs`);
    }
    for await (const source of readEvents(file, flags.ndjson || wanted !== undefined)) {
      if (looksLikeRecord(source.bytes)) {
        throw misuse(
          `${where(source)} is a record of kedge commit: give the event itself, and this to --opening`,
        );
      }
      if (source.line === wanted) return source;
      numberOf?.(source); // equal lines before it have numbers of their own
    }
  }
  throw misuse(`${path} has no event in line ${wanted}`);
}

/** A file too large to be a proof is read no further than shows it. */
async function readProof(path: string): Promise<Uint8Array> {
  const { size } = await statOf(path);
  if (size > MAX_PROOF_SIZE) warn(`${path} is too large to be a proof`);
  return size > MAX_PROOF_SIZE ? new Uint8Array() : readInput(path, MAX_PROOF_SIZE);
}

/** An opening, or the one of a record. */
async function readOpening(path: string): Promise<Opening> {
  const text = readText(path);
  try {
    const value: unknown = JSON.parse(text);
    const isRecord = typeof value === "object" && value !== null && "opening" in value;
    return parseOpening(isRecord ? value.opening : value);
  } catch (cause) {
    if (cause instanceof EventError) throw misuse(`${path}: ${cause.message}`, cause);
    throw misuse(`${path} does not hold one opening or one record of kedge commit as JSON`);
  }
}
