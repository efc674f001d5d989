import { commitEvent } from "@kedge/verify/events/commitment";
import { withOpening } from "@kedge/verify/proof/extra";
import { kept } from "@kedge/verify/proof/kept";
import { ASSURANCES, openVerifier, type VerifyReport, verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { TlogError } from "@kedge/verify/tlog/error";
import { formatVkey, parseVkey, type Vkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ANCHOR_ORIGIN,
  anchor,
  anchorMldsa,
  EVENT,
  filler,
  inclusion,
  LOG_ORIGIN,
  log,
  logSigner,
  makeProof,
  mldsaSigner,
  OPERATOR_TIME,
  policyText,
  type Signer,
  signedHead,
  TENANT_KEY,
  WITNESS_TIME,
  witness1,
  witness2,
  witnessSigner,
} from "../../../support/proofs.ts";
import { flip } from "../tlog/reference.ts";

const logVkeys = [log.vkey];
const anchorVkeys = [anchor.vkey, anchorMldsa.vkey];
const policy = parsePolicy(policyText(2));
const everyone = [anchor, anchorMldsa, witness1, witness2];
const pinned = { logVkeys, anchorVkeys, policy };

/** What verifying the event of a proof gives, with everything pinned. */
const verified = (proof: string | Uint8Array, more: Partial<typeof pinned & { event: Uint8Array }> = {}) =>
  verifyEvent({ event: EVENT.bytes, proof, ...pinned, ...more });

/** A proof that a later tree of the log itself has this checkpoint as an entry. */
function selfAnchored(checkpoint: string): string {
  const entries = filler(9).with(4, new TextEncoder().encode(checkpoint));
  return formatProof({
    index: 4n,
    hashes: inclusion(entries, 4),
    checkpoint: signedHead(LOG_ORIGIN, entries, [log]),
  });
}

const seconds = (time: bigint): string => new Date(Number(time) * 1000).toISOString();

describe("what a good proof shows", () => {
  test("sealed, anchored or witnessed, by what is in it and nothing else", () => {
    expect(verified(makeProof({}).proof).assurance).toBe("sealed");
    expect(verified(makeProof({ anchorSigners: [anchor] }).proof).assurance).toBe("anchored");
    expect(verified(makeProof({ anchorSigners: [anchor, witness1] }).proof).assurance).toBe("anchored");
    expect(verified(makeProof({ anchorSigners: everyone }).proof).assurance).toBe("witnessed");
  });

  test("the places, and every time that a pinned key signed", () => {
    const { proof, commitment } = makeProof({ anchorSigners: everyone });
    const report = verified(proof);
    expect(report.failure).toBeUndefined();
    expect(report.commitment).toBe(Buffer.from(commitment).toString("hex"));
    expect(report.log).toMatchObject({ origin: LOG_ORIGIN, index: "3", treeSize: "7" });
    expect(report.anchor).toMatchObject({ origin: ANCHOR_ORIGIN, index: "2", treeSize: "5" });
    expect(report.times).toEqual([
      { at: seconds(OPERATOR_TIME), by: ANCHOR_ORIGIN, kind: "operator" },
      { at: seconds(WITNESS_TIME), by: witness1.vkey.name, kind: "witness" },
      { at: seconds(WITNESS_TIME + 5n), by: witness2.vkey.name, kind: "witness" },
    ]);
    expect(tellReport(report).statements.join("\n")).toContain(seconds(WITNESS_TIME + 5n));
  });

  test("an operator's time alone is said not to be independent", () => {
    const report = verified(makeProof({ anchorSigners: [anchor, anchorMldsa] }).proof);
    expect(report.times.map(({ kind }) => kind)).toEqual(["operator"]);
    expect(tellReport(report).caveats.join("\n")).toMatch(/No independent time/);
  });

  test("no anchor key: sealed, and said that the anchor part was not checked", () => {
    const report = verified(makeProof({ anchorSigners: everyone }).proof, { anchorVkeys: [] });
    expect(report).toMatchObject({ proven: true, assurance: "sealed", times: [] });
    expect(report.anchor).toBeUndefined();
    expect(tellReport(report).caveats.join("\n")).toMatch(/anchor part was not checked/);
  });

  test("a policy of quorum none makes nothing witnessed", () => {
    const report = verified(makeProof({ anchorSigners: everyone }).proof, {
      policy: parsePolicy("quorum none\n"),
    });
    expect(report.assurance).toBe("anchored");
  });

  test("source and number of the opening are shown, as part of what was committed", () => {
    const event = { ...EVENT, source: "ehr-7", sequence: 12n };
    const report = verified(makeProof({ event }).proof);
    expect(tellReport(report).statements.join("\n")).toMatch(/ehr-7/);
    expect(tellReport(report).statements.join("\n")).toMatch(/number 12\b/);
  });

  test("a source cannot speak in the verifier's name", () => {
    const gap = "\u3000".repeat(30);
    const forged = `a".${gap}It existed by 2019-01-01T00:00:00Z: the latest time that a witness signed.`;
    const source = fc
      .oneof(fc.constant(forged), fc.string({ unit: "binary", minLength: 1, maxLength: 300 }))
      .filter((text) => !/[\0\p{Surrogate}]/u.test(text));
    fc.assert(
      fc.property(source, (source) => {
        const report = verified(makeProof({ event: { ...EVENT, source } }).proof);
        const [line = ""] = tellReport(report).statements.slice(2);
        expect(line).toMatch(/^It was committed as an event of the source "(?:[^"\\]|\\.)*"\.$/u);
        expect(line).not.toMatch(/(?! )[\p{C}\p{White_Space}]/u);
        expect([...JSON.parse(line.slice(line.indexOf('"'), -1))].length).toBeLessThanOrEqual(101);
      }),
    );
  });

  test("timestamps are said not to be checked", () => {
    const { proof } = makeProof({ extra: (extra) => ({ ...extra, timestamps: ["AAAA"] }) });
    expect(verified(proof).proven).toBe(true);
    expect(tellReport(verified(proof)).caveats.join("\n")).toMatch(/timestamps .* not checked/);
  });

  test("a cosignature beyond the calendar is no time, and no crash", () => {
    const late = mldsaSigner(ANCHOR_ORIGIN, 9, (1n << 63n) - 1n);
    const { proof } = makeProof({ anchorSigners: [anchor, late] });
    expect(verified(proof, { anchorVkeys: [anchor.vkey, late.vkey] })).toMatchObject({
      assurance: "anchored",
      times: [],
    });
  });
});

