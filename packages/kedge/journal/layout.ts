/**
 * How the journal lies in its database (docs/decisions/0025): keys and values as bytes, numbers big-endian, so that the order
 * of the keys is that of the numbers. H is the first 8 bytes of SHA-256(source). Pure.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from "node:crypto";

// ---- keys -------------------------------------------------------------------------------------------------------------

/** The first byte of a key. */
const KIND = {
  /** H: the header of a source. */
  header: "s",
  /** H, number: the record of an event. */
  record: "e",
  /** H, number: its bytes. */
  body: "b",
  /** H, number of an event that is a gap: nothing. */
  gap: "g",
  /** H, key: where the source stands. */
  cursor: "c",
  /** H, id: a message for the upstream. */
  forward: "f",
  /** H, first number of a run that is posted and not sealed: its last number, when it was posted. */
  run: "u",
  /** When it was posted, count: a receipt. */
  receipt: "r",
  /** Epoch: tells tenant keys apart, and says nothing of them. */
  epoch: "k",
  /** Epoch: the key of cursors, encrypted under its tenant key. */
  cursorKey: "w",
} as const;
export type Kind = keyof typeof KIND;

const ids = new Map<string, Buffer>();
function idOf(source: string): Buffer {
  const known = ids.get(source) ?? createHash("sha256").update(source).digest().subarray(0, 8);
  ids.set(source, known);
  return known;
}

export type NumberedKind = "record" | "body" | "gap" | "forward" | "run";

export const headerKey = (source: string): Buffer => Buffer.concat([Buffer.from(KIND.header), idOf(source)]);

export function numberKey(kind: NumberedKind, source: string, number: bigint): Buffer {
  const key = Buffer.alloc(17);
  key.write(KIND[kind], 0, "latin1");
  idOf(source).copy(key, 1);
  key.writeBigUInt64BE(number, 9);
  return key;
}
export const numberOf = (key: Buffer): bigint => key.readBigUInt64BE(9);

/** LMDB has keys of up to 1,978 bytes. */
export const MAX_CURSOR_KEY = 1024;
export const cursorKey = (source: string, key: string): Buffer =>
  Buffer.concat([Buffer.from(KIND.cursor), idOf(source), Buffer.from(key)]);
export const cursorOf = (key: Buffer): string => key.toString("utf8", 9);

export function receiptKey(postedAt: number, count: number): Buffer {
  const key = Buffer.alloc(13);
  key.write(KIND.receipt, 0, "latin1");
  key.writeBigUInt64BE(BigInt(postedAt), 1);
  key.writeUInt32BE(count, 9);
  return key;
}
export const receiptCountOf = (key: Buffer): number => key.readUInt32BE(9);

export function epochKey(epoch: number, kind: "epoch" | "cursorKey" = "epoch"): Buffer {
  const key = Buffer.alloc(5);
  key.write(KIND[kind], 0, "latin1");
  key.writeUInt32BE(epoch, 1);
  return key;
}
export const epochOf = (key: Buffer): number => key.readUInt32BE(1);

/** All keys of a kind: from the first, to before the second. */
export const allOf = (kind: Kind): { start: Buffer; end: Buffer } => ({
  start: Buffer.from(KIND[kind]),
  end: Buffer.of(KIND[kind].charCodeAt(0) + 1),
});

// ---- the header of a source -------------------------------------------------------------------------------------------

export type Header = {
  source: string;
  /** The number that no event has yet. */
  next: bigint;
  /** When the last event was journalled. */
  at: number;
  /** All up to this number are posted. */
  posted: bigint;
  /** So many are sealed. */
  sealed: bigint;
  passedBy: bigint;
  gaps: bigint;
  /** Of all up to this number the bodies are gone. */
  dropped: bigint;
  /** The id that no message for the upstream has yet. */
  forward: bigint;
  /** Of the intake that was opened last; 0 for a source that is shared. */
  owner: bigint;
};
const HEADER_VERSION = 1;
const HEADER_BYTES = 73;

export const newHeader = (source: string): Header => ({
  ...{ source, next: 1n, at: 0 },
  ...{ posted: 0n, sealed: 0n, passedBy: 0n, gaps: 0n, dropped: 0n, forward: 1n, owner: 0n },
});

export function writeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + Buffer.byteLength(header.source));
  bytes[0] = HEADER_VERSION;
  const { next, at, posted, sealed, passedBy, gaps, dropped, forward, owner } = header;
  const numbers = [next, BigInt(at), posted, sealed, passedBy, gaps, dropped, forward, owner];
  for (const [i, number] of numbers.entries()) bytes.writeBigUInt64BE(number, 1 + 8 * i);
  bytes.write(header.source, HEADER_BYTES);
  return bytes;
}

/** undefined when it is none. */
export function readHeader(bytes: Buffer): Header | undefined {
  if (bytes[0] !== HEADER_VERSION || bytes.length <= HEADER_BYTES) return undefined;
  const number = (i: number) => bytes.readBigUInt64BE(1 + 8 * i);
  return {
    ...{ source: bytes.toString("utf8", HEADER_BYTES), next: number(0), at: Number(number(1)) },
    ...{ posted: number(2), sealed: number(3), passedBy: number(4), gaps: number(5) },
    ...{ dropped: number(6), forward: number(7), owner: number(8) },
  };
}

