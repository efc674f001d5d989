/**
 * The sources begun in a folder, a JSON string a line: they tell a lost database from one that is new. Only added to, by any
 * process; so a name that a crash cut stays, and is passed by.
 */
import { existsSync, readFileSync } from "node:fs";
import { open } from "node:fs/promises";

/** @throws SyntaxError with the number of a line that is no name, and what the file system says. */
export function readBegun(path: string): ReadonlySet<string> {
  const begun = new Set<string>();
  if (!existsSync(path)) return begun;
  for (const [i, line] of readFileSync(path, "utf8").split("\n").entries()) {
    const name = parseName(line);
    if (name !== undefined) begun.add(name);
    else if (!isCut(line)) throw new SyntaxError(`line ${i + 1} is unreadable`);
  }
  return begun;
}

/**
 * Whether a line is what a crash leaves of a name: its beginning, or bytes that never reached the disk. No number had been
 * given. It stays in the file: to take it away could take what the owner of another source adds meanwhile.
 */
const isCut = (line: string): boolean => /^(?:"(?:[^"\\]|\\.)*\\?|\0*)$/.test(line);

function parseName(line: string): string | undefined {
  try {
    const name: unknown = JSON.parse(line);
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}

/** On the disk when it resolves. */
export async function appendBegun(path: string, source: string): Promise<void> {
  const goesOn = existsSync(path) && !/(^|\n)$/.test(readFileSync(path, "utf8"));
  const file = await open(path, "a", 0o600);
  try {
    await file.appendFile(`${goesOn ? "\n" : ""}${JSON.stringify(source)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}
