/**
 * Events, proofs and keys, and the verdict on them: what the verifier, the command and the page must all say. Each is given as a
 * person would: files, and keys as text.
 */
import { commitEvent, type EventInput } from "@kedge/verify/events/commitment";
import { withOpening } from "@kedge/verify/proof/extra";
import type { RecordVerdict } from "@kedge/verify/proof/verdict";
import { formatVkey } from "@kedge/verify/tlog/note";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import { PACK_POLICY } from "./pack.ts";
import {
  anchor,
  anchorMldsa,
  EVENT,
  LOG_ORIGIN,
  log,
  logSigner,
  makeProof,
  TENANT_KEY,
  WITNESS_TIME,
  witness1,
  witness2,
  witnessSigner,
} from "./proofs.ts";

export type VerifyCase = {
  name: string;
  event: Uint8Array;
  proof: Uint8Array;
  /** A policy, or vkeys one a line. */
  keys: string;
  /** JSON of an opening, where the proof carries none or another. */
  opening?: string;
  verdict: RecordVerdict;
};

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const utf16 = (text: string): Uint8Array => {
  const units = Uint16Array.from(`\ufeff${text}`, (character) => character.charCodeAt(0));
  return new Uint8Array(units.buffer); // of a little-endian machine, as all that run this are
};
const vkeys = (...signers: { vkey: Parameters<typeof formatVkey>[0] }[]): string =>
  signers.map(({ vkey }) => `${formatVkey(vkey)}\n`).join("");
const everyone = [anchor, anchorMldsa, witness1, witness2];
const whole = makeProof({ anchorSigners: everyone }).proof;
const bare = makeProof({ withOpening: false });
const otherOpening = commitEvent(EVENT, { tenantKey: TENANT_KEY.map((byte) => byte ^ 1) }).opening;
const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, (bytes[at] ?? 0) ^ 1);

type Given = Partial<Omit<VerifyCase, "proof" | "event">> & {
  proof?: string | Uint8Array;
  event?: string | Uint8Array;
};
const bytesOf = (given: string | Uint8Array): Uint8Array => (typeof given === "string" ? utf8(given) : given);
const one = (name: string, verdict: RecordVerdict, given: Given = {}): VerifyCase => ({
  name,
  verdict,
  keys: PACK_POLICY,
  ...given,
  event: bytesOf(given.event ?? EVENT.bytes),
  proof: bytesOf(given.proof ?? whole),
});

const GOOD: VerifyCase[] = [
  one("sealed", "unchanged", { proof: makeProof({}).proof }),
  one("anchored", "unchanged", { proof: makeProof({ anchorSigners: [anchor] }).proof }),
  one("too few witnesses", "unchanged", { proof: makeProof({ anchorSigners: [anchor, witness1] }).proof }),
  one("witnessed", "unchanged"),
  one("the log's key alone", "unchanged", { keys: vkeys(log) }),
  one("keys without a policy", "unchanged", { keys: vkeys(log, anchor, anchorMldsa) }),
  one("keys with a remark and Windows line endings", "unchanged", {
    keys: `# by mail\r\n${vkeys(log, anchor).replaceAll("\n", "\r\n")}`,
  }),
  one("an opening beside the proof", "unchanged", {
    proof: bare.proof,
    opening: JSON.stringify(bare.opening),
  }),
  one("a source and a number", "unchanged", {
    proof: makeProof({ event: { ...EVENT, source: "ehr-7", sequence: 12n } }).proof,
  }),
  one("an event without a byte", "unchanged", {
    event: new Uint8Array(),
    proof: makeProof({ event: { ...EVENT, bytes: new Uint8Array() } }).proof,
  }),
  one("timestamps that nobody checks", "unchanged", {
    proof: makeProof({ extra: (extra) => ({ ...extra, timestamps: ["AAAA"] }) }).proof,
  }),
  one("a forged cosignature beside a good one", "unchanged", {
    proof: makeProof({
      anchorSigners: [
        anchor,
        {
          vkey: witness1.vkey,
          sign: (head) => ({
            ...witnessSigner(witness1.vkey.name, 9, WITNESS_TIME).sign(head),
            id: witness1.vkey.id,
          }),
        },
        witness2,
      ],
    }).proof,
  }),
];

const EXTRAS: [string, (extra: Record<string, unknown>) => unknown][] = [
  ["an unknown member", (extra) => ({ ...extra, assurance: "witnessed" })],
  ["no timestamps", ({ opening }) => ({ opening })],
  ["timestamps that are no list", (extra) => ({ ...extra, timestamps: {} })],
  ["null for the anchor", (extra) => ({ ...extra, anchor: null })],
  ["an array", () => []],
  ["a byte order mark", (extra) => utf8(`\u{feff}${JSON.stringify(extra)}`)],
  ["a member twice", () => utf8('{"timestamps":[],"timestamps":[]}')],
  ["deep nesting", () => utf8(`{"timestamps":${"[".repeat(100_000)}`)],
  ["an unknown version of the opening", (extra) => ({ ...extra, opening: { v: "kedge/v9" } })],
];