// ---- the record of an event -------------------------------------------------------------------------------------------

export type EventRecord = {
  at: number;
  epoch: number;
  /** Absent while it is not known to be sealed. */
  index?: bigint;
  commitment: Buffer;
  mediaType: string;
  notes: readonly string[];
  /** `sealNonce`: once the body was dropped, and its epoch was not shredded by then. */
  nonce?: Buffer;
};
const RECORD_VERSION = 1;
/** Of a record from its start, in bytes. */
const RECORD = { at: 1, epoch: 9, index: 13, commitment: 21, nonceLength: 53, mediaLength: 54, rest: 55 };
const NO_INDEX = 2n ** 64n - 1n;

/** Version, at, epoch, index, commitment, lengths of nonce and media type, those two, and the notes, NUL between them. */
export function writeRecord({ at, epoch, index, commitment, mediaType, notes, nonce }: EventRecord): Buffer {
  const [sealed, text] = [nonce ?? Buffer.alloc(0), notes.join("\0")];
  const mediaAt = RECORD.rest + sealed.length;
  const bytes = Buffer.alloc(mediaAt + mediaType.length + Buffer.byteLength(text));
  bytes[0] = RECORD_VERSION;
  bytes.writeBigUInt64BE(BigInt(at), RECORD.at);
  bytes.writeUInt32BE(epoch, RECORD.epoch);
  bytes.writeBigUInt64BE(index ?? NO_INDEX, RECORD.index);
  commitment.copy(bytes, RECORD.commitment);
  bytes[RECORD.nonceLength] = sealed.length;
  bytes[RECORD.mediaLength] = mediaType.length;
  sealed.copy(bytes, RECORD.rest);
  bytes.write(mediaType, mediaAt, "latin1");
  bytes.write(text, mediaAt + mediaType.length);
  return bytes;
}

/** undefined when it is none. */
export function readRecord(bytes: Buffer): EventRecord | undefined {
  const [nonceLength = 0, mediaLength = 0] = bytes.subarray(RECORD.nonceLength, RECORD.rest);
  const mediaAt = RECORD.rest + nonceLength;
  if (bytes[0] !== RECORD_VERSION || bytes.length < mediaAt + mediaLength) return undefined;
  const index = bytes.readBigUInt64BE(RECORD.index);
  const notes = bytes.toString("utf8", mediaAt + mediaLength);
  return {
    at: timeOf(bytes),
    epoch: bytes.readUInt32BE(RECORD.epoch),
    ...(index === NO_INDEX ? {} : { index }),
    commitment: commitmentOf(bytes),
    mediaType: bytes.toString("latin1", mediaAt, mediaAt + mediaLength),
    notes: notes === "" ? [] : notes.split("\0"),
    ...(nonceLength === 0 ? {} : { nonce: bytes.subarray(RECORD.rest, mediaAt) }),
  };
}

export const timeOf = (record: Buffer): number => Number(record.readBigUInt64BE(RECORD.at));
export const commitmentOf = (record: Buffer): Buffer =>
  record.subarray(RECORD.commitment, RECORD.nonceLength);

/** @returns whether it had none yet. */
export function setIndex(record: Buffer, index: bigint): boolean {
  const isNew = record.readBigUInt64BE(RECORD.index) === NO_INDEX;
  record.writeBigUInt64BE(index, RECORD.index);
  return isNew;
}

// ---- runs of numbers --------------------------------------------------------------------------------------------------

/** Posted and not sealed, both ends included. */
export type Run = { from: bigint; to: bigint; postedAt: number };

export function writeRun({ to, postedAt }: Run): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(to, 0);
  bytes.writeBigUInt64BE(BigInt(postedAt), 8);
  return bytes;
}
export const readRun = (key: Buffer, bytes: Buffer): Run => ({
  from: numberOf(key),
  to: bytes.readBigUInt64BE(0),
  postedAt: Number(bytes.readBigUInt64BE(8)),
});

// ---- what is secret ---------------------------------------------------------------------------------------------------

const GCM = { iv: 12, tag: 16 } as const;
const PLAIN = 0;
const ENCRYPTED = 1;

/** What a body or message is, so that one cannot stand for another. */
const associated = (kind: "body" | "forward" | "nonce", source: string, number: bigint): Buffer =>
  Buffer.from(`kedge/v1 journal ${kind}\0${source}\0${number}`);

/** A body as it is stored: a byte that says how, epoch, and the bytes; with a key AES-256-GCM: IV, text, tag. */
export function writeBody(
  kind: "body" | "forward",
  { source, number }: { source: string; number: bigint },
  bytes: Uint8Array,
  key: { epoch: number; bodyKey?: Uint8Array | undefined },
): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(key.epoch, 1);
  if (key.bodyKey === undefined) {
    head[0] = PLAIN;
    return Buffer.concat([head, bytes]);
  }
  head[0] = ENCRYPTED;
  // Random, for a number is given again where a commit failed.
  return Buffer.concat([head, encrypt(key.bodyKey, associated(kind, source, number), bytes)]);
}

