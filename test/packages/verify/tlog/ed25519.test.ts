import { createPublicKey, verify } from "node:crypto";
import { verifyEd25519 } from "@kedge/verify/tlog/note";
import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Ed25519Case, ed25519Cases, smallOrderRCases } from "./ed25519.ts";

const SPKI = Buffer.from("302a300506032b6570032100", "hex");

/** OpenSSL's verdict; Node asks it last, from 24.19 on, and refuses keys and Rs of small order before. */
function nodeCrypto({ publicKey, message, signature }: Ed25519Case): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: "der", type: "spki" });
  return verify(null, message, key, signature);
}

test("a signature is valid exactly when the equation holds, but for small order or a key in another encoding", () => {
  const counts = { valid: 0, byCofactorAlone: 0, byWeakPoint: 0, refused: 0 };
  fc.assert(
    fc.property(
      ed25519Cases((random) => random),
      (made) => {
        const { publicKey, message, signature, holds, isWeak } = made;
        const ours = verifyEd25519(publicKey, message, signature);
        const cofactored = ed25519.verify(signature, message, publicKey, { zip215: false });
        expect(ours).toBe(holds && !isWeak);
        // Whichever Node this is, it accepts all that we do, and nothing on which the equation does not hold.
        expect([holds, ours]).toContain(nodeCrypto(made));
        if (ours) expect(cofactored).toBe(true);
        if (ours) counts.valid += 1;
        else if (holds) counts.byWeakPoint += 1;
        else if (cofactored) counts.byCofactorAlone += 1;
        else counts.refused += 1;
      },
    ),
    { numRuns: 2000 },
  );
  // Without enough of each, nothing is shown.
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(50);
});

test("a signature whose R is one of the eight points of small order is not valid, though the equation holds", () => {
  const cases = smallOrderRCases((random) => random);
  expect(new Set(cases.map(({ signature }) => Buffer.from(signature).toString("hex", 0, 32))).size).toBe(8);
  for (const { publicKey, message, signature } of cases) {
    expect(ed25519.verify(signature, message, publicKey, { zip215: false })).toBe(true);
    expect(verifyEd25519(publicKey, message, signature)).toBe(false);
  }
});

test("every honest signature is valid", () => {
  const secrets = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(secrets, fc.uint8Array({ maxLength: 300 }), (secret, message) => {
      const signature = ed25519.sign(message, secret);
      expect(verifyEd25519(ed25519.getPublicKey(secret), message, signature)).toBe(true);
    }),
  );
});

test("a key or signature of another length is not valid", () => {
  const { secretKey, publicKey } = ed25519.keygen();
  const message = new Uint8Array(10);
  const signature = ed25519.sign(message, secretKey);
  const resized = (bytes: Uint8Array, length: number) => Uint8Array.from({ length }, (_, i) => bytes[i] ?? 0);
  for (const length of [0, 31, 33, 63, 65, 96]) {
    expect(verifyEd25519(publicKey, message, resized(signature, length))).toBe(false);
    expect(verifyEd25519(resized(publicKey, length), message, signature)).toBe(false);
  }
});
