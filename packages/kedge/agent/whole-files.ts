/**
 * Files that are an event each, or a document of several: taken once, whole, when they are no longer written to. What was taken
 * is remembered by a hash of its name, its size and its time, so that a million of them need no memory.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, close, constants, fstat, open, read } from "node:fs";
import { promisify } from "node:util";
import { EventError } from "@kedge/verify/events/error";
import { mediaTypeOf } from "@kedge/verify/events/media";
import type { Arrival } from "../journal/types.ts";
import type { Found } from "./follow-file.ts";
import { gapArrival } from "./gap-arrival.ts";
import { isBlank } from "./line-events.ts";
import { CANNOT_READ, isFileError, type LookTroubles, MAX_SKEW } from "./look-troubles.ts";
import { judge } from "./refused.ts";
import type { Host } from "./source.ts";

export type Split = (
  bytes: Uint8Array,
  mediaType: string,
) => { bytes: Uint8Array; mediaType: string }[] | undefined;

export type WholeOptions = {
  /** The events that a document holds; undefined for one that is an event itself. Throws EventError. */
  split: Split;
  mediaType?: string | undefined;
  refuse?: boolean | undefined;
  asBytes?: boolean | undefined;
  limit: number;
  /** Ms for which a file must not have changed. */
  settle: number;
  /** Ms after which one that ends in the middle of its JSON or XML is taken as it is. */
  closedAfter: number;
  host: Host;
  troubles: LookTroubles;
  now?: () => number;
};

export type WholeFiles = {
  /** Takes it when it is new and settled; sooner or later, as those before it are. */
  offer(found: Found): Promise<void>;
  /**
   * Takes what is left of a look over all files.
   * @returns whether there was anything
   */
  end(): Promise<boolean>;
};

/** Files that are read together, and their bytes. */
const GROUP = 256;
const GROUP_BYTES = 8 << 20;
/** Files that are watched until they settle: more have their turn after these. */
const MAX_WATCHED = 100_000;

// A handle object for each of a million files would cost as much again as its reading.
const [opened, reading, looked, closed] = [
  promisify(open),
  promisify(read),
  promisify(fstat),
  promisify(close),
];
/** To open what became a pipe meanwhile does not wait for its other end. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

const CUT_NOTE = "ends in the middle";
const UNSPLIT_NOTE = "taken whole, for it cannot be split";

const AS_IT_IS = { refused: undefined, isCut: false };

type Taken = { key: string; stamp: string; arrivals: Arrival[] };

export function openWholeFiles(options: WholeOptions): WholeFiles {
  const { host, troubles, limit, settle, closedAfter, now = Date.now } = options;
  const { intake, signal } = host;
  let watched = new Map<string, { stamp: string; since: number }>();
  let stillWatched: typeof watched = new Map();
  let group: (Found & { key: string; quiet: number })[] = [];
  let bytes = 0;
  let isBusy = false;
  let writing: Promise<unknown> | undefined;

  /** Ms for which it has not changed, as far as was seen. */
  function quietOf(key: string, stats: BigIntStats): number {
    const age = now() - Number(stats.mtimeMs) - MAX_SKEW;
    const stamp = stampOf(stats);
    const before = watched.get(key);
    const since = before?.stamp === stamp ? before.since : now();
    const quiet = Math.max(age, now() - since);
    if (quiet < Math.max(settle, closedAfter) && stillWatched.size < MAX_WATCHED)
      stillWatched.set(key, { stamp, since });
    return quiet;
  }

  async function flush(): Promise<void> {
    const files = group;
    group = [];
    bytes = 0;
    const taken = (await Promise.all(files.map(takeFrom))).filter((file) => file !== undefined);
    await writing;
    if (taken.length === 0 || signal.aborted) return;
    isBusy = true;
    const arrivals = taken.flatMap((file) => file.arrivals);
    writing = intake
      .take({ arrivals, cursors: new Map(taken.map(({ key, stamp }) => [key, stamp])) })
      .then(() => host.count("files", taken.length));
    writing.catch(() => undefined); // it is awaited before the next, and at the end
  }

  /** undefined for one that is to be looked at again. */
  async function takeFrom(file: (typeof group)[number]): Promise<Taken | undefined> {
    const { key, name, stats, quiet } = file;
    const stamp = stampOf(stats);
    const size = Number(stats.size);
    if (size > limit) return { key, stamp, arrivals: [gapArrival({ kind: "overlong", octets: size })] };
    const event = await readSettled(file);
    if (event === undefined) return undefined;
    const arrivals = arrivalsOf(event, name, quiet);
    return arrivals && { key, stamp, arrivals };
  }

  async function readSettled({ path, stats }: Found): Promise<Uint8Array | undefined> {
    try {
      const file = await opened(path, FLAGS);
      try {
        const event = new Uint8Array(Number(stats.size));
        for (let length = 0; length < event.length; ) {
          const { bytesRead } = await reading(file, event, length, event.length - length, length);
          if (bytesRead === 0) return undefined;
          length += bytesRead;
        }
        const after = await looked(file, { bigint: true });
        return after.isFile() && stampOf(after) === stampOf(stats) ? event : undefined;
      } finally {
        await closed(file);
      }
    } catch (error) {
      if (!isFileError(error)) throw error;
      if (error.code !== "ENOENT") troubles.tell("open", CANNOT_READ);
      return undefined;
    }
  }

  /** undefined for one that seems to be written still. */
  function arrivalsOf(event: Uint8Array, name: string, quiet: number): Arrival[] | undefined {
    if (isBlank(event)) return [];
    const { refused, isCut } = options.asBytes ? AS_IT_IS : judge(event, name);
    if (refused !== undefined) {
      host.trouble("refused", `a file is passed by, for it is ${refused.what}`);
      if (!refused.mayHoldEvents) return [];
      return [gapArrival({ kind: "unreadable", octets: event.length, detail: refused.what })];
    }
    if (isCut && quiet < closedAfter) return undefined;
    const mediaType = options.mediaType ?? mediaTypeOf(name, event);
    const notes = isCut ? [CUT_NOTE] : [];
    try {
      if (isCut && options.refuse) return [unreadable(event, "a file that ends in the middle")];
      const events = options.split(event, mediaType);
      if (events !== undefined) return events;
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      if (options.refuse) return [unreadable(event, "a file that is not of its format")];
      if (!isCut) notes.push(UNSPLIT_NOTE);
    }
    return [{ bytes: event, mediaType, ...(notes.length === 0 ? {} : { notes }) }];
  }

  return {
    async offer(found) {
      const key = keyOf(found.name);
      if (found.stats.size === 0n || intake.cursor(key) === stampOf(found.stats)) return;
      const quiet = quietOf(key, found.stats);
      if (quiet < settle) return;
      group.push({ ...found, key, quiet });
      bytes += Math.min(limit, Number(found.stats.size));
      if (group.length >= GROUP || bytes >= GROUP_BYTES) await flush();
    },
    async end() {
      try {
        await flush();
        await writing;
      } finally {
        watched = stillWatched;
        stillWatched = new Map();
        group = [];
        writing = undefined;
      }
      const was = isBusy;
      isBusy = false;
      return was;
    },
  };
}

const unreadable = (event: Uint8Array, detail: string): Arrival =>
  gapArrival({ kind: "unreadable", octets: event.length, detail });

/** Names may say whose record it is. */
const keyOf = (name: string): string =>
  `seen/${createHash("sha256").update(name).digest("base64url").slice(0, 22)}`;

const stampOf = ({ size, mtimeNs }: BigIntStats): string => `${size} ${mtimeNs}`;
