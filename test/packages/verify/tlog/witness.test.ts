import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import {
  admit,
  formatAddCheckpoint,
  formatSize,
  judge,
  type Latest,
  MAX_ADD_CHECKPOINT_SIZE,
  MAX_PROOF_LINES,
  parseAddCheckpoint,
  parseSize,
  type Refusal,
} from "@kedge/verify/tlog/witness";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CASES,
  codeOf,
  fork,
  head,
  ORIGIN,
  request,
  sign,
  TRUSTED,
  tree,
  VKEYS,
} from "../../../support/witness-cases.ts";
import { bytes32, growth } from "./arbitraries.ts";
import { verdict } from "./reference.ts";
import { cosignedBy, ed25519Signer, lineBy, mldsaCosigner, signed } from "./signers.ts";

function decide(body: string | Uint8Array, latest: Latest | undefined): { status: 200 } | Refusal {
  const admitted = admit(body, TRUSTED);
  return admitted.status === 200 ? judge(admitted, latest) : admitted;
}

describe("every status code of the specification's text", () => {
  test.each(CASES)("$status: $title", (each) => {
    const { latest, body, status, size } = each;
    const decided = decide(body, latest === undefined ? undefined : head(latest));
    expect(decided).toMatchObject({ status, ...(size !== undefined && { size }) });
    if (decided.status === 200) return;
    expect(decided.reason).toMatch(/^[A-Z].*[^.]$/);
    expect(decided.code).toBe(codeOf(each));
  });

  test("the example of the specification is read as it stands", () => {
    const example = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;
    const { oldSize, proof, parsed } = parseAddCheckpoint(example);
    expect([oldSize, proof.length, parsed.checkpoint.size]).toEqual([20852014n, 4, 20852163n]);
    const checkpoint = example.slice(example.indexOf("\n\n") + 2);
    expect(formatAddCheckpoint({ oldSize, proof, checkpoint })).toBe(example);
  });
});

describe("equivocation", () => {
  const sizes = fc.bigInt({ min: 0n, max: 47n });

  test("is never told of a log that signed one history, whatever is asked with it", () => {
    const garbage = fc.array(bytes32, { maxLength: 4 });
    fc.assert(
      fc.property(sizes, sizes, sizes, garbage, (cosigned, size, oldSize, proof) => {
        const checkpoint = sign(head(size));
        const decided = decide(formatAddCheckpoint({ oldSize, proof, checkpoint }), head(cosigned));
        expect(decided).not.toMatchObject({ code: "equivocation" });
      }),
    );
  });

  test("is told of two roots for the size that was cosigned last, whatever is asked with them", () => {
    const forked = fc.bigInt({ min: 21n, max: 47n });
    fc.assert(
      fc.property(forked, sizes, fc.array(bytes32, { maxLength: 4 }), (size, old, proof) => {
        const oldSize = old < size ? old : size;
        const checkpoint = sign(head(size, fork));
        expect(decide(formatAddCheckpoint({ oldSize, proof, checkpoint }), head(size))).toMatchObject({
          status: oldSize === size ? 422 : 409,
          code: "equivocation",
        });
        // What the log did not sign is no evidence against it.
        const unsigned = checkpoint.replace(/\n\n.*/s, `\n\n— ${ORIGIN} ${"A".repeat(92)}\n`);
        expect(
          decide(formatAddCheckpoint({ oldSize, proof, checkpoint: unsigned }), head(size)),
        ).toMatchObject({
          status: 403,
          code: "bad_signature",
        });
      }),
    );
  });
});

describe("a log whose origin is not the name of its key", () => {
  // As sum.golang.org, whose origin is this. c2sp.org/tlog-checkpoint, Signatures: SHOULD.
  const origin = "go.sum database tree";
  const checkpoint = { origin, size: 7n, root: tree.root(7n) };
  const [text, cosigner] = [ed25519Signer("sum.example"), mldsaCosigner("sum.example")];
  const trusted = new Map([[origin, [text.vkey, cosigner.vkey]]]);
  const body = (...lines: string[]) => `old 0\n\n${signed(checkpoint, ...lines)}`;

  test.each([
    ["Ed25519", lineBy(text, checkpoint)],
    ["ML-DSA-44", cosignedBy(cosigner, checkpoint, 1n)],
    ["ML-DSA-44 without a time", cosignedBy(cosigner, checkpoint, 0n)],
  ])("is admitted under that origin, signed by %s", (_, line) => {
    expect(admit(body(line), trusted)).toMatchObject({ status: 200, signatures: [{ name: "sum.example" }] });
  });

  test("is another log under any other, and is not itself without its key's signature", () => {
    const line = lineBy(text, checkpoint);
    expect(admit(body(line), new Map([["sum.example", [text.vkey]]]))).toMatchObject({ status: 404 });
    const other = new Map([[origin, [ed25519Signer("other.example").vkey]]]);
    expect(admit(body(line), other)).toMatchObject({ status: 403, code: "bad_signature" });
  });
});

