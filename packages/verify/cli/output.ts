/** What the terminal sees: progress and errors on stderr, results on stdout. */
import { writeSync } from "node:fs";
import { styleText } from "node:util";
import { ClientError } from "../error.ts";
import { EventError } from "../events/error.ts";
import { TlogError } from "../tlog/error.ts";

/** Exit codes beside 0: failed or not proven; used wrongly; could not be read or told. */
export const EXIT_FAILED = 1;
export const EXIT_MISUSE = 2;
export const EXIT_UNREAD = 3;

/**
 * Why a command stopped.
 *
 * - `failed`: what was asked for did not come about
 * - `untold`: nothing can be said of what was asked: what it takes is not there, or cannot be read
 * - `misuse`: flags, files, keys or credentials that the command cannot work with
 */
export class CliError extends Error {
  readonly code: "failed" | "untold" | "misuse";

  constructor(code: CliError["code"], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "CliError";
    this.code = code;
  }
}

export function misuse(message: string, cause?: unknown): CliError {
  return new CliError("misuse", message, { cause });
}

/** Errors whose message says what to do. */
const KNOWN = [ClientError, EventError, TlogError] as const;

/** For what parses what the user gave: that it cannot is misuse. `say` makes the message. */
export function asMisuse<T>(
  parse: () => T,
  say: (cause: InstanceType<(typeof KNOWN)[number]>) => string = ({ message }) => message,
): T {
  try {
    return parse();
  } catch (cause) {
    for (const kind of KNOWN) if (cause instanceof kind) throw misuse(say(cause), cause);
    throw cause;
  }
}

const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Text of others, with nothing in it that a terminal would obey or that hides what is written. */
function printable(text: string): string {
  return text.replace(UNPRINTABLE, "\u{fffd}");
}

/** The words that an answer begins with, and how a terminal shows them. */
const VERDICTS = [
  ["green", ["Unchanged", "PROVEN", "CONSISTENT", "RECONCILED", "GOOD", "CONVINCING"]],
  [
    "red",
    [
      "Changed, or never logged",
      "NOT PROVEN",
      "NOT CONSISTENT",
      "NOT RECONCILED",
      "NOT CONVINCING",
      "FINDINGS",
    ],
  ],
  ["yellow", ["Cannot tell yet", "CANNOT TELL", "UNREACHABLE"]],
] as const;

/** A verdict at the start of the line in its colour, where a terminal shows it and NO_COLOR does not forbid it. */
export function coloured(line: string, stream: NodeJS.WriteStream = process.stdout): string {
  for (const [colour, words] of VERDICTS) {
    const verdict = words.find((word) => line === word || line.startsWith(`${word} `));
    if (verdict === undefined) continue;
    return styleText(colour, verdict, { stream, validateStream: true }) + line.slice(verdict.length);
  }
  return line;
}

export function print(...lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${coloured(printable(line))}\n`).join(""));
}

export function printJson(value: unknown): void {
  process.stdout.write(jsonLine(value));
}

/** The same value, with \u escapes for what `printable` would replace: it may be read on a terminal after all. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value).replace(UNPRINTABLE, escapeUnits)}\n`;
}

function escapeUnits(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

let program = "kedge";

/** The command that speaks: its name stands before every error. */
export function speakAs(name: string): void {
  program = name;
}

export function warn(message: string): void {
  try {
    writeSync(process.stderr.fd, `${program}: ${printable(message)}\n`);
  } catch {
    // Nobody reads it, or the disk is full: what the command was asked for goes on.
  }
}

/** ms between two lines of progress. */
const PROGRESS_EVERY = { terminal: 200, file: 5_000 } as const;
const WAITING_EVERY = { terminal: 1_000, file: 10_000 } as const;
const WAITING_FROM = 2_000;

/** In place of the line before, on a terminal. */
function showProgress(line: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r${line}` : `${line}\n`);
}

function endProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\n");
}

/** Says now and then how far a long command has come; nothing for a short one. Call `done` at the end. */
export function progress(what: string): { add(count: number): void; done(): void } {
  const every = PROGRESS_EVERY[process.stderr.isTTY ? "terminal" : "file"];
  let count = 0;
  let last = performance.now();
  let shown = false;
  return {
    add(more) {
      count += more;
      if (performance.now() - last < every) return;
      last = performance.now();
      shown = true;
      showProgress(`${what}: ${count}`);
    },
    done() {
      if (!shown) return;
      showProgress(`${what}: ${count}`);
      endProgress();
    },
  };
}

/** Says now and then that a wait goes on, and since when; nothing of a short one. Call what it returns at the end. */
export function waiting(what: string): () => void {
  const started = performance.now();
  let timer = setTimeout(show, WAITING_FROM);
  function show(): void {
    showProgress(`${what}: ${Math.round((performance.now() - started) / 1000)} s`);
    timer = setTimeout(show, WAITING_EVERY[process.stderr.isTTY ? "terminal" : "file"]);
  }
  return () => {
    clearTimeout(timer);
    if (performance.now() - started > WAITING_FROM) endProgress();
  };
}

const EXIT_OF = { failed: EXIT_FAILED, untold: EXIT_UNREAD, misuse: EXIT_MISUSE } as const;

/** Prints an error in one line and sets the exit code. */
export function report(error: unknown): void {
  process.exitCode = error instanceof CliError ? EXIT_OF[error.code] : EXIT_FAILED;
  const message = error instanceof Error ? error.message : String(error);
  warn([CliError, ...KNOWN].some((kind) => error instanceof kind) ? message : `failed: ${message}`);
}
