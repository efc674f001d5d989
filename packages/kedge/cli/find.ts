/** `kedge find`: searches the journal of an agent, and exports what it found with openings and proofs. */
import { mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { type SettingFlags, withLog, withTenantKey, withVkeys } from "@kedge/verify/cli/credentials";
import { readText } from "@kedge/verify/cli/files";
import { wholeNumber } from "@kedge/verify/cli/options";
import { EXIT_FAILED, misuse, print, printJson, warn } from "@kedge/verify/cli/output";
import { createRecords, recordLine } from "@kedge/verify/cli/records";
import { time } from "@kedge/verify/cli/time";
import { isOwnSource } from "@kedge/verify/events/manifest";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import * as z from "zod";
import { HEADERS, type RowsBelow } from "../evidence/given.ts";
import { type Found, openFindIndex, type Query } from "../find/index.ts";
import { journalUse, USES } from "../find/used.ts";
import { JournalError } from "../journal/error.ts";
import { openJournal, readJournal } from "../journal/journal.ts";
import { openingOf } from "../journal/opening.ts";
import type { Entry, EpochKeys } from "../journal/types.ts";
import { KeyringError } from "../keys/error.ts";
import { openKeyring } from "../keys/keyring.ts";
import { type KeyringFlags, keyringPlace, withKeyring } from "./keyring.ts";
import { fetchProofs, type Wanted } from "./proof.ts";
import { type WaitFlags, withWait } from "./wait.ts";

const HELP = `
What is asked for stays on this machine, and the search itself is journalled: it is an event of the source ${USES}.
What stands on a command line can be read by others on this machine, and is kept by shells: --query reads it from a file.
An event without an offset in its time counts as UTC.`;

export function findCommand(command: Command): Command {
  return withWait(withKeyring(withVkeys(withTenantKey(withLog(command)))))
    .requiredOption("--data <dir>", "the data folder of the agent; it may be running")
    .option("--patient <id>", "a patient's MRN or name")
    .option("--user <id>", "a user's login or name")
    .option("--action <name>", "what was done, as the event says it")
    .option("--source <name>", "the source in the agent's configuration")
    .option("--from <time>", "of the events' own times, RFC 3339, included", time)
    .option("--to <time>", "not included", time)
    .option("--query <file>", "a JSON file with patient, user, action, source, from, to")
    .option("--limit <n>", "so many at most", wholeNumber(1, 1_000_000_000))
    .option("--json", "a JSON object a line")
    .option("--export <dir>", "write the events, their openings and proofs into a new folder")
    .addHelpText("after", HELP)
    .action(find);
}

type FindFlags = SettingFlags &
  KeyringFlags &
  WaitFlags &
  Query & {
    data: string;
    query?: string;
    limit?: number;
    json?: boolean;
    export?: string;
  };

/** Events that are read so soon that nobody wonders. */
const SAID_BEHIND = 5_000n;

async function find(flags: FindFlags): Promise<void> {
  // What is asked for names patients: it is not to be read in a list of processes.
  process.title = "kedge find";
  const query = queryOf(flags);
  const keys = await orMisuse(() => openKeyring(keyringPlace(flags)));
  await orMisuse(() => checkJournal(flags.data));
  const journal = await orMisuse(() => openJournal({ folder: flags.data, keys }));
  const index = openFindIndex(flags.data, journal, keys);
  const gone = keys.shredded().length;
  if (gone > 0 && (query.patient ?? query.user ?? query.action) !== undefined) {
    warn(
      `${counted(gone, "epoch")} of the tenant's keys ${gone === 1 ? "was" : "were"} shredded: what was journalled under them is found by --source and time alone`,
    );
  }
  try {
    const uses = await orMisuse(() => journal.intake(USES));
    const kind = flags.export === undefined ? "search" : "export";
    await orMisuse(() => journalUse(uses, { kind, query, by: userInfo().username, at: Date.now() }));
    const behind = index.behind();
    if (behind > SAID_BEHIND)
      warn(`${behind} events are read into the index first: the next search has them`);
    await index.catchUp();
    const found = limited(index.search(query), flags.limit ?? Number.POSITIVE_INFINITY);
    if (flags.export === undefined) show(found, flags);
    else await exportAll(found, keys, { ...flags, source: query.source, out: flags.export });
  } finally {
    await index.close();
    await journal.close();
  }
}

/** A folder that was mistyped is not to become a journal. */
async function checkJournal(folder: string): Promise<void> {
  const journal = readJournal({ folder });
  if (journal === undefined) throw misuse(`There is no journal in ${folder}: name the agent's --data`);
  await journal.close();
}

async function orMisuse<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const isKnown = error instanceof JournalError || error instanceof KeyringError;
    throw isKnown ? misuse(error.message, error) : error;
  }
}

const MAX_QUERY = 1 << 16;
const said = z.string().min(1);
const moment = z.string().transform((text, ctx) => {
  try {
    return time(text);
  } catch {
    ctx.addIssue({ code: "custom" });
    return z.NEVER;
  }
});
const querySchema = z
  .strictObject({ patient: said, user: said, action: said, source: said, from: moment, to: moment })
  .partial();

/** What a flag says counts more than what the file says. */
function queryOf({ query, patient, user, action, source, from, to }: FindFlags): Query {
  const read: Query = query === undefined ? {} : readQuery(query);
  return {
    patient: patient ?? read.patient,
    user: user ?? read.user,
    action: action ?? read.action,
    source: source ?? read.source,
    from: from ?? read.from,
    to: to ?? read.to,
  };
}

