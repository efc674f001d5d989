/** Evidence against a log, a JSON object a line: kept in a file, and judged as by somebody who has nothing but pinned keys. */
import { checkEvidence, type Evidence } from "../evidence/evidence.ts";
import { parseEvidence } from "../evidence/evidencefile.ts";
import { sayVerdict } from "../evidence/words.ts";
import { TlogError } from "../tlog/error.ts";
import type { Vkey } from "../tlog/note.ts";
import { appendNew, readText } from "./files.ts";
import { CliError, jsonLine, misuse, print, printJson, warn } from "./output.ts";

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

/** Every line is a piece of evidence, judged by itself: one that convinces is enough for exit code 0. */
export async function judgeEvidence(path: string, vkeys: readonly Vkey[], json = false): Promise<void> {
  const text = await readText(path);
  const pieces = text.split("\n").filter((line) => line !== "");
  if (pieces.length === 0) throw misuse(`${path} holds no evidence`);
  for (const [i, line] of pieces.entries()) {
    const verdict = judgeLine(line, vkeys);
    if (verdict.convincing) process.exitCode = 0;
    if (json) printJson({ line: i + 1, ...verdict });
    else print(`${verdict.convincing ? "CONVINCING" : "NOT CONVINCING"}  ${verdict.message}`);
  }
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