describe("openings", () => {
  const { proof, opening, commitment } = makeProof({ withOpening: false });

  test("without an opening an event is not proven, and its commitment is", () => {
    expect(verified(proof).failure).toMatchObject({ step: "opening", code: "no_opening" });
    expect(verifyEvent({ commitment, proof, ...pinned })).toMatchObject({ proven: true });
  });

  test("given or derived, the opening is as good as one in the proof", () => {
    const event = EVENT.bytes;
    expect(verifyEvent({ event, opening, proof, ...pinned }).proven).toBe(true);
    expect(verifyEvent({ event, derivedOpening: opening, proof, ...pinned }).proven).toBe(true);
    expect(verified(withOpening(proof, opening)).proven).toBe(true);
  });

  test("putting an opening into a proof keeps its anchor part", () => {
    const bare = makeProof({ withOpening: false, anchorSigners: everyone });
    expect(verified(withOpening(bare.proof, bare.opening)).assurance).toBe("witnessed");
  });

  test("the opening of the same event under another key is not proof", () => {
    const { opening } = commitEvent(EVENT, { tenantKey: TENANT_KEY.map((byte) => byte ^ 1) });
    const report = verifyEvent({ event: EVENT.bytes, opening, proof, ...pinned });
    expect(report.failure).toMatchObject({ step: "log", code: "bad_proof" });
  });
});

