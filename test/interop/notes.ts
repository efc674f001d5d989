import { generateKeyPairSync } from "node:crypto";
import { encodeBase64, utf8Encode } from "@kedge/verify/tlog/bytes";
import {
  ECDSA,
  ED25519,
  ED25519_COSIGNATURE,
  formatVkey,
  MLDSA44_COSIGNATURE,
  makeVkey,
  parseNote,
  parseVkey,
  signatureLine,
  type Vkey,
} from "@kedge/verify/tlog/note";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ed25519Cases, smallOrderRCases } from "../packages/verify/tlog/ed25519.ts";
import { verdict } from "../packages/verify/tlog/reference.ts";
import {
  ecdsaSigner,
  ed25519Cosigner,
  ed25519Signer,
  mldsaCosigner,
  type TextSigner,
  verifyNote,
} from "../packages/verify/tlog/signers.ts";
import { holdsUnusedBits, setUnusedBit } from "./base64.ts";
import { accepted, type Go, verdicts } from "./go.ts";
import { flippedBits, mutations, sample } from "./random.ts";

const encode = (text: string) => utf8Encode(text, "The text");
const lineOf = (signer: TextSigner, text: string) => signatureLine(signer.vkey, signer.sign(text));

const signer = ed25519Signer("log.example/1");
const TEXT = "first line\n\nthird line, after an empty one: —, é and \u{1f40e}\n";
const NOTE = `${TEXT}\n${lineOf(signer, TEXT)}`;

const texts = fc
  .string({ unit: fc.constantFrom("a", "\n", " ", "—", "é", "=", "\u{1f40e}", "\u2028", "\ufeff", "+") })
  .map((body) => `${body}\n`);
const keyNames = fc.string({
  unit: fc.constantFrom("a", "/", ".", "—", "é", "\u{1f40e}", "\u200b", "\u007f"),
  minLength: 1,
  maxLength: 20,
});

