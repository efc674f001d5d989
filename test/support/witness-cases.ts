/** A log that a witness watches, and a request for every sentence of tlog-witness that names a status code. */

import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { type Checkpoint, checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import { signatureLine, type Vkey } from "@kedge/verify/tlog/note";
import { formatAddCheckpoint, type RefusalCode } from "@kedge/verify/tlog/witness";
import { flip, referenceTree } from "../packages/verify/tlog/reference.ts";
import {
  cosignedBy,
  ecdsaSigner,
  ed25519Key,
  ed25519Signer,
  inKms,
  lineBy,
  mldsa44Key,
  mldsaCosigner,
  signed,
} from "../packages/verify/tlog/signers.ts";

export const ORIGIN = "log.example/anchor";
const KEY = ed25519Signer(ORIGIN);
const SECOND_KEY = ecdsaSigner(ORIGIN);
const MLDSA_KEY = mldsaCosigner(ORIGIN);
const STRANGER = ed25519Signer("stranger.example");
/** The log's name and another key: it has another key ID, so it is unknown. */
const NAMESAKE = ed25519Signer(ORIGIN, "another seed");

/** The keys that the witness trusts for this log, each sufficient alone. */
export const VKEYS: readonly Vkey[] = [KEY.vkey, SECOND_KEY.vkey, MLDSA_KEY.vkey];
export const TRUSTED: ReadonlyMap<string, readonly Vkey[]> = new Map([[ORIGIN, VKEYS]]);

/** The log as it is, and one that differs from entry 20 on. */
export const tree = referenceTree(47n);
export const fork = referenceTree(20n);
/** Twelve logs that agree on their first 20 entries, signed by one key. */
export const FORKS = Array.from({ length: 12 }, (_, i) => referenceTree(BigInt(20 + i)));

export const head = (size: bigint, of = tree): Checkpoint => ({ origin: ORIGIN, size, root: of.root(size) });
export const sign = (checkpoint: Checkpoint, ...lines: string[]): string =>
  signed(checkpoint, lineBy(KEY, checkpoint), ...lines);

/** The same with a second line, by ML-DSA-44. */
export const signTwice = (checkpoint: Checkpoint): string =>
  sign(checkpoint, cosignedBy(MLDSA_KEY, checkpoint, 1n));

/** A request as an honest log makes it, from `old` to `size` of a tree. */
export const request = (old: bigint, size: bigint, of = tree): string =>
  formatAddCheckpoint({ oldSize: old, proof: of.proof(old, size), checkpoint: sign(head(size, of)) });

export type Case = {
  readonly title: string;
  /** The size that was cosigned before, of `tree`; absent: none. */
  readonly latest?: bigint;
  readonly body: string | Uint8Array;
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  /** Of a conflict. */
  readonly size?: bigint;
  /** What the log signed contradicts itself, whoever sent it. */
  readonly isEquivocation?: boolean;
};

/** Why the witness refuses it; undefined: it does not. */
export function codeOf({ status, isEquivocation }: Case): RefusalCode | undefined {
  if (isEquivocation === true) return "equivocation";
  const codes = { 200: undefined, 400: "malformed", 403: "bad_signature", 404: "unknown_log" } as const;
  if (status === 409) return "conflict";
  return status === 422 ? "bad_proof" : codes[status];
}

const replace = (text: string, from: string | RegExp, to: string): string => {
  if (text.replace(from, to) === text) throw new Error(`nothing to replace: ${from}`);
  return text.replace(from, to);
};
/** The line of a signature that the named key never made. */
const forged = (vkey: Vkey, length: number) => signatureLine(vkey, new Uint8Array(length).fill(7));
const hashLine = `${encodeBase64(new Uint8Array(32))}\n`;
const unsignedHead = (checkpoint: Omit<Checkpoint, "origin">, extra = "") =>
  `${ORIGIN}\n${checkpoint.size}\n${encodeBase64(checkpoint.root)}\n${extra}`;
/** A note over any text, which checkpointBody would refuse to write. */
const signText = (text: string) => `${text}\n${signatureLine(KEY.vkey, KEY.sign(text))}`;

const valid: Case[] = [
  { title: "the first checkpoint of a log", body: request(0n, 23n), status: 200 },
  { title: "the first checkpoint of an empty log", body: request(0n, 0n), status: 200 },
  { title: "a checkpoint that extends an empty one", latest: 0n, body: request(0n, 5n), status: 200 },
  { title: "a checkpoint that extends the latest", latest: 23n, body: request(23n, 100n), status: 200 },
  { title: "the latest checkpoint again", latest: 23n, body: request(23n, 23n), status: 200 },
  { title: "the empty checkpoint again", latest: 0n, body: request(0n, 0n), status: 200 },
  {
    title: "a signature by the second key alone",
    body: `old 0\n\n${signed(head(7n), lineBy(SECOND_KEY, head(7n)))}`,
    status: 200,
  },
  {
    title: "a signature by the ML-DSA-44 key alone",
    body: `old 0\n\n${signed(head(7n), cosignedBy(MLDSA_KEY, head(7n), 1n))}`,
    status: 200,
  },
  {
    title: "an ML-DSA-44 signature of the log without a time",
    body: `old 0\n\n${signed(head(7n), cosignedBy(MLDSA_KEY, head(7n), 0n))}`,
    status: 200,
  },
  {
    title: "signatures by unknown keys beside a trusted one, under the log's own name too",
    body: `old 0\n\n${sign(head(7n), lineBy(STRANGER, head(7n)), lineBy(NAMESAKE, head(7n)), forged(STRANGER.vkey, 64))}`,
    status: 200,
  },
  {
    title: "an extension line",
    body: `old 0\n\n${signText(unsignedHead(head(7n), "extension\n"))}`,
    status: 200,
  },
  {
    title: "a proof of 63 lines, the most there can be",
    latest: (1n << 61n) - 1n,
    body: request((1n << 61n) - 1n, (1n << 62n) - 1n),
    status: 200,
  },
];

const request22 = request(22n, 23n);
const malformed: Case[] = [
  ["an empty body", ""],
  ["only a newline", "\n"],
  ["no empty line before the checkpoint", replace(request22, "\n\n", "\n")],
  ["no old size line", replace(request22, /^old 22\n/, "")],
  ["an old size line in capitals", replace(request22, "old", "OLD")],
  ["two spaces in the old size line", replace(request22, "old ", "old  ")],
  ["space after the old size", replace(request22, "old 22", "old 22 ")],
  ["an old size with a leading zero", replace(request22, "old 22", "old 022")],
  ["a negative old size", replace(request22, "old 22", "old -22")],
  ["an old size of 2^63", replace(request22, "old 22", `old ${1n << 63n}`)],
  ["an old size of a million digits", replace(request22, "old 22", `old ${"9".repeat(100_000)}`)],
  ["carriage returns", replace(request22, /\n/g, "\r\n")],
  ["a proof line that is no base64", replace(request22, "\n\n", "\n????\n\n")],
  ["a proof line of 31 bytes", replace(request22, "\n\n", `\n${encodeBase64(new Uint8Array(31))}\n\n`)],
  ["a proof line without padding", replace(request22, "=\n\n", "\n\n")],
  ["64 proof lines", `old 22\n${hashLine.repeat(64)}\n${sign(head(23n))}`],
  ["no checkpoint", "old 0\n\n"],
  ["a checkpoint without signatures", `old 0\n\n${unsignedHead(head(7n))}`],
  ["a checkpoint whose last line has no newline", request22.slice(0, -1)],
  [
    "a tree size with a leading zero",
    `old 0\n\n${signText(`${ORIGIN}\n07\n${encodeBase64(head(7n).root)}\n`)}`,
  ],
  ["a root hash of 31 bytes", `old 0\n\n${signText(`${ORIGIN}\n7\n${encodeBase64(new Uint8Array(31))}\n`)}`],
  ["a checkpoint without a root", `old 0\n\n${signText(`${ORIGIN}\n7\n`)}`],
  ["a body larger than KMS signs", `old 0\n\n${signText(unsignedHead(head(7n), `${"x".repeat(4_000)}\n`))}`],
  ["text that is not UTF-8", Uint8Array.of(0x6f, 0x6c, 0x64, 0x20, 0xff, 0x0a)],
  ["a byte order mark", `\ufeff${request22}`],
].map(([title, body]) => ({ title: `${title}`, latest: 22n, body: body ?? "", status: 400 }));

const other = { ...head(7n), origin: "log.example/another" };
const refused: Case[] = [
  { title: "an unknown origin", body: `old 0\n\n${signed(other, lineBy(KEY, head(7n)))}`, status: 404 },
  {
    title: "an unknown origin, and an old size larger than the checkpoint",
    body: `old 8\n\n${signed(other, lineBy(KEY, head(7n)))}`,
    status: 404,
  },
  {
    title: "no signature by a trusted key",
    body: `old 0\n\n${signed(head(7n), lineBy(STRANGER, head(7n)))}`,
    status: 403,
  },
  {
    title: "a signature by a namesake of the log",
    body: `old 0\n\n${signed(head(7n), lineBy(NAMESAKE, head(7n)))}`,
    status: 403,
  },
  {
    title: "a trusted key's signature of another checkpoint",
    body: `old 0\n\n${signed(head(7n), lineBy(KEY, head(8n)))}`,
    status: 403,
  },
  {
    title: "a valid signature beside a false one of the same key",
    body: `old 0\n\n${sign(head(7n), forged(KEY.vkey, 64))}`,
    status: 403,
  },
  {
    title: "a valid signature beside a false one of the second key",
    body: `old 0\n\n${sign(head(7n), forged(SECOND_KEY.vkey, 70))}`,
    status: 403,
  },
  {
    title: "extension lines that only an ML-DSA-44 signature stands under, which does not cover them",
    body: `old 0\n\n${checkpointBody(head(7n))}spam\n\n${cosignedBy(MLDSA_KEY, head(7n), 1n)}`,
    status: 403,
  },
  {
    title: "a valid signature beside a false ML-DSA-44 one",
    body: `old 0\n\n${sign(head(7n), forged(MLDSA_KEY.vkey, 2428))}`,
    status: 403,
  },
  {
    title: "a valid signature beside one of a wrong length",
    body: `old 0\n\n${sign(head(7n), forged(KEY.vkey, 1))}`,
    status: 403,
  },
  {
    title: "a false signature, and an old size larger than the checkpoint",
    body: `old 8\n\n${signed(head(7n), lineBy(KEY, head(8n)))}`,
    status: 403,
  },
  {
    title: "an old size larger than the checkpoint",
    latest: 23n,
    body: `old 24\n\n${sign(head(23n))}`,
    status: 400,
  },
  {
    title: "an old size larger than the checkpoint, of a log never cosigned",
    body: `old 8\n\n${sign(head(7n))}`,
    status: 400,
  },
  {
    title: "an old size of 0 where one was cosigned",
    latest: 23n,
    body: request(0n, 100n),
    status: 409,
    size: 23n,
  },
  { title: "an old size below the latest", latest: 23n, body: request(22n, 100n), status: 409, size: 23n },
  { title: "an old size above the latest", latest: 23n, body: request(24n, 100n), status: 409, size: 23n },
  { title: "a checkpoint below the latest", latest: 23n, body: request(7n, 9n), status: 409, size: 23n },
  { title: "an old size where none was cosigned", body: request(7n, 9n), status: 409, size: 0n },
  { title: "a fork from an older size", latest: 30n, body: request(20n, 40n, fork), status: 409, size: 30n },
  {
    title: "an old size that does not match, and an empty tree with a root",
    latest: 23n,
    body: `old 0\n\n${signText(unsignedHead({ size: 0n, root: tree.root(7n) }))}`,
    status: 409,
    size: 23n,
    isEquivocation: true,
  },
  {
    title: "another root at the same size, with an old size that does not match",
    latest: 30n,
    body: request(20n, 30n, fork),
    status: 409,
    size: 30n,
    isEquivocation: true,
  },
  {
    title: "another root at the same size, with an old size of 0 and no proof",
    latest: 30n,
    body: `old 0\n\n${sign(head(30n, fork))}`,
    status: 409,
    size: 30n,
    isEquivocation: true,
  },
  {
    title: "an empty tree with a root",
    body: `old 0\n\n${signText(unsignedHead({ size: 0n, root: tree.root(7n) }))}`,
    status: 422,
    isEquivocation: true,
  },
  {
    title: "an empty tree with a root of zeroes",
    latest: 0n,
    body: `old 0\n\n${signText(unsignedHead({ size: 0n, root: new Uint8Array(32) }))}`,
    status: 422,
    isEquivocation: true,
  },
  { title: "a proof from the empty tree", body: `old 0\n${hashLine}\n${sign(head(7n))}`, status: 422 },
  {
    title: "a proof from the empty tree to itself",
    body: `old 0\n${hashLine}\n${sign({ ...head(0n), root: EMPTY_ROOT })}`,
    status: 422,
  },
  { title: "no proof", latest: 23n, body: `old 23\n\n${sign(head(100n))}`, status: 422 },
  {
    title: "a proof with a line more",
    latest: 23n,
    body: replace(request(23n, 100n), "\n\n", `\n${hashLine}\n`),
    status: 422,
  },
  {
    title: "a proof with a line less",
    latest: 23n,
    body: formatAddCheckpoint({
      oldSize: 23n,
      proof: tree.proof(23n, 100n).slice(1),
      checkpoint: sign(head(100n)),
    }),
    status: 422,
  },
  {
    title: "a proof with a bit flipped",
    latest: 23n,
    body: formatAddCheckpoint({
      oldSize: 23n,
      proof: tree.proof(23n, 100n).map((hash, i) => (i === 2 ? flip(hash, 5) : hash)),
      checkpoint: sign(head(100n)),
    }),
    status: 422,
  },
  { title: "a fork with its own proof", latest: 30n, body: request(30n, 40n, fork), status: 422 },
  {
    title: "another root at the same size",
    latest: 30n,
    body: request(30n, 30n, fork),
    status: 422,
    isEquivocation: true,
  },
  {
    title: "another root at the same size, with a proof",
    latest: 30n,
    body: `old 30\n${hashLine}\n${sign(head(30n, fork))}`,
    status: 422,
    isEquivocation: true,
  },
  {
    title: "the latest again, with a proof",
    latest: 23n,
    body: `old 23\n${hashLine}\n${sign(head(23n))}`,
    status: 422,
  },
];

export const CASES: readonly Case[] = [...valid, ...malformed, ...refused];

/** The witness. */
export const NAME = "witness.example/w1";
export const KEYS = {
  ed25519: inKms(ed25519Key("a witness")),
  mldsa44: inKms(mldsa44Key("a witness")),
};
