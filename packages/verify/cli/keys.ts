/** Keys of logs as they are handed out: vkeys, files of them, and policies. */
import { isAnchorOrigin, isLogOrigin, splitPolicy } from "../proof/origins.ts";
import { keyLabel, quoted } from "../text.ts";
import { parseVkey, type Vkey } from "../tlog/note.ts";
import { type Policy, parsePolicy } from "../tlog/policy.ts";
import { readIfThere, readText } from "./files.ts";
import { asMisuse, misuse } from "./output.ts";

/** How every vkey looks (c2sp.org/signed-note, Verifier keys). A file of such a name is given as `./…/name`, renamed. */
const VKEY = /^[^+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/;

/** One or more vkeys, separated by white space: while a key takes over, a log has two. */
export function parseVkeys(text: string): Vkey[] {
  return asMisuse(
    () => text.trim().split(/\s+/).map(parseVkey),
    ({ message }) => `A pinned key is malformed: ${message}`,
  );
}

/** What an option for keys is given: vkeys, or else the name of a file that has one on each line. */
export function readVkeys(text: string): Vkey[] {
  if (
    text
      .trim()
      .split(/\s+/)
      .every((word) => VKEY.test(word))
  )
    return parseVkeys(text);
  const content = readIfThere(text.trim());
  if (content === undefined) {
    throw misuse(
      `${quoted(text)} is neither a key, which looks like <name>+<8 hex digits>+<base64>, nor a file of keys. A key is malformed when a character of it is missing: copy it again`,
    );
  }
  const lines = content.split(/\r?\n/).map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const [first] = keys;
  if (first === undefined) throw misuse(`${text} has no key: one on each line is wanted`);
  if (/^(log|witness|group|quorum)[ \t]/.test(first)) {
    throw misuse(`${text} is a policy: give it with --policy`);
  }
  return asMisuse(
    () => keys.flatMap((line) => line.split(/\s+/)).map(parseVkey),
    ({ message }) => `${text} is not a file of keys, one on each line: ${message}`,
  );
}

/** Throws CliError `misuse` for a key that is by its name of the other kind of log. `where` says where it was given. */
export function checkOwner(owner: "log" | "anchor", vkeys: readonly Vkey[], where: string): void {
  const isOther = owner === "log" ? isAnchorOrigin : isLogOrigin;
  const other = vkeys.find(({ name }) => isOther(name));
  if (other === undefined) return;
  throw misuse(
    owner === "log"
      ? `${where}: ${keyLabel(other)} is a key of an anchor log, not of a tenant's log: give it as one (--anchor-vkey)`
      : `${where}: ${keyLabel(other)} is a key of a tenant's log, not of an anchor log: give it as one (--log-vkey)`,
  );
}

/** `policy` is the anchor log's; `logVkeys` are the keys of tenants' logs that the file lists as well, maybe none. */
export function readPolicy(path: string): { policy: Policy; logVkeys: Vkey[] } {
  const text = readText(path);
  const ending = text.includes("\r") ? " It has the line endings of Windows: save it with LF alone." : "";
  const parsed = asMisuse(
    () => parsePolicy(text),
    ({ message }) => `${path} is not a policy. ${message.replace(/\.$/, "")}.${ending}`,
  );
  const { anchor: policy, logs } = splitPolicy(parsed);
  return { policy, logVkeys: logs.map(({ vkey }) => vkey) };
}
