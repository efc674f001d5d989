/** `kedge verify`: holds events and their proofs against pinned keys, and says what they prove. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { type Command, Option } from "commander";
import { type Opening, parseOpening } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { PROOF_SUFFIX } from "../proof/names.ts";
import {
  type Claim,
  isMismatch,
  MAX_TRIES,
  NOT_TRIED,
  type Paired,
  pairProof,
  searchIn,
  verifySource,
} from "../proof/pairing.ts";
import {
  ASSURANCES,
  type Assurance,
  type FailureKind,
  kindOf,
  openVerifier,
  type VerifyClaim,
  type VerifyReport,
} from "../proof/verify.ts";
import { type Hints, type ToldReport, tellReport } from "../proof/words.ts";
import { keyLabel, quoted } from "../text.ts";
import { timestampVerifier } from "../time/timestamps.ts";
import {
  deriveOpening,
  type NumberedFlags,
  type OpenTenant,
  plainTenant,
  type Tenant,
  where,
  withCommit,
} from "./committer.ts";
import { type PinnedKeys, pinnedKeys, withCredentials, withVkeys } from "./credentials.ts";
import { readText } from "./files.ts";
import { type EventSource, isNdjson, listFiles, looksLikeRecord, readEvents, statOf } from "./inputs.ts";
import { commitmentHex, wholeNumber } from "./options.ts";
import { CliError, EXIT_FAILED, EXIT_UNREAD, misuse, print, printJson, progress } from "./output.ts";
import { holdsProofLines, indexProofs, isNamedNdjson, type KeptProof, readKept } from "./proofs.ts";
import { readTimestampTrust, type TimestampFlags, withTimestamps } from "./timestamps.ts";
import type { MakeReport } from "./verify-pack.ts";

/**
 * `openTenant` is given by a program that knows a keyring, and the numbers of sources; `loadReport` by one that can make the
 * report of a pack anew.
 */
