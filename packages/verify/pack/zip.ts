/**
 * Zip files (APPNOTE.TXT 6.3): what a pack is written as, and the only forms of it that are read. Two programs must see the
 * same files in it, so the entries, one after another, are all that it holds, and no name can be taken for another.
 *
 * Hostile: all of it. Nothing is inflated before it is asked for, nor beyond the size that is stated.
 */
import { Deflate, deflateSync, Inflate, inflateSync } from "#fflate";
import { concatBytes, joinBytes } from "../tlog/bytes.ts";
import { PackError } from "./error.ts";

/** A file of a zip. What it holds is made of the compressed bytes each time that it is asked for. */
export type ZipFile = {
  /** Bytes, as stated; reading throws PackError `malformed` when it is another. */
  readonly size: number;
  /** In parts of at most 2 MiB. */
  chunks(): Iterable<Uint8Array>;
  /** Whole. Throws PackError `too_large` for one that is above MAX_WHOLE. */
  bytes(): Uint8Array;
  readonly stored: Stored;
};
type Stored = { method: typeof STORED | typeof DEFLATED; crc: number; data: Uint8Array };

/** Of files that are taken whole: as large as the largest event. */
export const MAX_WHOLE = 64 << 20;
const MAX_FILES = 250_000;
/** Of all files. Proofs of 100,000 rows, with post-quantum signatures and timestamps, are 1.5 GB. */
const MAX_TOTAL = 3 * 2 ** 30;
/** A part of compressed bytes gives at most 1,032 times as many: 2 MiB, which are hashed between two pauses. */
const STEP = 1 << 11;
/** Of what is inflated and deflated at once. */
const SMALL = 1 << 16;

const STORED = 0;
const DEFLATED = 8;
const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const DESCRIPTOR = 0x08074b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const END_SIZE = 22;
const END_64_SIZE = 56;
const LOCATOR_64_SIZE = 20;
const HAS_DESCRIPTOR = 1 << 3;
/** How hard it was tried to compress, a descriptor, names in UTF-8. Encryption is none of them. */
const KNOWN_FLAGS = 0b110 | HAS_DESCRIPTOR | (1 << 11);
const U16 = 0xffff;
const U32 = 0xffff_ffff;

/** Names of a pack are ASCII, so that none has a second form. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
/** On Windows a device, whatever ends it; and a name that loses its last dot there. */
const RESERVED = /(^|\/)(con|prn|aux|nul|com\d|lpt\d)(\.|\/|$)|\.(\/|$)/i;
const MAX_NAME = 200;

// ---- reading ------------------------------------------------------------------------------------------------------

/**
 * The files of a zip, in the order of its directory; in steps, for a hundred thousand take a second. Throws PackError
 * `malformed`, `too_large`.
 */
export function* readingZip(zip: Uint8Array): Generator<undefined, Map<string, ZipFile>> {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  const { count, start, end } = directoryOf(view);
  if (count > MAX_FILES)
    throw new PackError("too_large", `It holds ${count} files, and at most ${MAX_FILES} are read`);
  const files = new Map<string, ZipFile>();
  /** In lower case, folders too; and those of files alone. */
  const names = new Set<string>();
  const plain = new Set<string>();
  let at = start;
  let local = 0;
  let total = 0;
  for (let i = 0; i < count; i++) {
    const entry = readEntry(view, at, end);
    at = entry.next;
    // Each begins where the one before it ends: so nothing lies between them, and no two share bytes.
    if (entry.offset !== local) throw malformed("its files do not follow one another");
    const { data, next } = readLocal(view, entry, start);
    local = next;
    total += entry.size;
    if (total > MAX_TOTAL)
      throw new PackError("too_large", `Its files are more than ${MAX_TOTAL} bytes together`);
    if (names.has(entry.name.toLowerCase())) throw malformed(`two of its files are called ${entry.name}`);
    names.add(entry.name.toLowerCase());
    if (!entry.isFolder) plain.add(entry.name.toLowerCase());
    if (!entry.isFolder) files.set(entry.name, zipFileOf(entry.size, { ...entry, data }, entry.name));
    yield;
  }
  if (at !== end || local !== start) throw malformed("it holds more than its directory names");
  for (const name of names) {
    for (let slash = name.indexOf("/"); slash !== -1; slash = name.indexOf("/", slash + 1)) {
      if (plain.has(name.slice(0, slash))) throw malformed(`${name.slice(0, slash)} is a file and a folder`);
    }
    yield;
  }
  return files;
}

