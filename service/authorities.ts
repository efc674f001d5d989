/**
 * Who is asked for timestamps, and how: authorities of RFC 3161, OpenTimestamps calendars, and an Esplora API for the
 * headers of Bitcoin blocks. All of them are hostile: what they answer is bounded, and checked before it is returned.
 */
import { readFileSync } from "node:fs";
import { TimestampError } from "@kedge/verify/error";
import { readBounded, withTimeout } from "@kedge/verify/net/exchange";
import {
  type BitcoinBlock,
  bitcoinClaims,
  displayHash,
  formatOts,
  MAX_OTS_SIZE,
  type OtsFile,
  otsClaims,
  parseBlockHeader,
  parseOts,
  parseOtsTree,
  pruneOts,
  upgradeOts,
  verifyOts,
} from "@kedge/verify/time/ots";
import {
  completeChain,
  MAX_TOKEN_SIZE,
  timestampRequest,
  verifyResponse,
  verifyToken,
} from "@kedge/verify/time/rfc3161";
import { type Cert, parsePemCertificates } from "@kedge/verify/time/x509";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { parseEnvironment } from "../platform/environment.ts";
import { ServiceError } from "../platform/error.ts";
import { reasonOf } from "../platform/words.ts";

/** An authority whose answer is a timestamp at once. */
export type Tsa = {
  readonly kind: "rfc3161";
  readonly url: string;
  /** @throws TimestampError, ServiceError `unavailable` */
  stamp(message: Uint8Array): Promise<{ token: Uint8Array; genTime: number }>;
};

/** A calendar promises first, and has the timestamp hours later. Both are `.ots` files. */
export type Calendar = {
  readonly kind: "ots";
  readonly url: string;
  /** @throws TimestampError, ServiceError `unavailable` */
  submit(message: Uint8Array): Promise<Uint8Array>;
  /**
   * The finished file, and its block's own time, ms since the epoch; undefined while there is none.
   * @throws TimestampError, ServiceError `unavailable`
   */
  upgrade(
    promise: Uint8Array,
    message: Uint8Array,
  ): Promise<{ readonly proof: Uint8Array; readonly time?: number } | undefined>;
};

export type Authority = Tsa | Calendar;

export type Timestamping = {
  readonly authorities: readonly Authority[];
  /** At least this long lies between two checkpoints that are timestamped, ms. */
  readonly every: number;
};

/** Long enough for an answer. Only the anchorer's run waits for it; sealing does not. */
const TIMEOUT = 10_000;

const urls = z
  .string()
  .transform((text) => text.split(/\s+/).filter((url) => url !== ""))
  .pipe(z.array(z.url({ protocol: /^https?$/, error: "http:// or https:// URLs, spaces between" })).max(8));

const schema = z
  .object({
    /** URLs of timestamping authorities (RFC 3161 §3.4). */
    KEDGE_TSA_URLS: urls.default([]),
    /** A PEM file of the certificates that their tokens must lead to. */
    KEDGE_TSA_CERTS: z.string().min(1).optional(),
    /** Minutes. */
    KEDGE_TSA_EVERY: z.coerce.number().positive().default(60),
    /** URLs of OpenTimestamps calendars. */
    KEDGE_OTS_CALENDARS: urls.default([]),
    /** An Esplora API, against which Bitcoin attestations are checked. */
    KEDGE_BITCOIN_URL: z.url({ protocol: /^https?$/, error: "an http:// or https:// URL" }).optional(),
  })
  .refine((env) => env.KEDGE_TSA_URLS.length === 0 || env.KEDGE_TSA_CERTS !== undefined, {
    path: ["KEDGE_TSA_CERTS"],
    error: "a PEM file: nothing is stored that is not checked",
  })
  .refine((env) => env.KEDGE_OTS_CALENDARS.length === 0 || env.KEDGE_BITCOIN_URL !== undefined, {
    path: ["KEDGE_BITCOIN_URL"],
    error: "the URL of an Esplora API: nothing is stored that is not checked",
  });

/** No authority without configuration. @throws ServiceError `invalid` naming each variable that is wrong. */
export function openTimestamping(env: NodeJS.ProcessEnv): Timestamping {
  const { KEDGE_TSA_URLS, KEDGE_TSA_CERTS, KEDGE_TSA_EVERY, KEDGE_OTS_CALENDARS, KEDGE_BITCOIN_URL } =
    parseEnvironment(schema, env);
  const roots = KEDGE_TSA_CERTS === undefined ? [] : readRoots(KEDGE_TSA_CERTS);
  return {
    authorities: [
      ...KEDGE_TSA_URLS.map((url) => tsa(url, roots)),
      ...KEDGE_OTS_CALENDARS.map((url) => calendar(url, esplora(KEDGE_BITCOIN_URL ?? ""))),
    ],
    every: KEDGE_TSA_EVERY * 60_000,
  };
}

function readRoots(path: string): Cert[] {
  try {
    return parsePemCertificates(readFileSync(path, "utf8"));
  } catch (cause) {
    const message = `KEDGE_TSA_CERTS ${path} cannot be read as PEM certificates: ${reasonOf(cause)}`;
    throw new ServiceError("invalid", message, { cause });
  }
}

/** RFC 3161 over HTTP (§3.4). `timeout` is in ms. */
export function tsa(url: string, roots: readonly Cert[], timeout = TIMEOUT): Tsa {
  return {
    kind: "rfc3161",
    url,
    async stamp(message) {
      const { der, nonce } = await timestampRequest(message);
      const headers = {
        "Content-Type": "application/timestamp-query",
        Accept: "application/timestamp-reply",
      };
      const request = { method: "POST", headers, body: der };
      const { body } = await ask(url, request, { timeout, limit: MAX_TOKEN_SIZE });
      const { token, verified } = await verifyResponse(body, { message, nonce, roots });
      return { token: await withChain(token, message, roots), genTime: verified.genTime };
    },
  };
}

