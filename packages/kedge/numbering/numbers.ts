/**
 * The numbers that the events of a source have, durable before anything is posted: docs/decisions/0018. The state is one
 * folder for all sources of a tenant; whoever numbers, a command or a long-running process, shares it.
 */
import { createHash, createHmac } from "node:crypto";
import { chmodSync, existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "@kedge/verify/cli/files";
import { quoted } from "@kedge/verify/text";
import { keyId } from "../keys/epoch-key.ts";
import { appendBegun, readBegun } from "../lmdb/begun.ts";
import { lookAt } from "../lmdb/files.ts";
import { type Database, openDatabase } from "../lmdb/open.ts";
import { takeOwnership } from "../lmdb/owner.ts";

/**
 * Why a source cannot be numbered. The set is closed.
 *
 * - `in_use`: another process owns the source
 * - `lost`: the state once had what it has no more
 * - `damaged`: the state cannot be read, or contradicts itself
 * - `other_key`: the source is numbered under another tenant key
 * - `differs`: an event has a number, and was committed to with other options
 * - `unwritable`: the folder, or a file in it, cannot be made or written
 */
export type NumberingErrorCode = "in_use" | "lost" | "damaged" | "other_key" | "differs" | "unwritable";

export class NumberingError extends Error {
  readonly code: NumberingErrorCode;

  constructor(code: NumberingErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "NumberingError";
    this.code = code;
  }
}

/** Of one source of one tenant. */
export type NumberedSource = {
  folder: string;
  source: string;
  /** 32 bytes each, at least one: the first is committed under now, numbers may have been given under any. */
  tenantKeys: readonly [Uint8Array, ...Uint8Array[]];
  /** `keyId` of keys that the tenant had, and destroyed: the numbers go on all the same. */
  shredded?: readonly string[];
};

/** The `occurrence`-th event with these bytes, from 0 on, in the file or stream that they came in. */
export type Occurrence = { bytes: Uint8Array; occurrence: number };

/** Makes the commitment (32 bytes) of an event under its number, and the key that it was given under; called once for each. */
export type CommitAs = (sequence: bigint, tenantKey: Uint8Array) => Uint8Array;

export type Numbers = {
  /** The number that the event has. */
  find(event: Occurrence): bigint | undefined;
  close(): Promise<void>;
};

export type OwnedNumbers = Numbers & {
  /** Whether the source had no number yet. */
  isNew: boolean;
  /**
   * A number for each: the one that it has, or the next. When this returns they are durable. An event whose commitment is
   * not the one that its number was given for has `differs` in its place, and the others are numbered.
   */
  assign(events: readonly (Occurrence & { commitAs: CommitAs })[]): (bigint | NumberingError)[];
};

const DATABASE = "numbers.mdb";
/** The sources begun here, a JSON string a line: they tell a lost database from one that is new. */
const BEGUN = "sources";

/** To look numbers up, beside whoever owns the source; undefined when it was never begun here. Throws NumberingError. */
export function readNumbers(of: NumberedSource): Numbers | undefined {
  const begun = begunIn(of.folder);
  if (!hasDatabase(of.folder, begun)) return undefined;
  const db = opened(of.folder, true);
  try {
    const header = readHeader(db, of, begun);
    if (header !== undefined) return { find: finder(db, of), close: () => db.close() };
  } catch (error) {
    void db.close();
    throw error;
  }
  void db.close();
  return undefined;
}

/** To number events. Nobody else does for this source until it is closed. Throws NumberingError. */
export async function ownNumbers(of: NumberedSource): Promise<OwnedNumbers> {
  const { folder, source } = of;
  await writing(folder, () => makeFolder(folder, 0o700));
  const release = await writing(folder, () => takeOwnership(folder, source));
  if (release === undefined) {
    throw new NumberingError(
      "in_use",
      `Another process is numbering the source ${quoted(source)} in ${folder}: wait until it ends, or end it`,
    );
  }
  let db: Database | undefined;
  try {
    const begun = begunIn(folder);
    hasDatabase(folder, begun);
    db = opened(folder, false);
    const header = readHeader(db, of, begun);
    const isNew = header === undefined;
    // The database first: a source that is only in the other file counts as lost.
    if (isNew) writeHeader(db, of, 1n);
    if (!begun.has(source)) await writing(folder, () => appendBegun(join(folder, BEGUN), source));
    const owned = db;
    return {
      isNew,
      find: finder(owned, of),
      assign: (events) => assign(owned, of, events),
      close: async () => {
        await owned.close();
        await release();
      },
    };
  } catch (error) {
    await db?.close();
    await release();
    throw error;
  }
}

/**
 * Copies the state into another folder, made for its owner alone, while others may number; nothing where there is none.
 * @returns the paths of the copies, for their writer to sync. Throws NumberingError.
 */
export async function copyNumbers(folder: string, to: string): Promise<string[]> {
  if (!hasDatabase(folder, begunIn(folder))) return [];
  await makeFolder(to, 0o700);
  const copies: string[] = [];
  // Before the database: a source that is only in this file counts as lost.
  if (existsSync(join(folder, BEGUN))) {
    await copyFile(join(folder, BEGUN), join(to, BEGUN));
    copies.push(join(to, BEGUN));
  }
  const db = opened(folder, true);
  try {
    await db.backup(join(to, DATABASE), true);
    copies.push(join(to, DATABASE));
  } finally {
    await db.close();
  }
  for (const path of copies) chmodSync(path, 0o600);
  return copies;
}

/** Other processes may read beside it. */
function opened(folder: string, readOnly: boolean): Database {
  try {
    return openDatabase(join(folder, DATABASE), { readOnly });
  } catch (cause) {
    throw damaged(folder, `${DATABASE} cannot be opened`, cause);
  }
}

// ---- what is in it ------------------------------------------------------------------------------------------------

/** `next` is the number that no event has yet; `key` tells tenant keys apart and says nothing of them. */
type Header = { v: 1; source: string; next: string; key: string };

const sourceId = (source: string): Buffer => createHash("sha256").update(source).digest().subarray(0, 8);
/** `s`, source: the header. */
const headerKey = (source: string): Buffer => Buffer.concat([Buffer.from("s"), sourceId(source)]);
/** `e`, source, 16 bytes of the event, occurrence: its number. */
const eventKey = (source: string, event: Buffer, occurrence: number): Buffer =>
  Buffer.concat([Buffer.from("e"), sourceId(source), event, uint(BigInt(occurrence), 4)]);
/** `n`, source, number: the commitment. In the order of the numbers. */
const numberKey = (source: string, number: bigint): Buffer =>
  Buffer.concat([Buffer.from("n"), sourceId(source), uint(number, 8)]);

/** Keyed, for whoever finds the state may not test guesses of events with it. */
const eventId = (tenantKey: Uint8Array, bytes: Uint8Array): Buffer =>
  createHmac("sha256", tenantKey).update("kedge/v1 number\0").update(bytes).digest().subarray(0, 16);

function uint(value: bigint, length: 4 | 8): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes.subarray(8 - length);
}