/** Where the directory lies: it ends the file, with nothing behind it and no comment. */
function directoryOf(view: DataView): { count: number; start: number; end: number } {
  const at = view.byteLength - END_SIZE;
  if (at < 0 || view.getUint32(at, true) !== END || view.getUint16(at + 20, true) !== 0) {
    throw malformed("it does not end as a zip does: it was cut, or something was put behind it");
  }
  const disks = view.getUint32(at + 4, true);
  const count = view.getUint16(at + 10, true);
  const size = view.getUint32(at + 12, true);
  const start = view.getUint32(at + 16, true);
  if (disks !== 0 || view.getUint16(at + 8, true) !== count) throw malformed("it is a part of several");
  const is64 = count === U16 || size === U32 || start === U32;
  const directory = is64 ? directory64(view, at, { count, size, start }) : { count, start, end: at, size };
  if (directory.start + directory.size !== directory.end)
    throw malformed("its directory is not where it says");
  return directory;
}

/** §4.3.14, §4.3.15: right before the end, and saying what that says wherever that can. */
function directory64(view: DataView, end: number, small: { count: number; size: number; start: number }) {
  const locator = end - LOCATOR_64_SIZE;
  const at = locator - END_64_SIZE;
  if (
    at < 0 ||
    view.getUint32(locator, true) !== LOCATOR_64 ||
    view.getUint32(locator + 4, true) !== 0 ||
    view.getUint32(locator + 16, true) !== 1 ||
    u64(view, locator + 8) !== at ||
    view.getUint32(at, true) !== END_64 ||
    u64(view, at + 4) !== END_64_SIZE - 12 ||
    view.getUint32(at + 16, true) !== 0 ||
    view.getUint32(at + 20, true) !== 0 ||
    u64(view, at + 24) !== u64(view, at + 32)
  ) {
    throw malformed("the end of its directory cannot be read");
  }
  const [count, size, start] = [u64(view, at + 32), u64(view, at + 40), u64(view, at + 48)];
  const agrees = (short: number, limit: number, value: number) => short === limit || short === value;
  if (
    !agrees(small.count, U16, count) ||
    !agrees(small.size, U32, size) ||
    !agrees(small.start, U32, start)
  ) {
    throw malformed("it has two directories");
  }
  return { count, size, start, end: at };
}

function u64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

type Entry = {
  name: string;
  isFolder: boolean;
  flags: number;
  method: Stored["method"];
  crc: number;
  packed: number;
  size: number;
  offset: number;
  next: number;
};

const CENTRAL_SIZE = 46;
const LOCAL_SIZE = 30;
const FROM_UNIX = 3;
const DOS_FOLDER = 0x10;
/**
 * Times and owners, as Unix, Windows and macOS write them. Any other may give a file another name (0x7075), or say that it is a
 * link, to programs that know it.
 */
const EXTRAS: readonly number[] = [0x000a, 0x5455, 0x5855, 0x7855, 0x7875];

function readEntry(view: DataView, at: number, end: number): Entry {
  if (at + CENTRAL_SIZE > end || view.getUint32(at, true) !== CENTRAL)
    throw malformed("its directory is cut");
  const u16 = (offset: number): number => view.getUint16(at + offset, true);
  const u32 = (offset: number): number => view.getUint32(at + offset, true);
  const [flags, method] = [u16(8), u16(10)];
  const [nameLength, extraLength] = [u16(28), u16(30)];
  const nameEnd = at + CENTRAL_SIZE + nameLength;
  const next = nameEnd + extraLength;
  if (next > end) throw malformed("its directory is cut");
  const { name, isFolder } = readName(view, at + CENTRAL_SIZE, nameLength);
  checkExtra(view, nameEnd, next, name);
  // Whatever system it says that it was made by: programs differ in whose modes they take for those of Unix, or of DOS.
  const [type, isDosFolder] = [u32(38) >>> 28, (u32(38) & DOS_FOLDER) !== 0];
  if ((type !== 0 && type !== (isFolder ? 4 : 8)) || (isDosFolder && !isFolder))
    throw malformed(`${name} is a link, or no file`);
  if ((flags & ~KNOWN_FLAGS) !== 0)
    throw malformed(`${name} is encrypted, or of a form that is not read here`);
  if (method !== STORED && method !== DEFLATED)
    throw malformed(`${name} is compressed in a way that is not read here`);
  const [crc, packed, size, offset] = [u32(16), u32(20), u32(24), u32(42)];
  const isSplit = u16(32) !== 0 || u16(34) !== 0;
  if (isSplit || packed === U32 || size === U32 || offset === U32 || (method === STORED && packed !== size)) {
    throw malformed(`the entry of ${name} cannot be read`);
  }
  if (isFolder && size !== 0) throw malformed(`${name} is a folder that holds bytes`);
  return { name, isFolder, flags, method, crc, packed, size, offset, next };
}

