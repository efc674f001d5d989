/**
 * Trust policies (c2sp.org/tlog-policy, Policy file syntax and structure): logs, witnesses and who of them suffices.
 *
 *     log <vkey> [<url>]
 *     witness <name> <vkey> [<url>]
 *     group <name> all|any|<k> <name>…
 *     quorum none|<name>
 */
import { quoted } from "../text.ts";
import { boundedText, equalBytes, parseDecimal } from "./bytes.ts";
import {
  checkSignedByLog,
  type ParsedCheckpoint,
  parseCheckpoint,
  type VerifiedSignature,
  verifySignatures,
} from "./checkpoint.ts";
import { verifyCosignature } from "./cosignature.ts";
import { TlogError } from "./error.ts";
import {
  ED25519_COSIGNATURE,
  formatVkey,
  MLDSA44_COSIGNATURE,
  matchSignatures,
  parseVkey,
  type Vkey,
} from "./note.ts";

/** A policy has at most this many logs, witnesses and groups, each (the specification asks for 32). */
const MAX_DEFINITIONS = 128;
/** A policy is at most this many bytes of UTF-8. */
const MAX_POLICY_SIZE = 1 << 20;
/** The predefined quorum that needs no cosignature. */
const NONE = "none";

type PolicyLog = { vkey: Vkey; url?: string };
type PolicyWitness = { name: string; vkey: Vkey; url?: string };
/** Witnesses a checkpoint when at least `threshold` of its members do. */
type PolicyGroup = { name: string; threshold: number; members: string[] };

/** A trust policy (c2sp.org/tlog-policy). Every name is defined before it is used. */
export type Policy = {
  logs: PolicyLog[];
  witnesses: PolicyWitness[];
  groups: PolicyGroup[];
  quorum: string;
};

/**
 * Parses a trust policy (c2sp.org/tlog-policy). Names and URLs are opaque: no normalisation, and
 * names are equal when every character is. Throws `malformed` with the number of the offending
 * line, or `unsupported` for a key type that does not fit.
 */
export function parsePolicy(input: string): Policy {
  const text = boundedText(input, MAX_POLICY_SIZE, "The policy");
  if (!text.endsWith("\n")) {
    throw new TlogError("malformed", "The last line of a policy ends in a newline");
  }
  const policy: Policy = { logs: [], witnesses: [], groups: [], quorum: "" };
  for (const [i, line] of text.slice(0, -1).split("\n").entries()) {
    try {
      readLine(policy, line);
    } catch (cause) {
      if (!(cause instanceof TlogError)) {
        throw cause;
      }
      throw new TlogError(cause.code, `Policy line ${i + 1}: ${cause.message}`, { cause });
    }
  }
  if (policy.quorum === "") {
    throw new TlogError(
      "malformed",
      "A policy has one quorum line; write `quorum none` to require no witness",
    );
  }
  return policy;
}

/** Throws `unknown_key` when the policy lists logs and none of them is of this origin: it is another log's policy. */
export function checkPolicyLog({ logs }: Policy, origin: string): void {
  const [first] = logs.map(({ vkey }) => vkey.name);
  if (first !== undefined && !logs.some(({ vkey }) => vkey.name === origin)) {
    throw new TlogError("unknown_key", `It is the policy of ${first}, and this log is ${origin}`);
  }
}

