/**
 * A power cut: what a process had asked of the disk by then (power-cut.c), without what it had not synced. A name is on the
 * disk once its folder was synced after it was made, and bytes once their file was. What was not synced may be there all the
 * same, in any choice: the kernel writes when it likes.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

export type DiskEvent = {
  readonly kind: string;
  readonly isDsync: boolean;
  readonly inode: number;
  readonly offset: number;
  readonly path: string;
  readonly data: Buffer;
};

/** @returns the library to preload. @throws where there is no C compiler. */
export function buildRecorder(folder: string): string {
  const library = join(folder, "power-cut.so");
  const source = join(import.meta.dirname, "power-cut.c");
  execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]);
  return library;
}

export function readJournal(path: string): DiskEvent[] {
  const bytes = readFileSync(path);
  const events: DiskEvent[] = [];
  const number = (at: number) => Number(bytes.readBigUInt64LE(at));
  for (let at = 0; at < bytes.length; ) {
    const start = at + 34;
    const [middle, end] = [start + number(at + 18), start + number(at + 18) + number(at + 26)];
    events.push({
      kind: bytes.toString("latin1", at, at + 1),
      isDsync: bytes[at + 1] === 1,
      inode: number(at + 2),
      offset: number(at + 10),
      path: bytes.toString("utf8", start, middle).replace(/\/+$/, ""),
      data: bytes.subarray(middle, end),
    });
    at = end;
  }
  return events;
}

/** What is on the disk, and what is on its way there. */
type Stored<T> = { synced: T; readonly waiting: ((now: T) => T)[] };
type Names = ReadonlyMap<string, { readonly inode: number; readonly isFolder: boolean }>;
export type Disk = {
  readonly files: ReadonlyMap<number, Stored<Buffer>>;
  readonly folders: ReadonlyMap<number, Stored<Names>>;
};
/** Of the folder that is watched: no file has it. */
const ROOT = 0;

/**
 * Replays events.
 * @param root the folder that was watched, which was there, empty, before.
 * @param ignoreSyncs as if nothing was ever synced: a test of the tests.
 */
export function replay(root: string, events: readonly DiskEvent[], { ignoreSyncs = false } = {}): Disk {
  const files = new Map<number, Stored<Buffer>>();
  const folders = new Map<number, Stored<Names>>([[ROOT, { synced: new Map(), waiting: [] }]]);
  /** As the process saw them. */
  const seen = new Map<string, { inode: number; isFolder: boolean }>([
    [root, { inode: ROOT, isFolder: true }],
  ]);
  const file = (inode: number): Stored<Buffer> => {
    const known: Stored<Buffer> = files.get(inode) ?? { synced: Buffer.alloc(0), waiting: [] };
    files.set(inode, known);
    return known;
  };
  const above = (path: string): Stored<Names> => {
    const folder = folders.get(seen.get(dirname(path))?.inode ?? -1);
    if (folder === undefined) throw new Error(`the folder above ${path} was never made`);
    return folder;
  };
  const name = (path: string, inode: number, isFolder: boolean) => {
    seen.set(path, { inode, isFolder });
    above(path).waiting.push((names) => new Map(names).set(basename(path), { inode, isFolder }));
  };
  const unname = (path: string) => {
    seen.delete(path);
    above(path).waiting.push((names) => new Map([...names].filter(([other]) => other !== basename(path))));
  };
  for (const { kind, isDsync, inode, offset, path, data } of events) {
    const target = data.toString();
    switch (kind) {
      case "E":
        if (seen.get(path)?.inode === inode) break;
        // An inode whose file was removed may be given to another.
        files.delete(inode);
        file(inode);
        name(path, inode, false);
        break;
      case "M":
        folders.set(inode, { synced: new Map(), waiting: [] });
        name(path, inode, true);
        break;
      case "W": {
        const put = (bytes: Buffer) => {
          const grown = Buffer.alloc(Math.max(bytes.length, offset + data.length));
          bytes.copy(grown);
          data.copy(grown, offset);
          return grown;
        };
        if (isDsync && !ignoreSyncs) file(inode).synced = put(file(inode).synced);
        else file(inode).waiting.push(put);
        break;
      }
      case "T":
        file(inode).waiting.push((bytes) => Buffer.concat([bytes, Buffer.alloc(offset)]).subarray(0, offset));
        break;
      case "S":
        if (ignoreSyncs) break;
        if (files.has(inode)) settle(file(inode), () => true);
        else settle(folders.get(inode) ?? above(join(root, "any")), () => true);
        break;
      case "R":
        name(target, inode, seen.get(path)?.isFolder ?? false);
        unname(path);
        break;
      case "L":
        name(target, inode, false);
        break;
      case "U":
        unname(path);
    }
  }
  return { files, folders };
}

/** Brings to the disk what waits, if it is chosen. */
function settle<T>(stored: Stored<T>, isChosen: () => boolean): void {
  for (const change of stored.waiting) if (isChosen()) stored.synced = change(stored.synced);
  stored.waiting.length = 0;
}

/** Writes what the disk has into a folder, with what of the rest is chosen. */
export function writeDisk({ files, folders }: Disk, into: string, isChosen: () => boolean): void {
  for (const file of files.values()) settle(file, isChosen);
  for (const folder of folders.values()) settle(folder, isChosen);
  const write = (inode: number, path: string) => {
    mkdirSync(path, { recursive: true });
    for (const [name, { inode: below, isFolder }] of folders.get(inode)?.synced ?? []) {
      if (isFolder) write(below, join(path, name));
      else writeFileSync(join(path, name), files.get(below)?.synced ?? "", { mode: 0o600 });
    }
  };
  write(ROOT, into);
}
