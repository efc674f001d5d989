/** From what was surveyed to records, for `commit` and `post`. */
import type { NumberedFlags } from "@kedge/verify/cli/committer";
import type { EventSource, InputFile } from "@kedge/verify/cli/inputs";
import { CliError, misuse, print } from "@kedge/verify/cli/output";
import { type Item, readItems } from "@kedge/verify/cli/records";
import type { CommitRecord } from "@kedge/verify/pack/lines";
import { type Committing, openTenant } from "./numbered.ts";
import { checkedItems, type Survey, type SurveyedFile, survey, type Trouble, typesText } from "./survey.ts";

/** What the help of both says of their inputs. */
export const INPUT_HELP =
  "\nAn event has at most 64 MiB. A line ends before its newline: a carriage return there belongs to the event.";

/** Events that are committed to, and numbered, at one time: as many as this, or as large. */
const GROUP = 1_000;
const GROUP_BYTES = 8 << 20;

/**
 * The records of the files, and of standard input. A file that vanished or changed since is told to `trouble`, and the
 * others follow. Of standard input a short one is checked whole before its first record, a longer one as it comes.
 */
export async function* take(
  { files, hasStdin }: Survey,
  flags: NumberedFlags,
  { committing, takesRecords, trouble }: { committing: Committing; takesRecords: boolean; trouble: Trouble },
): AsyncGenerator<CommitRecord> {
  for (const { file } of files) yield* recordsOf(readItems(file, flags), flags, committing, trouble);
  if (!hasStdin) return;
  const stdin: InputFile = { name: "-", below: "-" };
  yield* recordsOf(checkedItems(stdin, flags, { takesRecords }), flags, committing, trouble);
}

async function* recordsOf(
  items: AsyncIterable<Item>,
  flags: NumberedFlags,
  committing: Committing,
  trouble: Trouble,
): AsyncGenerator<CommitRecord> {
  const reading = groups(items);
  for (;;) {
    const group = await orTold(async () => {
      const { value } = await reading.next();
      for (const record of value?.records ?? []) checkSource(record, flags);
      return value;
    }, trouble);
    if (group === undefined) return;
    yield* group.records;
    // What is thrown here ends the run, as a missing key does: it is not the fault of one file.
    if (group.events.length > 0) yield* await committing.commit(group.events, trouble.fail);
  }
}

/** undefined for what `trouble` was told. */
async function orTold<T>(run: () => Promise<T>, trouble: Trouble): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    trouble.fail(error);
    return undefined;
  }
}

/** Records carry the source and number that they were made with. */
function checkSource({ event, line, opening }: CommitRecord, { source }: NumberedFlags): void {
  if (source === undefined || opening.source === source) return;
  const place = line === undefined ? event : `${event} line ${line}`;
  throw misuse(`The record of ${place} is not of the source that --source names: post it without, as it is`);
}

type Group = { events: EventSource[]; records: CommitRecord[] };

async function* groups(items: AsyncIterable<Item>): AsyncGenerator<Group, undefined> {
  let group: Group = { events: [], records: [] };
  let bytes = 0;
  for await (const { event, record } of items) {
    if (event === undefined) group.records.push(record);
    else group.events.push(event);
    bytes += event?.bytes.length ?? 0;
    if (group.events.length + group.records.length < GROUP && bytes < GROUP_BYTES) continue;
    yield group;
    group = { events: [], records: [] };
    bytes = 0;
  }
  yield group;
  return undefined;
}

/** `--dry-run`: what would be committed, file by file. Nothing is written, and no connection opened. */
export async function dryRun(
  paths: readonly string[],
  flags: NumberedFlags,
  { takesRecords, trouble }: { takesRecords: boolean; trouble: Trouble },
): Promise<void> {
  const tenant = await openTenant(flags, { mayBeNew: true });
  let fresh = 0;
  const onEvent = (event: EventSource): void => {
    if (tenant.numberOf !== undefined && tenant.numberOf(event) === undefined) fresh += 1;
  };
  try {
    const found = await survey(paths, flags, { takesRecords, trouble, onEvent });
    if (found.hasStdin) throw misuse("--dry-run reads files: standard input can be read once only");
    for (const file of found.files) print(fileLine(file));
    const total = found.files.reduce((sum, { count }) => sum + count, 0);
    const numbered = flags.source === undefined ? [] : [`${fresh} would get a new number of ${flags.source}`];
    print(
      `${[`${total} would be taken from ${found.files.length} files`, ...numbered, ...trouble.tell()].join("; ")}.`,
    );
    for (const name of trouble.litter) print(`passed by: ${name}`);
  } finally {
    await tenant.close();
  }
}

function fileLine({ file, holds, count, bytes, mediaTypes }: SurveyedFile): string {
  const what = count === 1 ? holds.slice(0, -1) : holds;
  const more = holds === "records" ? "" : `  ${bytes} bytes  ${typesText(mediaTypes)}`;
  return `${file.name}  ${count} ${what}${more}`;
}