export function notes(go: Go): void {
  const here = (note: string | Uint8Array, vkeys: readonly Vkey[]) =>
    verdict(() => verifyNote(parseNote(note), vkeys));

  async function there(note: string | Uint8Array, vkeys: readonly Vkey[]) {
    const bytes = typeof note === "string" ? encode(note) : note;
    return verdicts(await go.openNote([{ note: bytes, vkeys: vkeys.map(formatVkey) }]))[0];
  }

  test("a verifier key made here has the same name and ID there", async () => {
    const vkeys = sample(keyNames, 20).flatMap((name) => [
      ed25519Signer(name).vkey,
      ecdsaSigner(name).vkey,
      ed25519Cosigner(name).vkey,
    ]);
    vkeys.push(mldsaCosigner("witness.example/é").vkey);
    const read = accepted(await go.readVkey(vkeys.map((vkey) => ({ vkey: formatVkey(vkey) }))));
    expect(read).toEqual(vkeys.map(({ name, id }) => ({ name, id })));
  });

  test("notes and verifier keys made there verify here", async () => {
    const requests = sample(
      fc.tuple(texts, fc.uniqueArray(keyNames, { minLength: 1, maxLength: 5 })),
      50,
    ).map(([text, names]) => ({
      text: encode(text),
      signers: names.map((name) => ({ name, type: ED25519 })),
    }));
    for (const [i, { note, vkeys }] of accepted(await go.signNote(requests)).entries()) {
      const keys = vkeys.map(parseVkey);
      const parsed = parseNote(note);
      expect(encode(parsed.text)).toEqual(requests[i]?.text);
      expect(verifyNote(parsed, keys)).toEqual({ verified: keys });
    }
  });

  test("notes made here verify there, signed by Ed25519 and ECDSA keys", async () => {
    const requests = sample(fc.tuple(texts, keyNames), 50).map(([text, name]) => {
      const signers = [ed25519Signer(name), ecdsaSigner(name)];
      const lines = signers.map((by) => lineOf(by, text)).join("");
      return { text, note: encode(`${text}\n${lines}`), keys: signers.map(({ vkey }) => vkey) };
    });
    const opened = accepted(
      await go.openNote(requests.map(({ note, keys }) => ({ note, vkeys: keys.map(formatVkey) }))),
    );
    for (const [i, { text, verified }] of opened.entries()) {
      expect(text).toEqual(encode(requests[i]?.text ?? ""));
      // Of an ECDSA signature of 72 bytes they read a timestamp too: CoSigV1Timestamp goes by the length.
      const keys = verified.map(({ name, id }) => ({ name, id }));
      expect(keys).toEqual(requests[i]?.keys.map(({ name, id }) => ({ name, id })));
    }
  });

  test("one flipped bit, in any byte of a note of either, is refused by both", async () => {
    const [made] = accepted(
      await go.signNote([{ text: encode(TEXT), signers: [{ name: "log.example/go", type: ED25519 }] }]),
    );
    const cases = [
      { note: encode(NOTE), keys: [signer.vkey] },
      { note: made?.note ?? new Uint8Array(), keys: made?.vkeys.map(parseVkey) ?? [] },
    ];
    for (const { note, keys } of cases) {
      expect(here(note, keys)).toBe("accepted");
      expect(await there(note, keys)).toBe("accepted");
      const flips = flippedBits(note);
      const unnoticed = flips.filter(({ flipped }) => here(flipped, keys) === "accepted");
      expect(unnoticed.map(({ at }) => at)).toEqual([]);
      const vkeys = keys.map(formatVkey);
      const answers = verdicts(await go.openNote(flips.map(({ flipped }) => ({ note: flipped, vkeys }))));
      const missed = flips.filter(({ at }, i) => answers[i] === "accepted" && !holdsUnusedBits(note, at));
      expect(missed.map(({ at }) => at)).toEqual([]);
    }
  });

  test("a changed note that is accepted here is accepted there, with the same text", async () => {
    const stranger = lineOf(ed25519Signer("stranger.example/1"), TEXT);
    const changed = mutations(`${NOTE}${stranger}`, 1500).filter(
      (note) => here(note, [signer.vkey]) === "accepted",
    );
    expect(changed.length).toBeGreaterThan(100);
    const vkeys = [formatVkey(signer.vkey)];
    const opened = accepted(await go.openNote(changed.map((note) => ({ note: encode(note), vkeys }))));
    expect(opened.map(({ text }) => text)).toEqual(changed.map((note) => encode(parseNote(note).text)));
  });

  test("a signature is valid here exactly when it is there, but for small order or a key in another encoding", async () => {
    const message = (random: Uint8Array) => encode(`${encodeBase64(random)}\n`);
    const made = [...sample(ed25519Cases(message), 1000), ...smallOrderRCases(message)];
    const cases = made.map((made) => {
      const key = makeVkey("log.example/1", ED25519, made.publicKey);
      const text = new TextDecoder().decode(made.message);
      return { ...made, key, note: `${text}\n${signatureLine(key, made.signature)}` };
    });
    const answers = verdicts(
      await go.openNote(cases.map(({ note, key }) => ({ note: encode(note), vkeys: [formatVkey(key)] }))),
    );
    for (const [i, { note, key, holds, isWeak }] of cases.entries()) {
      expect([i, answers[i] === "accepted"]).toEqual([i, holds]);
      expect([i, here(note, [key])]).toEqual([i, holds && !isWeak ? "accepted" : "bad_signature"]);
    }
    expect(cases.filter(({ holds, isWeak }) => holds && isWeak).length).toBeGreaterThan(17);
  });

  const vkey = formatVkey(signer.vkey);
  const wrongId = (of: Vkey) => formatVkey({ ...of, id: (of.id ^ 1) >>> 0 });
  const p384 = Uint8Array.from(
    generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ type: "spki", format: "der" }),
  );
  const ecdsaKey = makeVkey("a", ECDSA, ecdsaSigner("a").vkey.publicKey);

  test.each([
    ["key ID in upper case", "malformed", "accepted", vkey.replace(/\+.{8}\+/, (id) => id.toUpperCase())],
    ["newline at the end", "malformed", "accepted", `${vkey}\n`],
    ["key ID of another Ed25519 key", "malformed", "refused", wrongId(signer.vkey)],
    ["key ID of another ECDSA key", "malformed", "refused", wrongId(ecdsaKey)],
    ["key ID of another cosignature key", "malformed", "accepted", wrongId(ed25519Cosigner("a").vkey)],
    ["key ID of another ML-DSA-44 key", "malformed", "accepted", wrongId(mldsaCosigner("a").vkey)],
    ["ECDSA key whose name has a space", "malformed", "accepted", formatVkey({ ...ecdsaKey, name: "a b" })],
    [
      "ECDSA key on P-384",
      "unsupported",
      "accepted",
      formatVkey({ name: "a", id: Buffer.from(sha256(p384)).readUInt32BE(0), type: ECDSA, publicKey: p384 }),
    ],
    [
      "reserved type 0xff",
      "unsupported",
      "refused",
      `a+00000000+${encodeBase64(new Uint8Array(33).fill(0xff))}`,
    ],
  ] as const)("verifier key, %s: %s here, %s there", async (_what, ours, theirs, text) => {
    const [answer] = verdicts(await go.readVkey([{ vkey: text }]));
    expect([verdict(() => parseVkey(text)), answer]).toEqual([ours, theirs]);
  });

  const unknown = (count: number) =>
    Array.from({ length: count }, (_, i) => signatureLine({ name: "a", id: i }, Uint8Array.of(1))).join("");
  const forged = signatureLine(signer.vkey, new Uint8Array(64));
  const long = `${"x".repeat(1 << 20)}\n`;

  test.each([
    ["64 signatures", "accepted", "accepted", `${NOTE}${unknown(63)}`, [signer.vkey]],
    ["65 signatures", "malformed", "accepted", `${NOTE}${unknown(64)}`, [signer.vkey]],
    ["101 signatures", "malformed", "refused", `${NOTE}${unknown(100)}`, [signer.vkey]],
    ["more than 1 MiB", "malformed", "accepted", `${long}\n${lineOf(signer, long)}`, [signer.vkey]],
    ["base64 with bits set beyond the end", "malformed", "accepted", setUnusedBit(NOTE), [signer.vkey]],
    ["a forged signature after a valid one", "bad_signature", "accepted", `${NOTE}${forged}`, [signer.vkey]],
    [
      "a forged one before it",
      "bad_signature",
      "refused",
      `${TEXT}\n${forged}${lineOf(signer, TEXT)}`,
      [signer.vkey],
    ],
    ["one key trusted twice", "accepted", "refused", NOTE, [signer.vkey, signer.vkey]],
  ] as const)("note, %s: %s here, %s there", async (_what, ours, theirs, note, keys) => {
    expect([here(note, keys), await there(note, keys)]).toEqual([ours, theirs]);
  });

  test("cosignature keys sign no notes here; there, those of type 0x04 sign any text", async () => {
    const requests = [ED25519_COSIGNATURE, MLDSA44_COSIGNATURE].map((type) => ({
      text: encode(TEXT),
      signers: [{ name: "witness.example/go", type }],
    }));
    const answers = await go.signNote(requests);
    expect(verdicts(answers)).toEqual(["accepted", "refused"]);
    const [made] = accepted(answers.slice(0, 1));
    expect(here(made?.note ?? "", made?.vkeys.map(parseVkey) ?? [])).toBe("unsupported");
  });
}
