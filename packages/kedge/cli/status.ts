/** `kedge status`: how far a log, or an entry of it, has come. */
import { pinnedKeys, type SettingFlags, withLog, withVkeys } from "@kedge/verify/cli/credentials";
import { commitmentHex, repeated } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, print, printJson } from "@kedge/verify/cli/output";
import { ClientError } from "@kedge/verify/error";
import { MAYBE_ROTATED } from "@kedge/verify/text";
import { type Checkpoint, openCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { formatVkey, type Vkey } from "@kedge/verify/tlog/note";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { Command } from "commander";
import type { Client } from "../client/api.ts";
import { openLog } from "./service.ts";

export function statusCommand(command: Command): Command {
  return withVkeys(withLog(command))
    .argument("[commitments...]", "in hex; without any, the log itself", repeated(commitmentHex))
    .option("--json", "as JSON")
    .action(status);
}

type StatusFlags = SettingFlags & { json?: boolean };

async function status(hashes: string[], flags: StatusFlags): Promise<void> {
  if (hashes.length === 0) {
    await logStatus(flags);
    return;
  }
  const { client, log } = await openLog(flags);
  for (const hash of hashes) {
    const entry = await client.entry(log, hexToBytes(hash)).catch(unlessNotFound);
    if (entry === undefined) process.exitCode = EXIT_FAILED;
    if (flags.json) printJson(entry ?? { hash, assurance: "unknown" });
    else print(entry === undefined ? `${hash}  unknown to this log` : entryLine(entry));
  }
}

type StatusLine = {
  hash: string;
  assurance: string;
  index?: number | undefined;
  sealedAt?: string | undefined;
};

function entryLine({ hash, assurance, index, sealedAt }: StatusLine): string {
  const place =
    index === undefined ? "" : `  entry ${index}${sealedAt === undefined ? "" : `, sealed ${sealedAt}`}`;
  return `${hash}  ${assurance}${place}`;
}

async function logStatus(flags: StatusFlags): Promise<void> {
  const { logVkeys } = pinnedKeys(flags);
  const { client, log } = await openLog(flags);
  const { id, origin, vkeys } = await client.log(log);
  const note = await client.checkpoint(log).catch(unlessNotFound);
  // A service of an earlier version has no such route.
  const progress = await client.progress(log).catch(unlessNotFound);
  const pinned = logVkeys.filter(({ name }) => name === origin);
  const checkpoint = note === undefined ? undefined : openPinned(note, origin, pinned);
  const size = String(checkpoint?.size ?? 0n);
  const known = pinned.map(formatVkey);
  const unpinned = vkeys.filter((vkey) => !known.includes(vkey));
  const isPinned = unpinned.length < vkeys.length;
  if (!isPinned) process.exitCode = EXIT_FAILED;
  if (flags.json) {
    printJson({ log: id, origin, size, checkpoint: note, isPinned, unpinned, progress });
    return;
  }
  print(`log ${id}`, `origin ${origin}`, `entries ${size}`);
  if (note === undefined) print("Nothing is sealed yet.");
  else print("The checkpoint is signed by a pinned key:", ...note.trimEnd().split("\n"));
  if (progress !== undefined) print(...stages(progress, Date.now()));
  if (!isPinned) print(`The service signs with no key that you pinned. ${MAYBE_ROTATED}`);
  else if (unpinned.length > 0) {
    print(
      "Another key signs too, which you have not pinned: it may be taking over. Get it from a source you trust, pin it",
      "beside the others, which old proofs still need, and compare it with what the service says:",
    );
  }
  print(...unpinned.map((vkey) => `  ${vkey}`));
}

type Progress = Awaited<ReturnType<Client["progress"]>>;

/** A line for each stage, and why the one before the next waits. */
function stages(progress: Progress, now: number): string[] {
  const ago = (time: string) => `${time}, ${age(now - Date.parse(time))} ago`;
  const { pendingSince, waitsFor } = progress;
  const names = ["sealed", "anchored", "witnessed", "timestamped"] as const;
  return [
    "How far it has come, by the service's clock:",
    `  pending      ${pendingSince === undefined ? "none" : `the oldest since ${ago(pendingSince)}`}`,
    ...names.map((name) => {
      const stage = progress[name];
      const waits = name === "witnessed" && waitsFor.length > 0 ? `; waits for ${waitsFor.join(", ")}` : "";
      return `  ${name.padEnd(12)} ${stage === undefined ? "none" : `${stage.size} entries, since ${ago(stage.at)}`}${waits}`;
    }),
  ];
}

const UNITS: readonly (readonly [seconds: number, unit: string])[] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const [size, unit] = UNITS.find(([size]) => seconds >= 2 * size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit}`;
}

function openPinned(note: string, origin: string, vkeys: readonly Vkey[]): Checkpoint {
  try {
    return openCheckpoint(note, { origin, vkeys }).checkpoint;
  } catch (cause) {
    if (!(cause instanceof TlogError) || cause.code !== "unknown_key") throw cause;
    throw new CliError("failed", `The checkpoint is not signed by a pinned key. ${MAYBE_ROTATED}`, { cause });
  }
}

function unlessNotFound(error: unknown): undefined {
  if (error instanceof ClientError && error.code === "not_found") return undefined;
  throw error;
}
