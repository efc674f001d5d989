/**
 * Timestamps of RFC 3161: a request, and the offline verification of what a timestamping authority (TSA) answers.
 *
 * Pure; hashes and signatures by WebCrypto. What is stamped is the SHA-256 of a message of ours: of the anchor log's
 * signed note, whole, as published in UTF-8: text, empty line and every signature line with its newline.
 */

import { bytesToHex } from "@noble/hashes/utils.js";
import {
  type AsnType,
  Constructed,
  GeneralizedTime,
  Integer,
  Null,
  ObjectIdentifier,
  OctetString,
  Sequence,
} from "asn1js";
import {
  AlgorithmIdentifier,
  ContentInfo,
  IssuerAndSerialNumber,
  MessageImprint,
  SignedData,
  type SignerInfo,
  TimeStampReq,
  TSTInfo,
} from "pkijs";
import { TimestampError } from "../error.ts";
import { concatBytes, equalBytes } from "../tlog/bytes.ts";
import {
  type Cert,
  HASHES,
  issuersOf,
  parseCertificate,
  parseDer,
  parsing,
  subjectOf,
  verifySignature,
  verifyTsaPath,
} from "./x509.ts";

/** An answer or token is at most this many bytes; those of public authorities have 2,000 to 8,000. */
export const MAX_TOKEN_SIZE = 32 << 10;
const MAX_CERTIFICATES = 16;

const SHA256 = "2.16.840.1.101.3.4.2.1";
const SIGNED_DATA = "1.2.840.113549.1.7.2";
const TST_INFO = "1.2.840.113549.1.9.16.1.4";
const ATTRIBUTES = {
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingCertificate: "1.2.840.113549.1.9.16.2.12",
  signingCertificateV2: "1.2.840.113549.1.9.16.2.47",
} as const;

/** What a token shows. Text in it is the authority's own: quote it. */
export type VerifiedToken = {
  /** ms since the epoch. */
  genTime: number;
  /** How far off `genTime` may be, ms. Absent: the authority does not say. */
  accuracy?: number;
  /** Hex. */
  serial: string;
  /** The OID of the policy that it was issued under. */
  policy: string;
  /** The subject of the certificate that signed, as `CN=…, O=…`. */
  tsa: string;
};

/** A TimeStampReq (RFC 3161 §2.4.1) in DER, and the nonce that its answer must have. */
export async function timestampRequest(message: Uint8Array): Promise<{ der: Uint8Array; nonce: Uint8Array }> {
  const nonce = crypto.getRandomValues(new Uint8Array(8));
  // A positive INTEGER of minimal length, so that no authority answers with another form of the same number.
  nonce[0] = ((nonce[0] ?? 0) & 0x7f) | 0x40;
  const request = new TimeStampReq({
    version: 1,
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithmId: SHA256, algorithmParams: new Null() }),
      hashedMessage: new OctetString({ valueHex: await digest("SHA-256", message) }),
    }),
    nonce: new Integer({ valueHex: nonce }),
    certReq: true,
  });
  return { der: new Uint8Array(request.toSchema().toBER()), nonce };
}

/**
 * Verifies the answer to a request (RFC 3161 §2.4.2) and returns its token, in DER, to keep.
 * @throws TimestampError
 */
export async function verifyResponse(
  response: Uint8Array,
  expected: { message: Uint8Array; nonce: Uint8Array; roots: readonly Cert[] },
): Promise<{ token: Uint8Array; verified: VerifiedToken }> {
  const token = grantedToken(response);
  const { tstInfo, verified } = await openToken(token, expected.message, expected.roots);
  const { nonce } = tstInfo;
  if (nonce === undefined || !equalBytes(bytesOf(nonce), expected.nonce)) {
    throw new TimestampError("wrong_nonce", "The timestamp is not the answer to this request");
  }
  return { token, verified };
}

/**
 * Verifies a TimeStampToken over these bytes, offline, down to a pinned certificate (RFC 3161 §2.2, §2.4.2; RFC 5652
 * §5.4, §5.6; RFC 5816). @throws TimestampError
 */