/** The token with the intermediate certificates that are configured and it lacks; as it came, should that not verify. */
async function withChain(
  token: Uint8Array,
  message: Uint8Array,
  roots: readonly Cert[],
): Promise<Uint8Array> {
  try {
    const complete = await completeChain(token, roots);
    await verifyToken(complete, { message, roots });
    return complete;
  } catch (error) {
    if (error instanceof TimestampError) return token;
    throw error;
  }
}

/**
 * A calendar's HTTP interface, as the OpenTimestamps clients use it: `POST /digest`, `GET /timestamp/<hex>`. `timeout`
 * is in ms. Its Bitcoin attestations are checked against the blocks that `findBlock` gives.
 */
export function calendar(calendarUrl: string, findBlock: FindBlock, timeout = TIMEOUT): Calendar {
  const base = calendarUrl.replace(/\/+$/, "");
  const bounds = { timeout, limit: MAX_OTS_SIZE };
  const headers = { Accept: "application/vnd.opentimestamps.v1" };
  return {
    kind: "ots",
    url: calendarUrl,
    async submit(message) {
      const hash = sha256(message);
      const { body } = await ask(`${base}/digest`, { method: "POST", headers, body: hash }, bounds);
      const tree = pruneOts(parseOtsTree(body), ({ kind }) => kind === "pending");
      if (tree === undefined) throw new TimestampError("incomplete", "The calendar promised nothing");
      promisedIn({ hash, tree }); // that its operations can be done
      return formatOts({ hash, tree });
    },
    async upgrade(promise, message) {
      const file = parseOts(promise);
      const promised = promisedIn(file);
      // Asked is the calendar of our configuration: the address in the promise is its own word.
      const url = `${base}/timestamp/${bytesToHex(promised)}`;
      const { status, body } = await ask(url, { method: "GET", headers }, { ...bounds, also: 404 });
      if (status === 404) return undefined;
      const upgraded = upgradeOts(file, promised, parseOtsTree(body));
      const heights = bitcoinClaims(upgraded).map(({ height }) => height);
      if (heights.length === 0) return undefined;
      const blocks = await Promise.all([...new Set(heights)].slice(0, MAX_BLOCKS).map(findBlock));
      const block = verifyOts(formatOts(upgraded), message, blocks);
      const proof = onlyBlock(upgraded, block);
      return { proof, ...(block.time !== undefined && { time: block.time }) };
    },
  };
}

const MAX_BLOCKS = 4;

/** @throws TimestampError, ServiceError `unavailable` */
type FindBlock = (height: number) => Promise<BitcoinBlock>;

/** The bytes that the calendar promised to have timestamped. */
function promisedIn(file: OtsFile): Uint8Array {
  const claim = otsClaims(file).find(({ attestation }) => attestation.kind === "pending");
  if (claim === undefined) throw new TimestampError("malformed", "The calendar's file has no promise");
  return claim.message;
}

/** The file with what leads to this block alone: what else the calendar claims has not been checked. */
function onlyBlock(file: OtsFile, { height, root }: BitcoinBlock): Uint8Array {
  const tree = pruneOts(file.tree, (kept) => kept.kind === "bitcoin" && kept.height === height);
  if (tree === undefined) throw new TypeError("a verified file leads to its block");
  const only = { hash: file.hash, tree };
  if (bitcoinClaims(only).some((claim) => !equalBytes(claim.root, root))) {
    throw new TimestampError("untrusted", `The calendar claims two merkle roots of Bitcoin block ${height}`);
  }
  return formatOts(only);
}

/** Blocks of the chain that the Esplora API at this URL serves; their work is checked. `timeout` is in ms. */
export function esplora(base: string, timeout = TIMEOUT): FindBlock {
  const askHex = async (path: string, digits: number): Promise<string> => {
    const url = `${base.replace(/\/+$/, "")}${path}`;
    const { body } = await ask(url, { method: "GET" }, { timeout, limit: 1024 });
    const text = new TextDecoder().decode(body).trim();
    if (/^[0-9a-f]+$/.test(text) && text.length === digits) return text;
    throw new TimestampError("malformed", "The Bitcoin API's answer is not a hash or a header");
  };
  return async (height) => {
    const hash = await askHex(`/block-height/${height}`, 64);
    const header = hexToBytes(await askHex(`/block/${hash}/header`, 160));
    if (displayHash(sha256(sha256(header))) !== hash) {
      throw new TimestampError("untrusted", "The Bitcoin API answered with another block's header");
    }
    return parseBlockHeader(height, header);
  };
}

type Request = { method: string; headers?: Record<string, string>; body?: Uint8Array };
/** ms, bytes, and a status beside 2xx that is an answer too. A new timestamp is "201 Created" with some (RFC 3161 §3.4 says none). */
type Bounds = { timeout: number; limit: number; also?: number };

/** One request, within a time and an answer within a size. @throws ServiceError `unavailable` */
async function ask(url: string, request: Request, { timeout, limit, also }: Bounds) {
  const { host } = new URL(url);
  try {
    return await withTimeout(timeout, async (signal) => {
      const response = await fetch(url, { ...request, redirect: "error", signal });
      const { ok, status } = response;
      if (!ok && status !== also) {
        await response.body?.cancel();
        throw new ServiceError("unavailable", `${host} answered with status ${status}`);
      }
      const body = await readBounded(response.body, limit);
      if (body !== undefined) return { status, body };
      throw new ServiceError("unavailable", `${host} answered with more than ${limit} bytes`);
    });
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError("unavailable", `${host} did not answer, or not in time`, { cause });
  }
}