describe("what is refused, and why", () => {
  test.each([
    ["its checkpoint", (proof: string) => proof.replace("\n\n", "\n\n\ufeff"), (anchor: string) => anchor],
    ["its anchor part", (proof: string) => proof, (anchor: string) => `\ufeff${anchor}`],
    [
      "the anchor log's checkpoint",
      (proof: string) => proof,
      (anchor: string) => anchor.replace("\n\n", "\n\n\ufeff"),
    ],
  ])("a byte order mark before %s", (_, ofProof, ofAnchor) => {
    const extra = (extra: Record<string, unknown>) => ({
      ...extra,
      anchor: ofAnchor(String(extra["anchor"])),
    });
    const { proof } = makeProof({ anchorSigners: everyone, extra });
    expect(verified(ofProof(proof)).proven).toBe(false);
  });

  test.each<[string, VerifyReport, { step: string; code: string }]>([
    [
      "a log that is not pinned",
      verified(makeProof({}).proof, { logVkeys: [anchor.vkey] }),
      { step: "log", code: "unknown_key" },
    ],
    [
      "another key under the pinned name",
      verified(makeProof({ logSigners: [logSigner(LOG_ORIGIN, 9)] }).proof),
      { step: "log", code: "unknown_key" },
    ],
    [
      "a witness's signature in place of the log's",
      verified(makeProof({ logSigners: [witness1] }).proof, { logVkeys: [log.vkey, witness1.vkey] }),
      { step: "log", code: "unknown_key" },
    ],
    [
      "an anchor log that is not pinned",
      verified(makeProof({ anchorSigners: [logSigner(ANCHOR_ORIGIN, 9)] }).proof),
      { step: "anchor", code: "unknown_key" },
    ],
    [
      "an anchor part that is no proof",
      verified(makeProof({ extra: (extra) => ({ ...extra, anchor: "nothing" }) }).proof),
      { step: "anchor", code: "malformed" },
    ],
    [
      "the anchor part of another checkpoint",
      verified(makeProof({ extra: (extra) => ({ ...extra, anchor: makeProof({ size: 8 }).proof }) }).proof, {
        anchorVkeys: [log.vkey],
      }),
      { step: "anchor", code: "bad_proof" },
    ],
    [
      "a policy of another log",
      verified(makeProof({ anchorSigners: everyone }).proof, {
        policy: parsePolicy(`log ${formatVkey(log.vkey)}\nquorum none\n`),
      }),
      { step: "policy", code: "unknown_key" },
    ],
    [
      "a log that is its own anchor log",
      verified(
        makeProof({
          extra: (extra) => {
            const { proof } = makeProof({});
            const { checkpoint } = parseProof(proof);
            return { ...extra, anchor: selfAnchored(checkpoint) };
          },
        }).proof,
        { anchorVkeys: [anchor.vkey, log.vkey] },
      ),
      { step: "anchor", code: "same_log" },
    ],
    ["a file that is no proof", verified("not a proof"), { step: "proof", code: "malformed" }],
    ["an empty file", verified(new Uint8Array()), { step: "proof", code: "malformed" }],
    ["bytes that are no text", verified(Uint8Array.of(0xff, 0xfe)), { step: "proof", code: "malformed" }],
  ])("%s", (_, report, failure) => {
    expect(report).toMatchObject({ proven: false, times: [], failure });
    expect(tellReport(report).statements).toEqual([]);
    expect(report.assurance).toBeUndefined();
  });

  test.each<[string, (extra: Record<string, unknown>) => unknown]>([
    ["an unknown member", (extra) => ({ ...extra, assurance: "witnessed" })],
    ["no timestamps", ({ opening }) => ({ opening })],
    ["timestamps that are no list", (extra) => ({ ...extra, timestamps: {} })],
    ["null for the anchor", (extra) => ({ ...extra, anchor: null })],
    ["an array", () => []],
    ["a byte order mark", (extra) => Buffer.from(`\u{feff}${JSON.stringify(extra)}`)],
    ["a member twice", () => Buffer.from('{"timestamps":[],"timestamps":[]}')],
    ["deep nesting", () => Buffer.from(`{"timestamps":${"[".repeat(100_000)}`)],
    ["an unknown version of the opening", (extra) => ({ ...extra, opening: { v: "kedge/v9" } })],
  ])("an extra line with %s", (_, extra) => {
    expect(verified(makeProof({ extra }).proof)).toMatchObject({ proven: false, failure: { step: "proof" } });
  });

  test("less than what is required, naming both", () => {
    const { proof } = makeProof({ anchorSigners: [anchor, witness1] });
    const report = verifyEvent({ event: EVENT.bytes, proof, ...pinned, require: "witnessed" });
    expect(report.failure).toMatchObject({ step: "requirement", code: "too_low" });
    expect(tellReport(report).failure?.message).toMatch(/anchored.*witnessed/);
    expect(verifyEvent({ event: EVENT.bytes, proof, ...pinned, require: "anchored" }).proven).toBe(true);
  });

  test("a pinned key that did not sign is named, and refused if all are required", () => {
    const requireAll = (proof: string) =>
      verifyEvent({ event: EVENT.bytes, proof, logVkeys, anchorVkeys, requireAllKeys: true });
    const whole = makeProof({ anchorSigners: everyone }).proof;
    expect(tellReport(verified(whole)).caveats.join("\n")).not.toMatch(/did not sign/);
    expect(requireAll(whole)).toMatchObject({ proven: true, assurance: "anchored" });
    for (const signer of [anchor, anchorMldsa]) {
      const other = signer === anchor ? anchorMldsa : anchor;
      const { proof } = makeProof({ anchorSigners: [signer] });
      const name = formatVkey(other.vkey).split("+", 2).join("+");
      const report = verifyEvent({ event: EVENT.bytes, proof, logVkeys, anchorVkeys });
      expect(report).toMatchObject({ proven: true, assurance: "anchored" });
      expect(tellReport(report).caveats.filter((line) => line.includes(name))).toHaveLength(1);
      const { failure } = tellReport(requireAll(proof));
      expect(failure).toMatchObject({ step: "requirement", code: "missing_signature" });
      expect(failure?.message).toContain(name);
    }
  });

  test("keys of one kind are one key over time: any that signed will do for the others", () => {
    const older = logSigner(LOG_ORIGIN, 21);
    const olderMldsa = mldsaSigner(ANCHOR_ORIGIN, 22, OPERATOR_TIME);
    const pins = {
      logVkeys: [older.vkey, log.vkey],
      anchorVkeys: [anchor.vkey, olderMldsa.vkey, anchorMldsa.vkey],
    };
    const verifiedBy = (logSigners: Signer[], anchorSigners: Signer[]) =>
      verifyEvent({
        event: EVENT.bytes,
        proof: makeProof({ logSigners, anchorSigners }).proof,
        ...pins,
        requireAllKeys: true,
      });
    for (const logSigners of [[older], [log], [older, log]]) {
      for (const mldsa of [[olderMldsa], [anchorMldsa], [olderMldsa, anchorMldsa]]) {
        const report = verifiedBy(logSigners, [anchor, ...mldsa]);
        expect(report.proven).toBe(true);
        expect(tellReport(report).caveats.join("\n")).not.toMatch(/did not sign/);
        const [own, anchored] = tellReport(report).statements.filter((line) =>
          line.includes("signed its tree"),
        );
        for (const { vkey } of logSigners) expect(own).toContain(vkey.id.toString(16).padStart(8, "0"));
        for (const { vkey } of mldsa) expect(anchored).toContain(vkey.id.toString(16).padStart(8, "0"));
      }
    }
    const { failure } = tellReport(verifiedBy([log], [anchor]));
    expect(failure).toMatchObject({ code: "missing_signature" });
    for (const { vkey } of [olderMldsa, anchorMldsa]) {
      expect(failure?.message).toContain(formatVkey(vkey).split("+", 2).join("+"));
    }
  });

  test("a key that may have been rotated is told from the key of another log", () => {
    const { proof } = makeProof({ anchorSigners: [anchor] });
    const messageOf = (pins: { logVkeys?: Vkey[]; anchorVkeys?: Vkey[] }) =>
      tellReport(verified(proof, pins)).failure?.message;
    const rotated = /may have rotated its key: get the new vkey from a source you trust/;
    expect(messageOf({ logVkeys: [logSigner(LOG_ORIGIN, 9).vkey] })).toMatch(rotated);
    expect(messageOf({ anchorVkeys: [logSigner(ANCHOR_ORIGIN, 9).vkey] })).toMatch(rotated);
    for (const pins of [{ logVkeys: [anchor.vkey] }, { anchorVkeys: [log.vkey] }]) {
      expect(messageOf(pins)).toMatch(/Check that key and proof are of one/);
      expect(messageOf(pins)).not.toMatch(rotated);
    }
  });

  test("to cut the anchor part out is no way around the keys that are required", () => {
    const report = verifyEvent({
      event: EVENT.bytes,
      proof: makeProof({}).proof,
      ...pinned,
      requireAllKeys: true,
    });
    expect(report.failure).toMatchObject({ step: "requirement", code: "missing_signature" });
  });

  test("a bad cosignature under a witness's key does not count, and is reported", () => {
    const imposter = { ...witness1, sign: witnessSigner(witness1.vkey.name, 9, WITNESS_TIME).sign };
    const forged = {
      vkey: witness1.vkey,
      sign: (head: Parameters<typeof imposter.sign>[0]) => ({ ...imposter.sign(head), id: witness1.vkey.id }),
    };
    const report = verified(makeProof({ anchorSigners: [anchor, forged, witness2] }).proof);
    expect(report.assurance).toBe("anchored");
    expect(tellReport(report).caveats.join("\n")).toMatch(/w1 is not valid/);
  });
});

