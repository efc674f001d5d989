/**
 * X.509 (RFC 5280), as far as a timestamp needs it: a signature by a certificate's key, and a path from a certificate
 * to a pinned one. Pure; signatures by pkijs over WebCrypto, so that it runs in Node.js and in a browser.
 *
 * Not checked: revocation, which needs a network. Name constraints are refused where they are critical.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import { type BitString, fromBER, ObjectIdentifier, type OctetString, Sequence } from "asn1js";
import {
  type AlgorithmIdentifier,
  BasicConstraints,
  Certificate,
  CryptoEngine,
  ExtKeyUsage,
  type PublicKeyInfo,
  type RelativeDistinguishedNames,
  RSAPublicKey,
  RSASSAPSSParams,
} from "pkijs";
import { TimestampError } from "../error.ts";
import { quoted } from "../text.ts";
import { decodeBase64, equalBytes } from "../tlog/bytes.ts";

/** A certificate and the bytes it was read from. */
export type Cert = { readonly der: Uint8Array; readonly parsed: Certificate };

/** A path longer than this is no authority's, but somebody's attempt to keep us busy. */
const MAX_PATH = 6;
const MIN_RSA_BITS = 2048;

const OID = {
  rsa: "1.2.840.113549.1.1.1",
  pss: "1.2.840.113549.1.1.10",
  ec: "1.2.840.10045.2.1",
  mgf1: "1.2.840.113549.1.1.8",
  keyUsage: "2.5.29.15",
  basicConstraints: "2.5.29.19",
  certificatePolicies: "2.5.29.32",
  extKeyUsage: "2.5.29.37",
  timeStamping: "1.3.6.1.5.5.7.3.8",
  anyExtKeyUsage: "2.5.29.37.0",
} as const;

/** What WebCrypto calls the hash functions that are accepted; SHA-1 is not one of them. */
export const HASHES = new Map([
  ["2.16.840.1.101.3.4.2.1", "SHA-256"],
  ["2.16.840.1.101.3.4.2.2", "SHA-384"],
  ["2.16.840.1.101.3.4.2.3", "SHA-512"],
]);
/** By the algorithm of the key: the signatures that are accepted, and their hash. PSS states its own. */
const SIGNATURES = new Map<string, Map<string, string>>([
  [
    OID.rsa,
    new Map([
      ["1.2.840.113549.1.1.11", "SHA-256"],
      ["1.2.840.113549.1.1.12", "SHA-384"],
      ["1.2.840.113549.1.1.13", "SHA-512"],
    ]),
  ],
  [
    OID.ec,
    new Map([
      ["1.2.840.10045.4.3.2", "SHA-256"],
      ["1.2.840.10045.4.3.3", "SHA-384"],
      ["1.2.840.10045.4.3.4", "SHA-512"],
    ]),
  ],
]);
/** P-256, P-384, P-521. */
const CURVES = ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"];
/** One of our own: pkijs's default can be replaced by whoever else uses it in this process. */
const ENGINE = new CryptoEngine({ name: "webcrypto", crypto });

/** Runs a parser of hostile bytes: whatever it throws is `malformed`. */
export function parsing<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof TimestampError) throw cause;
    throw new TimestampError("malformed", `${what} cannot be read: it was altered or cut`, { cause });
  }
}

/** One ASN.1 value and nothing after it. */
export function parseDer(der: Uint8Array, what: string) {
  return parsing(what, () => {
    const { offset, result } = fromBER(der);
    if (offset !== der.length) throw new TimestampError("malformed", `${what} is not one DER value`);
    return result;
  });
}

export function parseCertificate(der: Uint8Array): Cert {
  const schema = parseDer(der, "A certificate");
  return parsing("A certificate", () => ({ der, parsed: new Certificate({ schema }) }));
}

