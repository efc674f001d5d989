/**
 * The embedded KMS: the few operations of AWS KMS that Kedge uses, over the same wire protocol (AWS JSON 1.1),
 * with Ed25519 and ML-DSA-44 keys in one file. It is for one machine and its owner: no IAM, no HSM, and whoever
 * can read the file, or knows the access key id that it was started with, can sign. Not offered: ED25519_PH_SHA_512, EXTERNAL_MU, aliases, DryRun.
 */
import { createHash, createPrivateKey, createPublicKey, randomBytes, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { chmod, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec } from "@aws-sdk/client-kms";
import { readBounded } from "@kedge/verify/net/exchange";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { z } from "zod";
import { makeFolder, writeDurably } from "../durable.ts";
import { ServiceError } from "../error.ts";
import { refusalOf } from "./access.mjs";

const KEY_FILE = "kms.json";
const ACCOUNT = "000000000000";
const MAX_BODY_BYTES = 64 * 1024;
const MAX_MESSAGE_BYTES = 4096;
/** How long close() lets requests under way finish before it cuts their connections. */
const CLOSE_GRACE_MS = 2_000;

/** PKCS #8 of an Ed25519 seed (RFC 8410 §7), up to the seed. */
const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
/** SubjectPublicKeyInfo of an ML-DSA-44 key (RFC 9881 §4), up to the key. */
const MLDSA44_SPKI = Buffer.from("30820532300b06096086480165030403110382052100", "hex");

/** Of Ed25519: RFC 8410 §4. */
const SPKI_PREFIX_BYTES = { ECC_NIST_EDWARDS25519: 12, ML_DSA_44: MLDSA44_SPKI.length } as const;

const SIGNING_ALGORITHM = {
  ECC_NIST_EDWARDS25519: "ED25519_SHA_512",
  ML_DSA_44: "ML_DSA_SHAKE_256",
} as const;

const storedKeySchema = z.strictObject({
  keyId: z.uuid(),
  keySpec: z.enum(["ECC_NIST_EDWARDS25519", "ML_DSA_44"]),
  /** Unix seconds. */
  created: z.int().nonnegative(),
  /** 32 bytes in hex: the private key of RFC 8032 §5.1.5, or ξ of FIPS 204 algorithm 1. */
  seed: z.string().regex(/^[0-9a-f]{64}$/),
});
type StoredKey = z.infer<typeof storedKeySchema>;

/** `sha256` is of the JSON of `keys`: one flipped bit in a seed would otherwise be another valid key. */
const keyFileSchema = z.strictObject({
  version: z.literal(1),
  keys: z.array(storedKeySchema),
  sha256: z.string(),
});

type UnlockedKey = StoredKey & { spki: Uint8Array; sign(message: Uint8Array): Uint8Array };

type KeyStore = {
  readonly publicKeys: readonly Uint8Array[];
  find(keyId: string): UnlockedKey | undefined;
  /** Resolves once the key is on disk. */
  create(keySpec: StoredKey["keySpec"]): Promise<UnlockedKey>;
  /** Resolves once nothing is being written. */
  idle(): Promise<void>;
};

/** An error of the KMS API, as it goes over the wire. */
class KmsFault extends Error {
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

/**
 * Serves KMS on 127.0.0.1, with its keys in `<dataDir>/kms.json` (mode 0600); without a port, on a free one; to
 * clients with this access key id or, without one, to every program on this machine.
 * Throws ServiceError "corrupt" when that file is not exactly what was written: it never makes new keys over old
 * ones. One process per dataDir. `publicKeys`: those of the file when it was opened, raw, in the order of their making.
 */
export async function startKms(options: {
  dataDir: string;
  port?: number;
  accessKeyId?: string;
}): Promise<{ url: string; publicKeys: readonly Uint8Array[]; close(): Promise<void> }> {
  await makeFolder(options.dataDir, 0o700);
  const store = await openKeyStore(join(options.dataDir, KEY_FILE));
  const server = createServer((request, response) => {
    void answer(store, options.accessKeyId, request, response);
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;

  const close = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    await closed;
    clearTimeout(cut);
    await store.idle();
  };
  return { url: `http://127.0.0.1:${port}`, publicKeys: store.publicKeys, close };
}

// ---- one request -----------------------------------------------------------------------------------------------

async function answer(
  store: KeyStore,
  accessKeyId: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let status = 200;
  let body: object;
  try {
    const target = checkHeaders(request, accessKeyId);
    body = await perform(store, target, parseJson(await readBody(request)));
  } catch (error) {
    const fault =
      error instanceof KmsFault
        ? error
        : new KmsFault("KMSInternalException", "The embedded KMS failed; retry, then check the disk", 500);
    status = fault.status;
    body = { __type: fault.type, message: fault.message };
    // The rest of a refused body is read and dropped, or it would block the connection.
    request.resume();
  }
  const payload = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    "content-type": "application/x-amz-json-1.1",
    "content-length": payload.length,
    "x-amzn-requestid": randomUUID(),
  });
  response.end(payload);
}

/** Returns the X-Amz-Target. */
function checkHeaders(request: IncomingMessage, accessKeyId: string | undefined): string {
  const refusal = refusalOf(request.headers, accessKeyId);
  if (refusal !== undefined) throw new KmsFault("AccessDeniedException", refusal, 403);
  const target = request.headers["x-amz-target"];
  const contentType = request.headers["content-type"];
  if (request.method !== "POST" || request.url !== "/" || typeof target !== "string") {
    throw new KmsFault("UnknownOperationException", "Send POST / with an X-Amz-Target header", 404);
  }
  if (contentType !== "application/x-amz-json-1.1") {
    throw new KmsFault("UnsupportedMediaTypeException", "Send application/x-amz-json-1.1", 415);
  }
  return target;
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const body = await readBounded(request.iterator({ destroyOnReturn: false }), MAX_BODY_BYTES);
  if (body !== undefined) return body;
  throw new KmsFault("RequestEntityTooLargeException", `A body has at most ${MAX_BODY_BYTES} bytes`, 413);
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new KmsFault("SerializationException", "The body is not JSON in UTF-8");
  }
}

