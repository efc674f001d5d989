/**
 * OpenTimestamps: the `.ots` file (DetachedTimestampFile, version 1 of its serialisation), and what it leads to.
 *
 * A file is a hash and a tree of operations on it; at its leaves stand attestations. A Bitcoin attestation claims that
 * the bytes there are the merkle root of a block: what is left to check is that the block of that height has it.
 * Order of bytes is Bitcoin's internal one, which explorers show reversed. Pure.
 */
import { ripemd160 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { hexToBytes } from "@noble/hashes/utils.js";
import { TimestampError } from "../error.ts";
import { concatBytes, equalBytes } from "../tlog/bytes.ts";

/** A file is at most this many bytes; those of public calendars have 500 to 3,000. */
export const MAX_OTS_SIZE = 32 << 10;

export type OtsOp = { kind: "sha256" | "ripemd160" } | { kind: "append" | "prepend"; bytes: Uint8Array };

export type OtsAttestation =
  /** A calendar's promise; `uri` is where to ask for more. */
  | { kind: "pending"; uri: string }
  /** The bytes here are the merkle root of the Bitcoin block of this height. */
  | { kind: "bitcoin"; height: number }
  | { kind: "unknown"; tag: Uint8Array; payload: Uint8Array };

/** What is done with some bytes: each branch leads to other bytes, each attestation speaks of these. */
export type OtsTree = {
  readonly attestations: readonly OtsAttestation[];
  readonly branches: readonly { readonly op: OtsOp; readonly tree: OtsTree }[];
};

/** A `.ots` file over a SHA-256 hash of 32 bytes. */
export type OtsFile = { readonly hash: Uint8Array; readonly tree: OtsTree };

/** An attestation and the bytes that it speaks of. */
export type OtsClaim = { attestation: OtsAttestation; message: Uint8Array };

const MAGIC = Uint8Array.of(
  ...[0x00, ...ascii("OpenTimestamps"), 0x00, 0x00, ...ascii("Proof")],
  ...[0x00, 0xbf, 0x89, 0xe2, 0xe8, 0x84, 0xe8, 0x92, 0x94],
);
const VERSION = 1;

const ATTESTATION = 0x00;
const FORK = 0xff;
const OPS = { ripemd160: 0x03, sha256: 0x08, append: 0xf0, prepend: 0xf1 } as const;
/**
 * Of the reference implementation, without an operand, and not done here: SHA-1, for whoever makes the message can make
 * two with one hash, Keccak-256, reverse, hexlify. What stands below them is passed over.
 */
const BARE_OPS: ReadonlySet<number> = new Set([0x02, 0x67, 0xf2, 0xf3]);
const PENDING = Uint8Array.of(0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e);
const BITCOIN = Uint8Array.of(0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01);

/** The limits of the reference implementation. */
const MAX_MESSAGE = 4096;
const MAX_PAYLOAD = 8192;
const MAX_DEPTH = 256;
const URI = /^https?:\/\/[A-Za-z0-9.\-_/:]{1,990}$/;

/**
 * What is known of a file: branches with an operation that is not, and what stands in them, are left out.
 * @throws TimestampError `malformed`, or `unsupported` for another hash than SHA-256, or when nothing is known of it.
 */
export function parseOts(bytes: Uint8Array): OtsFile {
  const reader = newReader(bytes);
  if (!equalBytes(reader.take(MAGIC.length), MAGIC)) throw malformed("it is not a .ots file");
  if (reader.varuint() !== VERSION)
    throw new TimestampError("unsupported", "The .ots file is of another version");
  if (reader.byte() !== OPS.sha256)
    throw new TimestampError("unsupported", "The .ots file is not over a SHA-256");
  const hash = reader.take(32);
  return { hash, tree: readWhole(reader) };
}

/** The inverse of `parseOts`. */
export function formatOts({ hash, tree }: OtsFile): Uint8Array {
  return concatBytes(MAGIC, varuint(VERSION), Uint8Array.of(OPS.sha256), hash, formatTree(tree));
}

/** A tree alone, as a calendar answers. @throws as `parseOts`. */
export function parseOtsTree(bytes: Uint8Array): OtsTree {
  return readWhole(newReader(bytes));
}

/** Every attestation with the bytes that the operations lead to. @throws TimestampError `malformed` */
export function otsClaims({ hash, tree }: OtsFile): OtsClaim[] {
  const claims = (message: Uint8Array, { attestations, branches }: OtsTree): OtsClaim[] => [
    ...attestations.map((attestation) => ({ attestation, message })),
    ...branches.flatMap(({ op, tree }) => claims(apply(op, message), tree)),
  ];
  return claims(hash, tree);
}

/** The tree without the attestations that are not kept, and the branches that lead to none; undefined: nothing is left. */
export function pruneOts(tree: OtsTree, keep: (kept: OtsAttestation) => boolean): OtsTree | undefined {
  const attestations = tree.attestations.filter(keep);
  const branches = tree.branches.flatMap(({ op, tree }) => {
    const pruned = pruneOts(tree, keep);
    return pruned === undefined ? [] : [{ op, tree: pruned }];
  });
  return attestations.length + branches.length === 0 ? undefined : { attestations, branches };
}

/** The file with `more` under the bytes `message`, wherever it has a promise about them. @throws TimestampError `malformed` */
export function upgradeOts({ hash, tree }: OtsFile, message: Uint8Array, more: OtsTree): OtsFile {
  const upgrade = (here: Uint8Array, { attestations, branches }: OtsTree): OtsTree => {
    const deeper = branches.map(({ op, tree }) => ({ op, tree: upgrade(apply(op, here), tree) }));
    const isPromised = equalBytes(here, message) && attestations.some(({ kind }) => kind === "pending");
    if (!isPromised) return { attestations, branches: deeper };
    return {
      attestations: [...attestations, ...more.attestations],
      branches: [...deeper, ...more.branches],
    };
  };
  return { hash, tree: upgrade(hash, tree) };
}

/** A block of the Bitcoin chain, as the verifier has it from a source of its own. */
export type BitcoinBlock = {
  height: number;
  /** Merkle root, 32 bytes in internal order. */
  root: Uint8Array;
  /** The header's own time, ms since the epoch; within two hours or so. */
  time?: number;
};

/**
 * Verifies that a file is over these bytes and leads to a block that the verifier has.
 * @throws TimestampError: `incomplete` while there is no Bitcoin attestation, `untrusted` when its block is not among these.
 */
export function verifyOts(
  bytes: Uint8Array,
  message: Uint8Array,
  blocks: readonly BitcoinBlock[],
): BitcoinBlock {
  const file = parseOts(bytes);
  if (!equalBytes(file.hash, sha256(message))) {
    throw new TimestampError("wrong_imprint", "The timestamp is over other bytes than these");
  }
  const claims = bitcoinClaims(file);
  const [first] = claims;
  if (first === undefined) {
    throw new TimestampError(
      "incomplete",
      "The timestamp is a calendar's promise, and in no Bitcoin block yet",
    );
  }
  for (const { height, root } of claims) {
    const block = blocks.find((block) => block.height === height && equalBytes(block.root, root));
    if (block !== undefined) return block;
  }
  const given = claims.find(({ height }) => blocks.some((block) => block.height === height));
  if (given !== undefined) {
    throw new TimestampError(
      "untrusted",
      `Bitcoin block ${given.height} has another merkle root than the timestamp leads to`,
    );
  }
  throw new TimestampError(
    "untrusted",
    `What remains to be checked: whether Bitcoin block ${first.height} has the merkle root ${displayHash(first.root)}`,
  );
}

/** Heights and merkle roots that a file leads to. @throws TimestampError `malformed` */
export function bitcoinClaims(file: OtsFile): { height: number; root: Uint8Array }[] {
  return otsClaims(file).flatMap(({ attestation, message }) =>
    attestation.kind === "bitcoin" && message.length === 32
      ? [{ height: attestation.height, root: message }]
      : [],
  );
}

const HEADER_SIZE = 80;
/** 2^224 / 2^32: far below the difficulty of any block since 2014, and far above what a slip of the pen has. */
const EASIEST_TARGET = 1n << 192n;

/**
 * A block from its header of 80 bytes, whose proof of work is checked. Which height it has stands not in it.
 * @throws TimestampError `malformed`
 */
export function parseBlockHeader(height: number, header: Uint8Array): BitcoinBlock {
  if (header.length !== HEADER_SIZE) throw malformed("a Bitcoin block header has 80 bytes");
  const view = new DataView(header.buffer, header.byteOffset, HEADER_SIZE);
  const bits = view.getUint32(72, true);
  const target = BigInt(bits & 0x7fffff) << BigInt(Math.max(0, 8 * ((bits >>> 24) - 3)));
  const work = BigInt(`0x${displayHash(sha256(sha256(header)))}`);
  if (target > EASIEST_TARGET || work > target)
    throw malformed("the header does not have the work of a Bitcoin block");
  return { height, root: header.slice(36, 68), time: view.getUint32(68, true) * 1000 };
}

/**
 * A block as people hand it on: `<height>:<hex>`, of its header (160 digits), or of its merkle root alone as explorers show it (64).
 * @throws TimestampError `malformed`
 */
export function parseBlock(text: string): BitcoinBlock {
  const [, height, hex] = BLOCK.exec(text) ?? [];
  if (height === undefined || hex === undefined)
    throw malformed(
      "a Bitcoin block is its height, a colon, and 160 hex digits of its header or 64 of its root",
    );
  const bytes = hexToBytes(hex);
  if (bytes.length === HEADER_SIZE) return parseBlockHeader(Number(height), bytes);
  return { height: Number(height), root: bytes.reverse() };
}

const BLOCK = /^(\d{1,9}):([0-9a-fA-F]{160}|[0-9a-fA-F]{64})$/;

/** As explorers and bitcoin-cli show a hash: hex, the last byte first. */
export function displayHash(hash: Uint8Array): string {
  return [...hash]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

function apply(op: OtsOp, message: Uint8Array): Uint8Array {
  const result =
    op.kind === "append"
      ? concatBytes(message, op.bytes)
      : op.kind === "prepend"
        ? concatBytes(op.bytes, message)
        : op.kind === "sha256"
          ? sha256(message)
          : ripemd160(message);
  if (result.length > MAX_MESSAGE) throw malformed("an operation makes too many bytes");
  return result;
}

/** The tree up to the reader's end. Where an operation is not known at all, nothing behind it can be read. */
function readWhole(reader: Reader): OtsTree {
  const unknown = { ops: new Set<number>(), isLost: false };
  const tree = pruneOts(readTree(reader, MAX_DEPTH, unknown), () => true);
  if (!unknown.isLost) reader.end();
  if (tree !== undefined) return tree;
  throw new TimestampError(
    "unsupported",
    `The .ots file has the operation ${[...unknown.ops].join(", ")}, which is not accepted here`,
  );
}

type Unknown = { readonly ops: Set<number>; isLost: boolean };

function readTree(reader: Reader, depth: number, unknown: Unknown): OtsTree {
  if (depth === 0) throw malformed("it is nested too deep");
  const attestations: OtsAttestation[] = [];
  const branches: { op: OtsOp; tree: OtsTree }[] = [];
  for (let more = true; more && !unknown.isLost; ) {
    const first = reader.byte();
    more = first === FORK;
    const tag = more ? reader.byte() : first;
    if (tag === ATTESTATION) {
      attestations.push(readAttestation(reader));
      continue;
    }
    const op = readOp(tag, reader);
    if (op !== undefined) {
      branches.push({ op, tree: readTree(reader, depth - 1, unknown) });
      continue;
    }
    unknown.ops.add(tag);
    if (BARE_OPS.has(tag)) readTree(reader, depth - 1, unknown);
    else unknown.isLost = true;
  }
  return { attestations, branches };
}

/** Undefined for one that is not done here. */
function readOp(tag: number, reader: Reader): OtsOp | undefined {
  if (tag === OPS.sha256) return { kind: "sha256" };
  if (tag === OPS.ripemd160) return { kind: "ripemd160" };
  if (tag === OPS.append || tag === OPS.prepend) {
    const bytes = reader.varbytes(MAX_MESSAGE);
    if (bytes.length === 0) throw malformed("an operation adds nothing");
    return { kind: tag === OPS.append ? "append" : "prepend", bytes };
  }
  return undefined;
}

/** One that cannot be read, whatever its tag, is unknown: it says nothing, and takes nothing from those beside it. */
function readAttestation(reader: Reader): OtsAttestation {
  const tag = reader.take(8);
  const payload = reader.varbytes(MAX_PAYLOAD);
  try {
    return readPayload(tag, payload);
  } catch (error) {
    if (error instanceof TimestampError) return { kind: "unknown", tag, payload };
    throw error;
  }
}

function readPayload(tag: Uint8Array, payload: Uint8Array): OtsAttestation {
  const inner = newReader(payload);
  if (equalBytes(tag, PENDING)) {
    const uri = new TextDecoder().decode(inner.varbytes(1000));
    inner.end();
    if (!URI.test(uri)) throw malformed("a calendar's address is none");
    return { kind: "pending", uri };
  }
  if (equalBytes(tag, BITCOIN)) {
    const height = inner.varuint();
    inner.end();
    return { kind: "bitcoin", height };
  }
  return { kind: "unknown", tag, payload };
}

function formatTree({ attestations, branches }: OtsTree): Uint8Array {
  const items = [
    ...attestations.map((attestation) =>
      concatBytes(Uint8Array.of(ATTESTATION), formatAttestation(attestation)),
    ),
    ...branches.map(({ op, tree }) => concatBytes(formatOp(op), formatTree(tree))),
  ];
  if (items.length === 0) throw malformed("a tree has no attestation");
  return concatBytes(
    ...items.flatMap((item, i) => (i < items.length - 1 ? [Uint8Array.of(FORK), item] : [item])),
  );
}

function formatOp(op: OtsOp): Uint8Array {
  const tag = Uint8Array.of(OPS[op.kind]);
  return "bytes" in op ? concatBytes(tag, varbytes(op.bytes)) : tag;
}

function formatAttestation(attestation: OtsAttestation): Uint8Array {
  if (attestation.kind === "unknown") return concatBytes(attestation.tag, varbytes(attestation.payload));
  return attestation.kind === "pending"
    ? concatBytes(PENDING, varbytes(varbytes(ascii(attestation.uri))))
    : concatBytes(BITCOIN, varbytes(varuint(attestation.height)));
}

type Reader = ReturnType<typeof newReader>;

function newReader(bytes: Uint8Array) {
  if (bytes.length > MAX_OTS_SIZE) throw malformed(`it is larger than ${MAX_OTS_SIZE} bytes`);
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw malformed("it ends too early");
    at += length;
    return bytes.slice(at - length, at);
  };
  const byte = (): number => take(1)[0] ?? 0;
  /** LEB128, at most 5 bytes and not longer than needed. */
  const varuint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const next = byte();
      value += (next & 0x7f) * 2 ** shift;
      if (next < 0x80) {
        if (next === 0 && shift > 0) break;
        return value;
      }
    }
    throw malformed("a number is too long");
  };
  const varbytes = (limit: number): Uint8Array => {
    const length = varuint();
    if (length > limit) throw malformed("a part of it is too long");
    return take(length);
  };
  const end = (): void => {
    if (at !== bytes.length) throw malformed("there are bytes after its end");
  };
  return { take, byte, varuint, varbytes, end };
}

function varuint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) | 0x80);
  return Uint8Array.of(...out, rest);
}

const varbytes = (bytes: Uint8Array): Uint8Array => concatBytes(varuint(bytes.length), bytes);

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function malformed(what: string): TimestampError {
  return new TimestampError("malformed", `The OpenTimestamps proof cannot be read: ${what}`);
}
