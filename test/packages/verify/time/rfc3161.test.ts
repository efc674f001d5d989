import { TimestampError, type TimestampErrorCode } from "@kedge/verify/error";
import {
  completeChain,
  MAX_TOKEN_SIZE,
  timestampRequest,
  verifyResponse,
  verifyToken,
} from "@kedge/verify/time/rfc3161";
import { parsePemCertificates, subjectOf } from "@kedge/verify/time/x509";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasOpenssl, type Identity, type KeyKind, opensslTsa, type Tsa } from "../../../support/tsa.ts";

const message = new TextEncoder().encode("kedge.example/anchor\n5\n…\n\n— kedge.example/anchor …\n");
const other = new TextEncoder().encode("another note");

/** The code of what is thrown, or undefined. Anything but a TimestampError fails the test. */
async function codeOf(promise: Promise<unknown>): Promise<TimestampErrorCode | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (!(error instanceof TimestampError)) throw error;
    return error.code;
  }
}

describe.skipIf(!hasOpenssl)("RFC 3161, by OpenSSL's ts", () => {
  let tsa: Tsa;
  let root: Identity;
  let signer: Identity;
  /** A good token over `message`. */
  let token: Uint8Array;
  beforeAll(async () => {
    tsa = opensslTsa();
    root = tsa.root();
    signer = tsa.issue(root, "tsa", { key: "rsa", subject: "/C=CH/O=Test/CN=A TSA" });
    const { der } = await timestampRequest(message);
    token = tsa.token(tsa.reply(signer, der));
  });
  afterAll(() => tsa.close());

  /** Signed by somebody whom `ts` would refuse to sign for, at a time when their certificate was there already. */
  const resigned = async (signers: readonly Identity[], options?: string[]) => {
    const { der } = await timestampRequest(message);
    return tsa.resign(tsa.token(tsa.reply(signer, der)), signers, options);
  };
  const rootsOf = (...identities: Identity[]) => identities.flatMap(({ pem }) => parsePemCertificates(pem));
  const verify = (bytes: Uint8Array, ...roots: Identity[]) =>
    verifyToken(bytes, { message, roots: rootsOf(...(roots.length === 0 ? [root] : roots)) });

  describe("good tokens", () => {
    const kinds: [KeyKind, KeyKind, string][] = [
      ["rsa", "rsa", "sha256"],
      ["rsa", "rsa", "sha512"],
      ["rsa", "rsa", "ess_v1"],
      ["p256", "p256", "sha256"],
      ["p384", "p256", "sha512"],
      ["rsa", "p384", "ess_v1"],
    ];
    test.each(kinds)("root %s, signer %s, %s", async (rootKey, key, section) => {
      const ca = tsa.root(rootKey);
      const signer = tsa.issue(ca, "tsa", { key });
      const { der, nonce } = await timestampRequest(message);
      const before = Date.now();
      const response = tsa.reply(signer, der, { section });
      const { token, verified } = await verifyResponse(response, { message, nonce, roots: rootsOf(ca) });
      expect(token).toEqual(tsa.token(response));
      expect(await verify(token, ca)).toEqual(verified);
      // The same clock, of which openssl cuts the fraction off.
      expect(verified.genTime).toBeGreaterThanOrEqual(before - 1000);
      expect(verified.genTime).toBeLessThanOrEqual(Date.now());
      expect(verified.policy).toBe("1.2.3.4.1");
      expect(verified.accuracy).toBe(section === "sha256" ? 1500.1 : undefined);
    });

    test("RSA-PSS", async () => {
      const resigned = tsa.resign(
        token,
        [signer],
        [..."-cades -md sha256 -keyopt rsa_padding_mode:pss".split(" ")],
      );
      expect(await codeOf(verify(resigned))).toBeUndefined();
    });

    test("the subject of the signer's certificate is the authority's name", async () => {
      expect((await verify(token)).tsa).toBe("CN=A TSA, O=Test, C=CH");
    });

    test("through an intermediate that the token carries, to a root among several", async () => {
      const intermediate = tsa.issue(root, "ca");
      const signer = tsa.issue(intermediate, "tsa");
      const { der } = await timestampRequest(message);
      const withChain = tsa.token(tsa.reply(signer, der, { chain: [intermediate] }));
      expect(await codeOf(verify(withChain, tsa.root("p256"), root))).toBeUndefined();
      expect(await codeOf(verify(withChain, intermediate))).toBeUndefined();
      const without = tsa.token(tsa.reply(signer, der));
      expect(await codeOf(verify(without))).toBe("untrusted");
      expect(await codeOf(verify(without, root, intermediate))).toBeUndefined();
    });
  });

  describe("a token that lacks the certificates above its signer", () => {
    const setUp = async (chain: "alone" | "with the middle one" = "alone") => {
      const upper = tsa.issue(root, "ca");
      const lower = tsa.issue(upper, "ca");
      const signer = tsa.issue(lower, "tsa");
      const { der, nonce } = await timestampRequest(message);
      const response = tsa.reply(signer, der, chain === "alone" ? {} : { chain: [lower] });
      return { upper, lower, signer, response, nonce, token: tsa.token(response) };
    };

    test.each(["alone", "with the middle one"] as const)(
      "%s: completed from what is known, the root is enough",
      async (chain) => {
        const { upper, lower, token } = await setUp(chain);
        expect(await codeOf(verify(token))).toBe("untrusted");
        const complete = await completeChain(token, rootsOf(root, upper, lower));
        expect(await verify(complete)).toEqual(await verify(token, root, upper, lower));
        // Another implementation follows too, and the root itself is not in it.
        expect(() => tsa.verify(complete, message, root)).not.toThrow();
        expect(() => tsa.verify(token, message, root)).toThrow();
        const shown = Buffer.from(complete).toString("hex");
        const [pinned] = rootsOf(root).map(({ der }) => Buffer.from(der).toString("hex"));
        expect(shown).not.toContain(pinned);
        expect(await completeChain(complete, rootsOf(root, upper, lower))).toEqual(complete);
      },
    );

    test("is left as it is where nothing that leads on is known", async () => {
      const { token } = await setUp();
      expect(await completeChain(token, rootsOf(root, tsa.root("p256")))).toEqual(token);
    });

    test("says which one is missing", async () => {
      const { lower, token } = await setUp();
      const [cert] = rootsOf(lower);
      const name = cert === undefined ? "none" : subjectOf(cert);
      await expect(verify(token)).rejects.toThrow(`The certificate of "${name}", which issued that of`);
      await expect(verify(token)).rejects.toThrow("an intermediate certificate that is missing");
    });
  });

  /** A TSTInfo with another fraction in its genTime, the one GeneralizedTime in it. */
  const withFraction = (info: Uint8Array, fraction: string): Uint8Array => {
    const text = Buffer.from(info).toString("latin1");
    const [, length = "", content = ""] = /^0(\x81.|[^\x80-\xff])(.*)$/s.exec(text) ?? [];
    expect(length).not.toBe("");
    const edited = content.replace(/..(20\d{12})[.\d]*Z/s, (_, seconds: string) => {
      const genTime = `${seconds}${fraction}Z`;
      return `\x18${String.fromCharCode(genTime.length)}${genTime}`;
    });
    const header = edited.length < 0x80 ? [0x30, edited.length] : [0x30, 0x81, edited.length];
    return new Uint8Array(Buffer.concat([Buffer.from(header), Buffer.from(edited, "latin1")]));
  };

  test.each([
    ["", 0],
    [".5", 500],
    [".500", 500],
    [".0", 0],
    [".1234560", 123],
  ])("a genTime with the fraction %j is read: zeros at its end name no other time", async (fraction, ms) => {
    const edit = (info: Uint8Array) => withFraction(info, fraction);
    const changed = tsa.resign(token, [signer], ["-cades", "-md", "sha256"], edit);
    const { genTime } = await verify(changed);
    expect(genTime - 1000 * Math.floor(genTime / 1000)).toBe(ms);
    expect(Math.floor(genTime / 1000)).toBe(Math.floor((await verify(token)).genTime / 1000));
  });

  test.each([".", ".5 ", "+0100", ".a"])(
    "a genTime with %j after its seconds is not read",
    async (fraction) => {
      const edit = (info: Uint8Array) => withFraction(info, fraction);
      const changed = tsa.resign(token, [signer], ["-cades", "-md", "sha256"], edit);
      expect(await codeOf(verify(changed))).toBe("malformed");
    },
  );

  describe("bad tokens", () => {
    test("over other bytes", async () => {
      expect(await codeOf(verifyToken(token, { message: other, roots: rootsOf(root) }))).toBe(
        "wrong_imprint",
      );
    });

    test("the answer to another request", async () => {
      const [asked, another] = [await timestampRequest(message), await timestampRequest(message)];
      const response = tsa.reply(signer, another.der);
      const expected = { message, nonce: asked.nonce, roots: rootsOf(root) };
      expect(await codeOf(verifyResponse(response, expected))).toBe("wrong_nonce");
    });

    test("refused by the authority", async () => {
      const { der, nonce } = await timestampRequest(message);
      const response = tsa.reply(signer, der, { section: "only_sha512" });
      expect(await codeOf(verifyResponse(response, { message, nonce, roots: rootsOf(root) }))).toBe(
        "rejected",
      );
    });

    test("of an authority that is not pinned, also by its name", async () => {
      expect(await codeOf(verify(token, tsa.root("p256")))).toBe("untrusted");
      const impostor = tsa.root("rsa", ["-subj", `/O=Test/CN=${root.name}`]);
      expect(await codeOf(verify(token, impostor))).toBe("untrusted");
      expect(await codeOf(verifyToken(token, { message, roots: [] }))).toBe("untrusted");
    });

    const certificates: [string, TimestampErrorCode][] = [
      ["no_eku", "wrong_purpose"],
      ["eku_not_critical", "wrong_purpose"],
      ["eku_not_alone", "wrong_purpose"],
      ["eku_other", "wrong_purpose"],
      ["no_signing", "wrong_purpose"],
      ["unknown_critical", "unsupported"],
    ];
    test.each(certificates)("whose certificate is wrong: %s", async (extensions, code) => {
      expect(await codeOf(verify(await resigned([tsa.issue(root, extensions)])))).toBe(code);
    });

    test("resigned by a good certificate, to show that the resigning is not what is refused", async () => {
      expect(await codeOf(verify(await resigned([tsa.issue(root, "tsa")])))).toBeUndefined();
    });

    test("of a time when the certificate, or one above it, was not valid", async () => {
      expect(await codeOf(verify(await resigned([tsa.issue(root, "tsa", { days: -1 })])))).toBe("expired");
      const intermediate = tsa.issue(root, "ca", { days: -1 });
      const token = await resigned([tsa.issue(intermediate, "tsa")]);
      expect(await codeOf(verify(token, root, intermediate))).toBe("expired");
    });

    test("issued by a certificate that is no authority's, or by one too far down", async () => {
      const notCa = tsa.issue(root, "not_ca");
      const short = tsa.issue(root, "short_ca");
      const below = tsa.issue(short, "ca");
      const chained = async (issuer: Identity, chain: Identity[]) => {
        const { der } = await timestampRequest(message);
        return tsa.token(tsa.reply(tsa.issue(issuer, "tsa"), der, { chain }));
      };
      expect(await codeOf(verify(await chained(notCa, [notCa])))).toBe("untrusted");
      expect(await codeOf(verify(await chained(short, [short])))).toBeUndefined();
      expect(await codeOf(verify(await chained(below, [below, short])))).toBe("untrusted");
    });

    test("of weak algorithms: SHA-1, RSA of 1024 bits", async () => {
      expect(await codeOf(verify(await resigned([signer], ["-cades", "-md", "sha1"])))).toBe("unsupported");
      const weak = tsa.issue(root, "tsa", { key: "rsa1024" });
      expect(await codeOf(verify(await resigned([weak])))).toBe("unsupported");
    });

    test("that does not name its certificate under the signature", async () => {
      expect(await codeOf(verify(await resigned([signer], ["-md", "sha256"])))).toBe("malformed");
    });

    test("without signed attributes, without certificates, with two signers", async () => {
      expect(await codeOf(verify(await resigned([signer], ["-noattr", "-md", "sha256"])))).toBe("malformed");
      expect(await codeOf(verify(await resigned([signer], ["-cades", "-nocerts"])))).toBe("malformed");
      expect(await codeOf(verify(await resigned([signer, tsa.issue(root, "tsa")])))).toBe("malformed");
    });

    test("cut anywhere, or with bytes after it", async () => {
      for (let length = 0; length < token.length; length += 7) {
        expect(await codeOf(verify(token.subarray(0, length)))).toBe("malformed");
      }
      expect(await codeOf(verify(Uint8Array.of(...token, 0)))).toBe("malformed");
      expect(await codeOf(verify(Uint8Array.of(...token, ...token)))).toBe("malformed");
    });

    test("larger than any real one, and not parsed then", async () => {
      expect(await codeOf(verify(new Uint8Array(MAX_TOKEN_SIZE + 1).fill(0x30)))).toBe("malformed");
      expect(await codeOf(verify(new Uint8Array(MAX_TOKEN_SIZE).fill(0x30)))).toBe("malformed");
      const nested = new Uint8Array(MAX_TOKEN_SIZE);
      for (let i = 0; i < nested.length; i += 2) nested.set([0x30, 0x80], i);
      expect(await codeOf(verify(nested))).toBe("malformed");
    });

    test("a flipped bit anywhere is refused, or changes nothing of what is shown", async () => {
      const shown = await verify(token);
      let refused = 0;
      for (let i = 0; i < token.length; i += 3) {
        const flipped = token.slice();
        flipped[i] = (flipped[i] ?? 0) ^ (1 << (i % 8));
        const result = await verify(flipped).catch((error: unknown) => {
          if (!(error instanceof TimestampError)) throw error;
          refused++;
          return shown;
        });
        expect(result).toEqual(shown);
      }
      // Not signed are a few bytes of the envelope: versions, the set of digests.
      expect(refused).toBeGreaterThan((token.length / 3) * 0.98);
    });
  });
});

test("bytes that are no timestamp are malformed, whatever they are", async () => {
  for (const bytes of [new Uint8Array(), Uint8Array.of(0x30, 0), message, Uint8Array.of(0x30, 3, 2, 1, 0)]) {
    expect(await codeOf(verifyToken(bytes, { message, roots: [] }))).toBe("malformed");
    expect(await codeOf(verifyResponse(bytes, { message, nonce: new Uint8Array(8), roots: [] }))).toBe(
      "malformed",
    );
  }
});

test("a PEM file without a whole certificate is refused", () => {
  for (const pem of [
    "",
    "no PEM",
    "-----BEGIN CERTIFICATE-----\nMIIB",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  ]) {
    expect(() => parsePemCertificates(pem)).toThrow(TimestampError);
  }
});

test("two requests never have one nonce", async () => {
  const nonces = await Promise.all(Array.from({ length: 50 }, () => timestampRequest(message)));
  expect(new Set(nonces.map(({ nonce }) => Buffer.from(nonce).toString("hex"))).size).toBe(50);
});
