/** What is about to be committed, looked at before any of it is: which files, how many events, and what is odd. */
import { type CommitFlags, eventFields, where } from "@kedge/verify/cli/committer";
import { type EventSource, type InputFile, isNdjson, listFiles } from "@kedge/verify/cli/inputs";
import { CliError, warn } from "@kedge/verify/cli/output";
import { eventsWithin, lineRecogniser, type Oddity, oddFile } from "@kedge/verify/cli/recognise";
import { type Item, readItems } from "@kedge/verify/cli/records";
import { canonicalise } from "@kedge/verify/events/canonical";
import { EventError } from "@kedge/verify/events/error";
import { quoted } from "@kedge/verify/text";

/** What a run has found so far of what it could not do. */
export class Trouble {
  /** Names of what was left out because it is no regular file. */
  readonly leftOut: string[] = [];
  /** Names of what a desktop or an editor had left there, which nobody means. */
  readonly litter: string[] = [];
  /** Files, folders and events that were refused or could not be read: each is named on stderr. */
  failures = 0;

  readonly fail = (error: CliError): void => {
    this.failures += 1;
    warn(error.message);
  };

  get isNone(): boolean {
    return this.failures === 0 && this.leftOut.length === 0;
  }

  /** Ends of a sentence that says how much was done. */
  tell(): string[] {
    return [
      ...(this.failures === 0 ? [] : [`${this.failures} refused or not read, named above`]),
      ...named(this.leftOut, "left out"),
      ...named(this.litter, "passed by, which editors and desktops leave (--as-bytes takes all)"),
    ];
  }
}

const named = ([first, ...more]: readonly string[], what: string): string[] =>
  first === undefined ? [] : [`${1 + more.length} ${what}, such as ${quoted(first)}`];

/** A file as it was found: what comes after its first `size` bytes is another day's. */
export type SurveyedFile = {
  file: InputFile;
  /** Events, or records of events. */
  holds: "events" | "records";
  count: number;
  bytes: number;
  /** How many events have which media type; none of records. */
  mediaTypes: ReadonlyMap<string, number>;
};

export type Survey = {
  files: SurveyedFile[];
  /** Read as it comes: what is on it cannot be known before. */
  hasStdin: boolean;
};

/** No file at all: a wrong folder, and no quiet hour of a source that writes lines. */
export const isNothing = ({ files, hasStdin }: Survey): boolean => files.length === 0 && !hasStdin;

export type SurveyOptions = {
  takesRecords: boolean;
  trouble: Trouble;
  onEvent?: (event: EventSource) => void;
};

/** Reads every file once. What is refused or cannot be read is told to `trouble`, and is not among the files. */
export async function survey(
  paths: readonly string[],
  flags: CommitFlags,
  options: SurveyOptions,
): Promise<Survey> {
  const found: Survey = { files: [], hasStdin: false };
  const { leftOut, litter, fail } = options.trouble;
  const listing = { asBytes: flags.asBytes, onLitter: (name: string) => litter.push(name), onError: fail };
  for await (const file of listFiles(paths, leftOut, listing)) {
    if (file.name === "-") {
      found.hasStdin = true;
      continue;
    }
    try {
      found.files.push(await surveyFile(file, flags, options));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      fail(error);
    }
  }
  return found;
}

async function surveyFile(
  file: InputFile,
  flags: CommitFlags,
  options: SurveyOptions,
): Promise<SurveyedFile> {
  const fieldsOf = eventFields(flags);
  const mediaTypes = new Map<string, number>();
  let holds: SurveyedFile["holds"] = "events";
  let count = 0;
  let bytes = 0;
  const end: { at?: number } = {};
  for await (const { record, event } of checkedItems(file, flags, {
    ...options,
    onEnd: (at) => (end.at = at),
  })) {
    count += 1;
    if (record !== undefined) {
      holds = "records";
      continue;
    }
    bytes += event.bytes.length;
    const { mediaType } = fieldsOf(event);
    mediaTypes.set(mediaType, (mediaTypes.get(mediaType) ?? 0) + 1);
    options.onEvent?.(event);
  }
  return {
    file: { ...file, ...(end.at === undefined ? {} : { size: end.at }) },
    holds,
    count,
    bytes,
    mediaTypes,
  };
}

/**
 * What a file holds, each item once it is seen to be none of what `recognise.ts` knows. Throws CliError: what is odd only
 * shows at the last line of a file is thrown there.
 */
export async function* checkedItems(
  file: InputFile,
  flags: CommitFlags,
  { takesRecords, onEnd }: { takesRecords: boolean; onEnd?: (bytes: number) => void },
): AsyncGenerator<Item> {
  const lines = isNdjson(file, flags.ndjson) ? lineRecogniser() : undefined;
  const refuse = (odd: Oddity | undefined): void => {
    if (odd !== undefined && !(flags.asBytes && isWaived(odd))) throw refused(file, odd);
  };
  for await (const item of readItems(file, flags, onEnd)) {
    if (item.record !== undefined) {
      if (!takesRecords) throw refused(file, { is: "record" });
      yield item;
      continue;
    }
    const { event } = item;
    refuse(lines?.add(event.bytes, event.line ?? 1, event.isUnended === true));
    if (lines === undefined) {
      refuse(oddFile(event.bytes, file.name));
      if (!flags.asBytes) noteEventsWithin(event);
    }
    if (flags.canonicalisation === "jcs") checkCanonical(event);
    yield item;
  }
  refuse(lines?.end());
}