/** Each is an id and the length of what follows (§4.5.1). */
function checkExtra(view: DataView, start: number, end: number, name: string): void {
  for (let at = start; at < end; at += 4 + view.getUint16(at + 2, true)) {
    if (at + 4 > end || !EXTRAS.includes(view.getUint16(at, true))) {
      throw malformed(`${name} has an extra field that may give it another name or form`);
    }
  }
}

const isName = (name: string): boolean => NAME.test(name) && !RESERVED.test(name);

function readName(view: DataView, at: number, length: number): { name: string; isFolder: boolean } {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, Math.min(length, MAX_NAME + 1));
  const text = String.fromCharCode(...bytes);
  const isFolder = text.endsWith("/");
  const name = isFolder ? text.slice(0, -1) : text;
  if (length > MAX_NAME || !isName(name)) {
    throw malformed(
      "it holds a file of a name that no pack has: of other characters, above its folder, or too long",
    );
  }
  return { name, isFolder };
}

/** What stands before the bytes themselves says the same; what may stand behind them (§4.3.9) too. */
function readLocal(view: DataView, entry: Entry, end: number): { data: Uint8Array; next: number } {
  const { name, isFolder, flags, method, crc, packed, size, offset } = entry;
  // Made where it is thrown: it costs more than all else here.
  const wrong = () => malformed(`the entry of ${name} says two things`);
  if (offset + LOCAL_SIZE > end || view.getUint32(offset, true) !== LOCAL) throw wrong();
  const nameLength = view.getUint16(offset + 26, true);
  const nameEnd = offset + LOCAL_SIZE + nameLength;
  const start = nameEnd + view.getUint16(offset + 28, true);
  const dataEnd = start + packed;
  if (dataEnd > end) throw wrong();
  checkExtra(view, nameEnd, start, name);
  const sizes = [crc, packed, size];
  const stated = [14, 18, 22].map((at) => view.getUint32(offset + at, true));
  const isLater = (flags & HAS_DESCRIPTOR) !== 0 && stated.every((value) => value === 0);
  const same = stated.every((value, i) => value === sizes[i]);
  const own = readName(view, offset + LOCAL_SIZE, nameLength);
  const isSame =
    view.getUint16(offset + 6, true) === flags &&
    view.getUint16(offset + 8, true) === method &&
    own.name === name &&
    own.isFolder === isFolder;
  if (!isSame || !(same || isLater)) throw wrong();
  const data = new Uint8Array(view.buffer, view.byteOffset + start, packed);
  if ((flags & HAS_DESCRIPTOR) === 0) return { data, next: dataEnd };
  const marked = dataEnd + 4 <= end && view.getUint32(dataEnd, true) === DESCRIPTOR ? 4 : 0;
  const next = dataEnd + marked + 12;
  if (next > end || sizes.some((value, i) => view.getUint32(dataEnd + marked + 4 * i, true) !== value))
    throw wrong();
  return { data, next };
}

function zipFileOf(size: number, stored: Stored, name: string): ZipFile {
  const chunks = () => checked(size, stored, name);
  return {
    size,
    stored,
    chunks,
    bytes() {
      if (size > MAX_WHOLE) {
        throw new PackError("too_large", `${name} is larger than ${MAX_WHOLE} bytes`, { file: name });
      }
      return joinBytes([...chunks()]);
    },
  };
}

function* checked(size: number, { method, crc, data }: Stored, name: string): Generator<Uint8Array> {
  const damaged = (cause?: unknown) =>
    new PackError("malformed", `${name} is damaged: get the pack again`, { cause, file: name });
  let sum = 0;
  let length = 0;
  for (const chunk of method === STORED ? parts(data) : inflated(data, size, damaged)) {
    length += chunk.length;
    if (length > size) throw damaged();
    sum = crc32(chunk, sum);
    yield chunk;
  }
  if (length !== size || sum !== crc) throw damaged();
}

function* parts(data: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += SMALL) yield data.subarray(at, at + SMALL);
}

function* inflated(
  data: Uint8Array,
  size: number,
  damaged: (cause: unknown) => PackError,
): Generator<Uint8Array> {
  if (size <= SMALL && data.length <= SMALL) {
    let whole: Uint8Array;
    try {
      // A byte more than it should have room for: what is longer shows.
      whole = inflateSync(data, { out: new Uint8Array(size + 1) });
    } catch (cause) {
      throw damaged(cause);
    }
    yield whole;
    return;
  }
  const ready: Uint8Array[] = [];
  const stream = new Inflate((chunk) => ready.push(chunk));
  for (let at = 0; at < data.length; at += STEP) {
    try {
      stream.push(data.subarray(at, at + STEP), at + STEP >= data.length);
    } catch (cause) {
      throw damaged(cause);
    }
    yield* ready.splice(0);
  }
}

