/** `kedge verify pack.zip`: judges an evidence pack, and says what holds of its rows, its files and its sources. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tellAuditFinding } from "../audit/words.ts";
import { PackError } from "../pack/error.ts";
import { type JudgeOptions, judgePack } from "../pack/judge.ts";
import { type FileFinding, factsOf, type JudgedPack, type JudgedRow, type Pack } from "../pack/pack.ts";
import { keysOfPolicy, looksLikePack, readPack } from "../pack/read.ts";
import { fingerprint, type Keys } from "../proof/keys.ts";
import { allLoggedBy, areBytes, type RecordVerdict, worstVerdict } from "../proof/verdict.ts";
import { tellVerdict, VERDICT_WORDS } from "../proof/verdict-words.ts";
import { type Assurance, kindOf } from "../proof/verify.ts";
import { tellReport } from "../proof/words.ts";
import { keyLabel } from "../text.ts";
import { completenessLines } from "./audit-report.ts";
import { type PinnedKeys, pinnedKeys, type SettingFlags } from "./credentials.ts";
import { readInput } from "./files.ts";
import { CliError, EXIT_FAILED, EXIT_UNREAD, print, printJson, progress } from "./output.ts";
import { openRegular } from "./regular.ts";
import { readTimestampTrust, type TimestampFlags } from "./timestamps.ts";

export type MakeReport = NonNullable<JudgeOptions["makeReport"]>;

export type PackFlags = SettingFlags &
  TimestampFlags & { require?: Assurance; requireAllKeys?: boolean; json?: boolean };

const MAX_PACK = 2 ** 31 - 1;
/** Rows, findings and files that are shown one by one. */
const MAX_SHOWN = 20;
const words = VERDICT_WORDS.en;

/** Whether the only path that was given is of a pack, or at least of a zip. */
export async function isPackFile(path: string): Promise<boolean> {
  if (/\.zip$/i.test(path)) return true;
  const start = new Uint8Array(4);
  try {
    const file = await openRegular(path);
    await file.read(start, 0, start.length, 0).finally(() => file.close());
  } catch {
    return false; // it is told of as an event
  }
  return looksLikePack(start);
}

/** `makeReport` is given by a program that has it. */
export async function verifyPack(path: string, flags: PackFlags, makeReport?: MakeReport): Promise<void> {
  const pinned = hasKeys(flags) ? pinnedKeys(flags) : undefined;
  const { require: required, requireAllKeys = false, requireTimestamp = false } = flags;
  // By the pack's own keys a timestamp may be of the authorities that came with it.
  const isOwn = pinned === undefined;
  const timestamps = await readTimestampTrust(
    { ...flags, requireTimestamp: !isOwn && requireTimestamp },
    !isOwn && required === "timestamped",
  );
  const zip = readInput(path, MAX_PACK);
  const shown = progress("rows checked");
  let before = 0;
  const page = ownPage();
  const read = async (): Promise<{ pack: Pack; judged: JudgedPack }> => {
    const pack = await readPack(zip);
    const judged = await judgePack(pack, {
      ...(pinned && { keys: pinned }),
      ...(timestamps && { timestamps }),
      demands: { requireAllKeys, requireTimestamp, ...(required === undefined ? {} : { require: required }) },
      ...(makeReport && { makeReport }),
      ...(page && { page }),
      onProgress(share) {
        const rows = Math.floor(share * pack.rows.length);
        shown.add(rows - before);
        before = rows;
      },
    });
    return { pack, judged };
  };
  const { pack, judged } = await read().catch((error: unknown) => {
    if (!(error instanceof PackError)) throw error;
    const verdict = error.code === "changed" ? words.headlines.changed : words.headlines.untold;
    throw new CliError(
      error.code === "changed" ? "failed" : "untold",
      `${path}: ${verdict}. ${error.message}`,
      {
        cause: error,
      },
    );
  });
  shown.done();
  process.exitCode = exitOf(judged);
  if (flags.json) tellJson(judged, pinned);
  else tell(judged, pack, pinned);
}

/** What was given for this pack: credentials that only lie in the current folder are of somebody else's log, most likely. */
const hasKeys = ({ policy, logVkey, anchorVkey, credentials }: PackFlags): boolean =>
  [policy, logVkey, anchorVkey, credentials].some((given) => given !== undefined);

/** The page of this version; undefined where it was not built. */
function ownPage(): Uint8Array | undefined {
  try {
    return readFileSync(createRequire(import.meta.url).resolve("@kedge/verify/verify.html"));
  } catch {
    return undefined;
  }
}

/** As for folders: less than was required is exit 1 too. */
function exitOf({ verdict, rows }: JudgedPack): number {
  const isLess = rows.some(({ report }) => report?.failure && kindOf(report.failure) === "insufficient");
  if (verdict === "changed" || isLess) return EXIT_FAILED;
  return verdict === "unchanged" ? 0 : EXIT_UNREAD;
}

