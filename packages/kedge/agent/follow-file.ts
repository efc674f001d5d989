/**
 * Files that grow by lines or rows and are rotated, read on from where they were left. Which file is which is told by its inode
 * and by what was read of it, so that a rename, a copy, a compression and a restored backup are each seen as what they are.
 * What was read and where reading stands are written in one transaction, so that each line is an event once, whatever dies.
 */
import type { BigIntStats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { openRegular, RegularFileError } from "@kedge/verify/cli/regular";
import { joinBytes } from "@kedge/verify/tlog/bytes";
import { readHeader } from "../journal/header.ts";
import type { Arrival } from "../journal/types.ts";
import {
  type FileState,
  fileKey,
  fingerprintOf,
  hashedNames,
  nameHash,
  namesBefore,
  newState,
  readStates,
  stateValue,
} from "./file-state.ts";
import {
  agree,
  endsAlike,
  fingerprintAll,
  fingerprinter,
  type Likeness,
  likeness,
  WINDOW,
} from "./fingerprint.ts";
import { gapArrival } from "./gap-arrival.ts";
import {
  headerCursors,
  type LineContent,
  type LineOptions,
  type LineStep,
  readLines,
} from "./line-events.ts";
import { CANNOT_READ, isFileError, type LookTroubles, MAX_SKEW } from "./look-troubles.ts";
import { refusedAs } from "./refused.ts";
import type { Host } from "./source.ts";

/** A file that is there, as it was found. */
export type Found = {
  path: string;
  /** Below the folder that is followed. */
  name: string;
  stats: BigIntStats;
  /** It is written to until it is rotated: what its last line lacks may still come. */
  isOpen: boolean;
  /** The path of the source names it, or what it was rotated from. */
  isNamed: boolean;
};

export type FollowOptions = {
  /** What a file's lines are, by its name and its first bytes; undefined when that cannot be told yet. */
  contentOf: (name: string, head: Uint8Array, isClosed: boolean) => LineContent | undefined;
  lines: LineOptions;
  /** Whatever it looks like, it is a file of events. */
  asBytes?: boolean | undefined;
  /** Ms without a change after which a last line without its end is an event. */
  closedAfter: number;
  host: Host;
  troubles: LookTroubles;
  now?: () => number;
};

export type Follower = {
  /**
   * Reads what came since. Files that are not among these, when `isAll` is found, are gone.
   * @returns whether there was anything
   */
  pass(found: readonly Found[], isAll: boolean): Promise<boolean>;
  close(): Promise<void>;
};

const PART = 1 << 20;
const HEAD = 1 << 16;
/** Events in one transaction. */
const MAX_TAKEN = 10_000;
/** Files that are kept open, so that what is written to one that was taken away is read. */
const MAX_HELD = 64;
/** Ms until a file that is gone is taken as such: its writer may still have it, and a copy of it may still come. */
const GONE_AFTER = 10_000;
/** A line without end is read again when the file is this many times as long, or has not changed for so many ms. */
const GROWN = 1.25;
const QUIET = 5_000;
/** Files that are gone and remembered, for their copies to be known. */
const MAX_GONE = 1_000;
/** Bytes that tell a file from another; fewer may be a header that all have. */
const TELLING = 1_024;

const inodeOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

export function openFollower(options: FollowOptions): Follower {
  const { host, troubles, closedAfter, now = Date.now } = options;
  const { intake, signal } = host;
  const states = readStates(intake);
  const byInode = new Map([...states].filter(([, { isGone }]) => !isGone).map(([id, s]) => [s.inode, id]));
  const handles = new Map<string, FileHandle>();
  /** How each file was when it was last looked at, and since when it has been so: by its id, or by its inode before it has one. */
  const looks = new Map<string, { size: bigint; mtime: bigint; since: number; isRead: boolean }>();
  /** Of those that were not found any more: since when. */
  const missing = new Map<string, number>();
  /** Files whose last line is longer than an event may be, and their size: it is read from its beginning each time. */
  const endless = new Map<string, number>();
  /** All that are gone, the oldest first. */
  const goneSince = new Map(
    [...states].flatMap(([id, { isGone }]) => (isGone ? [[id, now()] as const] : [])),
  );
  /** Those that are there, by their names. */
  let byName = new Map<string, string>();
  let lastId = Math.max(0, ...[...states.keys()].map(Number));

  const save = async (id: string, state: FileState, arrivals: Arrival[] = []): Promise<void> => {
    await intake.take({ arrivals, cursors: new Map([[fileKey(id), stateValue(state)]]) });
    states.set(id, state);
  };

  const stateOf = (id: string): FileState => {
    const state = states.get(id);
    if (state === undefined) throw new Error(`no state of the file ${id}`);
    return state;
  };

  /** Ms for which the file has not changed, as far as was seen. */
  function look(id: string, { size, mtimeNs: mtime }: BigIntStats): { quiet: number; isRead: boolean } {
    const last = looks.get(id);
    if (last !== undefined && last.size === size && last.mtime === mtime) {
      return { quiet: now() - last.since, isRead: last.isRead };
    }
    // One that has been as it is for long needs no watching; a file server's clock may differ from this one by minutes.
    const age = now() - Number(mtime / 1_000_000n) - MAX_SKEW;
    const since = age > closedAfter ? now() - age : now();
    looks.set(id, { size, mtime, since, isRead: false });
    return { quiet: now() - since, isRead: false };
  }

  const markRead = (id: string): void => {
    const last = looks.get(id);
    if (last !== undefined) last.isRead = true;
  };

  /** Opened where its file is, unless another has taken its place: that is for the next pass. */
  async function handleOf(id: string, path: string): Promise<FileHandle | undefined> {
    const held = handles.get(id);
    if (held !== undefined) return held;
    const handle = await opening(path);
    if (handle === undefined) return undefined;
    handles.set(id, handle);
    if (inodeOf(await handle.stat({ bigint: true })) === stateOf(id).inode) return handle;
    await release(id);
    return undefined;
  }

  async function opening(path: string): Promise<FileHandle | undefined> {
    try {
      return await openRegular(path);
    } catch (error) {
      if (!(error instanceof RegularFileError)) throw error;
      if (error.code !== "absent") troubles.tell("open", CANNOT_READ);
      return undefined;
    }
  }

  /** A file that cannot be read now is tried again, opened anew, and the others go on. */
  async function trying<T>(id: string | undefined, run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      if (!isFileError(error)) throw error;
      troubles.tell("open", CANNOT_READ);
      if (id !== undefined) await release(id).catch(() => undefined);
      return undefined;
    }
  }

  async function release(id: string): Promise<void> {
    const handle = handles.get(id);
    handles.delete(id);
    await handle?.close();
  }

  async function markGone(id: string): Promise<void> {
    const state = stateOf(id);
    await release(id);
    await save(id, { ...state, isGone: true });
    if (byInode.get(state.inode) === id) byInode.delete(state.inode);
    goneSince.set(id, now());
    missing.delete(id);
    looks.delete(id);
    endless.delete(id);
    for (const oldest of goneSince.keys()) {
      if (goneSince.size <= MAX_GONE) break;
      await intake.take({ arrivals: [], cursors: new Map([[fileKey(oldest), undefined]]) });
      states.delete(oldest);
      goneSince.delete(oldest);
    }
  }

  /** Whether the file still begins with what was read of it, as far as its end there shows. */
  async function isSame(id: string, { path, stats }: Found): Promise<boolean | undefined> {
    const state = stateOf(id);
    if (state.gzip !== undefined) return !state.isEnded || state.gzip === stampOf(stats);
    if (state.refused !== undefined) return Number(stats.size) >= state.size;
    if (Number(stats.size) < (state.offset || state.size)) return false;
    if (look(id, stats).isRead) return true;
    const handle = await handleOf(id, path);
    if (handle === undefined) return undefined;
    const is = endsAlike(fingerprintOf(state), await windowBefore(handle, state.offset));
    if (handles.size > MAX_HELD) await release(id);
    return is;
  }

  /** Files that are not there any more: what is open is read to its end, for its writer may still have it. */
  async function vanish(id: string): Promise<boolean> {
    const since = missing.get(id) ?? now();
    // Once may be a rename between the listing and the look.
    if (!missing.has(id)) {
      missing.set(id, since);
      if (!handles.has(id)) return false;
    }
    const handle = handles.get(id);
    if (handle === undefined) {
      await markGone(id);
      return false;
    }
    const stats = await handle.stat({ bigint: true });
    const state = stateOf(id);
    if (state.isEnded || Number(stats.size) < state.offset) {
      await markGone(id);
      return false;
    }
    const { quiet } = look(id, stats);
    const isClosed = quiet >= Math.min(closedAfter, GONE_AFTER) && now() - since >= GONE_AFTER;
    const isBusy = state.gzip === undefined ? await readOn(id, handle, isClosed) : false;
    if (isClosed && !isBusy) await markGone(id);
    return isBusy;
  }

  // ---- which file it is ---------------------------------------------------------------------------------------------

  /** The id of a file whose inode is unknown; undefined when there is nothing in it yet, or it is a copy of one that goes on. */
  async function identify(found: Found): Promise<string | undefined> {
    if (found.stats.size === 0n) return undefined;
    const handle = await opening(found.path);
    if (handle === undefined) return undefined;
    try {
      const stats = await handle.stat({ bigint: true });
      if (inodeOf(stats) !== inodeOf(found.stats)) return undefined;
      const start = await readAt(handle, 0, HEAD);
      const isGzip = start[0] === 0x1f && start[1] === 0x8b;
      const head = isGzip ? await unzippedHead(handle) : start;
      const was = await findKnown({ ...found, stats }, handle, head, isGzip);
      if (was === "copy") return undefined;
      return was ?? (await begin({ ...found, stats }, head, isGzip));
    } finally {
      await handle.close();
    }
  }

  /** What was read before under another inode or name: a copy, a compressed file, a restored backup. */
  async function findKnown(
    { name, stats }: Found,
    handle: FileHandle,
    head: Uint8Array,
    isGzip: boolean,
  ): Promise<string | "copy" | undefined> {
    const inode = inodeOf(stats);
    const { family } = hashedNames(name);
    const begins = fingerprintAll(head);
    const before = namesBefore(name).map(nameHash);
    const rotated = before.map((hash) => byName.get(hash));
    const known = [...new Set([...goneSince.keys(), ...missing.keys(), ...rotated])]
      .flatMap((id) => (id === undefined ? [] : [{ id, state: stateOf(id) }]))
      .filter(({ state }) => state.refused === undefined && state.family === family)
      .filter(({ state }) => agree(begins.marks, state.marks))
      .sort((a, b) => b.state.offset - a.state.offset);
    for (const { id, state } of known) {
      const isRotated = before.includes(state.name);
      const like = await likenessTo(state, { handle, isGzip, size: Number(stats.size), isRotated });
      if (like.is === "differs") continue;
      const isTelling = (like.is === "part" ? like.checked : state.offset) >= TELLING;
      const isCompressed = isGzip && state.gzip === undefined;
      const isKnown =
        isTelling || (like.is === "whole" && (isRotated || isCompressed || state.inode === inode));
      if (!state.isGone) {
        // A rotation may be under way: whether it is a copy shows once the other is truncated, or is gone.
        const { quiet } = look(`copy ${inode}`, stats);
        if (isRotated ? !isTelling && quiet >= closedAfter : !isKnown) continue;
        return "copy";
      }
      if (!isKnown) continue;
      await adopt(id, { name, inode, stats, isGzip, like });
      return id;
    }
    return undefined;
  }

  type Compared = { handle: FileHandle; isGzip: boolean; size: number; isRotated: boolean };
  async function likenessTo(
    state: FileState,
    { handle, isGzip, size, isRotated }: Compared,
  ): Promise<Likeness> {
    if (state.offset === 0) {
      // Of what was not read at all its length is all that is known, and not that of a compressed file.
      const isLongEnough = state.size > 0 && (isGzip || size >= state.size);
      return { is: isRotated && isLongEnough ? "whole" : "differs" };
    }
    try {
      return await likeness(fingerprintOf(state), isGzip ? unzipped(handle) : partsOf(handle, 0, size));
    } catch (error) {
      if (!isGzipError(error)) throw error;
      return { is: "differs" };
    }
  }

  type Adopted = { name: string; inode: string; stats: BigIntStats; isGzip: boolean; like: Likeness };
  async function adopt(id: string, { name, inode, stats, isGzip, like }: Adopted): Promise<void> {
    const { isGone: _, gzip: __, isEnded: ___, ...state } = stateOf(id);
    // A copy that is shorter than what was read has nothing new.
    const isShorter = like.is === "part";
    const print = isShorter ? like.fingerprint : fingerprintOf(stateOf(id));
    await save(id, {
      ...state,
      ...print,
      marks: [...print.marks],
      ...{ ...hashedNames(name), inode, size: isGzip ? state.size : Number(stats.size) },
      ...(isGzip ? { gzip: isShorter ? stampOf(stats) : "" } : {}),
      ...(isGzip && isShorter ? { isEnded: true } : {}),
    });
    byInode.set(inode, id);
    byName.set(nameHash(name), id);
    looks.delete(`copy ${inode}`);
    goneSince.delete(id);
  }

  async function begin({ name, stats, isOpen }: Found, head: Uint8Array, isGzip: boolean) {
    const inode = inodeOf(stats);
    const { quiet } = look(`new ${inode}`, stats);
    const refused = options.asBytes ? undefined : refusedAs(head);
    const isClosed = isGzip || (!isOpen && quiet >= closedAfter);
    const content = options.contentOf(name.replace(/\.gz$/, ""), head, isClosed);
    if (content === undefined) return undefined;
    if (content !== "delimited" && isOpenedBrace(head)) host.trouble("content", IS_PRETTY);
    looks.delete(`new ${inode}`);
    looks.delete(`copy ${inode}`);
    lastId += 1;
    const id = `${lastId}`;
    const state = newState(name, inode, isGzip ? 0 : Number(stats.size), content);
    if (refused !== undefined) {
      host.trouble("refused", `a file is passed by, for it is ${refused.what}`);
      const gap =
        refused.mayHoldEvents && gapArrival({ kind: "unreadable", octets: state.size, detail: refused.what });
      await save(id, { ...state, refused: refused.what }, gap ? [gap] : []);
    } else states.set(id, isGzip ? { ...state, gzip: "" } : state);
    byInode.set(inode, id);
    byName.set(nameHash(name), id);
    host.count("files");
    return id;
  }

  // ---- reading it ---------------------------------------------------------------------------------------------------

  async function readFound(id: string, { path, stats, isOpen }: Found): Promise<boolean> {
    const state = stateOf(id);
    if (state.refused !== undefined || (state.isEnded && state.gzip === stampOf(stats))) return false;
    const { quiet, isRead } = look(id, stats);
    const isQuiet = quiet >= closedAfter;
    const isClosed = !isOpen && isQuiet;
    const isUnended = state.gzip === undefined ? isClosed && state.size > state.offset : isQuiet;
    if (isRead && !isUnended) {
      if (isClosed) await release(id);
      return false;
    }
    const handle = await handleOf(id, path);
    if (handle === undefined) return false;
    try {
      return state.gzip === undefined
        ? await readOn(id, handle, isClosed)
        : await readGzip(id, handle, isQuiet);
    } finally {
      if (handles.size > MAX_HELD || state.gzip !== undefined) await release(id);
    }
  }

  async function readOn(id: string, handle: FileHandle, isClosed: boolean): Promise<boolean> {
    const state = stateOf(id);
    const stats = await handle.stat({ bigint: true });
    const size = Number(stats.size);
    const { quiet, isRead } = look(id, stats);
    if (size < state.offset) return true; // truncated since: the next pass sees it
    if (size !== state.size) states.set(id, { ...state, size });
    if (size === state.offset || (isRead && !isClosed)) {
      markRead(id);
      return false;
    }
    const last = endless.get(id);
    if (last !== undefined && quiet < QUIET && size < last * GROWN) return false;
    const window = await windowBefore(handle, state.offset);
    if (!endsAlike(fingerprintOf(state), window)) {
      looks.delete(id);
      return true;
    }
    const end = await consume(id, partsOf(handle, state.offset, size), { window, isClosed, size });
    if (!signal.aborted) markRead(id);
    if (size - end > options.lines.limit) endless.set(id, size);
    else endless.delete(id);
    return end > state.offset;
  }

  async function readGzip(id: string, handle: FileHandle, isQuiet: boolean): Promise<boolean> {
    const state = stateOf(id);
    const stats = await handle.stat({ bigint: true });
    const ended = (gap?: Arrival) =>
      save(id, { ...stateOf(id), gzip: stampOf(stats), isEnded: true }, gap === undefined ? [] : [gap]);
    try {
      const { window, parts } = await skipTo(unzipped(handle), state.offset);
      if (!endsAlike(fingerprintOf(state), window)) {
        await markGone(id);
        return true;
      }
      await consume(id, parts, { window, isClosed: true, size: undefined });
      if (signal.aborted) return false;
      await ended();
    } catch (error) {
      if (!isGzipError(error)) throw error;
      markRead(id);
      if (!isQuiet) return false; // it is still being written
      await ended(
        gapArrival({ kind: "unreadable", detail: "the rest of a compressed file: it is cut or damaged" }),
      );
    }
    markRead(id);
    return true;
  }

  type Reading = { window: Uint8Array; isClosed: boolean; size: number | undefined };

  /** Takes what these parts hold from the state's offset on. Returns up to where. */
  async function consume(
    id: string,
    parts: AsyncIterable<Uint8Array>,
    { window, isClosed, size }: Reading,
  ): Promise<number> {
    const state = stateOf(id);
    const print = fingerprinter(fingerprintOf(state), window);
    const header = state.header === undefined ? undefined : readHeader(intake, state.header);
    const lines = readLines(state.content, options.lines, { intake, offset: state.offset, header });
    let batch: Arrival[] = [];
    let end = state.offset;
    let written = end;
    let writing: Promise<void> | undefined;

    const flush = async (): Promise<void> => {
      if (end === written) return;
      const upTo = print.upTo(end);
      const above = lines.header();
      const next: FileState = {
        ...stateOf(id),
        ...upTo,
        ...{ marks: [...upTo.marks], size: Math.max(size ?? 0, end) },
        ...(above === undefined ? {} : { header: above.id }),
      };
      if (above?.header.length === 0 && options.lines.header) host.trouble("header", NO_HEADER);
      const taking = {
        arrivals: batch,
        cursors: new Map([...headerCursors(above), [fileKey(id), stateValue(next)]]),
      };
      batch = [];
      written = end;
      await writing;
      writing = intake.take(taking).then(() => {
        states.set(id, next);
      });
      writing.catch(() => undefined); // it is awaited before the next, and at the end
    };
    const takeAll = async (steps: Iterable<LineStep>): Promise<void> => {
      for (const { end: upTo, event } of steps) {
        end = upTo;
        if (event !== undefined) batch.push(event);
        if (batch.length >= MAX_TAKEN) await flush();
      }
      await flush();
    };

    try {
      for await (const part of parts) {
        print.add(part);
        await takeAll(lines.add(part));
        if (signal.aborted) break;
      }
      if (isClosed && !signal.aborted) await takeAll(lines.rest());
    } finally {
      await writing;
    }
    return written;
  }

  /** What was there, was not read, and is in no copy. */
  async function tellLost(): Promise<void> {
    for (const [id, since] of goneSince) {
      const state = stateOf(id);
      if (state.gzip !== undefined || state.size <= state.offset || state.refused !== undefined) continue;
      if (now() - since < GONE_AFTER) continue;
      const octets = state.size - state.offset;
      const detail = "a file was truncated, or taken away, before it was read to its end";
      await save(id, { ...state, size: state.offset }, [gapArrival({ kind: "lost", octets, detail })]);
    }
  }

  return {
    async pass(found, isAll) {
      const present = new Map(found.map((file) => [inodeOf(file.stats), file]));
      let isBusy = false;
      for (const [id, state] of states) {
        if (state.isGone) continue;
        const file = present.get(state.inode);
        if (file === undefined) {
          if (isAll) isBusy = (await trying(id, () => vanish(id))) || isBusy;
          continue;
        }
        missing.delete(id);
        // What is gone keeps the name that it had: its copies were made of that.
        if ((await trying(id, () => isSame(id, file))) === false) await markGone(id);
        else if (state.name !== nameHash(file.name))
          states.set(id, { ...stateOf(id), ...hashedNames(file.name) });
      }
      byName = new Map(
        [...states].flatMap(([id, { isGone, name }]) => (isGone ? [] : [[name, id] as const])),
      );
      for (const file of present.values()) {
        if (signal.aborted) return false;
        const id = byInode.get(inodeOf(file.stats)) ?? (await trying(undefined, () => identify(file)));
        if (id !== undefined) isBusy = (await trying(id, () => readFound(id, file))) || isBusy;
      }
      await tellLost();
      for (const key of looks.keys()) {
        const [, inode] = /^(?:new|copy) (.+)$/.exec(key) ?? [];
        if (inode !== undefined && !present.has(inode)) looks.delete(key);
      }
      return isBusy;
    },
    async close() {
      for (const id of [...handles.keys()]) await release(id);
    },
  };
}