/**
 * undefined when the key of its epoch is gone. @throws Error when it is not what was written under this number.
 */
export function readBody(
  kind: "body" | "forward",
  { source, number }: { source: string; number: bigint },
  stored: Buffer,
  keyOf: (epoch: number) => { bodyKey?: Uint8Array | undefined } | undefined,
): Buffer | undefined {
  const key = keyOf(stored.readUInt32BE(1));
  if (key === undefined) return undefined;
  const rest = stored.subarray(5);
  if (stored[0] === PLAIN) return rest;
  if (stored[0] !== ENCRYPTED || key.bodyKey === undefined) throw new Error("it cannot be decrypted");
  return decrypt(key.bodyKey, rest, associated(kind, source, number));
}

/** The key that nonces are encrypted under: they go with the tenant key that they were derived from. */
const nonceKey = (tenantKey: Uint8Array): Buffer =>
  createHmac("sha256", tenantKey).update("kedge/v1 journal nonce").digest();

export const sealNonce = (
  { source, number }: { source: string; number: bigint },
  nonce: Uint8Array,
  tenantKey: Uint8Array,
): Buffer => encrypt(nonceKey(tenantKey), associated("nonce", source, number), nonce);

/** @throws Error when it is not what was written under this number. */
export const openNonce = (
  { source, number }: { source: string; number: bigint },
  sealed: Buffer,
  tenantKey: Uint8Array,
): Buffer => decrypt(nonceKey(tenantKey), sealed, associated("nonce", source, number));

// Cursors outlive the epochs: their key is the journal's own, encrypted under each epoch's tenant key.

const CURSOR_KEY = Buffer.from("kedge/v1 journal cursor key");
const wrappingKey = (tenantKey: Uint8Array): Buffer =>
  createHmac("sha256", tenantKey).update("kedge/v1 journal cursors").digest();
export const newCursorKey = (): Buffer => randomBytes(32);
export const sealCursorKey = (cursorKey: Uint8Array, tenantKey: Uint8Array): Buffer =>
  encrypt(wrappingKey(tenantKey), CURSOR_KEY, cursorKey);
/** @throws Error when it is not what was written. */
export const openCursorKey = (sealed: Buffer, tenantKey: Uint8Array): Buffer =>
  decrypt(wrappingKey(tenantKey), sealed, CURSOR_KEY);

const cursorData = (stored: Buffer): Buffer =>
  Buffer.concat([Buffer.from("kedge/v1 journal cursor\0"), stored]);

/** @param stored its key in the database. @param cursorKey undefined in a journal that is kept plain. */
export function writeCursor(stored: Buffer, value: string, cursorKey: Uint8Array | undefined): Buffer {
  if (cursorKey === undefined) return Buffer.concat([Buffer.of(PLAIN), Buffer.from(value)]);
  return Buffer.concat([Buffer.of(ENCRYPTED), encrypt(cursorKey, cursorData(stored), Buffer.from(value))]);
}

/** @throws Error when it is not what was written under this key, or there is no key for it. */
export function readCursor(stored: Buffer, value: Buffer, cursorKey: Uint8Array | undefined): string {
  const rest = value.subarray(1);
  if (value[0] === PLAIN) return rest.toString("utf8");
  if (value[0] !== ENCRYPTED || cursorKey === undefined) throw new Error("it cannot be decrypted");
  return decrypt(cursorKey, rest, cursorData(stored)).toString("utf8");
}

function encrypt(key: Uint8Array, data: Buffer, bytes: Uint8Array): Buffer {
  const iv = freshIv();
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(data);
  return Buffer.concat([iv, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}

/** Random bytes cost as much as the cipher when they are asked for one by one. */
let pool = Buffer.alloc(0);
function freshIv(): Buffer {
  if (pool.length === 0) pool = randomBytes(256 * GCM.iv);
  const iv = pool.subarray(0, GCM.iv);
  pool = pool.subarray(GCM.iv);
  return iv;
}

function decrypt(key: Uint8Array, stored: Buffer, data: Buffer): Buffer {
  if (stored.length < GCM.iv + GCM.tag) throw new Error("it is cut short");
  const decipher = createDecipheriv("aes-256-gcm", key, stored.subarray(0, GCM.iv), {
    authTagLength: GCM.tag,
  })
    .setAAD(data)
    .setAuthTag(stored.subarray(-GCM.tag));
  return Buffer.concat([decipher.update(stored.subarray(GCM.iv, -GCM.tag)), decipher.final()]);
}

/** Tells tenant keys apart, and says nothing of them. */
export const keyCheck = (tenantKey: Uint8Array): Buffer =>
  createHmac("sha256", tenantKey).update("kedge/v1 journal key").digest().subarray(0, 8);