function tell(judged: JudgedPack, pack: Pack, pinned: PinnedKeys | undefined): void {
  const { verdict, case: about, rows, maker } = judged;
  const number = about.number === undefined ? "" : ` of case ${JSON.stringify(about.number)}`;
  print(
    `${words.headlines[verdict]}  the pack${number}: ${countsLine(judged)}`,
    ...meaning(judged),
    ...limited(
      rows.flatMap((row, i) => (row.verdict === "unchanged" ? [] : [rowLine(judged, row, i + 1)])),
      "rows",
    ),
    ...assuranceLines(judged),
  );
  print("Files", ...fileLines(judged).map((line) => `  ${line}`));
  print("By the numbering, in this pack", ...sourceLines(judged.sources, judged.isSelection));
  if (maker !== undefined) {
    print(
      `By the word of who made the pack, of all ${about.lookedThrough} events that were looked through`,
      ...sourceLines(maker.sources, false),
    );
  }
  print("Not shown by this", `  ${words.notShown}`, ...SELECTED.map((line) => `  ${line}`));
  if (about.headers.length > 0) print(`  ${words.columnsNotShown}`);
  if (pinned === undefined) {
    print(`Keys  ${words.keys.pack} (--policy)`, ...keyLines(pack.keys));
  } else {
    print(`Keys  ${pinned.sources.join(", ")}: ${keyNames(pinned)}`);
  }
}

const SELECTED = [
  "That these are all rows that there are for what was asked: how the rows were chosen is the word of who made the pack.",
];

function countsLine({ counts }: JudgedPack): string {
  const { total, unchanged, changed, untold, withheld } = counts;
  const parts = [
    [unchanged, "unchanged"],
    [withheld, "withheld, their entries unchanged"],
    [changed, "changed, or never logged"],
    [untold, "that cannot be told yet"],
  ] as const;
  const told = parts.flatMap(([n, what]) => (n === 0 ? [] : [`${n} ${what}`]));
  return `${rowsOf(total)}${told.length === 0 ? "" : `: ${told.join(", ")}`}`;
}

/** What the headline stands for, where it is not the rows that say it. */
function meaning({ verdict, counts, files, rows }: JudgedPack): string[] {
  if (counts.total === 0) return ["  There is no row in it: nothing was found, or nothing was packed."];
  if (verdict === "unchanged" && counts.withheld === 0) {
    const reports = rows.map(({ report }) => report);
    const same = areBytes(reports)
      ? "byte for byte"
      : "byte for byte or, of canonicalised JSON (RFC 8785), value for value";
    const by = words.by(allLoggedBy(reports));
    return [
      `  Each record is, ${same}, what was logged${by === undefined ? ". No time is shown of all of them." : ` at or before ${by}.`}`,
    ];
  }
  if (verdict === "changed" && counts.changed === 0 && files.length > 0) {
    return ["  The rows are as they are counted here; files of the pack were changed after it was made."];
  }
  return [];
}

function rowLine(judged: JudgedPack, row: JudgedRow, n: number): string {
  const { headline, sentence, advice } = tellVerdict(factsOf(judged, row), words);
  const of =
    row.event === undefined ? "" : `, ${row.event}${row.line === undefined ? "" : ` line ${row.line}`}`;
  return `  Row ${n}${of}: ${headline}. ${sentence}${advice === undefined ? "" : ` ${advice}`}`;
}

function limited(lines: readonly string[], what: string): string[] {
  const more = lines.length - MAX_SHOWN;
  return more <= 0
    ? [...lines]
    : [...lines.slice(0, MAX_SHOWN), `  … and ${more} more ${what}: --json lists all.`];
}

function assuranceLines({ rows, authorities }: JudgedPack): string[] {
  const counts = new Map<string, number>();
  for (const { report } of rows) {
    if (report?.assurance !== undefined)
      counts.set(report.assurance, (counts.get(report.assurance) ?? 0) + 1);
  }
  const isStamped = rows.some(({ report }) => (report?.timestamps?.length ?? 0) > 0);
  const isLeft = rows.some(({ report }) =>
    report?.caveats.some(({ code }) => code === "timestamps_not_checked"),
  );
  return [
    ...(counts.size === 0
      ? []
      : [`  Proven: ${[...counts].map(([assurance, n]) => `${n} ${assurance}`).join(", ")}.`]),
    ...(isStamped && authorities === "pack"
      ? ["  Timestamps count by certificates that came with the pack (--tsa-cert)."]
      : []),
    ...(isLeft ? ["  Timestamps in the proofs were not checked: name the authority (--tsa-cert)."] : []),
  ];
}

const IS: Record<FileFinding["is"], string> = {
  changed: "is not the file that was packed",
  missing: "was packed, and is not there",
  unlisted: "was not packed, or no row names it",
  differs: "is not what the rest of the pack makes it: it was changed, or what it is made of",
  other_version:
    "is not what this version makes of the rest of the pack, and another version made it: check it with that version",
};

