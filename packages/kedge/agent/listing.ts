/** Which files a path stands for, found again at each look: itself and what it was rotated to, or what is below a folder. */
import type { BigIntStats } from "node:fs";
import { lstat, opendir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isLitter } from "@kedge/verify/cli/recognise";
import { PROOF_SUFFIX } from "@kedge/verify/proof/names";
import { familyOf, isRotationOf } from "./file-state.ts";
import type { Found } from "./follow-file.ts";
import type { LookTroubles } from "./look-troubles.ts";

export type Listing = {
  /** In no order; `isAll()` holds after the last one, when nothing was in the way. */
  files(): AsyncGenerator<Found>;
  isAll(): boolean;
};

export type ListingOptions = {
  path: string;
  /** `*` and `?`, for names below a folder. */
  pattern?: string | undefined;
};

/** Files that are looked at together. */
const GROUP = 256;

export function list({ path, pattern }: ListingOptions, troubles: LookTroubles): Listing {
  let isAll = true;
  const matches = pattern === undefined ? () => true : matcher(pattern);

  const failed = (key: string, what: string): undefined => {
    isAll = false;
    troubles.tell(key, what);
    return undefined;
  };

  async function* folder(
    at: string,
    below: string,
    isWanted: (name: string) => boolean,
    isDeep: boolean,
  ): AsyncGenerator<Found> {
    let entries: Awaited<ReturnType<typeof opendir>>;
    try {
      entries = await opendir(at, { bufferSize: GROUP });
    } catch (error) {
      // That the source's own is not there is told as that; one below it that went meanwhile is no trouble.
      if (codeOf(error) === "ENOENT") isAll = false;
      else
        failed(
          "folder",
          `a folder of the source cannot be read: ${codeOf(error)}. Give its reader permission`,
        );
      return;
    }
    const folders: string[] = [];
    let names: string[] = [];
    try {
      for await (const entry of entries) {
        const { name } = entry;
        if (isLitter(name)) continue;
        if (name.includes("\ufffd")) {
          troubles.tell("name", "a file's name is not UTF-8, and it is not read: rename it");
          continue;
        }
        if (entry.isDirectory() && isDeep) folders.push(name);
        // What a file system does not say, the look says.
        if (entry.isDirectory() || entry.isSymbolicLink() || name.endsWith(PROOF_SUFFIX) || !isWanted(name))
          continue;
        names.push(name);
        if (names.length < GROUP) continue;
        yield* look(at, below, names);
        names = [];
      }
    } catch (error) {
      failed("folder", `a folder of the source cannot be read: ${codeOf(error)}`);
    }
    yield* look(at, below, names);
    for (const name of folders) yield* folder(join(at, name), join(below, name), isWanted, isDeep);
  }

  async function* look(at: string, below: string, names: readonly string[]): AsyncGenerator<Found> {
    const looked = await Promise.all(names.map((name) => statOf(join(at, name), lstat)));
    for (const [i, name] of names.entries()) {
      const stats = looked[i];
      if (stats?.isFile())
        yield { path: join(at, name), name: join(below, name), stats, isOpen: false, isNamed: false };
    }
  }

  async function statOf(at: string, by: typeof lstat): Promise<BigIntStats | undefined> {
    try {
      return await by(at, { bigint: true });
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      return failed("stat", `a file of the source cannot be looked at: ${codeOf(error)}`);
    }
  }

  /** The file itself, by where a symbolic link leads, and what it was rotated to beside that. */
  async function* rotated(): AsyncGenerator<Found> {
    const real = await realpath(path).catch(() => path);
    const own = basename(real);
    const isLinked = own !== basename(path);
    const isWanted = (name: string) =>
      name === own || isRotationOf(name, own) || (isLinked && familyOf(name) === familyOf(own));
    for await (const found of folder(dirname(real), "", isWanted, false)) {
      yield { ...found, isOpen: found.name === own, isNamed: true };
    }
  }

  return {
    async *files() {
      isAll = true;
      const stats = await statOf(path, stat);
      const isFolder = stats?.isDirectory() ?? pattern !== undefined;
      if (stats === undefined) {
        troubles.tell("absent", "there is nothing at the path of the source yet");
        if (isFolder) isAll = false; // as when it is not mounted
      }
      yield* isFolder ? folder(path, "", matches, true) : rotated();
    },
    isAll: () => isAll,
  };
}

function matcher(pattern: string): (name: string) => boolean {
  const parts = pattern
    .split(/([*?])/)
    .map((part) => (part === "*" ? ".*" : part === "?" ? "." : part.replace(/[\\^$.+|(){}[\]]/g, "\\$&")));
  const whole = new RegExp(`^${parts.join("")}$`, "s");
  return (name) => whole.test(name);
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