function writeHeader(db: Database, { source, tenantKeys: [current] }: NumberedSource, next: bigint): void {
  const header: Header = { v: 1, source, next: `${next}`, key: keyId(current) };
  db.putSync(headerKey(source), Buffer.from(JSON.stringify(header)));
}

/** undefined for a source that nobody has begun here. */
function readHeader(db: Database, of: NumberedSource, begun: ReadonlySet<string>): Header | undefined {
  const { folder, source, tenantKeys, shredded = [] } = of;
  const bytes = get(db, of, headerKey(source));
  if (bytes === undefined && begun.has(source)) throw lost(folder, source);
  if (bytes === undefined) return undefined;
  const header = parseHeader(bytes);
  if (header?.source !== source)
    throw damaged(folder, `what it says of the source ${quoted(source)} is unreadable`);
  if (![...tenantKeys.map(keyId), ...shredded].includes(header.key)) {
    throw new NumberingError(
      "other_key",
      `The source ${quoted(source)} in ${folder} is numbered under another tenant key: use that one, or another source`,
    );
  }
  const next = BigInt(header.next);
  const hasLast = next === 1n || get(db, of, numberKey(source, next - 1n)) !== undefined;
  if (!hasLast || get(db, of, numberKey(source, next)) !== undefined) {
    throw damaged(folder, `the numbers of the source ${quoted(source)} do not end where they should`);
  }
  return header;
}

function parseHeader(bytes: Buffer): Header | undefined {
  try {
    const { v, source, next, key }: Record<string, unknown> = JSON.parse(bytes.toString("utf8"));
    const isWhole =
      v === 1 &&
      typeof source === "string" &&
      typeof next === "string" &&
      /^[1-9][0-9]{0,18}$/.test(next) &&
      typeof key === "string";
    return isWhole ? { v, source, next, key } : undefined;
  } catch {
    return undefined;
  }
}

function get(db: Database, { folder }: NumberedSource, key: Buffer): Buffer | undefined {
  try {
    return db.get(key);
  } catch (cause) {
    throw damaged(folder, `${DATABASE} cannot be read`, cause);
  }
}

function finder(db: Database, of: NumberedSource) {
  return (event: Occurrence): bigint | undefined => findGiven(db, of, event)?.number;
}

/** The number that it has, and the key that it was given under. */
function findGiven(
  db: Database,
  of: NumberedSource,
  { bytes, occurrence }: Occurrence,
): { number: bigint; tenantKey: Uint8Array } | undefined {
  for (const tenantKey of of.tenantKeys) {
    const stored = get(db, of, eventKey(of.source, eventId(tenantKey, bytes), occurrence));
    if (stored !== undefined) return { number: stored.readBigUInt64BE(), tenantKey };
  }
  return undefined;
}