function fileLines(judged: JudgedPack): string[] {
  const { files, notMadeAnew, byOwnKeys, case: about } = judged;
  const found = files.map(({ file, is }) => `${JSON.stringify(file)} ${IS[is]}.`);
  const left = notMadeAnew.filter((name) => !files.some(({ file }) => file === name));
  return [
    ...(found.length === 0
      ? [
          left.length === 0
            ? "All agree with the pack's own lists, and with its rows."
            : "All agree with the pack's own lists, and those that were made anew with its rows.",
        ]
      : limited(found, "files")),
    ...byOwnKeys.map(
      (name) =>
        `${name} says what the pack's own keys show. By those that were given it would say something else, as of times and of what is missing: go by what is told here, and not by it.`,
    ),
    ...caseLines(judged),
    ...left.map(
      (name) =>
        `${name} is the one that the pack lists, and was not made anew here (it was made by version ${about.software})${name === "verify.html" ? ": use one from elsewhere" : ""}.`,
    ),
  ];
}

/** What the case says and the rows do not, or this machine does not. */
function caseLines({
  outsideFilter: outside,
  otherLocalTimes: others,
  case: { zone },
}: JudgedPack): string[] {
  const told: string[] = [];
  if (outside.length > 0) {
    const named = `${outside.slice(0, MAX_SHOWN).join(", ")}${outside.length > MAX_SHOWN ? ", …" : ""}`;
    told.push(`Not what case.json says was looked for: ${rowsOf(outside.length)} (${named}).`);
  }
  const stated = "Local times are by the offsets that the pack states";
  if (others === "zone not known") {
    told.push(`${stated}: ${JSON.stringify(zone)} is not known here, so they were not compared.`);
  } else if (others > 0) {
    told.push(
      `${stated}. For ${rowsOf(others)} this machine has another offset of ${zone}: a rule was changed, its time zone data or the maker's is old, or the pack states it wrongly. Go by UTC, and where an event says no offset, by what it says.`,
    );
  }
  return told;
}

const rowsOf = (n: number): string => (n === 1 ? "1 row" : `${n} rows`);

function sourceLines(sources: JudgedPack["sources"], isSelection: boolean): string[] {
  const lines = [
    ...completenessLines({ completeness: [...sources] }),
    ...sources.flatMap(({ source, periods, findings }) =>
      // The maker's statement has no line for it.
      (periods.length === 0 && findings.length === 0
        ? [{ finding: "no_manifest" as const, source }]
        : findings
      ).map((finding) => tellAuditFinding(finding).message),
    ),
  ];
  const selection = "It is a selection: an hour is told complete only where all its events are in the pack.";
  return [
    ...(sources.length === 0
      ? ["  No event that is shown has a number: whether any is missing cannot be told."]
      : []),
    ...limited(
      lines.map((line) => `  ${line}`),
      "lines",
    ),
    ...(isSelection ? [`  ${selection}`] : []),
  ];
}

const keyNames = ({ logVkeys, anchorVkeys }: ReturnType<typeof keysOfPolicy>): string =>
  [
    ...logVkeys.map((key) => `log ${keyLabel(key)}`),
    ...anchorVkeys.map((key) => `anchor ${keyLabel(key)}`),
  ].join(", ");

/** What they are compared by. */
const keyLines = ({ logVkeys, anchorVkeys, policy }: Keys): string[] =>
  [
    ...logVkeys.map((vkey) => ["log", vkey] as const),
    ...anchorVkeys.map((vkey) => ["anchor", vkey] as const),
    ...(policy?.witnesses ?? []).map(({ vkey }) => ["witness", vkey] as const),
  ].map(([what, vkey]) => `  ${what} ${keyLabel(vkey)}, SHA-256 ${fingerprint(vkey)}`);

/** Each row as a line, the whole as the last. */
function tellJson(judged: JudgedPack, pinned: PinnedKeys | undefined): void {
  const { rows, verdict, counts, files, notMadeAnew, sources, maker, keys, authorities, evidence } = judged;
  const { byOwnKeys, outsideFilter, otherLocalTimes } = judged;
  for (const [i, row] of rows.entries()) {
    const { report, columns: _, disclosure: __, verdict: own, ...named } = row;
    const told: { verdict: RecordVerdict } & object = {
      verdict: own,
      ...tellVerdict(factsOf(judged, row), words),
    };
    printJson({ row: i + 1, ...named, ...told, ...(report && { report: tellReport(report) }) });
  }
  printJson({
    ...{ verdict, counts, rowsVerdict: worstVerdict(rows.map((row) => row.verdict)) },
    ...{ case: judged.case, files, notMadeAnew, byOwnKeys, outsideFilter, otherLocalTimes },
    ...{ authorities, evidence },
    keys: {
      from: keys,
      ...(pinned && { source: pinned.sources.join(", ") }),
      names: keyNames(pinned ?? keysOfPolicy(judged.policy)),
    },
    sources: sources.map(sourceJson),
    ...(maker && { maker: maker.sources.map(sourceJson) }),
  });
}

function sourceJson({ source, periods, findings }: JudgedPack["sources"][number]) {
  return {
    source,
    periods: periods.map(({ from, to, count, numbers, verdict }) => ({
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      count: `${count}`,
      ...(numbers && { first: `${numbers.first}`, last: `${numbers.last}` }),
      verdict,
    })),
    findings: findings.map((finding) => ({
      ...finding,
      detail: undefined,
      message: tellAuditFinding(finding),
    })),
  };
}
