/** `kedge evidence`: an evidence pack, of an export and the proofs of its rows. */
import { open, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pinnedKeys, type SettingFlags, withLog, withVkeys } from "@kedge/verify/cli/credentials";
import { readInput, readText } from "@kedge/verify/cli/files";
import { listFiles } from "@kedge/verify/cli/inputs";
import { CliError, EXIT_FAILED, misuse, print, progress, warn } from "@kedge/verify/cli/output";
import { isNamedNdjson, readNames } from "@kedge/verify/cli/proofs";
import type { Canonicalisation } from "@kedge/verify/events/canonical";
import { COMMITMENT_HEX } from "@kedge/verify/events/commitment";
import { parseMediaType } from "@kedge/verify/events/media";
import { type Disclosure, LANGUAGES, PACK_KINDS, type PackFilter } from "@kedge/verify/pack/pack";
import { PROOF_SUFFIX } from "@kedge/verify/proof/names";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { hexToBytes } from "@noble/hashes/utils.js";
import { type Command, Option } from "commander";
import * as z from "zod";
import { isManifest } from "../evidence/completeness.ts";
import { EvidenceError } from "../evidence/error.ts";
import { type ExportOptions, readExports } from "../evidence/exports.ts";
import { rowFilter } from "../evidence/filter.ts";
import {
  type GivenProof,
  readHeaders,
  readProofs,
  readRecords,
  recordsInProofs,
  type SortedFiles,
  sortFiles,
} from "../evidence/given.ts";
import { KeptProofs } from "../evidence/kept-proofs.ts";
import { type CaseInput, type MadePack, makePack } from "../evidence/make.ts";
import { candidatesOf, commitsOf, type OpenRest, openEvents, settleEvents } from "../evidence/open.ts";
import { policyOfCase } from "../evidence/policy.ts";
import type { GivenFile, OpenedEvent } from "../evidence/types.ts";
import { presetSchema } from "../journal/header.ts";
import { type KeyringFlags, openTenantKeys, withKeyring } from "./keyring.ts";
import { openLog } from "./service.ts";
import { awaitProofs, type WaitFlags, withWait } from "./wait.ts";

const HELP = `
Nothing of an event is sent: the service is asked for proofs by commitment alone, and not at all with --proofs.
Times without an offset are in the zone of the case. --to is the first moment that is not in the period.
--disclosures: a JSON object a line, with commitment, or event and line; recipient, address, description, purpose.
--columns: a JSON object, which column of delimited files is what: {"when": "TIME", "user.login": "USER", …}.`;

export function evidenceCommand(command: Command): Command {
  return withWait(withVkeys(withKeyring(withLog(command))))
    .requiredOption("--events <paths...>", "the export: files, or folders, such as of kedge find --export")
    .option("--records <paths...>", "records of kedge commit or kedge find, which open the events")
    .option("--proofs <paths...>", "their proofs (default: fetched from the service)")
    .option("--manifests <paths...>", "of kedge manifests, with their records: what each source counted")
    .addOption(new Option("--kind <kind>", "of the report").choices(PACK_KINDS).default("access"))
    .option("--from <time>", "of the events' own times, RFC 3339, included")
    .option("--to <time>", "not included")
    .option("--user <name>", "a name or a login")
    .option("--patient <name>", "a name or an MRN")
    .option("--action <name>", "what was done, as the event says it")
    .option("--record-type <name>", "what it was done to")
    .option("--break-the-glass", "what was read past a warning alone")
    .option("--same-surname", "user and patient have a surname in common")
    .option("--after-hours <hours>", "times of the day, such as 18:00-07:00")
    .option("--list <file>", "names, logins or MRNs, one a line: whose rows count")
    .option("--gtin <number>", "of a trace")
    .option("--lot <number>", "of a trace")
    .option("--serial <number>", "of a trace")
    .option("--case-number <text>", "stands on the report")
    .option("--requested-by <text>", "stands on the report")
    .option("--reason <text>", "stands on the report")
    .option("--prepared-by <text>", "stands on the report")
    .option("--zone <name>", "IANA name of the zone of local times (default: this machine's)")
    .addOption(new Option("--language <code>", "of the report").choices(LANGUAGES).default("en"))
    .option("--disclosures <file>", "which rows are disclosures, and of what")
    .addOption(new Option("--withhold <what>", "leave out every event, and patients").choices(["patients"]))
    .option("--columns <file>", "of delimited files, where they are not Epic's")
    .option("--separator <character>", "of delimited files")
    .option("--no-quotes", "a quote in delimited files is a character like any other")
    .option("--media-type <type>", "of the events, where they were posted with another than is told")
    .addOption(
      new Option("--canonicalisation <name>", "of the events").choices(["raw", "jcs"]).default("raw"),
    )
    .option("--tsa-cert <files...>", "PEM certificates of timestamping authorities, to go with the pack")
    .requiredOption("-o, --out <file>", "the pack, a new zip")
    .addHelpText("after", HELP)
    .action(evidence);
}

