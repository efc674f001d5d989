import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { CreateKeyCommand, type KeySpec, KMSClient } from "@aws-sdk/client-kms";
import { ed25519 } from "@noble/curves/ed25519.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { startKms } from "../../platform/embedded/kms.ts";
import { kmsClient, kmsEd25519Signer, kmsMldsa44Signer, type Signer } from "../../platform/signer.ts";

const MESSAGE = new TextEncoder().encode(
  "kedge.example/log/1\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
);
const KEY_ID = "11111111-1111-4111-8111-111111111111";

describe("with a KMS that works", () => {
  let kms: Awaited<ReturnType<typeof startKms>>;
  let dataDir: string;
  let client: KMSClient;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "kedge-signer-"));
    kms = await startKms({ dataDir });
    vi.stubEnv("AWS_ENDPOINT_URL_KMS", kms.url);
    vi.stubEnv("AWS_REGION", "eu-central-1");
    vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
    client = kmsClient();
  });

  afterAll(async () => {
    vi.unstubAllEnvs();
    await kms.close();
    await rm(dataDir, { recursive: true });
  });

  async function createKey(keySpec: KeySpec): Promise<string> {
    const command = new CreateKeyCommand({ KeySpec: keySpec, KeyUsage: "SIGN_VERIFY" });
    return (await client.send(command)).KeyMetadata?.KeyId ?? "";
  }

  test("an Ed25519 signature verifies under the raw public key", async () => {
    const signer = kmsEd25519Signer(client, await createKey("ECC_NIST_EDWARDS25519"));
    const publicKey = await signer.publicKey();
    const signature = await signer.sign(MESSAGE);
    expect([publicKey.length, signature.length]).toEqual([32, 64]);
    expect(ed25519.verify(signature, MESSAGE, publicKey, { zip215: false })).toBe(true);
  });

  test("an ML-DSA-44 signature verifies under the raw public key", async () => {
    const signer = kmsMldsa44Signer(client, await createKey("ML_DSA_44"));
    const publicKey = await signer.publicKey();
    const signature = await signer.sign(MESSAGE);
    expect([publicKey.length, signature.length]).toEqual([1312, 2420]);
    expect(ml_dsa44.verify(signature, MESSAGE, publicKey)).toBe(true);
  });

  test("a key of the other key spec is refused", async () => {
    const forEd25519 = kmsEd25519Signer(client, await createKey("ML_DSA_44"));
    const forMldsa44 = kmsMldsa44Signer(client, await createKey("ECC_NIST_EDWARDS25519"));
    await expect(forEd25519.publicKey()).rejects.toMatchObject({ code: "signer" });
    await expect(forMldsa44.sign(MESSAGE)).rejects.toMatchObject({ code: "signer" });
  });

  test("an unknown key is refused with what KMS said as the cause", async () => {
    await expect(kmsEd25519Signer(client, KEY_ID).sign(MESSAGE)).rejects.toMatchObject({
      code: "signer",
      cause: { name: "NotFoundException" },
    });
  });
});

