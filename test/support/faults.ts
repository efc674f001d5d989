/** What tests need that take the power or the disk from a process. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The environment of a process whose calls of the disk are recorded: power-cut.ts. */
export function recorded(library: string, watched: string, journal: string): Record<string, string> {
  return { LD_PRELOAD: library, POWER_CUT_FOLDER: watched, POWER_CUT_JOURNAL: journal, UV_USE_IO_URING: "0" };
}

/** mulberry32 */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Why no disk can be mounted here; undefined where one can. */
export async function reasonAgainstMounting(): Promise<string | undefined> {
  if (process.platform !== "linux") return "not on this system";
  const point = await mkdtemp(join(tmpdir(), "kedge-mount-"));
  const reason = reasonAgainst("mount", ["-t", "tmpfs", "tmpfs", point]);
  if (reason === undefined) execFileSync("umount", [point]);
  await rm(point, { recursive: true });
  return reason;
}

export function reasonAgainst(command: string, args: readonly string[]): string | undefined {
  try {
    execFileSync(command, args, { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split("\n")[0] : String(error);
  }
}