export async function verifyToken(
  token: Uint8Array,
  expected: { message: Uint8Array; roots: readonly Cert[] },
): Promise<VerifiedToken> {
  return (await openToken(token, expected.message, expected.roots)).verified;
}

/**
 * The token with those of `known` certificates that lead from its signer towards a root, where it lacks them: who pins the
 * root alone can then follow. Its signature is not over certificates (RFC 5652 §5.4), so it stays as it is.
 * @throws TimestampError `malformed`
 */
export async function completeChain(token: Uint8Array, known: readonly Cert[]): Promise<Uint8Array> {
  const { signer, certificates } = readSignedData(token);
  const cert = await signerCertificate(signer, [...certificates, ...known]);
  const isThere = ({ der }: Cert) => certificates.some((other) => equalBytes(other.der, der));
  const missing = [cert, ...issuersOf(cert, [...certificates, ...known])].filter((one) => !isThere(one));
  if (missing.length === 0 || certificates.length + missing.length > MAX_CERTIFICATES) return token;
  // ContentInfo: contentType, [0] SignedData. SignedData: version, digestAlgorithms, encapContentInfo, [0] certificates…
  const [contentType, content] = children(parseDer(token, "The timestamp"));
  const [signedData] = children(content);
  const [version, algorithms, info, ...rest] = children(signedData).map(derOf);
  const isCertificates = (der: Uint8Array) => der[0] === CONTEXT_0;
  if (!contentType || !version || !algorithms || !info) return token;
  const set = [...certificates, ...missing].map(({ der }) => der);
  const others = rest.filter((der) => !isCertificates(der));
  const inner = wrap(SEQUENCE, version, algorithms, info, wrap(CONTEXT_0, ...set), ...others);
  return wrap(SEQUENCE, derOf(contentType), wrap(CONTEXT_0, inner));
}

const SEQUENCE = 0x30;
const CONTEXT_0 = 0xa0;

const derOf = (block: AsnType): Uint8Array => block.valueBeforeDecodeView.slice();

/** A constructed DER value (X.690 §8.1.3). */
function wrap(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest >>>= 8) length.unshift(rest & 0xff);
  const header = content.length < 0x80 ? [content.length] : [0x80 | length.length, ...length];
  return concatBytes(Uint8Array.of(tag, ...header), content);
}

/** granted(0) and grantedWithMods(1) carry a token; the rest say why there is none. */
function grantedToken(response: Uint8Array): Uint8Array {
  checkSize(response);
  const parsed = parseDer(response, "The answer");
  const [status, token, ...more] = children(parsed);
  const [code] = children(status);
  if (!(code instanceof Integer) || more.length > 0) {
    throw new TimestampError("malformed", "The answer is not a TimeStampResp");
  }
  const granted = [0, 1].includes(code.valueBlock.valueDec);
  if (granted !== (token !== undefined)) {
    throw new TimestampError("malformed", "The answer's status and its token contradict one another");
  }
  if (token === undefined) {
    throw new TimestampError("rejected", `The authority refused, with status ${code.valueBlock.valueDec}`);
  }
  return token.valueBeforeDecodeView.slice();
}

async function openToken(token: Uint8Array, message: Uint8Array, roots: readonly Cert[]) {
  checkSize(token);
  const { signer, certificates, content } = readSignedData(token);
  const tstInfo = readTstInfo(content);
  const genTime = readGenTime(content);
  checkImprint(tstInfo, await digest("SHA-256", message));
  const cert = await signerCertificate(signer, [...certificates, ...roots]);
  await checkSigned(signer, cert, content);
  await verifyTsaPath(cert, certificates, roots, genTime);
  const accuracy = accuracyOf(tstInfo);
  const verified: VerifiedToken = {
    genTime,
    ...(accuracy === undefined ? {} : { accuracy }),
    serial: bytesToHex(bytesOf(tstInfo.serialNumber)),
    policy: tstInfo.policy,
    tsa: subjectOf(cert),
  };
  return { tstInfo, verified };
}

type Token = { signer: SignerInfo; certificates: Cert[]; content: Uint8Array };

