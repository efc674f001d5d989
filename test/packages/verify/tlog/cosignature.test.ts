import { concatBytes, utf8Decode, utf8Encode } from "@kedge/verify/tlog/bytes";
import {
  type Checkpoint,
  checkpointBody,
  type ParsedCheckpoint,
  parseCheckpoint,
} from "@kedge/verify/tlog/checkpoint";
import {
  decodeTimestamped,
  ed25519CosignedMessage,
  encodeTimestamped,
  mldsaCosignedMessage,
  verifyCosignature,
} from "@kedge/verify/tlog/cosignature";
import { ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, makeVkey } from "@kedge/verify/tlog/note";
import { ed25519 } from "@noble/curves/ed25519.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { flip, verdict } from "./reference.ts";
import { ed25519Cosigner, ed25519Signer, lineBy, mldsaCosigner, signed } from "./signers.ts";

// c2sp.org/tlog-cosignature, the cosigned checkpoint at its head
const SPEC_BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const SPEC_CHECKPOINT = `${SPEC_BODY}
— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`;

const MAX = (1n << 63n) - 1n;
const checkpoint: Checkpoint = { origin: "log.example/log/7", size: 42n, root: new Uint8Array(32).fill(7) };
const log = ed25519Signer(checkpoint.origin);
const ed = ed25519Cosigner("witness.example/ed");
const pq = mldsaCosigner("witness.example/pq");

/** The checkpoint as the log signed it. */
function parsed(of: Checkpoint): ParsedCheckpoint {
  return parseCheckpoint(signed(of, lineBy(log, of)));
}

describe("signed messages", () => {
  test("the Ed25519 message is that of the example of c2sp.org/tlog-cosignature", () => {
    const message = ed25519CosignedMessage(1_679_315_147n, SPEC_BODY);
    expect(utf8Decode(message, "The message")).toBe(
      [
        "cosignature/v1",
        "time 1679315147",
        "example.com/behind-the-sofa",
        "20852163",
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        "",
      ].join("\n"),
    );
  });

  test("the cosignature of that example carries the timestamp of its message", () => {
    const cosignature = parseCheckpoint(SPEC_CHECKPOINT).note.signatures[1];
    expect(cosignature?.name).toBe("witness.example.com/w1");
    const { timestamp, signature } = decodeTimestamped(cosignature?.signature ?? new Uint8Array(), 64);
    expect(timestamp).toBe(1_679_315_147n);
    expect(signature).toHaveLength(64);
  });

  test("the ML-DSA-44 message is the cosigned_message structure, field by field", () => {
    const message = mldsaCosignedMessage({
      cosignerName: "wé",
      timestamp: 0x0102030405060708n,
      origin: "log",
      end: 0x1112131415161718n,
      hash: new Uint8Array(32).fill(0xab),
    });
    expect(bytesToHex(message)).toBe(
      [
        "737562747265652f76310a00", // "subtree/v1\n\0"
        "0377c3a9",
        "0102030405060708",
        "036c6f67",
        "0000000000000000",
        "1112131415161718",
        "ab".repeat(32),
      ].join(""),
    );
  });

  test("names and origins are 1 to 255 bytes of UTF-8", () => {
    const input = { cosignerName: "w", timestamp: 1n, origin: "log", end: 1n, hash: new Uint8Array(32) };
    const check = (changed: object) => verdict(() => mldsaCosignedMessage({ ...input, ...changed }));
    expect(check({ cosignerName: "w".repeat(255), origin: "é".repeat(127) })).toBe("accepted");
    expect(check({ cosignerName: "w".repeat(256) })).toBe("out_of_range");
    expect(check({ cosignerName: "" })).toBe("out_of_range");
    expect(check({ origin: "é".repeat(128) })).toBe("out_of_range");
    expect(check({ origin: "" })).toBe("out_of_range");
    expect(check({ origin: "\ud800" })).toBe("malformed");
    expect(check({ hash: new Uint8Array(31) })).toBe("malformed");
    expect(check({ timestamp: MAX + 1n })).toBe("out_of_range");
    expect(check({ end: -1n })).toBe("out_of_range");
  });

  test("a subtree that does not begin the tree has no timestamp and is not empty", () => {
    const input = { cosignerName: "w", origin: "log", hash: new Uint8Array(32), start: 8n };
    expect(verdict(() => mldsaCosignedMessage({ ...input, timestamp: 0n, end: 13n }))).toBe("accepted");
    expect(verdict(() => mldsaCosignedMessage({ ...input, timestamp: 1n, end: 13n }))).toBe("out_of_range");
    expect(verdict(() => mldsaCosignedMessage({ ...input, timestamp: 0n, end: 8n }))).toBe("out_of_range");
  });

  test("a timestamp beyond 2^63-1 is neither signed nor read", () => {
    expect(verdict(() => ed25519CosignedMessage(MAX + 1n, SPEC_BODY))).toBe("out_of_range");
    expect(verdict(() => ed25519CosignedMessage(-1n, SPEC_BODY))).toBe("out_of_range");
    expect(verdict(() => encodeTimestamped(MAX + 1n, new Uint8Array(64)))).toBe("out_of_range");
    const beyond = concatBytes(Uint8Array.of(0x80), new Uint8Array(7 + 64));
    expect(verdict(() => decodeTimestamped(beyond, 64))).toBe("malformed");
  });

  test("a timestamped signature decodes to what it was made of, and only at its length", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, MAX), fc.uint8Array({ maxLength: 100 }), (timestamp, bytes) => {
        const signature = Uint8Array.from(bytes);
        const encoded = encodeTimestamped(timestamp, signature);
        expect(decodeTimestamped(encoded, signature.length)).toEqual({ timestamp, signature });
        expect(verdict(() => decodeTimestamped(encoded, signature.length + 1))).toBe("malformed");
        expect(verdict(() => decodeTimestamped(encoded.slice(1), signature.length))).toBe("malformed");
      }),
    );
  });
});