type Flags = SettingFlags &
  KeyringFlags &
  WaitFlags & {
    events: string[];
    records?: string[];
    proofs?: string[];
    manifests?: string[];
    kind: CaseInput["kind"];
    from?: string;
    to?: string;
    user?: string;
    patient?: string;
    action?: string;
    recordType?: string;
    breakTheGlass?: true;
    sameSurname?: true;
    afterHours?: string;
    list?: string;
    gtin?: string;
    lot?: string;
    serial?: string;
    caseNumber?: string;
    requestedBy?: string;
    reason?: string;
    preparedBy?: string;
    zone?: string;
    language: CaseInput["language"];
    disclosures?: string;
    withhold?: "patients";
    columns?: string;
    separator?: string;
    quotes: boolean;
    mediaType?: string;
    canonicalisation: Canonicalisation;
    tsaCert?: string[];
    out: string;
  };

async function evidence(flags: Flags): Promise<void> {
  // What is asked for names patients: it is not to be read in a list of processes.
  process.title = "kedge evidence";
  process.exitCode = EXIT_FAILED; // until all of it is done
  await asCliError(async () => {
    const about = caseOf(flags);
    const isIn = rowFilter(about.filter, about.zone);
    const keys = pinnedKeys(flags);
    const page = await readPage();
    const files = await givenFiles(flags);
    const { events, rest } = await openAll(files, flags);
    const wanted = events.filter((event) => isManifest(event) || isIn(event));
    const proofs =
      flags.proofs === undefined
        ? await fetchKnown(wanted, flags)
        : keptProofs(readProofs(files.proofs, () => known(events)));
    const settled = settleEvents(events, (commitment) => {
      const proof = proofs.get(commitment);
      return proof !== undefined && !("noProof" in proof && proof.noProof === "unknown");
    });
    const given = { events: settled, proofs, case: about };
    const policy = policyOfCase(keys, given);
    const shown = progress("per cent of the pack made");
    let done = 0;
    const { disclosures } = flags;
    const made = await makePack(
      {
        ...{ ...given, policy, page },
        authorities: (flags.tsaCert ?? []).map((file) => readText(file)),
        ...(disclosures !== undefined && { disclosures: readDisclosures(disclosures, settled) }),
      },
      {
        onProgress(share) {
          shown.add(Math.floor(100 * share) - done);
          done = Math.floor(100 * share);
        },
      },
    );
    shown.done();
    await writeNew(flags.out, made.zip);
    tell(made, rest, flags);
  });
}

async function asCliError(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    throw misuse(error.message.replace(/\.$/, ""), error);
  }
}

// ---- what was asked for -------------------------------------------------------------------------------------------

function caseOf(flags: Flags): CaseInput {
  const { kind, language, caseNumber, requestedBy, reason, preparedBy, withhold } = flags;
  const { from, to, user, patient, action, recordType, gtin, lot, serial } = flags;
  const filter: PackFilter = {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(user === undefined ? {} : { user }),
    ...(patient === undefined ? {} : { patient }),
    ...(action === undefined ? {} : { action }),
    ...(recordType === undefined ? {} : { recordType }),
    ...(flags.breakTheGlass && { breakTheGlass: true }),
    ...(flags.sameSurname && { sameSurname: true }),
    ...(flags.afterHours === undefined ? {} : { afterHours: hoursOf(flags.afterHours) }),
    ...(flags.list === undefined ? {} : { list: readList(flags.list) }),
    ...(gtin === undefined ? {} : { gtin }),
    ...(lot === undefined ? {} : { lot }),
    ...(serial === undefined ? {} : { serial }),
  };
  return {
    ...{ kind, language, filter },
    zone: flags.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    ...(caseNumber === undefined ? {} : { number: caseNumber }),
    ...(requestedBy === undefined ? {} : { requestedBy }),
    ...(reason === undefined ? {} : { reason }),
    ...(preparedBy === undefined ? {} : { preparedBy }),
    ...(withhold === undefined ? {} : { withheld: withhold }),
  };
}

function hoursOf(text: string): { from: string; to: string } {
  const [, from, to] = /^(\d\d:\d\d)-(\d\d:\d\d)$/.exec(text) ?? [];
  if (from === undefined || to === undefined) {
    throw misuse("--after-hours is two times of the day, such as 18:00-07:00");
  }
  return { from, to };
}