/** A policy as text that `parsePolicy` reads back, names defined before they are used (c2sp.org/tlog-policy). */
export function formatPolicy({ logs, witnesses, groups, quorum }: Policy): string {
  const url = (text: string | undefined) => (text === undefined ? "" : ` ${text}`);
  const lines = [
    ...logs.map((log) => `log ${formatVkey(log.vkey)}${url(log.url)}`),
    ...witnesses.map((witness) => `witness ${witness.name} ${formatVkey(witness.vkey)}${url(witness.url)}`),
    ...groups.map(({ name, threshold, members }) => `group ${name} ${threshold} ${members.join(" ")}`),
    `quorum ${quorum}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** Whether these witnesses, by their names in the policy, satisfy its quorum. Other names do not count. */
export function evaluateQuorum(policy: Policy, cosignedWitnessNames: ReadonlySet<string>): boolean {
  const names = policy.witnesses.map(({ name }) => name).filter((name) => cosignedWitnessNames.has(name));
  const satisfied = new Set([NONE, ...names]);
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => satisfied.has(member)).length >= threshold) {
      satisfied.add(name);
    }
  }
  return satisfied.has(policy.quorum);
}

/** A witness whose cosignature is valid, and the earliest of its timestamps, in seconds since the Epoch. */
export type Cosigned = { name: string; vkey: Vkey; timestamp: bigint };

/**
 * Holds a signed checkpoint against a policy. When the policy lists logs, one of them must have
 * signed: throws as `openCheckpoint` does. When it lists none, the log's signature is the caller's
 * to verify. `verified` are signatures on it that the caller has verified: they are not verified again.
 * `invalid` has every witness under whose key a cosignature failed; that does not count, and does not
 * undo a valid one beside it.
 */
export function verifyPolicy(input: {
  policy: Policy;
  checkpoint: string | Uint8Array | ParsedCheckpoint;
  verified?: readonly VerifiedSignature[];
}): { met: boolean; cosigned: Cosigned[]; invalid: { name: string; vkey: Vkey }[] } {
  const { policy, checkpoint, verified = [] } = input;
  const isText = typeof checkpoint === "string" || checkpoint instanceof Uint8Array;
  const parsed = isText ? parseCheckpoint(checkpoint) : checkpoint;
  if (policy.logs.length > 0) {
    const { origin } = parsed.checkpoint;
    const own = policy.logs.map(({ vkey }) => vkey).filter(({ name }) => name === origin);
    const [other] = policy.logs.map(({ vkey }) => vkey.name);
    if (own.length === 0) {
      const message = `The checkpoint's origin is ${quoted(origin)}, and the policy's key is named ${quoted(other ?? "")}`;
      throw new TlogError("unknown_key", `${message}: a policy takes both for one (c2sp.org/tlog-policy)`);
    }
    const known = verified.filter(({ vkey }) => own.some((key) => isSameKey(key, vkey)));
    const others = own.filter((key) => !known.some(({ vkey }) => isSameKey(key, vkey)));
    checkSignedByLog(parsed, [...known, ...verifySignatures(parsed, others)]);
  }
  const cosigned: Cosigned[] = [];
  const invalid: { name: string; vkey: Vkey }[] = [];
  for (const { name, vkey } of policy.witnesses) {
    const results = matchSignatures(parsed.note, [vkey]).map(({ signature }) =>
      timestampOf(vkey, parsed, signature),
    );
    const [timestamp] = results.filter((result) => result !== undefined).sort((a, b) => (a < b ? -1 : 1));
    if (timestamp !== undefined) {
      cosigned.push({ name, vkey, timestamp });
    }
    if (results.includes(undefined)) {
      invalid.push({ name, vkey });
    }
  }
  const met = evaluateQuorum(policy, new Set(cosigned.map(({ name }) => name)));
  return { met, cosigned, invalid };
}

function isSameKey(a: Vkey, b: Vkey): boolean {
  return a === b || (a.name === b.name && a.type === b.type && equalBytes(a.publicKey, b.publicKey));
}

/** The timestamp of a cosignature, undefined when it is invalid. */
function timestampOf(vkey: Vkey, parsed: ParsedCheckpoint, signature: Uint8Array): bigint | undefined {
  try {
    return verifyCosignature(vkey, parsed, signature);
  } catch (error) {
    if (error instanceof TlogError && error.code === "bad_signature") {
      return undefined;
    }
    throw error;
  }
}

/** Adds what one line defines. Lines only refer to earlier ones, so one pass is enough. */
function readLine(policy: Policy, line: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what is refused
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(line)) {
    throw new TlogError("malformed", "the only control characters are tab and newline");
  }
  const [keyword, ...fields] = line.split(/[ \t]+/).filter((field) => field !== "");
  if (keyword === undefined || keyword.startsWith("#")) {
    return;
  }
  if (keyword === "log") {
    addLog(policy, fields);
  } else if (keyword === "witness") {
    addWitness(policy, fields);
  } else if (keyword === "group") {
    addGroup(policy, fields);
  } else if (keyword === "quorum") {
    setQuorum(policy, fields);
  } else {
    throw new TlogError("malformed", "a line begins with log, witness, group, quorum or #");
  }
}

function addLog(policy: Policy, [key, url, ...rest]: string[]): void {
  if (key === undefined || rest.length > 0) {
    throw new TlogError("malformed", "a log is `log <vkey> [<url>]`");
  }
  const vkey = parseVkey(key);
  checkNewKey(policy.logs, vkey);
  policy.logs.push({ vkey, ...(url === undefined ? {} : { url }) });
}

function addWitness(policy: Policy, [name, key, url, ...rest]: string[]): void {
  if (name === undefined || key === undefined || rest.length > 0) {
    throw new TlogError("malformed", "a witness is `witness <name> <vkey> [<url>]`");
  }
  checkNewName(policy, name);
  const vkey = parseVkey(key);
  if (vkey.type !== ED25519_COSIGNATURE && vkey.type !== MLDSA44_COSIGNATURE) {
    throw new TlogError("unsupported", "a witness's key is of type 0x04 or 0x06 (c2sp.org/tlog-cosignature)");
  }
  checkNewKey(policy.witnesses, vkey);
  policy.witnesses.push({ name, vkey, ...(url === undefined ? {} : { url }) });
}

function addGroup(policy: Policy, [name, rule, ...members]: string[]): void {
  if (name === undefined || rule === undefined || members.length === 0) {
    throw new TlogError("malformed", "a group is `group <name> all|any|<k> <name>...`");
  }
  checkNewName(policy, name);
  checkRoom(policy.groups);
  const taken = new Set(policy.groups.flatMap((group) => group.members));
  for (const member of members) {
    if (!isDefined(policy, member)) {
      throw new TlogError("malformed", "a group's members are witnesses and groups of earlier lines");
    }
    if (taken.has(member)) {
      throw new TlogError("malformed", "a name is a group member at most once in a policy");
    }
    taken.add(member);
  }
  policy.groups.push({ name, threshold: parseThreshold(rule, members.length), members });
}

function setQuorum(policy: Policy, [name, ...rest]: string[]): void {
  if (name === undefined || rest.length > 0) {
    throw new TlogError("malformed", "a quorum is `quorum <name>`");
  }
  if (policy.quorum !== "") {
    throw new TlogError("malformed", "a policy has only one quorum line");
  }
  if (name !== NONE && !isDefined(policy, name)) {
    throw new TlogError("malformed", "the quorum is `none`, or a witness or group of an earlier line");
  }
  policy.quorum = name;
}

function parseThreshold(rule: string, members: number): number {
  if (rule === "all" || rule === "any") {
    return rule === "all" ? members : 1;
  }
  const threshold = parseDecimal(rule, "the threshold");
  if (threshold < 1n || threshold > members) {
    throw new TlogError("malformed", `the threshold of this group is from 1 to ${members}`);
  }
  return Number(threshold);
}

/** Two keys are the same when their key material is, whatever their names and types. */
function checkNewKey(known: readonly { vkey: Vkey }[], { publicKey }: Vkey): void {
  checkRoom(known);
  if (known.some(({ vkey }) => equalBytes(vkey.publicKey, publicKey))) {
    throw new TlogError("malformed", "this public key is already listed");
  }
}

function checkNewName(policy: Policy, name: string): void {
  if (name === NONE || isDefined(policy, name)) {
    throw new TlogError("malformed", "this name is already taken");
  }
}

function checkRoom(known: readonly unknown[]): void {
  if (known.length >= MAX_DEFINITIONS) {
    throw new TlogError(
      "malformed",
      `a policy has at most ${MAX_DEFINITIONS} logs, witnesses and groups each`,
    );
  }
}

function isDefined({ witnesses, groups }: Policy, name: string): boolean {
  return witnesses.some((witness) => witness.name === name) || groups.some((group) => group.name === name);
}