function assign(
  db: Database,
  of: NumberedSource,
  events: readonly (Occurrence & { commitAs: CommitAs })[],
): (bigint | NumberingError)[] {
  const { folder, source, tenantKeys } = of;
  const [current] = tenantKeys;
  const first = nextOf(db, of);
  let next = first;
  const fresh = new Map<string, { number: bigint; commitment: Buffer }>();
  const puts: [key: Buffer, value: Buffer][] = [];
  const numbers = events.map(({ bytes, occurrence, commitAs }) => {
    const key = eventKey(source, eventId(current, bytes), occurrence);
    const name = key.toString("latin1");
    const mine = fresh.get(name);
    const given = mine === undefined ? findGiven(db, of, { bytes, occurrence }) : undefined;
    const stored = mine?.number ?? given?.number;
    const number = stored ?? next;
    const commitment = Buffer.from(commitAs(number, given?.tenantKey ?? current));
    if (stored !== undefined) {
      const known = mine?.commitment ?? get(db, of, numberKey(source, stored));
      if (known?.equals(commitment)) return stored;
      return new NumberingError(
        "differs",
        `number ${stored} of the source ${quoted(source)} was given to an event of the same bytes with other options (media type, canonicalisation): repeat those. Otherwise ${folder} is damaged`,
      );
    }
    next += 1n;
    fresh.set(name, { number, commitment });
    puts.push([key, uint(number, 8)], [numberKey(source, number), commitment]);
    return number;
  });
  if (puts.length > 0) store(db, of, { first, next, puts });
  return numbers;
}

/** All or nothing, and on the disk when it returns; and only on top of what was read. */
function store(
  db: Database,
  of: NumberedSource,
  { first, next, puts }: { first: bigint; next: bigint; puts: readonly [Buffer, Buffer][] },
): void {
  try {
    db.transactionSync(() => {
      // Two that do not see each other, as from two containers, are told apart here at the latest.
      if (nextOf(db, of) !== first) {
        throw new NumberingError(
          "in_use",
          `Another process has numbered the source ${quoted(of.source)} in ${of.folder} meanwhile: end one of the two, and run this again`,
        );
      }
      for (const [key, value] of puts) db.putSync(key, value);
      writeHeader(db, of, next);
    });
  } catch (cause) {
    if (cause instanceof NumberingError) throw cause;
    throw unwritable(of.folder, cause);
  }
}

function nextOf(db: Database, of: NumberedSource): bigint {
  const bytes = get(db, of, headerKey(of.source));
  const header = bytes === undefined ? undefined : parseHeader(bytes);
  if (header === undefined) throw damaged(of.folder, `the source ${quoted(of.source)} is gone from it`);
  return BigInt(header.next);
}

// ---- the files ----------------------------------------------------------------------------------------------------

function begunIn(folder: string): ReadonlySet<string> {
  try {
    return readBegun(join(folder, BEGUN));
  } catch (cause) {
    const what = cause instanceof SyntaxError ? `${cause.message} in ${BEGUN}` : `${BEGUN} cannot be read`;
    throw damaged(folder, what, cause);
  }
}

/** Whether the folder has a database. */
function hasDatabase(folder: string, begun: ReadonlySet<string>): boolean {
  switch (seen(folder)) {
    case "absent": {
      const [name] = begun;
      if (name !== undefined) throw lost(folder, name);
      return false;
    }
    case "empty":
      // Who was stopped between making the file and its first page had numbered nothing.
      if (begun.size === 0) return false;
      throw damaged(folder, `${DATABASE} is not a database any more`);
    case "foreign":
      throw damaged(folder, `${DATABASE} is not a database any more`);
    case "cut":
      throw damaged(folder, `${DATABASE} is cut short`);
    case "whole":
      return true;
  }
}

function seen(folder: string) {
  try {
    return lookAt(join(folder, DATABASE));
  } catch (cause) {
    throw damaged(folder, `${DATABASE} cannot be read`, cause);
  }
}

async function writing<T>(folder: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw unwritable(folder, cause);
  }
}

const ANEW =
  "Bring the folder back from a backup. If it is gone for good, go on under another name of the source: numbers that were given would be given again.";

const unwritable = (folder: string, cause: unknown): NumberingError =>
  new NumberingError(
    "unwritable",
    `${folder} cannot be written: is there permission, and room? Nothing was numbered`,
    {
      cause,
    },
  );

const lost = (folder: string, source: string): NumberingError =>
  new NumberingError(
    "lost",
    `The source ${quoted(source)} was begun in ${folder}, and its numbers are not there. ${ANEW}`,
  );

const damaged = (folder: string, what: string, cause?: unknown): NumberingError =>
  new NumberingError("damaged", `${folder} is damaged: ${what}. ${ANEW}`, { cause });