/** All certificates of a PEM file (RFC 7468), of which there must be one. Text around them is ignored. */
export function parsePemCertificates(pem: string): Cert[] {
  const blocks = [
    ...pem.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g),
  ];
  if (blocks.length === 0 || blocks.length !== pem.split("-----BEGIN CERTIFICATE-----").length - 1) {
    throw new TimestampError("malformed", "there is no whole PEM certificate (-----BEGIN CERTIFICATE-----)");
  }
  return blocks.map(([, base64 = ""]) =>
    parseCertificate(parsing("A certificate", () => decodeBase64(base64.replace(/\s/g, ""), "PEM"))),
  );
}

/** The subject as text, its most telling parts first: `CN=…, O=…, C=…`. Text of others: quote it. */
export const subjectOf = ({ parsed }: Cert): string => nameText(parsed.subject);

function nameText({ typesAndValues }: RelativeDistinguishedNames): string {
  const names = new Map([
    ["2.5.4.3", "CN"],
    ["2.5.4.11", "OU"],
    ["2.5.4.10", "O"],
    ["2.5.4.6", "C"],
  ]);
  const parts = [...names].flatMap(([oid, name]) =>
    typesAndValues
      .filter(({ type }) => type === oid)
      .map(({ value }): string => `${name}=${String(value.valueBlock.value)}`),
  );
  return parts.join(", ") || "(no name)";
}

/**
 * The signer is a timestamping authority (RFC 3161 §2.3: that purpose alone, critical) whose certificate leads to a
 * pinned one through `others`, and every certificate of that path was valid at this time, ms since the epoch.
 */
export async function verifyTsaPath(
  signer: Cert,
  others: readonly Cert[],
  roots: readonly Cert[],
  at: number,
): Promise<void> {
  const purposes = extension(signer, OID.extKeyUsage);
  if (purposes === undefined || !purposes.critical || keyPurposes(signer).join() !== OID.timeStamping) {
    throw new TimestampError(
      "wrong_purpose",
      "The signer's certificate is not for timestamping alone, marked critical (RFC 3161 §2.3)",
    );
  }
  const usage = keyUsage(signer);
  // digitalSignature or nonRepudiation (RFC 5280 §4.2.1.3)
  if (usage !== undefined && (usage & 0xc0) === 0) {
    throw new TimestampError("wrong_purpose", "The signer's certificate is not for signing");
  }
  let last: TimestampError | undefined;
  let lacks: Cert | undefined;
  let budget = 32; // signatures: certificates that issue one another in circles are no reason to go on
  const climb = async (cert: Cert, depth: number): Promise<boolean> => {
    checkCertificate(cert, at);
    if (roots.some(({ der }) => equalBytes(der, cert.der))) return true;
    if (depth >= MAX_PATH) return false;
    const issuers = [...roots, ...others].filter((issuer) => isIssuedBy(cert, issuer));
    if (issuers.length === 0) lacks = cert;
    for (const issuer of issuers) {
      if (budget-- <= 0) return false;
      try {
        checkIssuer(issuer, depth, roots);
        await verifyIssued(issuer, cert);
        if (await climb(issuer, depth + 1)) return true;
      } catch (error) {
        if (!(error instanceof TimestampError)) throw error;
        last = error;
      }
    }
    return false;
  };
  if (await climb(signer, 0)) return;
  if (last === undefined && lacks !== undefined) {
    const issuer = quoted(nameText(lacks.parsed.issuer));
    const what = `The certificate of ${issuer}, which issued that of ${quoted(subjectOf(lacks))}`;
    const why = "an intermediate certificate that is missing, or a root that you did not pin";
    throw new TimestampError("untrusted", `${what}, is neither in the timestamp nor pinned: ${why}`);
  }
  throw (
    last ??
    new TimestampError("untrusted", "The signer's certificate does not lead to a certificate that you pinned")
  );
}

/**
 * Those of `known` that lead from a certificate towards a root, which is left out. By their names alone: whether each was
 * issued by the next is for `verifyTsaPath`.
 */