function readQuery(path: string): Query {
  const parsed = querySchema.safeParse(parseJson(readText(path, MAX_QUERY)));
  if (parsed.success) return parsed.data;
  throw misuse(
    `${path} is not a query: a JSON object of patient, user, action and source as text, from and to in RFC 3339`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function* limited<T>(items: Iterable<T>, limit: number): Generator<T> {
  let left = limit;
  for (const item of items) {
    if (left-- <= 0) return;
    yield item;
  }
}

// ---- what is shown ------------------------------------------------------------------------------------------------

const SEPARATOR = " | ";
const HEADINGS = [
  ...["when", "user", "patient", "action", "record type", "workstation", "reason", "outcome"],
  ...["source", "number", "evidence"],
];

function show(found: Iterable<Found>, { json }: FindFlags): void {
  let count = 0;
  for (const one of found) {
    if (json) printJson(jsonOf(one));
    else print(...(count === 0 ? [HEADINGS.join(SEPARATOR)] : []), rowOf(one).join(SEPARATOR));
    count += 1;
  }
  warn(`${counted(count, "event")} found`);
  if (count === 0) process.exitCode = EXIT_FAILED;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

function rowOf({ entry, columns, when }: Found): string[] {
  const { user, patient, action, recordType, workstation, reason, outcome } = columns;
  return [
    new Date(when).toISOString(),
    together(user?.login, user?.name, user?.role, user?.department),
    together(patient?.mrn, patient?.name),
    action ?? "",
    recordType ?? "",
    workstation ?? "",
    together(reason?.code, reason?.explanation),
    outcome ?? "",
    entry.source,
    `${entry.number}`,
    evidenceOf(entry),
  ];
}

const together = (...texts: (string | undefined)[]): string =>
  texts.filter((text) => text !== undefined).join(", ");

const evidenceOf = ({ index, bytes }: Entry): string =>
  `${index === undefined ? "not sealed yet" : `sealed at ${index}`}${bytes === undefined ? ", body gone" : ""}`;

function jsonOf({ entry, columns, when }: Found): object {
  const { source, number, at, commitment, index, mediaType } = entry;
  return {
    ...{ source, number: `${number}`, when: new Date(when).toISOString() },
    ...{ journalledAt: new Date(at).toISOString(), mediaType, columns },
    commitment: bytesToHex(commitment),
    ...(index === undefined ? {} : { index: `${index}` }),
  };
}

// ---- what is exported ---------------------------------------------------------------------------------------------

const EXTENSIONS: { readonly [suffix: string]: string } = {
  json: "json",
  xml: "xml",
  rfc3881: "xml",
  csv: "csv",
  "tab-separated-values": "tsv",
};

/**
 * `events/`, a file each; `records.ndjson`, their openings; `proofs.ndjson`; of rows, `headers.ndjson`, what stood above them.
 * What `kedge verify` and `kedge evidence` take.
 */
async function exportAll(
  found: Iterable<Found>,
  keys: EpochKeys,
  flags: SettingFlags & WaitFlags & { out: string; source?: string | undefined },
): Promise<void> {
  const { out } = flags;
  const folder = join(out, "events");
  await mkdir(out, { mode: 0o700 }).catch((cause: unknown) => {
    throw misuse(`${out} cannot be made: it exists already, or the folder above does not`, cause);
  });
  await mkdir(folder, { mode: 0o700 });
  const records = await createRecords(join(out, "records.ndjson"));
  let count = 0;
  let without = 0;
  const headers = new Map<string, RowsBelow>();
  const wanted = async function* (): AsyncGenerator<Wanted> {
    for (const { entry, header } of found) {
      // Of the agent's own sources, this search among them, only what is asked for by its source.
      if (flags.source === undefined && isOwnSource(entry.source)) continue;
      const opening = openingOf(entry, keys);
      if (entry.bytes === undefined || opening === undefined) {
        without += 1;
        continue;
      }
      const file = `${encodeURIComponent(entry.source)}-${entry.number}.${extensionOf(entry.mediaType)}`;
      // Below the folder, which may be handed over and stand anywhere.
      const event = `events/${file}`;
      await writeFile(join(folder, file), entry.bytes, { flag: "wx", mode: 0o600 });
      if (header !== undefined) {
        const { id: _, ...above } = header;
        const key = JSON.stringify(above);
        const rows = headers.get(key) ?? { header: above, events: [] };
        headers.set(key, rows);
        rows.events.push(event);
      }
      const commitment = bytesToHex(entry.commitment);
      await records.appendFile(recordLine({ event, commitment, opening }));
      count += 1;
      yield { name: event, commitment, opening, file, event };
    }
  };
  try {
    const { written } = await fetchProofs(wanted(), { ...flags, out: join(out, "proofs.ndjson") });
    await records.sync();
    if (headers.size > 0) {
      const lines = [...headers.values()].map((rows) => `${JSON.stringify(rows)}\n`);
      await writeFile(join(out, HEADERS), lines.join(""), { flag: "wx", mode: 0o600 });
    }
    print(
      `${counted(count, "event")}, openings, and ${counted(written, "proof")} are in ${out}: kedge verify ${out}/events ${out}/proofs.ndjson`,
    );
    if (without > 0) warn(`${without} found events have no body or no key any more, and are not exported`);
    if (written < count || without > 0 || count === 0) process.exitCode = EXIT_FAILED;
  } finally {
    await records.close();
  }
}

function extensionOf(mediaType: string): string {
  const suffix = /[/+]([a-z0-9-]+)$/.exec(mediaType)?.[1] ?? "";
  return EXTENSIONS[suffix] ?? "txt";
}