function perform(store: KeyStore, target: string, input: unknown): object | Promise<object> {
  switch (target) {
    case "TrentService.CreateKey":
      return createKey(store, input);
    case "TrentService.DescribeKey":
      return describeKey(store, input);
    case "TrentService.GetPublicKey":
      return getPublicKey(store, input);
    case "TrentService.Sign":
      return signMessage(store, input);
    default:
      throw new KmsFault(
        "UnknownOperationException",
        "The embedded KMS offers CreateKey, DescribeKey, GetPublicKey, Sign",
      );
  }
}

// ---- the operations (KMS API Reference); members that are not named here are ignored ------------------------------

const keyIdSchema = z.string().min(1).max(2048);

const createKeyRequest = z.object({
  KeySpec: z.enum(KeySpec).default("SYMMETRIC_DEFAULT"),
  KeyUsage: z.enum(KeyUsageType).default("ENCRYPT_DECRYPT"),
});
const keyRequest = z.object({ KeyId: keyIdSchema });
const signRequest = z.object({
  KeyId: keyIdSchema,
  Message: z.base64().transform((text) => Buffer.from(text, "base64")),
  MessageType: z.enum(MessageType).default("RAW"),
  SigningAlgorithm: z.enum(SigningAlgorithmSpec),
});

async function createKey(store: KeyStore, input: unknown): Promise<object> {
  const request = validate(createKeyRequest, input);
  const keySpec = storedKeySchema.shape.keySpec.safeParse(request.KeySpec);
  if (!keySpec.success) {
    throw new KmsFault(
      "UnsupportedOperationException",
      "The embedded KMS offers the KeySpecs ECC_NIST_EDWARDS25519 and ML_DSA_44",
    );
  }
  if (request.KeyUsage !== "SIGN_VERIFY") {
    throw new KmsFault(
      "ValidationException",
      `KeyUsage ${request.KeyUsage} is not compatible with KeySpec ${request.KeySpec}; use SIGN_VERIFY`,
    );
  }
  return { KeyMetadata: metadata(await store.create(keySpec.data)) };
}

function describeKey(store: KeyStore, input: unknown): object {
  return { KeyMetadata: metadata(findKey(store, validate(keyRequest, input).KeyId)) };
}

function getPublicKey(store: KeyStore, input: unknown): object {
  const key = findKey(store, validate(keyRequest, input).KeyId);
  return {
    KeyId: arnOf(key),
    PublicKey: Buffer.from(key.spki).toString("base64"),
    CustomerMasterKeySpec: key.keySpec,
    KeySpec: key.keySpec,
    KeyUsage: "SIGN_VERIFY",
    SigningAlgorithms: [SIGNING_ALGORITHM[key.keySpec]],
  };
}

function signMessage(store: KeyStore, input: unknown): object {
  const request = validate(signRequest, input);
  if (request.Message.length < 1 || request.Message.length > MAX_MESSAGE_BYTES) {
    throw new KmsFault("ValidationException", `A Message has 1 to ${MAX_MESSAGE_BYTES} bytes`);
  }
  const key = findKey(store, request.KeyId);
  const algorithm = SIGNING_ALGORITHM[key.keySpec];
  if (request.SigningAlgorithm !== algorithm) {
    throw new KmsFault(
      "InvalidKeyUsageException",
      `Algorithm ${request.SigningAlgorithm} is incompatible with key spec ${key.keySpec}; use ${algorithm}`,
    );
  }
  if (request.MessageType !== "RAW") {
    throw new KmsFault("ValidationException", `Algorithm ${algorithm} requires MessageType RAW`);
  }
  return {
    KeyId: arnOf(key),
    Signature: Buffer.from(key.sign(request.Message)).toString("base64"),
    SigningAlgorithm: algorithm,
  };
}