export function issuersOf(cert: Cert, known: readonly Cert[]): Cert[] {
  const found: Cert[] = [];
  for (let tips = [cert]; tips.length > 0 && found.length < MAX_PATH; ) {
    const isNext = (one: Cert) =>
      !isIssuedBy(one, one) && !found.includes(one) && tips.some((tip) => isIssuedBy(tip, one));
    tips = known.filter(isNext);
    found.push(...tips);
  }
  return found;
}

/** By their names. */
const isIssuedBy = (cert: Cert, issuer: Cert): boolean =>
  equalBytes(nameOf(issuer.parsed.subject), nameOf(cert.parsed.issuer));

function checkCertificate({ parsed }: Cert, at: number): void {
  if (at < parsed.notBefore.value.getTime() || at > parsed.notAfter.value.getTime()) {
    throw new TimestampError(
      "expired",
      "A certificate of the authority was not valid at the time that it states",
    );
  }
  const known: string[] = [OID.basicConstraints, OID.keyUsage, OID.extKeyUsage, OID.certificatePolicies];
  const oids = (parsed.extensions ?? []).map(({ extnID }) => extnID);
  if (new Set(oids).size !== oids.length) {
    throw new TimestampError("malformed", "A certificate has an extension twice");
  }
  if ((parsed.extensions ?? []).some(({ critical, extnID }) => critical && !known.includes(extnID))) {
    throw new TimestampError("unsupported", "A certificate has a critical extension that is not known here");
  }
}

/** @param below certificates between this issuer and the signer. */
function checkIssuer(issuer: Cert, below: number, roots: readonly Cert[]): void {
  const constraints = extension(issuer, OID.basicConstraints)?.parsedValue;
  const isRoot = roots.includes(issuer);
  // A version 1 root has no extensions; that it may issue is then the word of who pinned it.
  if (constraints === undefined && isRoot && issuer.parsed.version < 2) return;
  if (!(constraints instanceof BasicConstraints) || !constraints.cA) {
    throw new TimestampError("untrusted", "A certificate that is no authority's issued the signer's");
  }
  const { pathLenConstraint: limit } = constraints;
  if (typeof limit === "number" && below > limit) {
    throw new TimestampError("untrusted", "The path to the pinned certificate is longer than it allows");
  }
  const usage = keyUsage(issuer);
  if (usage !== undefined && (usage & 0x04) === 0) {
    throw new TimestampError("untrusted", "An issuer's certificate is not for signing certificates");
  }
  const purposes = keyPurposes(issuer);
  if (purposes.length > 0 && !purposes.some((p) => p === OID.timeStamping || p === OID.anyExtKeyUsage)) {
    throw new TimestampError("wrong_purpose", "An issuer's certificate is not for timestamping authorities");
  }
}

async function verifyIssued(issuer: Cert, { parsed }: Cert): Promise<void> {
  const { signature, signatureAlgorithm, signatureValue, tbsView } = parsed;
  if (signature.algorithmId !== signatureAlgorithm.algorithmId) {
    throw new TimestampError("malformed", "A certificate names two signature algorithms");
  }
  const key = issuer.parsed.subjectPublicKeyInfo;
  if (await verifySignature(key, signatureAlgorithm, signatureValue, tbsView)) return;
  throw new TimestampError("untrusted", "A certificate is not as its issuer signed it, or of another issuer");
}

/**
 * Verifies a signature of RSA (PKCS #1 v1.5 and PSS, 2048 bits and more) or ECDSA (P-256, P-384, P-521) with SHA-2.
 * @param digest the hash of a CMS signature whose algorithm is just RSA or EC (RFC 5754 §3).
 * @throws TimestampError `unsupported` for another algorithm, `malformed` for a key or signature that is none.
 */
