/** What proof files are called, and by which names events and proofs find each other. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

export const PROOF_SUFFIX = ".tlog-proof";

/**
 * Bytes of a name, before its line: a file system takes 255, and there follow the line, a mark of 17, the suffix, and
 * what a file is called while it is written.
 */
const MAX_PART = 180;
/** 64 bits of a hash, after what has to be told from another of the same name. */
const MARK = /~[0-9a-f]{16}$/;
const mark = (hash: string): string => `~${hash.slice(0, 16)}`;
/** What Windows takes for a device, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)/i;

/**
 * What the proof of an event is called, below the folder of proofs and without its suffix. Records and folders may come
 * from others: the name does not lead out of that folder, and any file system can hold it.
 */
export function proofName(path: string, line?: number): string {
  const parts = path.split(/[/\\]/).filter((part) => part !== "" && part !== "." && part !== "..");
  const name = parts.map(safePart).join("/");
  return `${name === "-" ? "stdin" : name || "event"}${line === undefined ? "" : `.${line}`}`;
}

/** Another name of the same event's proof, for where its own is taken by the proof of another. */
export function markedName(name: string, commitment: string): string {
  return `${name}${mark(commitment)}`;
}

/** The same for names that differ in their mark alone, or that a file system may not tell apart. */
export function pairKey(name: string): string {
  return name.replace(MARK, "").toLowerCase();
}

/** The keys that a file of a proof is found by; one written by an older version has no shortened name. */
export function pairKeysOf(path: string): string[] {
  const name = (path.endsWith(PROOF_SUFFIX) ? path.slice(0, -PROOF_SUFFIX.length) : path).replace(MARK, "");
  const [, event, line] = /^(.+)\.([1-9][0-9]{0,14})$/s.exec(name) ?? [];
  const ofLine = event === undefined ? [] : [proofName(event, Number(line))];
  return [...new Set([proofName(name), ...ofLine].map(pairKey))];
}

function safePart(part: string): string {
  const safe = part
    .normalize("NFC")
    .replace(/[\p{C}<>:"|?*]/gu, "_")
    .replace(/[. ]+$/, (tail) => "_".repeat(tail.length));
  return shortened(DEVICE.test(safe) ? `_${safe}` : safe);
}

function shortened(part: string): string {
  if (utf8ToBytes(part).length <= MAX_PART) return part;
  const own = mark(bytesToHex(sha256(utf8ToBytes(part))));
  let start = "";
  let size = own.length;
  for (const character of part) {
    size += utf8ToBytes(character).length;
    if (size > MAX_PART) break;
    start += character;
  }
  return start + own;
}
