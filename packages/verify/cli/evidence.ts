/** Evidence against a log, a JSON object a line: kept in a file, and judged as by somebody who has nothing but pinned keys. */
import { once } from "node:events";
import { checkEvidence, type Evidence } from "../evidence/evidence.ts";
import { parseEvidence } from "../evidence/evidencefile.ts";
import { sayVerdict } from "../evidence/words.ts";
import { TlogError } from "../tlog/error.ts";
import type { Vkey } from "../tlog/note.ts";
import { appendNew, MAX_APPENDED_TO, readText } from "./files.ts";
import { CliError, EXIT_UNREAD, jsonLine, misuse, print, printJson, warn } from "./output.ts";

/** Shown instead where it cannot be written: it may never be had again. */
export async function keepEvidence(path: string, evidence: readonly Evidence[]): Promise<void> {
  const lines = evidence.map((piece) => JSON.stringify(piece));
  const isKept = await appendNew(path, lines).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    warn(error.message);
    return false;
  });
  if (isKept) return;
  warn("This is the evidence, keep it:");
  process.stderr.write(evidence.map(jsonLine).join(""));
}

/** Each takes milliseconds to judge; a monitor that found so much has been read long before. */
const MAX_JUDGED = 1_000;

/**
 * Every line is a piece of evidence, judged by itself: one that convinces is enough for exit code 0. Of lines that are
 * alike, the first is judged. Where none of the first `MAX_JUDGED` convinces, and there are more, nothing is known.
 */
export async function judgeEvidence(path: string, vkeys: readonly Vkey[], json = false): Promise<void> {
  const lines = new Map<string, number>();
  for (const [i, line] of readText(path, MAX_APPENDED_TO).split("\n").entries()) {
    if (line.trim() !== "" && !lines.has(line)) lines.set(line, i + 1);
  }
  if (lines.size === 0) throw misuse(`${path} holds no evidence`);
  let judged = 0;
  let last = 0;
  for (const [line, number] of lines) {
    if (judged === MAX_JUDGED) break;
    judged += 1;
    last = number;
    const verdict = judgeLine(line, vkeys);
    if (verdict.convincing) process.exitCode = 0;
    if (json) printJson({ line: number, ...verdict });
    else print(`${verdict.convincing ? "CONVINCING" : "NOT CONVINCING"}  ${verdict.message}`);
    // Each answer is shown before the next one is sought.
    if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
  }
  const left = lines.size - judged;
  if (left === 0) return;
  if (process.exitCode !== 0) process.exitCode = EXIT_UNREAD;
  warn(`${left} lines more were not judged: split ${path} after line ${last}, and judge the rest`);
}

/** The same members for a line that is no evidence. */
function judgeLine(line: string, vkeys: readonly Vkey[]): { convincing: boolean; message: string } {
  try {
    const verdict = checkEvidence(parseEvidence(line), vkeys);
    return { convincing: verdict.convincing, message: sayVerdict(verdict) };
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return { convincing: false, message: error.message };
  }
}
