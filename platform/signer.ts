/** The signing keys in AWS KMS. Every signature is verified before it is handed on. */
import {
  GetPublicKeyCommand,
  type KeySpec,
  KMSClient,
  KMSServiceException,
  SignCommand,
  type SigningAlgorithmSpec,
} from "@aws-sdk/client-kms";
import { verifyEd25519 } from "@kedge/verify/tlog/note";
import { hexToBytes } from "@noble/hashes/utils.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { ServiceError } from "./error.ts";

/** Signs for one log. It cannot tell a committed tree head from another: callers commit first, then sign (I3). */
export type Signer = {
  /** The raw public key: 32 bytes for Ed25519, 1312 for ML-DSA-44. Fetched once. Throws ServiceError. */
  publicKey(): Promise<Uint8Array>;
  /** Signs at most 4096 bytes: 64 bytes for Ed25519, 2420 for ML-DSA-44, already verified. Throws ServiceError. */
  sign(message: Uint8Array): Promise<Uint8Array>;
};

/** What KMS signs at most with MessageType RAW (KMS API Reference, Sign). */
const MAX_MESSAGE_BYTES = 4096;

const CONNECTION_TIMEOUT_MS = 1_000;
const REQUEST_TIMEOUT_MS = 5_000;
const MAX_ATTEMPTS = 3;

const THROTTLING = new Set([
  "LimitExceededException",
  "RequestLimitExceeded",
  "RequestThrottledException",
  "Throttling",
  "ThrottlingException",
  "TooManyRequestsException",
]);

type Algorithm = {
  keySpec: KeySpec;
  signingAlgorithm: SigningAlgorithmSpec;
  /** DER of a SubjectPublicKeyInfo up to the key bytes: one exact prefix, since DER knows no other. */
  spkiPrefix: Uint8Array;
  publicKeyBytes: number;
  signatureBytes: number;
  /** The same rules by which every verifier judges: what passes here is accepted there. */
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
};

/** RFC 8032; SubjectPublicKeyInfo of RFC 8410 §4. */
const ED25519: Algorithm = {
  keySpec: "ECC_NIST_EDWARDS25519",
  signingAlgorithm: "ED25519_SHA_512",
  spkiPrefix: hexToBytes("302a300506032b6570032100"),
  publicKeyBytes: 32,
  signatureBytes: 64,
  verify: (signature, message, publicKey) => verifyEd25519(publicKey, message, signature),
};

/** FIPS 204 with an empty context; SubjectPublicKeyInfo of RFC 9881 §4, OID 2.16.840.1.101.3.4.3.17. */
const MLDSA44: Algorithm = {
  keySpec: "ML_DSA_44",
  signingAlgorithm: "ML_DSA_SHAKE_256",
  spkiPrefix: hexToBytes("30820532300b06096086480165030403110382052100"),
  publicKeyBytes: 1312,
  signatureBytes: 2420,
  verify: (signature, message, publicKey) => ml_dsa44.verify(signature, message, publicKey),
};

/** A KMS client that gives up in time for a Lambda to retry. Region, endpoint and credentials are the SDK's own. */
export function kmsClient(): KMSClient {
  return new KMSClient({
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  });
}

/** A log's Ed25519 key in KMS: KeySpec ECC_NIST_EDWARDS25519, ED25519_SHA_512, MessageType RAW. */
export function kmsEd25519Signer(client: KMSClient, keyId: string): Signer {
  return kmsSigner(client, keyId, ED25519);
}

/** The anchor log's post-quantum key in KMS: KeySpec ML_DSA_44, ML_DSA_SHAKE_256, MessageType RAW. */
export function kmsMldsa44Signer(client: KMSClient, keyId: string): Signer {
  return kmsSigner(client, keyId, MLDSA44);
}

function kmsSigner(client: KMSClient, keyId: string, algorithm: Algorithm): Signer {
  let cached: Promise<Uint8Array> | undefined;

  const publicKey = () => {
    cached ??= fetchPublicKey(client, keyId, algorithm).catch((error: unknown) => {
      cached = undefined;
      throw error;
    });
    return cached;
  };

  const sign = async (message: Uint8Array) => {
    if (message.length > MAX_MESSAGE_BYTES) {
      throw new ServiceError(
        "invalid",
        `KMS signs at most ${MAX_MESSAGE_BYTES} bytes and the message has ${message.length}; shorten the log's origin`,
      );
    }
    const key = await publicKey();
    const signature = await requestSignature(client, keyId, algorithm, message);
    // A faulty HSM or another key behind this id must never put a bad signature into a published checkpoint.
    if (signature.length !== algorithm.signatureBytes || !algorithm.verify(signature, message, key)) {
      throw new ServiceError(
        "signer",
        `KMS key ${keyId} returned a signature that its public key does not verify; publish nothing and check the key`,
      );
    }
    return signature;
  };

  return { publicKey, sign };
}

async function fetchPublicKey(client: KMSClient, keyId: string, algorithm: Algorithm): Promise<Uint8Array> {
  const response = await client
    .send(new GetPublicKeyCommand({ KeyId: keyId }))
    .catch((cause: unknown) => refuse("GetPublicKey", keyId, cause));
  if (response.KeySpec !== algorithm.keySpec || response.KeyUsage !== "SIGN_VERIFY") {
    throw new ServiceError(
      "signer",
      `KMS key ${keyId} is ${response.KeySpec} for ${response.KeyUsage}; configure a key of KeySpec ${algorithm.keySpec} for SIGN_VERIFY`,
    );
  }
  return parseSpki(response.PublicKey ?? new Uint8Array(), keyId, algorithm);
}

function parseSpki(spki: Uint8Array, keyId: string, algorithm: Algorithm): Uint8Array {
  const { spkiPrefix, publicKeyBytes } = algorithm;
  const prefixed = spkiPrefix.every((byte, i) => spki[i] === byte);
  if (!prefixed || spki.length !== spkiPrefix.length + publicKeyBytes) {
    throw new ServiceError(
      "signer",
      `KMS key ${keyId} has a public key that is not the SubjectPublicKeyInfo of ${algorithm.keySpec}; check the endpoint`,
    );
  }
  return spki.slice(spkiPrefix.length);
}

async function requestSignature(
  client: KMSClient,
  keyId: string,
  algorithm: Algorithm,
  message: Uint8Array,
): Promise<Uint8Array> {
  const request = new SignCommand({
    KeyId: keyId,
    Message: message,
    MessageType: "RAW",
    SigningAlgorithm: algorithm.signingAlgorithm,
  });
  const response = await client.send(request).catch((cause: unknown) => refuse("Sign", keyId, cause));
  return response.Signature ?? new Uint8Array();
}

function refuse(operation: string, keyId: string, cause: unknown): never {
  const name = cause instanceof Error ? cause.name : "unknown error";
  const throttled =
    cause instanceof KMSServiceException &&
    (THROTTLING.has(cause.name) || cause.$metadata.httpStatusCode === 429);
  if (throttled) {
    throw new ServiceError("throttled", `KMS ${operation} was throttled for key ${keyId}; retry later`, {
      cause,
    });
  }
  throw new ServiceError(
    "signer",
    `KMS ${operation} failed for key ${keyId} (${name}); check that the key is enabled and its policy allows kms:${operation}`,
    { cause },
  );
}