const IS_PRETTY =
  "a file of lines begins with a brace alone, as JSON over several lines does, and each line is an event: is its content `resource`?";
const NO_HEADER =
  "a delimited file has none of the preset's columns in its first row: that row is taken as an event";

const isOpenedBrace = (head: Uint8Array): boolean =>
  /^\s*[{[]\s*\n/.test(Buffer.from(head.subarray(0, 100)).toString("latin1"));

const stampOf = ({ size, mtimeNs }: BigIntStats): string => `${size} ${mtimeNs}`;

async function readAt(handle: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await handle.read(new Uint8Array(length), 0, length, at);
  return buffer.subarray(0, bytesRead);
}

const windowBefore = (handle: FileHandle, offset: number): Promise<Uint8Array> =>
  readAt(handle, Math.max(0, offset - WINDOW), Math.min(WINDOW, offset));

/** Ends early when the file becomes shorter: what was read before that was there. */
async function* partsOf(handle: FileHandle, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; ) {
    const part = await readAt(handle, at, Math.min(PART, to - at));
    at += part.length;
    const { size } = await handle.stat();
    if (part.length === 0 || size < at) return;
    yield part;
  }
}

async function* unzipped(handle: FileHandle): AsyncGenerator<Uint8Array> {
  // Of a stream of its own, the handle would close with it.
  const file = Readable.from(partsOf(handle, 0, Number.MAX_SAFE_INTEGER));
  const gunzip = createGunzip({ chunkSize: PART });
  file.on("error", (error) => gunzip.destroy(error));
  file.pipe(gunzip);
  try {
    for await (const part of gunzip) if (part instanceof Uint8Array) yield part;
  } finally {
    file.destroy();
    gunzip.destroy();
  }
}

async function unzippedHead(handle: FileHandle): Promise<Uint8Array> {
  try {
    for await (const part of unzipped(handle)) return part.subarray(0, HEAD);
  } catch (error) {
    if (!isGzipError(error)) throw error;
  }
  return new Uint8Array();
}

/** What follows that many bytes, and the last of these. */
async function skipTo(parts: AsyncGenerator<Uint8Array>, offset: number) {
  let window: Uint8Array = new Uint8Array();
  let at = 0;
  while (at < offset) {
    const { value, done } = await parts.next();
    if (done) return { window, parts };
    const skipped = value.subarray(0, offset - at);
    window = joinBytes([window, skipped]).slice(-WINDOW);
    at += skipped.length;
    if (skipped.length < value.length)
      return { window, parts: following(value.subarray(skipped.length), parts) };
  }
  return { window, parts };
}

async function* following(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

const isGzipError = (error: unknown): boolean =>
  error instanceof Error && "code" in error && String(error.code).startsWith("Z_");