const UNTOLD: VerifyCase[] = [
  one("no keys", "untold", { keys: "" }),
  one("a log that is not pinned", "untold", { keys: vkeys(anchor) }),
  one("another key under the pinned name", "untold", {
    proof: makeProof({ logSigners: [logSigner(LOG_ORIGIN, 9)] }).proof,
  }),
  one("an anchor log that is not pinned", "untold", {
    proof: makeProof({ anchorSigners: [logSigner(anchor.vkey.name, 9)] }).proof,
  }),
  one("an anchor part that is no proof", "untold", {
    proof: makeProof({ extra: (extra) => ({ ...extra, anchor: "nothing" }) }).proof,
  }),
  one("no opening", "untold", { proof: bare.proof }),
  one("a file that is no proof", "untold", { proof: "not a proof" }),
  one("an empty proof", "untold", { proof: "" }),
  one("a proof that is no text", "untold", { proof: Uint8Array.of(0xff, 0xfe) }),
  one("half of a proof", "untold", { proof: whole.slice(0, whole.length / 2) }),
  one("the event in place of the proof", "untold", { proof: EVENT.bytes }),
  one("a byte order mark before the anchor part", "untold", {
    proof: makeProof({
      anchorSigners: everyone,
      extra: (extra) => ({ ...extra, anchor: `\ufeff${String(extra["anchor"])}` }),
    }).proof,
  }),
  ...EXTRAS.map(([name, extra]) =>
    one(`an extra line with ${name}`, "untold", { proof: makeProof({ extra }).proof }),
  ),
];

/** Nothing was changed but the form: the file is not, byte for byte, what was logged. */
const pretty = '{\n  "resourceType": "AuditEvent",\n  "action": "R"\n}\n';
const eventGiven = (
  name: string,
  committed: string,
  event: string | Uint8Array,
  more?: Partial<EventInput>,
) =>
  one(name, "changed", {
    event,
    proof: makeProof({ event: { ...EVENT, ...more, bytes: utf8(committed) } }).proof,
  });
const CONVERTED: VerifyCase[] = [
  eventGiven("LF became CRLF", pretty, pretty.replaceAll("\n", "\r\n")),
  eventGiven("CRLF became LF", pretty.replaceAll("\n", "\r\n"), pretty),
  eventGiven("a final newline was added", "{}", "{}\n"),
  eventGiven("the final newline was removed", pretty, pretty.trimEnd()),
  eventGiven("a byte order mark was added", pretty, `\ufeff${pretty}`),
  eventGiven("the byte order mark was removed", `\ufeff${pretty}`, pretty),
  eventGiven("saved as UTF-16", pretty, utf16(pretty)),
  eventGiven("JSON was indented", '{"a":[1,2]}', '{\n  "a": [\n    1,\n    2\n  ]\n}'),
  eventGiven("JSON was made compact", pretty, '{"resourceType":"AuditEvent","action":"R"}'),
  one("the proof has CRLF", "changed", { proof: whole.replaceAll("\n", "\r\n") }),
  one("the proof lost its last newline", "changed", { proof: whole.trimEnd() }),
  one("the proof begins with a byte order mark", "changed", { proof: `\ufeff${whole}` }),
  one("the proof was saved as UTF-16", "changed", { proof: utf16(whole) }),
];

const inCheckpoint = whole.indexOf("\n\n") + 2 + LOG_ORIGIN.length + 4;
const REFUTED: VerifyCase[] = [
  one("one bit of the event", "changed", { event: flipped(EVENT.bytes, 20) }),
  one("another event", "changed", { event: '{"resourceType":"AuditEvent","action":"D"}' }),
  one("an opening of another key", "changed", { proof: withOpening(bare.proof, otherOpening) }),
  one("one bit of a hash of the proof", "changed", {
    proof: formatProof({
      ...parseProof(whole),
      hashes: parseProof(whole).hashes.map((hash, i) => (i === 0 ? flipped(hash, 5) : hash)),
    }),
  }),
  one("another place of the proof", "changed", { proof: formatProof({ ...parseProof(whole), index: 2n }) }),
  one("one bit of the checkpoint", "changed", {
    proof: new TextDecoder().decode(utf8(whole).with(inCheckpoint, whole.charCodeAt(inCheckpoint) ^ 1)),
  }),
  one("the anchor part of another checkpoint", "changed", {
    proof: makeProof({
      extra: (extra) => ({
        ...extra,
        anchor: (() => {
          const { anchor: other }: { anchor: string } = JSON.parse(
            new TextDecoder().decode(parseProof(makeProof({ size: 8, anchorSigners: everyone }).proof).extra),
          );
          return other;
        })(),
      }),
    }).proof,
  }),
  one("a value of JSON that was canonicalised", "changed", {
    event: '{"a":2}',
    proof: makeProof({ event: { ...EVENT, canonicalisation: "jcs", bytes: utf8('{"a":1}') } }).proof,
  }),
];

export const VERIFY_CASES: readonly VerifyCase[] = [
  ...GOOD,
  one("JSON in another order, canonicalised", "unchanged", {
    event: '{"b":2, "a":1}',
    proof: makeProof({ event: { ...EVENT, canonicalisation: "jcs", bytes: utf8('{"a":1,"b":2}') } }).proof,
  }),
  ...UNTOLD,
  ...CONVERTED,
  ...REFUTED,
];