function malformed(what: string): PackError {
  return new PackError("malformed", `This is no pack that can be relied on: ${what}`);
}

// ---- writing ------------------------------------------------------------------------------------------------------

/** A file to write. */
export function zipFile(name: string, content: Uint8Array): ZipFile {
  const file = startFile(name);
  file.write(content);
  return file.end();
}

/** A file that is written in parts, of which no more than what they are compressed to is kept. */
export type FileWriter = { write(bytes: Uint8Array): void; end(): ZipFile };

/** The same bytes make the same file, however they are cut into parts. */
export function startFile(name: string): FileWriter {
  const out: Uint8Array[] = [];
  const waiting = new Uint8Array(SMALL);
  let [filled, size, crc] = [0, 0, 0];
  let stream: Deflate | undefined;
  return {
    write(bytes) {
      size += bytes.length;
      crc = crc32(bytes, crc);
      for (let at = 0; at < bytes.length; ) {
        if (filled === SMALL) {
          stream ??= new Deflate(LEVEL, (chunk) => out.push(chunk));
          stream.push(waiting.slice());
          filled = 0;
        }
        const part = bytes.subarray(at, at + SMALL - filled);
        waiting.set(part, filled);
        filled += part.length;
        at += part.length;
      }
    },
    end() {
      const last = waiting.slice(0, filled);
      if (stream !== undefined) {
        stream.push(last, true);
        return zipFileOf(size, { method: DEFLATED, crc, data: joinBytes(out) }, name);
      }
      const data = deflateSync(last, LEVEL);
      if (data.length < size) return zipFileOf(size, { method: DEFLATED, crc, data }, name);
      return zipFileOf(size, { method: STORED, crc, data: last }, name);
    },
  };
}

/** Said in full: what is left to the library depends on the size. */
const LEVEL = { level: 6, mem: 4 } as const;

/** 1980-01-01, 00:00: a zip has no earlier time, and none that says its zone. */
const DATE = (1 << 5) | 1;
const MADE_BY = (FROM_UNIX << 8) | 20;
/** A regular file that all may read. */
const MODE = 0o100644;

/** The zip of these files, in their order: the same bytes from the same files. Throws PackError `too_large`. */
export function writeZip(files: ReadonlyMap<string, ZipFile>): Uint8Array {
  const out: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { size, stored }] of files) {
    if (!isName(name) || name.length > MAX_NAME) throw malformed(`no pack has a file called ${name}`);
    const path = new TextEncoder().encode(name);
    const { method, crc, data } = stored;
    const common = [u16s(method, 0, DATE), u32s(crc, data.length, size), u16s(path.length, 0)];
    const local = concatBytes(u32s(LOCAL), u16s(20, 0), ...common, path);
    out.push(local, data);
    directory.push(
      concatBytes(
        u32s(CENTRAL),
        u16s(MADE_BY, 20, 0),
        ...common,
        u16s(0, 0, 0),
        u32s((MODE << 16) >>> 0, offset),
        path,
      ),
    );
    offset += local.length + data.length;
    if (offset > U32 - 1)
      throw new PackError("too_large", "The pack is larger than 4 GB: choose a shorter period");
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const count = files.size;
  return joinBytes([
    ...out,
    ...directory,
    ...(count < U16 ? [] : [end64(count, size, offset)]),
    end(count, size, offset),
  ]);
}

const end = (count: number, size: number, start: number): Uint8Array => {
  const short = Math.min(count, U16);
  return concatBytes(u32s(END), u16s(0, 0, short, short), u32s(size, start), u16s(0));
};

function end64(count: number, size: number, start: number): Uint8Array {
  const at = start + size;
  return concatBytes(
    u32s(END_64, END_64_SIZE - 12, 0),
    u16s(45, 45),
    u32s(0, 0, count, 0, count, 0, size, 0, start, 0),
    u32s(LOCATOR_64, 0, at, 0, 1),
  );
}

function u16s(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [value & 0xff, value >>> 8]));
}

function u32s(...values: number[]): Uint8Array {
  return concatBytes(...values.map((value) => u16s(value & U16, value >>> 16)));
}

// ---- CRC-32 (APPNOTE.TXT §4.4.7) ----------------------------------------------------------------------------------

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32(bytes: Uint8Array, before: number): number {
  let crc = ~before;
  for (let at = 0; at < bytes.length; at++) {
    crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  }
  return ~crc >>> 0;
}