export function verifyCommand(
  command: Command,
  openTenant: OpenTenant = plainTenant,
  loadReport?: () => Promise<MakeReport>,
): Command {
  return withTimestamps(withCommit(withVkeys(withCredentials(command))))
    .argument(
      "<paths...>",
      "an event and its proof; or a folder (or .ndjson file) of events and one of proofs; or an evidence pack (.zip)",
    )
    .option("--opening <file>", "the opening, or the record of kedge commit, if the proof carries none")
    .option("--commitment <hex>", "instead of an event", commitmentHex)
    .option("--line <n>", "the line of the event in an .ndjson file", wholeNumber(1))
    .addOption(new Option("--require <assurance>", "at least").choices(ASSURANCES))
    .option("--require-all-keys", "a key of every kind that is pinned must have signed: Ed25519, ML-DSA-44")
    .option("--json", "the report as JSON")
    .addHelpText(
      "after",
      "\nExit code: 0 proven; 1 not: altered, not belonging together, converted, or less than required; 2 used wrongly; " +
        "3 could not be read or told. Works without a network.",
    )
    .action(async (paths: string[], flags: VerifyFlags) => {
      const [only, second] = paths;
      if (only !== undefined && second === undefined && flags.commitment === undefined) {
        const { isPackFile, verifyPack } = await import("./verify-pack.ts");
        if (await isPackFile(only)) {
          process.exitCode = EXIT_FAILED;
          return await verifyPack(only, flags, await loadReport?.());
        }
      }
      const tenant = await openTenant(flags);
      await verify(paths, flags, tenant).finally(() => tenant.close());
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

async function verify(paths: string[], flags: VerifyFlags, tenant: Tenant): Promise<void> {
  process.exitCode = EXIT_FAILED; // until it is proven: a reader may close the pipe before that
  const trust = await readTrust(flags);
  const [first, second, ...more] = paths;
  if (flags.commitment !== undefined) {
    if (first === undefined || second !== undefined)
      throw misuse("With --commitment, give one file of proofs");
    conclude(await verifyCommitment(flags.commitment, first, trust), trust, flags);
    return;
  }
  if (first === undefined || second === undefined || more.length > 0) {
    throw misuse("Give an event and its proof, or a folder of events and a folder of proofs");
  }
  const ofMany = await holdsMany(second);
  const isOne = flags.line !== undefined || (await isOneEvent(first, flags));
  if (ofMany && (!isOne || (await statOf(second)).isDirectory()) && flags.line === undefined) {
    await verifyFolder(first, second, trust, flags, tenant);
    return;
  }
  const derivedOf = deriveOpening(flags, await tenant.tenantKeys(), tenant.numberOf);
  const { source, derive } = await readOne(first, flags, derivedOf);
  const opening = flags.opening === undefined ? undefined : await readOpening(flags.opening);
  const { verifyClaim } = trust;
  const claim = { source, verifyClaim, derive, ...(opening && { opening }) };
  if (ofMany) {
    conclude((await pairIn(claim, second)).report, trust, flags);
    return;
  }
  const proof = await readKept({ path: second });
  checkOrder(source, proof);
  const report = await verifySource(claim, proof);
  conclude(report, trust, flags, await otherLine(report, first, proof, { ...claim, derivedOf }, flags));
}

async function pairIn(claim: Claim, path: string): Promise<Paired<KeptProof>> {
  const proofs = await indexProofs(path);
  const paired = await pairProof(claim, proofs, searchIn(proofs));
  if (paired === "untried") throw new CliError("untold", `${where(claim.source)}: ${NOT_TRIED}`);
  if (paired === "none") throw new CliError("untold", `${path} has no proof of ${where(claim.source)}`);
  return paired;
}

async function holdsMany(path: string): Promise<boolean> {
  if ((await statOf(path)).isDirectory()) return true;
  return !path.endsWith(PROOF_SUFFIX) && (isNamedNdjson(path) || (await holdsProofLines(path)));
}

async function isOneEvent(path: string, { ndjson }: VerifyFlags): Promise<boolean> {
  if (path === "-" || (await statOf(path)).isDirectory()) return false;
  return !isNdjson({ name: path, below: path }, ndjson);
}

async function verifyCommitment(hex: string, path: string, trust: Trust): Promise<VerifyReport> {
  const commitment = hexToBytes(hex);
  if (!(await holdsMany(path)))
    return await trust.verifyClaim({ commitment, proof: await readKept({ path }) });
  const [kept] = (await indexProofs(path)).of(hex);
  if (kept === undefined)
    throw new CliError("untold", `${path} has no proof that is said to be of this commitment`);
  return await trust.verifyClaim({ commitment, proof: await readKept(kept) });
}

/** Each is itself, and they were only given in the other order. */
function checkOrder({ name, bytes: event }: Claim["source"], proof: Uint8Array): void {
  if (isProof(event) && !isProof(proof))
    throw misuse(`${name} is a proof: give the event first, then its proof`);
}

function isProof(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, 64)).trimStart().startsWith("c2sp.org/tlog-proof@");
}

/** The line of the events' file that the proof is of, when it is another than was asked for. */
async function otherLine(
  report: VerifyReport,
  path: string,
  proof: Uint8Array,
  { derivedOf, ...claim }: Claim & { derivedOf: DerivedOf },
  flags: VerifyFlags,
): Promise<number | undefined> {
  if (flags.line === undefined || !isMismatch(report)) return undefined;
  let tried = 0;
  for await (const source of readEvents({ name: path, below: path }, true)) {
    const derive = derivedOf(source); // of every line, as in readOne
    if (source.line === flags.line) continue;
    if (++tried > MAX_TRIES) return undefined;
    if ((await verifySource({ ...claim, source, derive }, proof)).proven) return source.line;
  }
  return undefined;
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

type DerivedOf = ReturnType<typeof deriveOpening>;

/** A failure has the exit code of its kind. */
const EXIT_OF = {
  refuted: EXIT_FAILED,
  converted: EXIT_FAILED,
  insufficient: EXIT_FAILED,
  untold: EXIT_UNREAD,
};

function conclude(report: VerifyReport, trust: Trust, { json }: VerifyFlags, line?: number): void {
  process.exitCode = report.failure === undefined ? 0 : EXIT_OF[kindOf(report.failure)];
  const words = tellReport(report, HINTS);
  const told = { ...words, caveats: [...words.caveats, ...keyCaveats(trust)] };
  const other = line === undefined ? {} : { otherLine: line };
  if (json) printJson({ ...told, ...other, keys: keysOf(trust) });
  else print(...describe(told), ...(line === undefined ? [] : [otherLineSays(line)]), keysLine(trust));
}

const otherLineSays = (line: number): string =>
  `  The proof is of line ${line} of that file, which is proven by it: were lines added, taken out or re-ordered?`;

function describe({ headline, failure, statements, caveats }: ToldReport): string[] {
  if (failure !== undefined) return [headline, `  ${failure.message}`];
  return [
    headline,
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
  tenant: Tenant,
): Promise<void> {
  if (flags.opening !== undefined) throw misuse("--opening is for one event, not for a folder");
  const index = await indexProofs(proofs);
  const search = searchIn(index);
  const derivedOf = deriveOpening(flags, await tenant.tenantKeys(), tenant.numberOf);
  const shown = progress("events checked");
  const summary: Summary = {
    total: 0,
    assurances: new Map(),
    caveats: new Map(),
    entries: new Map(),
    unused: search.unused,
    byContent: [],
    kinds: new Set(),
    leftOut: [],
  };
  // What cannot be read is told of, and not of the others.
  const onError = ({ message }: CliError): void => {
    summary.total += 1;
    summary.kinds.add("untold");
    if (flags.json) printJson({ unread: message });
    else print(`CANNOT TELL  ${message}`);
  };
  const { asBytes } = flags;
  for await (const file of listFiles([events], summary.leftOut, { asBytes, onError })) {
    for await (const source of readable(readEvents(file, flags.ndjson), onError)) {
      const name = source.line === undefined ? source.name : `${source.name}.${source.line}`;
      const claim = { source, verifyClaim: trust.verifyClaim, derive: derivedOf(source) };
      const paired = await pairProof(claim, index, search);
      shown.add(1);
      if (typeof paired === "string") {
        summary.total += 1;
        summary.kinds.add(paired === "untried" ? "untold" : "refuted");
        if (flags.json) printJson({ event: name, ...(paired === "untried" && { untold: NOT_TRIED }) });
        else if (paired === "untried") print(`CANNOT TELL  ${name}: ${NOT_TRIED}`);
        else print(`NOT PROVEN  ${name}: ${whyNoProof(source)}`);
        continue;
      }
      const told = tellReport(paired.report, HINTS);
      summary.unused.delete(paired.kept);
      if (paired.byContent) summary.byContent.push([name, placeOf(paired.kept)]);
      include(summary, name, told);
      if (flags.json) printJson({ event: name, proof: placeOf(paired.kept), report: told });
      else if (!told.proven) print(`${told.headline}  ${name}: ${told.failure?.message}`);
    }
  }
  shown.done();
  if (summary.total === 0) throw misuse(`There is no event in ${events}`);
  for (const caveat of keyCaveats(trust)) summary.caveats.set(caveat, summary.total);
  summarise(summary, trust, flags);
}

/** The events of a file until one cannot be read, which `onError` is told. What fails while one is verified is thrown. */
async function* readable(
  events: AsyncGenerator<EventSource>,
  onError: (error: CliError) => void,
): AsyncGenerator<EventSource> {
  for (;;) {
    const next = await events.next().catch((error: unknown) => {
      if (!(error instanceof CliError)) throw error;
      onError(error);
    });
    if (next === undefined || next.done) return;
    yield next.value;
  }
}

const placeOf = ({ path, at }: KeptProof): string => (at === undefined ? path : `${path} line ${at.line}`);

function whyNoProof({ bytes }: EventSource): string {
  return looksLikeRecord(bytes)
    ? "it is a record of kedge commit, not an event: give the events themselves"
    : "there is no proof of it";
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
  unused: Set<KeptProof>;
  /** Events, and the proofs that were found though no name led to them. */
  byContent: [string, string][];
  /** What failed. */
  kinds: Set<FailureKind>;
  leftOut: string[];
};

function include(summary: Summary, event: string, report: ToldReport): void {
  summary.total += 1;
  if (report.failure !== undefined) summary.kinds.add(report.failure.kind);
  if (report.assurance === undefined) return;
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
  process.exitCode = exitOf(summary);
  if (json) {
    printJson({
      proven,
      total,
      entries: entries.size,
      assurances: Object.fromEntries(assurances),
      caveats: Object.fromEntries(summary.caveats),
      proofsWithoutEvent: [...unused].map(placeOf),
      pairedByContent: summary.byContent.map(([event, proof]) => ({ event, proof })),
      leftOut,
      keys: keysOf(trust),
    });
    return;
  }
  const verdict = proven ? "PROVEN" : exitOf(summary) === EXIT_UNREAD ? "CANNOT TELL" : "NOT PROVEN";
  const missed = leftOut.length === 0 ? "" : `; ${leftOut.length} left out, and not checked`;
  const counts = [...assurances].map(([assurance, n]) => `${n} ${assurance}`).join(", ");
  print(`${verdict}  ${provenEvents} of ${total} events${counts && `: ${counts}`}${missed}`);
  const caveats = folderCaveats(summary, provenEvents);
  if (caveats.length > 0) print("Not proven by this", ...caveats.map((line) => `  ${line}`));
  print(keysLine(trust));
}

/** One event that is refuted outweighs any that cannot be told. What was left out was not told either. */
function exitOf({ kinds, leftOut }: Summary): number {
  const codes = [...kinds].map((kind) => EXIT_OF[kind]);
  if (codes.includes(EXIT_FAILED)) return EXIT_FAILED;
  return codes.length + leftOut.length > 0 ? EXIT_UNREAD : 0;
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
      `Proofs without an event: ${unused.size}, such as ${quoted(placeOf(lost))}. Their events are not in what was given: were they removed, changed or renamed?`,
    );
  }
  const [moved] = summary.byContent;
  if (moved !== undefined) {
    const [event, proof] = moved.map((name) => quoted(name));
    lines.push(
      `Proven by a proof of another name: ${summary.byContent.length}, such as ${event} by ${proof}. Were lines re-ordered, or files renamed?`,
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

async function readOne(
  path: string,
  flags: VerifyFlags,
  derivedOf: DerivedOf,
): Promise<Pick<Claim, "source" | "derive">> {
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
      const derive = derivedOf(source); // of every line: equal ones have numbers of their own
      if (source.line === wanted) return { source, derive };
    }
  }
  throw misuse(`${path} has no event in line ${wanted}`);
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