function readList(path: string): string[] {
  const lines = readText(path)
    .split(/\r?\n/)
    .map((line) => line.trim());
  const named = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (named.length === 0) throw misuse(`${path} has no name, login or MRN: one on each line is wanted`);
  return named;
}

function exportOptions({ columns, separator, quotes, mediaType }: Flags): ExportOptions {
  return {
    ...(columns === undefined ? {} : { preset: readColumnsFile(columns) }),
    ...(separator === undefined ? {} : { separator: separatorOf(separator) }),
    ...(quotes ? {} : { quoted: false }),
    ...(mediaType === undefined ? {} : { mediaType: mediaTypeOption(mediaType) }),
  };
}

function separatorOf(text: string): string {
  const separator = text === "\\t" ? "\t" : text;
  if (/^[\t\x20-\x7e]$/.test(separator) && separator !== '"') return separator;
  throw misuse("--separator is one ASCII character, \\t for a tab, and no quote");
}

function mediaTypeOption(text: string): string {
  try {
    return parseMediaType(text);
  } catch (cause) {
    throw misuse("--media-type is a media type in lower case, without parameters", cause);
  }
}

function readColumnsFile(path: string) {
  const { data, success } = presetSchema.safeParse(parseJson(readText(path)));
  if (success) return data;
  throw misuse(
    `${path} does not say which column is what: a JSON object of when, user.login, patient.mrn and so on, each a column's name`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const disclosureSchema = z.strictObject({
  commitment: z.string().regex(COMMITMENT_HEX).optional(),
  event: z.string().min(1).optional(),
  line: z.int().positive().optional(),
  recipient: z.string(),
  address: z.string().min(1).optional(),
  description: z.string(),
  purpose: z.string(),
});

/** By commitment; a row is named by its file, as it was given or its last part, and its line. */
function readDisclosures(path: string, events: readonly OpenedEvent[]): Map<string, Disclosure> {
  const marks = new Map<string, Disclosure>();
  for (const [i, line] of readText(path, 64 << 20)
    .split("\n")
    .entries()) {
    if (line.trim() === "") continue;
    const { data } = disclosureSchema.safeParse(parseJson(line));
    if (data === undefined) {
      throw misuse(
        `${path}, line ${i + 1}, is no disclosure: a JSON object of commitment, or event and line; recipient, address, description and purpose`,
      );
    }
    const { commitment, event, line: row, recipient, address, description, purpose } = data;
    const own = commitment ?? commitmentAt(events, event, row);
    if (own === undefined) throw misuse(`${path}, line ${i + 1}, is of no row of the export`);
    marks.set(own, { recipient, ...(address === undefined ? {} : { address }), description, purpose });
  }
  return marks;
}

function commitmentAt(
  events: readonly OpenedEvent[],
  file: string | undefined,
  line: number | undefined,
): string | undefined {
  if (file === undefined) return undefined;
  const found = events.filter(
    (one) => (one.file === file || one.file.endsWith(`/${file}`)) && one.line === line,
  );
  const commitments = new Set(found.flatMap((one) => commitsOf(one)?.commitment ?? []));
  return commitments.size === 1 ? [...commitments][0] : undefined;
}

// ---- what was given -----------------------------------------------------------------------------------------------

/** Far above any export that one report is made of. */
const MAX_FILE = 1 << 30;

async function givenFiles({
  events,
  records = [],
  proofs = [],
  manifests = [],
}: Flags): Promise<SortedFiles> {
  const belowOf = new Map<string, string>();
  const leftOut: string[] = [];
  for await (const { name, below } of listFiles([...events, ...records, ...manifests], leftOut)) {
    if (name === "-") throw misuse("Standard input cannot be given here: write it into a file");
    belowOf.set(name, below);
  }
  for (const path of proofs) {
    for await (const { name, below } of listFiles([path], leftOut)) belowOf.set(name, below);
    for (const name of await ownProofs(path)) belowOf.set(name, basename(name));
  }
  if (leftOut.length > 0)
    throw misuse("What was left out may be a part of the export: see above, and give it");
  const files = [...belowOf].map(
    ([name, below]): GivenFile => ({ name, below, bytes: readInput(name, MAX_FILE) }),
  );
  const sorted = sortFiles(files);
  if (sorted.events.length === 0) throw misuse("There is no export in what was given with --events");
  return sorted;
}

/** Files of one proof in a folder, which no list of events has. */
async function ownProofs(path: string): Promise<string[]> {
  if (isNamedNdjson(path) || path.endsWith(PROOF_SUFFIX)) return [];
  const names = await readNames(path);
  return names.filter((name) => name.endsWith(PROOF_SUFFIX)).map((name) => join(path, name));
}

/** The verifier page of this version. */
async function readPage(): Promise<Uint8Array> {
  try {
    return await readFile(createRequire(import.meta.url).resolve("@kedge/verify/verify.html"));
  } catch (cause) {
    throw new CliError("failed", "The verifier page, which goes into the pack, is not here: npm run build", {
      cause,
    });
  }
}

// ---- rows and proofs ----------------------------------------------------------------------------------------------

async function openAll(files: SortedFiles, flags: Flags): Promise<{ events: OpenedEvent[]; rest: OpenRest }> {
  const given = [...readRecords(files.records)];
  const records = given.length > 0 ? given : [...recordsInProofs(files.proofs)];
  const { tenantKeys } = await openTenantKeys(flags, { mayAsk: given.length === 0 });
  if (records.length === 0 && tenantKeys.length === 0) {
    throw misuse("Nothing opens the events: give their records with --records, or the tenant key");
  }
  const { canonicalisation } = flags;
  const opening = openEvents(
    readExports(files.events, { ...exportOptions(flags), headers: readHeaders(files.headers) }),
    {
      ...{ records, tenantKeys, canonicalisation },
    },
  );
  const shown = progress("events opened");
  const events: OpenedEvent[] = [];
  for (;;) {
    const step = opening.next();
    if (step.done) {
      shown.done();
      return { events, rest: step.value };
    }
    events.push(step.value);
    shown.add(1);
  }
}

function* known(events: readonly OpenedEvent[]) {
  for (const event of events) {
    const { file, line } = event;
    const place = { file, ...(line === undefined ? {} : { line }) };
    for (const commitment of candidatesOf(event)) yield { ...place, commitment };
  }
}

function keptProofs(given: Iterable<GivenProof>): KeptProofs {
  const proofs = new KeptProofs();
  for (const { commitment, proof } of given) proofs.setProof(commitment, proof);
  return proofs;
}

/** In bulk, by commitment. */
async function fetchKnown(events: readonly OpenedEvent[], flags: Flags): Promise<KeptProofs> {
  const wanted = [...new Set(events.flatMap(candidatesOf))];
  const proofs = new KeptProofs();
  if (wanted.length === 0) return proofs;
  const target = await openLog(flags);
  const shown = progress("proofs fetched");
  let at = 0;
  for await (const answer of awaitProofs(target, wanted.map(hexToBytes), flags)) {
    const commitment = wanted[at++] ?? "";
    if (answer.state === "proof") proofs.setProof(commitment, answer.proof);
    else proofs.setNone(commitment, answer.state);
    shown.add(1);
  }
  shown.done();
  return proofs;
}

// ---- what was made ------------------------------------------------------------------------------------------------

/** Readable by the owner alone, for it names patients; and never over a pack that there is. */
async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o600).catch((cause: unknown) => {
    throw misuse(`${path} cannot be created: it exists already, or its folder does not`, cause);
  });
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

function tell({ judged, unopened, unproven }: MadePack, rest: OpenRest, { out }: Flags): void {
  const { counts, case: about, verdict, evidence } = judged;
  const words = VERDICT_WORDS.en;
  const { total, unchanged, withheld, changed, untold } = counts;
  const said = [
    `${unchanged} unchanged`,
    ...(withheld === 0 ? [] : [`${withheld} withheld, their entries unchanged`]),
    `${changed} changed or never logged`,
    `${untold} that cannot be told yet`,
  ];
  const rows = `${total} ${total === 1 ? "row" : "rows"} of ${about.lookedThrough} events`;
  print(
    `${words.headlines[verdict]}  ${rows} in ${out}: ${said.join(", ")}.`,
    `Evidence ${evidence}`,
    `Times are in ${about.zone}, as are those of events that say no offset. Check it: kedge verify ${out}`,
  );
  if (total === 0) warn("no row was found: see whether the filter is what was meant");
  if (unopened.length > 0) {
    const [first] = unopened;
    const place = first?.line === undefined ? first?.file : `${first.file} line ${first.line}`;
    warn(
      `${unopened.length} events that were found are not in it, for no record and no key opens them, first ${place}: they were added or changed, or their records were not given`,
    );
  }
  if (rest.untold > 0) {
    warn(
      `of ${rest.untold} events it would take too many tries to find their records: give the tenant key, or the events in the order of the records`,
    );
  }
  if (unproven.length > 0) {
    warn(
      `manifests that no key of the pack proves count for nothing, and are not in it: ${unproven.length}, first ${unproven[0]?.file}`,
    );
  }
  const isAll = verdict === "unchanged" && unopened.length === 0;
  if (isAll) process.exitCode = 0;
}
