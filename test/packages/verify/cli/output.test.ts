/** What a terminal is shown, and what a file or a pipe is. */
import { WriteStream } from "node:tty";
import { coloured } from "@kedge/verify/cli/output";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** A stream that says it is a terminal, and one that is none. */
const terminal = Object.assign(Object.create(WriteStream.prototype), { isTTY: true });
const pipe = Object.assign(Object.create(WriteStream.prototype), { isTTY: false });

// What Node.js asks before it colours, and nothing else: a build server says CI, and its terminal may be dumb.
beforeEach(() => {
  for (const name of Object.keys(process.env)) vi.stubEnv(name, undefined);
  vi.stubEnv("TERM", "xterm-256color");
});
afterEach(() => vi.unstubAllEnvs());

test("a verdict has its colour on a terminal, and only the verdict", () => {
  expect(coloured("PROVEN  at assurance sealed", terminal)).toBe(
    "\u001b[32mPROVEN\u001b[39m  at assurance sealed",
  );
  expect(coloured("NOT PROVEN", terminal)).toBe("\u001b[31mNOT PROVEN\u001b[39m");
  expect(coloured("CANNOT TELL", terminal)).toBe("\u001b[33mCANNOT TELL\u001b[39m");
  for (const line of ["  PROVEN", "PROVENANCE", "Not proven by this", ""]) {
    expect(coloured(line, terminal)).toBe(line);
  }
});

test("a pipe and NO_COLOR get none", () => {
  expect(coloured("PROVEN", pipe)).toBe("PROVEN");
  vi.stubEnv("NO_COLOR", "1");
  expect(coloured("PROVEN", terminal)).toBe("PROVEN");
});
