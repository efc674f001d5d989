import type { Command } from "commander";
import { ClientError } from "../client/error.ts";
import { openCheckpoint } from "../tlog/checkpoint.ts";
import { parseVkey } from "../tlog/note.ts";
import { openLog, pinnedKeys, type SettingFlags, withLog, withVkeys } from "./credentials.ts";
import { EXIT_FAILED, misuse, print, printJson } from "./output.ts";

export function statusCommand(command: Command): Command {
  return withVkeys(withLog(command))
    .argument("[commitments...]", "in hex; without any, the log itself")
    .option("--json", "as JSON")
    .action(status);
}

type StatusFlags = SettingFlags & { json?: boolean };

async function status(hashes: string[], flags: StatusFlags): Promise<void> {
  if (hashes.length === 0) {
    await logStatus(flags);
    return;
  }
  const wrong = hashes.find((hash) => !/^[0-9a-f]{64}$/.test(hash));
  if (wrong !== undefined) throw misuse(`A commitment is 64 lower-case hex digits, not ${wrong}`);
  const { client, log } = await openLog(flags);
  for (const hash of hashes) {
    const entry = await client.entry(log, new Uint8Array(Buffer.from(hash, "hex"))).catch(unlessNotFound);
    if (entry === undefined) process.exitCode = EXIT_FAILED;
    if (flags.json) printJson(entry ?? { hash, assurance: "unknown" });
    else print(entry === undefined ? `${hash}  unknown to this log` : entryLine(entry));
  }
}

type Entry = { hash: string; assurance: string; index?: number | undefined; sealedAt?: string | undefined };

function entryLine({ hash, assurance, index, sealedAt }: Entry): string {
  const place =
    index === undefined ? "" : `  entry ${index}${sealedAt === undefined ? "" : `, sealed ${sealedAt}`}`;
  return `${hash}  ${assurance}${place}`;
}

async function logStatus(flags: StatusFlags): Promise<void> {
  const { logVkeys } = pinnedKeys(flags);
  const { client, log } = await openLog(flags);
  const { id, origin, vkey } = await client.log(log);
  const note = await client.checkpoint(log).catch(unlessNotFound);
  const vkeys = logVkeys.filter(({ name }) => name === origin);
  const checkpoint = note === undefined ? undefined : openCheckpoint(note, { origin, vkeys }).checkpoint;
  const size = String(checkpoint?.size ?? 0n);
  const isPinned = vkeys.some(({ id }) => id === parseVkey(vkey).id);
  if (flags.json) {
    printJson({ log: id, origin, size, checkpoint: note, isPinned });
    return;
  }
  print(`log ${id}`, `origin ${origin}`, `entries ${size}`);
  if (note === undefined) print("Nothing is sealed yet.");
  else print("The checkpoint is signed by the pinned key:", ...note.trimEnd().split("\n"));
  if (!isPinned) print("The service names another key for this log than the one that you pinned.");
}

function unlessNotFound(error: unknown): undefined {
  if (error instanceof ClientError && error.code === "not_found") return undefined;
  throw error;
}