/** Whoever means bytes may have them all, but for what only a mistake makes an event of. */
const isWaived = ({ is }: Oddity): boolean => is !== "record" && is !== "credentials";

function noteEventsWithin(event: EventSource): void {
  const within = eventsWithin(event.bytes);
  if (within === undefined) return;
  warn(
    `${event.name} is one event, and seems to hold ${within}: one a line, named .ndjson, they are events of their own`,
  );
}

function checkCanonical(event: EventSource): void {
  try {
    canonicalise("jcs", event.bytes);
  } catch (cause) {
    if (!(cause instanceof EventError)) throw cause;
    throw new CliError("failed", `${where(event)}: ${cause.message}`, { cause });
  }
}

function refused({ name }: InputFile, odd: Oddity): CliError {
  const [what, instead] = wordsOf(odd, quoted(name));
  const asBytes = isWaived(odd)
    ? `; --as-bytes commits ${odd.is === "empty" ? "it all the same" : "its bytes as they are"}`
    : "";
  return new CliError(
    "failed",
    `${name === "-" ? "standard input" : name} is refused: ${what}. ${instead}${asBytes}`,
  );
}

/** What it is, and the way out. */
function wordsOf(odd: Oddity, name: string): [what: string, instead: string] {
  const at = "line" in odd && odd.line !== undefined ? `line ${odd.line}` : "it";
  switch (odd.is) {
    case "empty":
      return ["it holds nothing", "Remove it, or write it again"];
    case "compressed":
      return [`it is ${odd.format} data`, `Commit what is in it: ${unpacking(odd.format)} ${name}`];
    case "utf16":
      return [
        "it is UTF-16, as > of PowerShell 5 writes it",
        `Convert it, and commit that: iconv -f UTF-16${odd.endian ?? ""} -t UTF-8 ${name}`,
      ];
    case "utf32":
      return ["it is UTF-32", `Convert it, and commit that: iconv -f UTF-32 -t UTF-8 ${name}`];
    case "bom":
      return [
        "it begins with a byte order mark, which is part of no event",
        `Take it away: sed '1s/^\\xEF\\xBB\\xBF//' ${name}`,
      ];
    case "pretty":
      return [
        `${at} begins JSON that goes on in the next line: each line would be an event`,
        `One document is named .json; of several, make lines: jq -c . ${name}`,
      ];
    case "array":
      return [
        `it is one JSON array of ${odd.count} objects, and one event`,
        `Make lines of it: jq -c '.[]' ${name}`,
      ];
    case "lines":
      return ["its name says one JSON document, and it has one a line", "Name it .ndjson, or use --ndjson"];
    case "cut":
      return [`${at} ends in the middle of what it began, half-written`, "Give it again when it is whole"];
    case "broken":
      return [`${at} is not JSON, and the lines around it are`, "Correct it where it is written"];
    case "record":
      return [
        "it holds records of kedge commit, not events",
        "Leave it out, or post it as commit wrote it: UTF-8, one record a line",
      ];
    case "proof":
      return ["it is a proof, not an event", "Leave it out"];
    case "credentials":
      return ["it holds keys: credentials are no event", "Leave it out"];
    case "vkeys":
      return ["it is a policy or verifier keys, not an event", "Leave it out"];
  }
}

function unpacking(format: string): string {
  const commands: { [format: string]: string } = {
    gzip: "gunzip",
    compress: "uncompress",
    bzip2: "bunzip2",
    xz: "unxz",
    Zstandard: "unzstd",
    LZ4: "unlz4",
    "7-Zip": "7z x",
    RAR: "unrar x",
    zip: "unzip",
    tar: "tar -xf",
  };
  return commands[format] ?? "unpack";
}

/** What is about to be committed, in one sentence; undefined when it is nothing. */
export function tellSurvey({ files, hasStdin }: Survey): string | undefined {
  const events = files.filter(({ holds }) => holds === "events");
  const types = new Map<string, number>();
  for (const { mediaTypes } of events) {
    for (const [type, n] of mediaTypes) types.set(type, (types.get(type) ?? 0) + n);
  }
  const records = files.filter(({ holds }) => holds === "records");
  const parts = [
    ...counted(events, "event", typesText(types)),
    ...counted(records, "record", ""),
    ...(hasStdin ? ["what comes on standard input"] : []),
  ];
  return parts.length === 0 ? undefined : parts.join(", and ");
}

export const typesText = (types: ReadonlyMap<string, number>): string =>
  [...types].map(([type, n]) => (types.size === 1 ? type : `${n} ${type}`)).join(", ");

function counted(files: readonly SurveyedFile[], what: string, types: string): string[] {
  const count = files.reduce((sum, { count }) => sum + count, 0);
  if (count === 0) return [];
  const of = files.length === 1 ? "a file" : `${files.length} files`;
  return [`${count} ${what}${count === 1 ? "" : "s"} of ${of}${types === "" ? "" : ` (${types})`}`];
}