describe.each([
  ["Ed25519", ed],
  ["ML-DSA-44", pq],
])("%s cosignatures", (_, cosigner) => {
  const cosignature = cosigner.cosign(checkpoint, 1_700_000_000n);
  const verify = (of: Checkpoint, bytes: Uint8Array) =>
    verdict(() => verifyCosignature(cosigner.vkey, parsed(of), bytes));

  test("a valid one yields its timestamp", () => {
    expect(verifyCosignature(cosigner.vkey, parsed(checkpoint), cosignature)).toBe(1_700_000_000n);
  });

  test("it is valid for its checkpoint alone: not for another size, root or log", () => {
    expect(verify({ ...checkpoint, size: 43n }, cosignature)).toBe("bad_signature");
    expect(verify({ ...checkpoint, root: flip(checkpoint.root, 31) }, cosignature)).toBe("bad_signature");
    expect(verify({ ...checkpoint, origin: "log.example/log/8" }, cosignature)).toBe("bad_signature");
  });

  test("a flipped bit in any byte of the timestamp, or in the signature, is refused", () => {
    for (let at = 0; at < cosignature.length; at += at < 72 ? 1 : 97) {
      expect(verify(checkpoint, flip(cosignature, at))).toBe("bad_signature");
    }
  });

  test("one of another length is refused", () => {
    for (const bytes of [
      new Uint8Array(),
      cosignature.slice(0, 8),
      cosignature.slice(1),
      cosignature.slice(0, -1),
      concatBytes(cosignature, Uint8Array.of(0)),
    ]) {
      expect(verify(checkpoint, bytes)).toBe("bad_signature");
    }
  });

  test("timestamp zero, which states nothing about time, is refused on a checkpoint", () => {
    expect(verify(checkpoint, cosigner.cosign(checkpoint, 0n))).toBe("bad_signature");
  });
});

describe("keys", () => {
  test("an ML-DSA-44 cosignature binds the cosigner's name, an Ed25519 one the key alone", () => {
    const renamed = makeVkey("witness.example/other", MLDSA44_COSIGNATURE, pq.vkey.publicKey);
    const cosignature = pq.cosign(checkpoint, 1n);
    expect(verdict(() => verifyCosignature(renamed, parsed(checkpoint), cosignature))).toBe("bad_signature");
    const sameKey = makeVkey("witness.example/other", ED25519_COSIGNATURE, ed.vkey.publicKey);
    expect(verifyCosignature(sameKey, parsed(checkpoint), ed.cosign(checkpoint, 1n))).toBe(1n);
  });

  test("an ML-DSA-44 signature under a context is refused", () => {
    const { publicKey, secretKey } = ml_dsa44.keygen(new Uint8Array(32));
    const vkey = makeVkey("w", MLDSA44_COSIGNATURE, publicKey);
    const { origin, size: end, root: hash } = checkpoint;
    const message = mldsaCosignedMessage({ cosignerName: "w", timestamp: 1n, origin, end, hash });
    const verifyWith = (context: Uint8Array) =>
      verdict(() => {
        const signature = ml_dsa44.sign(message, secretKey, { context });
        verifyCosignature(vkey, parsed(checkpoint), encodeTimestamped(1n, signature));
      });
    expect(verifyWith(new Uint8Array())).toBe("accepted");
    expect(verifyWith(utf8Encode("c2sp", "The context"))).toBe("bad_signature");
  });

  test("a log's signature over the note's text does not pass for a cosignature by the same key", () => {
    const secret = new Uint8Array(32).fill(1);
    const vkey = makeVkey("w", ED25519_COSIGNATURE, ed25519.getPublicKey(secret));
    const plain = ed25519.sign(utf8Encode(checkpointBody(checkpoint), "The body"), secret);
    const claimed = encodeTimestamped(1n, plain);
    expect(verdict(() => verifyCosignature(vkey, parsed(checkpoint), claimed))).toBe("bad_signature");
  });

  test("an Ed25519 cosignature covers extension lines, an ML-DSA-44 one does not", () => {
    const body = `${checkpointBody(checkpoint)}extension\n`;
    const extended = parseCheckpoint(`${body}\n${lineBy(log, checkpoint)}`);
    expect(verdict(() => verifyCosignature(ed.vkey, extended, ed.cosign(checkpoint, 1n)))).toBe(
      "bad_signature",
    );
    expect(verifyCosignature(pq.vkey, extended, pq.cosign(checkpoint, 1n))).toBe(1n);
  });

  test("a log key of type 0x01 is not a cosigner's", () => {
    const verify = () => verifyCosignature(log.vkey, parsed(checkpoint), ed.cosign(checkpoint, 1n));
    expect(verdict(verify)).toBe("unsupported");
  });

  test("a checkpoint whose origin no ML-DSA-44 message can hold has no valid cosignature", () => {
    const long = { ...checkpoint, origin: "o".repeat(256) };
    const made = pq.cosign(checkpoint, 1n);
    expect(verdict(() => verifyCosignature(pq.vkey, parsed(long), made))).toBe("bad_signature");
  });
});