export async function verifySignature(
  key: PublicKeyInfo,
  algorithm: AlgorithmIdentifier,
  signature: BitString | OctetString,
  data: Uint8Array,
  digest?: string,
): Promise<boolean> {
  const hash = acceptedHash(key, algorithm, digest);
  // pkijs would read the two numbers of an ECDSA signature and ignore what stands behind them.
  if (key.algorithm.algorithmId === OID.ec) parseDer(signature.valueBlock.valueHexView, "A signature");
  try {
    return await ENGINE.verifyWithPublicKey(data, signature, key, algorithm, hash);
  } catch (cause) {
    throw new TimestampError("malformed", "A public key or a signature by it cannot be read", { cause });
  }
}

/** What pkijs is let verify: it knows weaker hashes, keys and curves too. */
function acceptedHash(key: PublicKeyInfo, algorithm: AlgorithmIdentifier, digest?: string): string {
  const { algorithmId: keyId, algorithmParams: curve } = key.algorithm;
  const { algorithmId } = algorithm;
  const signatures = SIGNATURES.get(keyId);
  if (signatures === undefined) throw unsupported(keyId);
  const isPss = keyId === OID.rsa && algorithmId === OID.pss;
  const hash = isPss ? pssHash(algorithm) : algorithmId === keyId ? digest : signatures.get(algorithmId);
  const isCurve = curve instanceof ObjectIdentifier && CURVES.includes(curve.getValue());
  if (hash === undefined || (keyId === OID.ec && !isCurve)) throw unsupported(algorithmId);
  if (keyId === OID.rsa) {
    const { parsedKey } = key;
    if (!(parsedKey instanceof RSAPublicKey))
      throw new TimestampError("malformed", "An RSA key cannot be read");
    const modulus = BigInt(`0x0${bytesToHex(parsedKey.modulus.valueBlock.valueHexView)}`);
    if (modulus >> BigInt(MIN_RSA_BITS - 1) === 0n) {
      throw new TimestampError("unsupported", `RSA keys of less than ${MIN_RSA_BITS} bits are not accepted`);
    }
  }
  return hash;
}

function unsupported(oid: string): TimestampError {
  return new TimestampError("unsupported", `The signature algorithm ${oid} is not accepted here`);
}

/** RFC 4055 §3.1: one hash for the message and the mask. */
function pssHash({ algorithmParams }: AlgorithmIdentifier): string | undefined {
  const params = parsing("The PSS parameters", () => new RSASSAPSSParams({ schema: algorithmParams }));
  const { hashAlgorithm, maskGenAlgorithm } = params;
  const mask = maskGenAlgorithm.algorithmParams;
  const [maskHash] = mask instanceof Sequence ? mask.valueBlock.value : [];
  const maskOid = maskHash instanceof ObjectIdentifier ? maskHash.getValue() : undefined;
  const isOneHash = maskGenAlgorithm.algorithmId === OID.mgf1 && maskOid === hashAlgorithm.algorithmId;
  return isOneHash ? HASHES.get(hashAlgorithm.algorithmId) : undefined;
}

function extension({ parsed }: Cert, oid: string) {
  return parsed.extensions?.find(({ extnID }) => extnID === oid);
}

function keyPurposes(cert: Cert): string[] {
  const value = extension(cert, OID.extKeyUsage)?.parsedValue;
  return value instanceof ExtKeyUsage ? value.keyPurposes : [];
}

/** The first byte of KeyUsage (RFC 5280 §4.2.1.3), bit 0 the highest; undefined: any use. */
function keyUsage(cert: Cert): number | undefined {
  const found = extension(cert, OID.keyUsage);
  if (found === undefined) return undefined;
  const value = parseDer(found.extnValue.valueBlock.valueHexView, "KeyUsage");
  const view = "valueHexView" in value.valueBlock ? value.valueBlock.valueHexView : undefined;
  return view instanceof Uint8Array ? (view[0] ?? 0) : 0;
}

/** A Name's own DER: two names are one when their bytes are. */
function nameOf(name: { valueBeforeDecode: ArrayBuffer }): Uint8Array {
  return new Uint8Array(name.valueBeforeDecode);
}