describe("with a KMS that misbehaves", () => {
  type Reply = { status?: number; body: object };
  type Replies = { getPublicKey: () => Reply; sign: () => Reply };
  const servers: Server[] = [];

  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
  const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

  type Scheme = {
    keySpec: KeySpec;
    signer: (client: KMSClient, keyId: string) => Signer;
    publicKey: Uint8Array;
    spki: Uint8Array;
    signature: Uint8Array;
    otherSignature: Uint8Array;
    otherMessage: Uint8Array;
  };

  const ed = ed25519.keygen();
  const ml = ml_dsa44.keygen();
  const other = MESSAGE.slice(1);
  const edScheme: Scheme = {
    keySpec: "ECC_NIST_EDWARDS25519",
    signer: kmsEd25519Signer,
    publicKey: ed.publicKey,
    // SEQUENCE { SEQUENCE { OID 1.3.101.112 } BIT STRING } (RFC 8410 §4)
    spki: Uint8Array.of(...hex("302a"), ...hex("300506032b6570"), ...hex("032100"), ...ed.publicKey),
    signature: ed25519.sign(MESSAGE, ed.secretKey),
    otherSignature: ed25519.sign(MESSAGE, ed25519.keygen().secretKey),
    otherMessage: ed25519.sign(other, ed.secretKey),
  };
  const mlScheme: Scheme = {
    keySpec: "ML_DSA_44",
    signer: kmsMldsa44Signer,
    publicKey: ml.publicKey,
    // SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.3.17 } BIT STRING } (RFC 9881 §4)
    spki: Uint8Array.of(
      ...hex("30820532"),
      ...hex("300b0609608648016503040311"),
      ...hex("0382052100"),
      ...ml.publicKey,
    ),
    signature: ml_dsa44.sign(MESSAGE, ml.secretKey),
    otherSignature: ml_dsa44.sign(MESSAGE, ml_dsa44.keygen().secretKey),
    otherMessage: ml_dsa44.sign(other, ml.secretKey),
  };
  const schemes = [edScheme, mlScheme];

  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  const publicKeyReply = ({ keySpec, spki }: Scheme, changes: object = {}): Reply => ({
    body: { KeyId: KEY_ID, KeySpec: keySpec, KeyUsage: "SIGN_VERIFY", PublicKey: base64(spki), ...changes },
  });
  const signatureReply = (signature: Uint8Array): Reply => ({
    body: { KeyId: KEY_ID, Signature: base64(signature) },
  });
  const errorReply = (type: string, status = 400): Reply => ({
    status,
    body: { __type: type, message: "no" },
  });

  async function start(
    scheme: Scheme,
    changed: Partial<Replies>,
  ): Promise<{ signer: Signer; calls: string[] }> {
    const replies = {
      getPublicKey: () => publicKeyReply(scheme),
      sign: () => signatureReply(scheme.signature),
      ...changed,
    };
    const calls: string[] = [];
    const server = createServer((request, response) => {
      const operation = request.headers["x-amz-target"] === "TrentService.Sign" ? "sign" : "getPublicKey";
      calls.push(operation);
      const { status = 200, body } = replies[operation]();
      request.resume().on("end", () => {
        response
          .writeHead(status, { "content-type": "application/x-amz-json-1.1" })
          .end(JSON.stringify(body));
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    return { signer: scheme.signer(clientOf(`http://127.0.0.1:${port}`), KEY_ID), calls };
  }

  function clientOf(endpoint: string): KMSClient {
    const credentials = { accessKeyId: "test", secretAccessKey: "test" };
    return new KMSClient({ endpoint, region: "eu-central-1", credentials, maxAttempts: 1 });
  }

  describe.each(schemes)("and holds a key of $keySpec", (scheme) => {
    test("a good signature under a good key is accepted", async () => {
      const { signer } = await start(scheme, {});
      expect(await signer.publicKey()).toEqual(scheme.publicKey);
      expect(await signer.sign(MESSAGE)).toEqual(scheme.signature);
    });

    const last = scheme.signature.length - 1;
    test.each([
      ["with its first bit flipped", flipped(scheme.signature, 0)],
      ["with its last bit flipped", flipped(scheme.signature, last)],
      ["by another key", scheme.otherSignature],
      ["of another message", scheme.otherMessage],
      ["that is cut short", scheme.signature.slice(0, last)],
      ["with a byte more", Uint8Array.of(...scheme.signature, 0)],
      ["of zeroes", new Uint8Array(scheme.signature.length)],
      ["of no bytes", new Uint8Array()],
    ])("a signature %s is never returned", async (_, signature) => {
      const { signer } = await start(scheme, { sign: () => signatureReply(signature) });
      await expect(signer.sign(MESSAGE)).rejects.toMatchObject({ code: "signer" });
    });

    test("an answer without a signature is refused", async () => {
      const { signer } = await start(scheme, { sign: () => ({ body: {} }) });
      await expect(signer.sign(MESSAGE)).rejects.toMatchObject({ code: "signer" });
    });

    test.each([
      ["of another key spec", { KeySpec: "ECC_NIST_P256" }],
      ["without a key spec", { KeySpec: undefined }],
      ["for another usage", { KeyUsage: "KEY_AGREEMENT" }],
      ["that is cut short", { PublicKey: base64(scheme.spki.slice(0, -1)) }],
      ["with a byte more", { PublicKey: base64(Uint8Array.of(...scheme.spki, 0)) }],
      ["without SubjectPublicKeyInfo", { PublicKey: base64(scheme.publicKey) }],
      ["that is absent", { PublicKey: undefined }],
    ])("a public key %s is refused", async (_, changes) => {
      const { signer } = await start(scheme, { getPublicKey: () => publicKeyReply(scheme, changes) });
      await expect(signer.publicKey()).rejects.toMatchObject({ code: "signer" });
    });

    test("any changed byte of the SubjectPublicKeyInfo before the key is refused", async () => {
      const spki = scheme.spki;
      const prefix = spki.length - scheme.publicKey.length;
      for (let at = 0; at < prefix; at++) {
        const changes = { PublicKey: base64(flipped(spki, at)) };
        const { signer } = await start(scheme, { getPublicKey: () => publicKeyReply(scheme, changes) });
        await expect(signer.publicKey(), `byte ${at}`).rejects.toMatchObject({ code: "signer" });
      }
    });

    test("the public key is fetched once, however many signatures are made at a time", async () => {
      const { signer, calls } = await start(scheme, {});
      await Promise.all([signer.sign(MESSAGE), signer.publicKey(), signer.sign(MESSAGE)]);
      await signer.sign(MESSAGE);
      expect(calls.filter((call) => call === "getPublicKey")).toHaveLength(1);
    });

    test("a public key that could not be fetched is fetched again", async () => {
      const answers = [errorReply("KMSInternalException", 500), publicKeyReply(scheme)];
      const { signer } = await start(scheme, {
        getPublicKey: () => answers.shift() ?? errorReply("NotFoundException"),
      });
      await expect(signer.publicKey()).rejects.toMatchObject({ code: "signer" });
      expect(await signer.publicKey()).toEqual(scheme.publicKey);
    });
  });

  test("a public key that is no point of the curve is refused with its first signature", async () => {
    const notOnCurve = Uint8Array.of(2, ...new Uint8Array(31));
    expect(() => ed25519.Point.fromBytes(notOnCurve)).toThrow();
    const PublicKey = base64(Uint8Array.of(...edScheme.spki.slice(0, 12), ...notOnCurve));
    const { signer } = await start(edScheme, { getPublicKey: () => publicKeyReply(edScheme, { PublicKey }) });
    await expect(signer.sign(MESSAGE)).rejects.toMatchObject({ code: "signer" });
  });

  test("a public key of small order, under which anyone can sign, makes no signature pass", async () => {
    const identity = Uint8Array.of(1, ...new Uint8Array(31));
    const forged = Uint8Array.of(...identity, ...new Uint8Array(32));
    expect(ed25519.verify(forged, MESSAGE, identity, { zip215: true })).toBe(true);
    const PublicKey = base64(Uint8Array.of(...edScheme.spki.slice(0, 12), ...identity));
    const { signer } = await start(edScheme, {
      getPublicKey: () => publicKeyReply(edScheme, { PublicKey }),
      sign: () => signatureReply(forged),
    });
    await expect(signer.sign(MESSAGE)).rejects.toMatchObject({ code: "signer" });
  });

  test("a message over 4096 bytes is refused before KMS is asked", async () => {
    const { signer, calls } = await start(edScheme, {});
    await expect(signer.sign(new Uint8Array(4097))).rejects.toMatchObject({ code: "invalid" });
    expect(calls).toEqual([]);
  });

  test("a message of 4096 bytes is signed", async () => {
    const longest = new Uint8Array(4096).fill(1);
    const { signer } = await start(edScheme, {
      sign: () => signatureReply(ed25519.sign(longest, ed.secretKey)),
    });
    await expect(signer.sign(longest)).resolves.toHaveLength(64);
  });

  test.each([
    ["ThrottlingException", 400, "throttled"],
    ["LimitExceededException", 400, "throttled"],
    ["TooManyRequestsException", 400, "throttled"],
    ["SomethingNew", 429, "throttled"],
    ["AccessDeniedException", 400, "signer"],
    ["KMSInvalidStateException", 400, "signer"],
    ["DisabledException", 400, "signer"],
    ["KMSInternalException", 500, "signer"],
  ])("%s with status %i is %s, from either operation", async (name, status, code) => {
    const sign = await start(edScheme, { sign: () => errorReply(name, status) });
    await expect(sign.signer.sign(MESSAGE)).rejects.toMatchObject({ code, cause: { name } });
    const key = await start(edScheme, { getPublicKey: () => errorReply(name, status) });
    await expect(key.signer.publicKey()).rejects.toMatchObject({ code, cause: { name } });
  });

  test("a KMS that cannot be reached is an error of the signer", async () => {
    const { signer } = await start(edScheme, {});
    for (const server of servers.splice(0)) server.close();
    await expect(signer.sign(MESSAGE)).rejects.toMatchObject({
      code: "signer",
      cause: { code: "ECONNREFUSED" },
    });
  });

  test("no error shows the message", async () => {
    const text = "patient-registry.example";
    const secret = new TextEncoder().encode(text.repeat(3));
    const attempts = [
      await start(edScheme, {}),
      await start(edScheme, { sign: () => errorReply("ValidationException") }),
      await start(edScheme, { sign: () => errorReply("ThrottlingException") }),
    ];
    const errors: unknown[] = await Promise.all(
      attempts.map(({ signer }) => signer.sign(secret).catch((error: unknown) => error)),
    );
    errors.push(
      await attempts[0]?.signer.sign(new Uint8Array(5000).fill(97)).catch((error: unknown) => error),
    );
    for (const error of errors) {
      expect(error).toBeInstanceOf(Error);
      const shown = inspect(error, { depth: 9 });
      expect(shown).not.toContain(text);
      expect(shown).not.toContain(base64(secret).slice(0, 20));
      expect(shown).not.toMatch(/aaaa/);
    }
  });
});