function validate<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`);
  throw new KmsFault("ValidationException", issues.join("; "));
}

/** Accepts a key id or a key ARN of any region: the region of a laptop is whatever its environment says today. */
function findKey(store: KeyStore, keyId: string): UnlockedKey {
  const bare = keyId.replace(new RegExp(`^arn:aws:kms:[a-z0-9-]+:${ACCOUNT}:key/`), "");
  const key = store.find(bare);
  if (key === undefined) throw new KmsFault("NotFoundException", `Key '${keyId}' does not exist`);
  return key;
}

function metadata(key: UnlockedKey): object {
  return {
    AWSAccountId: ACCOUNT,
    KeyId: key.keyId,
    Arn: arnOf(key),
    CreationDate: key.created,
    Enabled: true,
    Description: "",
    KeyUsage: "SIGN_VERIFY",
    KeyState: "Enabled",
    Origin: "AWS_KMS",
    KeyManager: "CUSTOMER",
    CustomerMasterKeySpec: key.keySpec,
    KeySpec: key.keySpec,
    SigningAlgorithms: [SIGNING_ALGORITHM[key.keySpec]],
    MultiRegion: false,
  };
}

function arnOf(key: UnlockedKey): string {
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  return `arn:aws:kms:${AWS_REGION ?? AWS_DEFAULT_REGION ?? "us-east-1"}:${ACCOUNT}:key/${key.keyId}`;
}

// ---- the keys ------------------------------------------------------------------------------------------------------

async function openKeyStore(path: string): Promise<KeyStore> {
  let stored = await readKeyFile(path);
  const keys = new Map(stored.map((key) => [key.keyId, unlock(key)]));
  // Writes go one after the other, each from what the one before it left, so none loses a key of another.
  let tail = Promise.resolve();

  const add = async (created: StoredKey) => {
    const next = [...stored, created];
    const file = { version: 1, keys: next, sha256: checksum(next) };
    await writeDurably(path, JSON.stringify(file), 0o600);
    stored = next;
    const key = unlock(created);
    keys.set(key.keyId, key);
    return key;
  };

  return {
    publicKeys: [...keys.values()].map(({ keySpec, spki }) => spki.subarray(SPKI_PREFIX_BYTES[keySpec])),
    find: (keyId) => keys.get(keyId),
    create: (keySpec) => {
      const added = tail.then(() =>
        add({
          keyId: randomUUID(),
          keySpec,
          created: Math.floor(Date.now() / 1000),
          seed: randomBytes(32).toString("hex"),
        }),
      );
      tail = added.then(
        () => {},
        () => {},
      );
      return added;
    },
    idle: () => tail,
  };
}

function unlock(stored: StoredKey): UnlockedKey {
  const seed = Buffer.from(stored.seed, "hex");
  switch (stored.keySpec) {
    case "ECC_NIST_EDWARDS25519": {
      const pkcs8 = Buffer.concat([ED25519_PKCS8, seed]);
      const privateKey = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
      const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
      return { ...stored, spki, sign: (message) => sign(null, message, privateKey) };
    }
    case "ML_DSA_44": {
      const { publicKey, secretKey } = ml_dsa44.keygen(seed);
      const spki = Buffer.concat([MLDSA44_SPKI, publicKey]);
      // noble's default is FIPS 204's hedged variant with an empty context, as in KMS.
      return { ...stored, spki, sign: (message) => ml_dsa44.sign(message, secretKey) };
    }
  }
}

async function readKeyFile(path: string): Promise<StoredKey[]> {
  let text: string;
  try {
    // A copy or a restored backup may have come with a wider mode.
    await chmod(path, 0o600);
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return [];
    throw new ServiceError("unavailable", `${path} cannot be read; check its owner and the disk`, { cause });
  }
  const file = parseKeyFile(text);
  if (file === undefined) {
    throw new ServiceError(
      "corrupt",
      `${path} is not as the embedded KMS wrote it; restore it from a backup, for logs signed with its keys need them`,
    );
  }
  return file;
}

/** Gives no reason for a refusal: JSON.parse's would quote the seeds. */
function parseKeyFile(text: string): StoredKey[] | undefined {
  try {
    const file = keyFileSchema.parse(JSON.parse(text));
    return file.sha256 === checksum(file.keys) ? file.keys : undefined;
  } catch {
    return undefined;
  }
}

/** Zod rebuilds each key in the order of its schema, so the same keys always make the same JSON. */
function checksum(keys: readonly StoredKey[]): string {
  return createHash("sha256").update(JSON.stringify(keys)).digest("hex");
}