describe("what is admitted", () => {
  test("holds the signatures of the log's own keys, one of each, however often they were sent", () => {
    const checkpoint = head(7n);
    const line = sign(checkpoint).slice(sign(checkpoint).indexOf("—"));
    const admitted = admit(`old 0\n\n${sign(checkpoint, line, line)}`, TRUSTED);
    if (admitted.status !== 200) throw new Error(admitted.reason);
    expect(admitted.signatures.map(({ name, id }) => [name, id])).toEqual([[ORIGIN, VKEYS[0]?.id]]);
  });

  test("sixteen ML-DSA-44 signatures of others fit, and a body beyond the limit is malformed", () => {
    const line = `— other.example ${"A".repeat(6664)}\n`;
    expect(admit(`old 0\n\n${sign(head(7n), line.repeat(15))}`, TRUSTED).status).toBe(200);
    const large = `old 0\n\n${sign(head(7n), line.repeat(15))}`.padEnd(MAX_ADD_CHECKPOINT_SIZE + 1, "x");
    expect(admit(large, TRUSTED).status).toBe(400);
  });
});

describe("formats", () => {
  test("a request is read back as it was written", () => {
    fc.assert(
      fc.property(growth, fc.array(bytes32, { maxLength: 63 }), ({ from, to }, proof) => {
        const checkpoint = sign(head(to));
        const read = parseAddCheckpoint(formatAddCheckpoint({ oldSize: from, proof, checkpoint }));
        expect(read).toEqual({ oldSize: from, proof, parsed: { ...parseCheckpoint(checkpoint) } });
      }),
      { numRuns: 30 },
    );
  });

  test("a request that could not be read is not written", () => {
    const good = { oldSize: 0n, proof: [], checkpoint: sign(head(7n)) };
    const hash = new Uint8Array(32);
    expect(verdict(() => formatAddCheckpoint({ ...good, proof: Array(64).fill(hash) }))).toBe("malformed");
    expect(verdict(() => formatAddCheckpoint({ ...good, proof: [hash.slice(1)] }))).not.toBe("accepted");
    expect(verdict(() => formatAddCheckpoint({ ...good, oldSize: -1n }))).toBe("out_of_range");
  });

  test("a conflict's size is read back, and nothing but a size is", () => {
    for (const size of [0n, 1n, 20852014n, (1n << 63n) - 1n]) expect(parseSize(formatSize(size))).toBe(size);
    for (const text of [
      "",
      "\n",
      "7",
      "07\n",
      "7\n\n",
      " 7\n",
      "-7\n",
      "7\r\n",
      `${1n << 63n}\n`,
      "9".repeat(99),
    ]) {
      expect(
        verdict(() => parseSize(text)),
        JSON.stringify(text),
      ).toBe("malformed");
    }
  });
});

describe("whatever is sent", () => {
  test("honest growth is cosigned at every pair of sizes", () => {
    fc.assert(
      fc.property(growth, ({ from, to }) => {
        fc.pre(tree.proof(from, to).length <= MAX_PROOF_LINES);
        expect(decide(request(from, to), from === 0n ? undefined : head(from)).status).toBe(200);
      }),
      { numRuns: 50 },
    );
  });

  test("a request with any part exchanged, cut or repeated is decided upon, and never cosigned unless it says the same", () => {
    const latest = head(22n);
    const good = new TextEncoder().encode(request(22n, 100n));
    fc.assert(
      fc.property(fc.nat(good.length), fc.nat(40), fc.uint8Array({ maxLength: 20 }), (at, cut, put) => {
        const body = Uint8Array.from([...good.slice(0, at), ...put, ...good.slice(at + cut)]);
        const decided = decide(body, latest);
        if (decided.status !== 200) return;
        const { checkpoint } = parseAddCheckpoint(body).parsed;
        expect(checkpoint).toMatchObject({ size: 100n, root: tree.root(100n) });
      }),
      { numRuns: 2_000 },
    );
  });
});
