import { createPublicKey, verify as nodeVerify } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import {
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DescribeKeyCommand,
  GetPublicKeyCommand,
  KMSClient,
  SignCommand,
  type SignCommandInput,
} from "@aws-sdk/client-kms";
import { ed25519 } from "@noble/curves/ed25519.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startKms } from "../../../platform/embedded/kms.ts";

const MESSAGE = new TextEncoder().encode(
  "kedge.example/log/1\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
);
const ED25519 = { KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" } as const;
const MLDSA44 = { KeySpec: "ML_DSA_44", KeyUsage: "SIGN_VERIFY" } as const;

type Kms = Pick<Awaited<ReturnType<typeof startKms>>, "url" | "close">;
const running: Kms[] = [];
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "kedge-kms-"));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((kms) => kms.close()));
  await rm(dataDir, { recursive: true });
});

async function start(): Promise<Kms & { client: KMSClient }> {
  const kms = await startKms({ dataDir });
  running.push(kms);
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const client = new KMSClient({ endpoint: kms.url, region: "eu-central-1", credentials, maxAttempts: 1 });
  return { ...kms, client };
}

async function create(client: KMSClient, input: CreateKeyCommandInput): Promise<string> {
  const { KeyMetadata } = await client.send(new CreateKeyCommand(input));
  return KeyMetadata?.KeyId ?? "";
}

async function spki(client: KMSClient, keyId: string): Promise<Uint8Array> {
  const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId: keyId }));
  return PublicKey ?? new Uint8Array();
}

async function sign(client: KMSClient, input: Omit<SignCommandInput, "Message">): Promise<Uint8Array> {
  const { Signature } = await client.send(new SignCommand({ Message: MESSAGE, ...input }));
  return Signature ?? new Uint8Array();
}

const signEd25519 = (client: KMSClient, keyId: string) =>
  sign(client, { KeyId: keyId, SigningAlgorithm: "ED25519_SHA_512", MessageType: "RAW" });
const signMldsa44 = (client: KMSClient, keyId: string) =>
  sign(client, { KeyId: keyId, SigningAlgorithm: "ML_DSA_SHAKE_256", MessageType: "RAW" });

describe("keys and signatures", () => {
  test("an Ed25519 signature verifies with noble and with node:crypto under the published key", async () => {
    const { client } = await start();
    const keyId = await create(client, {
      ...ED25519,
      Description: "a log",
      Tags: [{ TagKey: "a", TagValue: "b" }],
    });
    const der = await spki(client, keyId);
    const signature = await signEd25519(client, keyId);
    const key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
    expect(key.asymmetricKeyType).toBe("ed25519");
    expect(nodeVerify(null, MESSAGE, key, signature)).toBe(true);
    expect(ed25519.verify(signature, MESSAGE, der.slice(-32), { zip215: false })).toBe(true);
  });

  test("an ML-DSA-44 signature verifies with an empty context under the published key", async () => {
    const { client } = await start();
    const keyId = await create(client, MLDSA44);
    const der = await spki(client, keyId);
    // The first bytes of the ML-DSA-44 public key in RFC 9881, appendix C.
    expect(Buffer.from(der).toString("base64").startsWith("MIIFMjALBglghkgBZQMEAxEDggUhA")).toBe(true);
    expect(der.length).toBe(22 + 1312);
    expect(ml_dsa44.verify(await signMldsa44(client, keyId), MESSAGE, der.slice(22))).toBe(true);
  });

  test("ML-DSA-44 signing is hedged: the same message is never signed alike", async () => {
    const { client } = await start();
    const keyId = await create(client, MLDSA44);
    expect(await signMldsa44(client, keyId)).not.toEqual(await signMldsa44(client, keyId));
  });

  test.each([ED25519, MLDSA44])("DescribeKey tells what CreateKey made: $KeySpec", async (input) => {
    const { client } = await start();
    const made = await client.send(new CreateKeyCommand(input));
    const described = await client.send(new DescribeKeyCommand({ KeyId: made.KeyMetadata?.KeyId }));
    expect(described.KeyMetadata).toEqual(made.KeyMetadata);
    expect(described.KeyMetadata).toMatchObject({ ...input, Enabled: true, KeyState: "Enabled" });
    expect(described.KeyMetadata?.CreationDate).toBeInstanceOf(Date);
  });

  test("a key answers to its id and to its ARN", async () => {
    const { client } = await start();
    const { KeyMetadata } = await client.send(new CreateKeyCommand(ED25519));
    const arn = KeyMetadata?.Arn ?? "";
    expect(arn).toMatch(/^arn:aws:kms:[a-z0-9-]+:000000000000:key\/[0-9a-f-]{36}$/);
    expect(await spki(client, arn)).toEqual(await spki(client, KeyMetadata?.KeyId ?? ""));
  });

  test("every key has its own key pair", async () => {
    const { client } = await start();
    const keys = [await create(client, ED25519), await create(client, ED25519)];
    const [first, second] = await Promise.all(keys.map((key) => spki(client, key)));
    expect(first).not.toEqual(second);
  });
});