describe("any single byte changed", () => {
  const { proof } = makeProof({ anchorSigners: everyone });
  const bytes = new TextEncoder().encode(proof);
  const original = verified(proof);

  const change = (target: Uint8Array) =>
    fc
      .tuple(fc.nat(target.length - 1), fc.integer({ min: 1, max: 255 }))
      .map(([at, mask]) => target.map((byte, i) => (i === at ? byte ^ mask : byte)));

  /** Never a claim that the unchanged proof does not make. */
  const isNoMoreThan = (report: VerifyReport, whole: VerifyReport): boolean => {
    const rank = ({ assurance }: VerifyReport) =>
      assurance === undefined ? -1 : ASSURANCES.indexOf(assurance);
    return (
      rank(report) <= rank(whole) &&
      report.commitment === whole.commitment &&
      JSON.stringify(report.log) === JSON.stringify(whole.log) &&
      (report.anchor === undefined || JSON.stringify(report.anchor) === JSON.stringify(whole.anchor)) &&
      report.times.every((time) =>
        whole.times.some((known) => JSON.stringify(known) === JSON.stringify(time)),
      )
    );
  };

  test("of the event: not proven", () => {
    fc.assert(
      fc.property(change(EVENT.bytes), (event) => {
        expect(verified(proof, { event }).failure).toMatchObject({ step: "log", code: "bad_proof" });
      }),
    );
  });

  test("of the proof file: not proven, or no claim but those of the whole proof", () => {
    fc.assert(
      fc.property(change(bytes), (changed) => {
        const report = verified(changed);
        expect(report.proven ? isNoMoreThan(report, original) : report.failure !== undefined).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("of the anchor part: not proven, or no claim but those of the whole proof", () => {
    const whole = makeProof({ anchorSigners: everyone });
    const extra = parseProof(whole.proof).extra ?? new Uint8Array();
    fc.assert(
      fc.property(change(extra), (changed) => {
        const report = verified(formatProof({ ...parseProof(whole.proof), extra: changed }));
        expect(report.proven ? isNoMoreThan(report, original) : report.failure !== undefined).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("of the log's checkpoint, every one of them, also where no anchor part covers it: not proven", () => {
    const sealed = makeProof({}).proof;
    const start = sealed.indexOf("\n\n") + 2;
    const whole = new TextEncoder().encode(sealed);
    for (let at = start; at < whole.length; at++) {
      const changed = whole.map((byte, i) => (i === at ? byte ^ 1 : byte));
      expect(verified(changed).proven, `byte ${at}`).toBe(false);
    }
  });

  test("of a key: malformed, or not proven", () => {
    const key = new TextEncoder().encode(formatVkey(log.vkey));
    fc.assert(
      fc.property(change(key), (changed) => {
        const vkey = parseOrUndefined(new TextDecoder().decode(changed));
        if (vkey !== undefined) expect(verified(proof, { logVkeys: [vkey] }).proven).toBe(false);
      }),
    );
  });

  function parseOrUndefined(text: string): Vkey | undefined {
    try {
      return parseVkey(text);
    } catch (error) {
      expect(error).toBeInstanceOf(TlogError);
      return undefined;
    }
  }

  test("cut anywhere: not proven", () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (length) => {
        expect(verified(bytes.subarray(0, length)).proven).toBe(false);
      }),
    );
  });
});

describe("many proofs under one trust", () => {
  /** A pinned key that counts how often a signature was checked by it: each check reads its bytes once. */
  function counted({ name, id, type, publicKey }: Vkey): { vkey: Vkey; checks(): number } {
    let checks = 0;
    const vkey = {
      ...{ name, id, type },
      get publicKey(): Uint8Array {
        checks += 1;
        return publicKey;
      },
    };
    return { vkey, checks: () => checks };
  }

  const SIZE = 300;
  const commits = Array.from({ length: SIZE }, (_, i) =>
    commitEvent({ ...EVENT, sequence: BigInt(i) }, { tenantKey: TENANT_KEY }),
  );
  const entries = commits.map(({ commitment }) => commitment);
  const checkpoint = signedHead(LOG_ORIGIN, entries, [log]);
  const anchored = formatProof({
    index: 0n,
    hashes: [],
    checkpoint: signedHead(ANCHOR_ORIGIN, [new TextEncoder().encode(checkpoint)], everyone),
  });
  const claims = commits.map(({ opening }, i) => ({
    event: EVENT.bytes,
    proof: formatProof({
      extra: new TextEncoder().encode(JSON.stringify({ anchor: anchored, timestamps: [], opening })),
      index: BigInt(i),
      hashes: inclusion(entries, i),
      checkpoint,
    }),
  }));

  test("each signature of a checkpoint that they share is checked once", () => {
    const keys = [log, anchor, anchorMldsa, witness1, witness2].map(({ vkey }) => counted(vkey));
    const [logKey, anchorKey, mldsaKey, ...witnessKeys] = keys.map(({ vkey }) => vkey);
    if (logKey === undefined || anchorKey === undefined || mldsaKey === undefined) throw new Error("no keys");
    const verify = openVerifier({
      logVkeys: [logKey],
      anchorVkeys: [anchorKey, mldsaKey],
      policy: {
        logs: [{ vkey: anchorKey }, { vkey: mldsaKey }],
        witnesses: witnessKeys.map((vkey, i) => ({ name: `w${i}`, vkey })),
        groups: [{ name: "all", threshold: 2, members: ["w0", "w1"] }],
        quorum: "all",
      },
    });
    for (const claim of claims) expect(verify(claim)).toMatchObject({ assurance: "witnessed" });
    expect(keys.map(({ checks }) => checks())).toEqual([1, 1, 1, 1, 1]);
  });

  test("each is judged as it is alone, whatever was verified before it", () => {
    const verify = openVerifier(pinned);
    for (const claim of claims.slice(0, 40)) verify(claim);
    const pick = fc.nat(SIZE - 1).map((i) => claims[i]?.proof ?? "");
    const flipped = fc
      .tuple(pick, fc.nat(), fc.nat(7))
      .map(([proof, at, bit]) => flip(new TextEncoder().encode(proof), at % proof.length, bit));
    const swapped = fc.tuple(pick, pick, fc.nat(8)).map(([proof, other, line]) => {
      const hashes = parseProof(other).hashes;
      return formatProof({
        ...parseProof(proof),
        hashes: parseProof(proof).hashes.map((hash, i) => (i === line ? (hashes[i] ?? hash) : hash)),
      });
    });
    const claim = (proof: string | Uint8Array) => ({ event: EVENT.bytes, proof });
    fc.assert(
      fc.property(fc.oneof(pick, flipped, swapped), (proof) => {
        expect(tellReport(verify(claim(proof)))).toEqual(tellReport(verified(proof)));
      }),
      { numRuns: 150 },
    );
  });

  test("a checkpoint that was refused is refused again, and no other trust takes over what one found", () => {
    const claim = claims[0] ?? { event: EVENT.bytes, proof: "" };
    const other = openVerifier({ ...pinned, logVkeys: [logSigner(LOG_ORIGIN, 9).vkey] });
    expect(openVerifier(pinned)(claim).proven).toBe(true);
    for (let i = 0; i < 3; i++) {
      expect(other(claim)).toMatchObject({ proven: false, failure: { step: "log", code: "unknown_key" } });
    }
  });
});

describe("what is kept", () => {
  test("is the last sixteen texts, none of them long, and nothing that threw", () => {
    let reads = 0;
    const read = kept((text) => {
      reads += 1;
      if (text === "bad") throw new RangeError(text);
      return text.length;
    });
    const times = (texts: readonly string[]): number => {
      const before = reads;
      for (const text of texts) read(text);
      return reads - before;
    };
    const texts = Array.from({ length: 16 }, (_, i) => `text ${i}`);
    expect([times(texts), times(texts), times(["more", "text 0", "more"])]).toEqual([16, 0, 2]);
    const long = "x".repeat(1 << 17);
    expect(times([long, long])).toBe(2);
    for (let i = 0; i < 2; i++) expect(() => read("bad")).toThrow(RangeError);
    expect(reads).toBe(22);
  });
});