/** CMS SignedData of a TSTInfo with one signer (RFC 3161 §2.4.2). */
function readSignedData(token: Uint8Array): Token {
  const schema = parseDer(token, "The timestamp");
  return parsing("The timestamp", () => {
    const { contentType, content } = new ContentInfo({ schema });
    const data = new SignedData({ schema: content });
    const { eContentType, eContent } = data.encapContentInfo;
    if (contentType !== SIGNED_DATA || eContentType !== TST_INFO || eContent === undefined) {
      throw new TimestampError("malformed", "The timestamp is not a signed TSTInfo");
    }
    const [signer, ...others] = data.signerInfos;
    if (signer === undefined || others.length > 0) {
      throw new TimestampError("malformed", "A timestamp has one signer");
    }
    return { signer, certificates: certificatesOf(schema), content: new Uint8Array(eContent.getValue()) };
  });
}

/** Their own bytes, which are what the signature names and the issuers signed. */
function certificatesOf(contentInfo: AsnType): Cert[] {
  const [, content] = children(contentInfo);
  const [signedData] = children(content);
  const set = children(signedData).find(({ idBlock }) => idBlock.tagClass === 3 && idBlock.tagNumber === 0);
  const certificates = children(set).filter((item) => item instanceof Sequence);
  if (certificates.length > MAX_CERTIFICATES) {
    throw new TimestampError("malformed", `A timestamp has at most ${MAX_CERTIFICATES} certificates`);
  }
  return certificates.map((item) => parseCertificate(item.valueBeforeDecodeView.slice()));
}

function readTstInfo(content: Uint8Array): TSTInfo {
  const schema = parseDer(content, "The TSTInfo");
  const info = parsing("The TSTInfo", () => new TSTInfo({ schema }));
  if (info.version !== 1) throw new TimestampError("unsupported", "The TSTInfo is not of version 1");
  if (info.extensions?.some(({ critical }) => critical)) {
    throw new TimestampError("unsupported", "The TSTInfo has a critical extension that is not known here");
  }
  return info;
}

/**
 * `YYYYMMDDhhmmss[.s…]Z`, UTC and nothing else (RFC 3161 §2.4.2). Beyond ms it is cut. Zeros at the end of a fraction, which
 * DER does not have and some authorities write, are read: they name the same time, and the signature is over them.
 */