describe("errors are those of KMS", () => {
  const unknown = "00000000-0000-4000-8000-000000000000";
  const refused: [string, CreateKeyCommandInput, string][] = [
    ["a symmetric key", {}, "UnsupportedOperationException"],
    ["an RSA key", { KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY" }, "UnsupportedOperationException"],
    ["a signing key to encrypt with", { ...ED25519, KeyUsage: "ENCRYPT_DECRYPT" }, "ValidationException"],
    ["a signing key without a usage", { KeySpec: "ML_DSA_44" }, "ValidationException"],
  ];
  test.each(refused)("CreateKey refuses %s", async (_, input, name) => {
    const { client } = await start();
    await expect(create(client, input)).rejects.toMatchObject({ name });
  });

  test.each([
    unknown,
    `arn:aws:kms:us-east-1:000000000000:key/${unknown}`,
    `arn:aws:kms:us-east-1:111111111111:key/${unknown}`,
    "alias/kedge",
    "__proto__",
    "../kms.json",
  ])("no operation finds a key under %s", async (keyId) => {
    const { client } = await start();
    const name = "NotFoundException";
    await expect(spki(client, keyId)).rejects.toMatchObject({ name });
    await expect(signEd25519(client, keyId)).rejects.toMatchObject({ name });
    await expect(client.send(new DescribeKeyCommand({ KeyId: keyId }))).rejects.toMatchObject({ name });
  });

  test("an algorithm of another key spec is refused, for both key specs", async () => {
    const { client } = await start();
    const name = "InvalidKeyUsageException";
    await expect(signMldsa44(client, await create(client, ED25519))).rejects.toMatchObject({ name });
    await expect(signEd25519(client, await create(client, MLDSA44))).rejects.toMatchObject({ name });
  });

  test("a message type other than RAW is refused, for both key specs", async () => {
    const { client } = await start();
    const name = "ValidationException";
    const ed = { KeyId: await create(client, ED25519), SigningAlgorithm: "ED25519_SHA_512" } as const;
    const ml = { KeyId: await create(client, MLDSA44), SigningAlgorithm: "ML_DSA_SHAKE_256" } as const;
    await expect(sign(client, { ...ed, MessageType: "DIGEST" })).rejects.toMatchObject({ name });
    await expect(sign(client, { ...ml, MessageType: "EXTERNAL_MU" })).rejects.toMatchObject({ name });
  });

  test("a message has 1 to 4096 bytes", async () => {
    const { client } = await start();
    const key = { KeyId: await create(client, ED25519), SigningAlgorithm: "ED25519_SHA_512" } as const;
    const signBytes = (length: number) =>
      client.send(new SignCommand({ ...key, Message: new Uint8Array(length) }));
    await expect(signBytes(4096)).resolves.toHaveProperty("Signature");
    await expect(signBytes(4097)).rejects.toMatchObject({ name: "ValidationException" });
    await expect(signBytes(0)).rejects.toMatchObject({ name: "ValidationException" });
  });
});

describe("hostile requests", () => {
  const headers = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "TrentService.CreateKey",
  };
  const good = JSON.stringify(ED25519);
  const over = " ".repeat(64 * 1024 + 1);
  const huge = " ".repeat(16 * 1024 * 1024);

  type Attack = {
    method?: string;
    path?: string;
    headers?: Record<string, string>;
    body?: string | Uint8Array;
  };
  const attacks: [string, Attack, number, string][] = [
    ["an empty body", { body: "" }, 400, "SerializationException"],
    ["a body that is not JSON", { body: "{" }, 400, "SerializationException"],
    ["a body that is not UTF-8", { body: Uint8Array.of(0x22, 0xff, 0x22) }, 400, "SerializationException"],
    ["a body nested without end", { body: "[".repeat(60_000) }, 400, "SerializationException"],
    ["null", { body: "null" }, 400, "ValidationException"],
    ["an array", { body: "[]" }, 400, "ValidationException"],
    ["a number for a string", { body: '{"KeySpec":1}' }, 400, "ValidationException"],
    ["a name from Object.prototype", { body: '{"KeySpec":"toString"}' }, 400, "ValidationException"],
    [
      "a message that is not base64",
      {
        headers: { "x-amz-target": "TrentService.Sign" },
        body: '{"KeyId":"a","Message":"?","SigningAlgorithm":"ED25519_SHA_512"}',
      },
      400,
      "ValidationException",
    ],
    [
      "an unknown operation",
      { headers: { "x-amz-target": "TrentService.Decrypt" } },
      400,
      "UnknownOperationException",
    ],
    ["another service", { headers: { "x-amz-target": "Other.CreateKey" } }, 400, "UnknownOperationException"],
    ["another path", { path: "/kms.json" }, 404, "UnknownOperationException"],
    ["another method", { method: "PUT" }, 404, "UnknownOperationException"],
    ["a form", { headers: { "content-type": "text/plain" } }, 415, "UnsupportedMediaTypeException"],
    ["a web page", { headers: { origin: "https://hostile.example" } }, 403, "AccessDeniedException"],
    ["a name that leads here", { headers: { host: "hostile.example" } }, 403, "AccessDeniedException"],
    ["a body of 16 MiB", { body: huge }, 413, "RequestEntityTooLargeException"],
    ["a body over 64 KiB", { body: over }, 413, "RequestEntityTooLargeException"],
    [
      "a body over 64 KiB in chunks",
      { body: over, headers: { "transfer-encoding": "chunked" } },
      413,
      "RequestEntityTooLargeException",
    ],
  ];

  function send(url: string, attack: Attack): Promise<{ status: number; type: unknown; id: unknown }> {
    return new Promise((resolve, reject) => {
      const method = attack.method ?? "POST";
      const all = { ...headers, ...attack.headers };
      const outgoing = request(new URL(attack.path ?? "/", url), { method, headers: all });
      outgoing.on("error", reject);
      outgoing.on("response", async (response: IncomingMessage) => {
        const body: unknown = JSON.parse(Buffer.concat(await response.toArray()).toString());
        const type = typeof body === "object" && body !== null && "__type" in body ? body.__type : undefined;
        resolve({ status: response.statusCode ?? 0, type, id: response.headers["x-amzn-requestid"] });
      });
      outgoing.end(attack.body ?? good);
    });
  }

  const headerLines = (all: Record<string, string>) =>
    Object.entries(all)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\r\n");

  test.each(attacks)("%s is refused and makes no key", async (_, attack, status, type) => {
    const { url, client } = await start();
    const answer = await send(url, attack);
    expect(answer).toEqual({ status, type, id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(await readdir(dataDir)).toEqual([]);
    await expect(create(client, ED25519)).resolves.not.toBe("");
  });

  test("a refused body leaves its connection usable", async () => {
    const { url } = await start();
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    const statuses: string[] = [];
    const answered = new Promise<void>((resolve) => {
      socket.on("data", (data) => {
        statuses.push(...(data.toString().match(/(?<=HTTP\/1\.1 )\d+/g) ?? []));
        if (statuses.length === 2) resolve();
      });
    });
    for (const body of [huge, good]) {
      const all = { ...headers, host: "127.0.0.1", "content-length": String(body.length) };
      socket.write(`POST / HTTP/1.1\r\n${headerLines(all)}\r\n\r\n${body}`);
    }
    await answered;
    expect(statuses).toEqual(["413", "200"]);
    socket.destroy();
  });

  test("a client that goes away in the middle of a body disturbs no other", async () => {
    const { url, client } = await start();
    const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {});
    await once(socket, "connect");
    const lines = Object.entries({ ...headers, host: "127.0.0.1", "content-length": "100" }).map(
      ([k, v]) => `${k}: ${v}`,
    );
    socket.write(`POST / HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n{`);
    await create(client, ED25519);
    socket.destroy();
    await expect(create(client, ED25519)).resolves.not.toBe("");
  });

  test("only clients that know the access key id can sign", async () => {
    const { url, close } = await startKms({ dataDir, accessKeyId: "0123456789abcdef" });
    running.push({ url, close });
    const clientWith = (accessKeyId: string) => {
      const credentials = { accessKeyId, secretAccessKey: "test" };
      return new KMSClient({ endpoint: url, region: "eu-central-1", credentials, maxAttempts: 1 });
    };
    const keyId = await create(clientWith("0123456789abcdef"), ED25519);
    for (const other of ["test", "0123456789abcde", "0123456789abcdef0"]) {
      const refused = expect(signEd25519(clientWith(other), keyId)).rejects;
      await refused.toMatchObject({ name: "AccessDeniedException", $metadata: { httpStatusCode: 403 } });
    }
    expect((await send(url, {})).status).toBe(403);
  });

  test("only 127.0.0.1 is served", async () => {
    const { url } = await start();
    await expect(fetch(url.replace("127.0.0.1", "127.0.0.2"))).rejects.toThrow();
  });

  test("close does not wait for a connection on which no request comes", async () => {
    const { url, close } = await startKms({ dataDir });
    const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {});
    const ended = new Promise((resolve) => socket.once("close", resolve));
    await once(socket, "connect");
    // Connections are accepted in their order, so an answer on a later one shows that this one was.
    await send(url, {});
    await close();
    await ended;
  });

  test("any JSON gets an answer, and never a 5xx", async () => {
    const { url } = await start();
    const operation = fc.constantFrom("CreateKey", "DescribeKey", "GetPublicKey", "Sign");
    const member = fc.constantFrom(
      "KeyId",
      "KeySpec",
      "KeyUsage",
      "Message",
      "MessageType",
      "SigningAlgorithm",
    );
    const body = fc.oneof(fc.jsonValue(), fc.dictionary(member, fc.jsonValue()));
    await fc.assert(
      fc.asyncProperty(operation, body, async (name, value) => {
        const attack = { headers: { "x-amz-target": `TrentService.${name}` }, body: JSON.stringify(value) };
        expect((await send(url, attack)).status).toBe(400);
      }),
      { numRuns: 200 },
    );
  });
});

describe("the key file", () => {
  const keyFile = () => join(dataDir, "kms.json");

  test("an acknowledged key is there after a crash, with the same public key", async () => {
    const before = await start();
    const ed = await create(before.client, ED25519);
    const ml = await create(before.client, MLDSA44);
    // The first server is not closed: nothing may depend on an orderly end.
    const after = await start();
    expect(await spki(after.client, ed)).toEqual(await spki(before.client, ed));
    const mlKey = (await spki(before.client, ml)).slice(22);
    expect(ml_dsa44.verify(await signMldsa44(after.client, ml), MESSAGE, mlKey)).toBe(true);
  });

  test("concurrent CreateKey calls lose no key", async () => {
    const before = await start();
    const specs = Array.from({ length: 24 }, (_, i) => (i % 8 === 0 ? MLDSA44 : ED25519));
    const keys = await Promise.all(specs.map((spec) => create(before.client, spec)));
    const after = await start();
    const kept = await Promise.all(keys.map((key) => spki(after.client, key)));
    expect(new Set(kept.map((der) => Buffer.from(der).toString("hex"))).size).toBe(specs.length);
  });

  test("only its owner can read it, even when a backup came back with a wider mode", async () => {
    const { client } = await start();
    await create(client, ED25519);
    expect((await stat(keyFile())).mode & 0o777).toBe(0o600);
    const text = await readFile(keyFile());
    await rm(keyFile());
    await writeFile(keyFile(), text, { mode: 0o644 });
    expect((await stat(keyFile())).mode & 0o777).toBe(0o644);
    await start();
    expect((await stat(keyFile())).mode & 0o777).toBe(0o600);
  });

  test("a key that cannot be written is not acknowledged, and the next one is", async () => {
    const { client } = await start();
    await mkdir(`${keyFile()}.tmp`);
    await expect(create(client, ED25519)).rejects.toMatchObject({ name: "KMSInternalException" });
    await rmdir(`${keyFile()}.tmp`);
    const key = await create(client, ED25519);
    await expect(spki((await start()).client, key)).resolves.toHaveLength(44);
  });

  test("any changed byte or lost tail is refused, and the file is left as it is", async () => {
    const { client } = await start();
    await create(client, ED25519);
    await create(client, MLDSA44);
    const good = await readFile(keyFile());
    const changed = fc
      .record({ at: fc.nat(good.length - 1), by: fc.integer({ min: 1, max: 255 }) })
      .map(({ at, by }) => good.map((byte, i) => (i === at ? byte ^ by : byte)));
    const cut = fc.nat(good.length - 1).map((length) => good.subarray(0, length));
    await fc.assert(
      fc.asyncProperty(fc.oneof(changed, cut), async (bad) => {
        await writeFile(keyFile(), bad);
        await expect(startKms({ dataDir })).rejects.toMatchObject({ code: "corrupt" });
        expect(Buffer.compare(await readFile(keyFile()), bad)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("a refusal quotes no key material", async () => {
    const { client } = await start();
    await create(client, ED25519);
    const good = await readFile(keyFile(), "utf8");
    const seed = /"seed":"([0-9a-f]{64})"/.exec(good)?.[1] ?? "";
    expect(seed).toHaveLength(64);
    for (const bad of [good.replace(seed, `${seed}x`), good.replace(`"${seed}"`, seed), `${seed}`]) {
      await writeFile(keyFile(), bad);
      const error: unknown = await startKms({ dataDir }).catch((refusal: unknown) => refusal);
      expect(error).toMatchObject({ code: "corrupt" });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(seed.slice(0, 8));
    }
  });
});