function readGenTime(content: Uint8Array): number {
  const time = children(parseDer(content, "The TSTInfo"))[4];
  const text = time instanceof GeneralizedTime ? new TextDecoder().decode(bytesOf(time)) : "";
  const [, year, month, day, hour, minute, second, fraction = ""] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d+))?Z$/.exec(text) ?? [];
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, "0")}Z`;
  const ms = Date.parse(iso);
  // 31 February and the like come back as another day.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso) {
    throw new TimestampError("malformed", "The timestamp's genTime is not a time in UTC");
  }
  return ms;
}

function checkImprint({ messageImprint }: TSTInfo, hash: Uint8Array): void {
  if (messageImprint.hashAlgorithm.algorithmId !== SHA256) {
    throw new TimestampError("unsupported", "The timestamp is not over a SHA-256 hash");
  }
  if (!equalBytes(bytesOf(messageImprint.hashedMessage), hash)) {
    throw new TimestampError("wrong_imprint", "The timestamp is over other bytes than these");
  }
}

/** The certificate that the signer names, and that the signature names too (RFC 2634 §5.4, RFC 5035 §3). */
async function signerCertificate(signer: SignerInfo, certificates: readonly Cert[]): Promise<Cert> {
  const sid: unknown = signer.sid;
  const v1 = attribute(signer, ATTRIBUTES.signingCertificate);
  const v2 = attribute(signer, ATTRIBUTES.signingCertificateV2);
  if (v1 === undefined && v2 === undefined) {
    throw new TimestampError("malformed", "The signature does not name its certificate (SigningCertificate)");
  }
  for (const cert of certificates) {
    if (!isNamedBy(sid, cert)) continue;
    if (v1 !== undefined && !(await names(v1, cert, 1))) continue;
    if (v2 !== undefined && !(await names(v2, cert, 2))) continue;
    return cert;
  }
  throw new TimestampError(
    "malformed",
    "The certificate that signed the timestamp is neither in it nor pinned",
  );
}

function isNamedBy(sid: unknown, { parsed }: Cert): boolean {
  if (sid instanceof IssuerAndSerialNumber) {
    const { issuer, serialNumber } = sid;
    return (
      equalBytes(bytesOf(serialNumber), bytesOf(parsed.serialNumber)) &&
      equalBytes(new Uint8Array(issuer.valueBeforeDecode), new Uint8Array(parsed.issuer.valueBeforeDecode))
    );
  }
  const id = parsed.extensions?.find(({ extnID }) => extnID === "2.5.29.14")?.parsedValue;
  return sid instanceof OctetString && id instanceof OctetString && equalBytes(bytesOf(sid), bytesOf(id));
}

/** Whether a SigningCertificate, or V2, has the hash of this certificate first: SHA-1, or V2's own that is SHA-256 unless named. */
async function names(value: AsnType | undefined, cert: Cert, version: 1 | 2): Promise<boolean> {
  const [certs] = children(value);
  const [id] = children(certs);
  const fields = children(id);
  const named = version === 2 && fields[0] instanceof Sequence ? fields[0] : undefined;
  const [oid] = children(named);
  const hash = version === 1 ? "SHA-1" : named === undefined ? "SHA-256" : HASHES.get(oidOf(oid));
  const certHash = fields[named === undefined ? 0 : 1];
  if (hash === undefined)
    throw new TimestampError("unsupported", "SigningCertificateV2 has another hash than SHA-2");
  return certHash instanceof OctetString && equalBytes(bytesOf(certHash), await digest(hash, cert.der));
}

async function checkSigned(signer: SignerInfo, cert: Cert, content: Uint8Array): Promise<void> {
  const hash = HASHES.get(signer.digestAlgorithm.algorithmId);
  if (hash === undefined) throw new TimestampError("unsupported", "The timestamp's digest is not SHA-2");
  const { signedAttrs } = signer;
  const contentType = attribute(signer, ATTRIBUTES.contentType);
  const messageDigest = attribute(signer, ATTRIBUTES.messageDigest);
  if (
    signedAttrs === undefined ||
    oidOf(contentType) !== TST_INFO ||
    !(messageDigest instanceof OctetString)
  ) {
    throw new TimestampError("malformed", "The signature is not over a TSTInfo");
  }
  const isContent = equalBytes(bytesOf(messageDigest), await digest(hash, content));
  // pkijs gives encodedValue the tag of the SET OF that is signed (RFC 5652 §5.4).
  const isSigned = await verifySignature(
    cert.parsed.subjectPublicKeyInfo,
    signer.signatureAlgorithm,
    signer.signature,
    new Uint8Array(signedAttrs.encodedValue),
    hash,
  );
  if (!isContent || !isSigned) {
    throw new TimestampError("bad_signature", "The timestamp is not as the authority signed it");
  }
}

/** The one value of a signed attribute (RFC 5652 §11: each is there once and has one). */
function attribute({ signedAttrs }: SignerInfo, oid: string): AsnType | undefined {
  const found = signedAttrs?.attributes.filter(({ type }) => type === oid) ?? [];
  const [value, ...others]: AsnType[] = found.flatMap(({ values }) => values);
  if (others.length > 0) throw new TimestampError("malformed", "A signed attribute has more than one value");
  return value;
}

/** Seconds, milliseconds and microseconds as ms. */
function accuracyOf({ accuracy }: TSTInfo): number | undefined {
  if (accuracy === undefined) return undefined;
  const { seconds = 0, millis = 0, micros = 0 } = accuracy;
  return seconds * 1000 + millis + micros / 1000;
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.length > MAX_TOKEN_SIZE) {
    throw new TimestampError("malformed", `A timestamp is at most ${MAX_TOKEN_SIZE} bytes`);
  }
}

const children = (block: AsnType | undefined): AsnType[] =>
  block instanceof Constructed ? block.valueBlock.value : [];

const bytesOf = (block: { valueBlock: { valueHexView: Uint8Array } }): Uint8Array =>
  block.valueBlock.valueHexView;

const oidOf = (block: AsnType | undefined): string =>
  block instanceof ObjectIdentifier ? block.getValue() : "";

const digest = async (hash: string, bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest(hash, bytes));
