/**
 * Where the agent's listeners may be, and who may connect to them: one rule for all. A listener is on loopback, or it has
 * TLS and asks who comes for a bearer token or a client certificate.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type AddressInfo, BlockList, isIP } from "node:net";
import type { TlsOptions } from "node:tls";
import { RegularFileError, readRegular } from "@kedge/verify/cli/regular";
import { quoted } from "@kedge/verify/text";
import * as z from "zod";
import { AgentError } from "./error.ts";

/** `listen` of a source that listens. Paths are relative to the folder that the agent runs in. */
export const listenSchema = z.strictObject({
  /** `<scheme>://<host>:<port>`, of which the kind of the source says the schemes; port 0 is a free one. */
  address: z.string(),
  /** Files in PEM. With `clientCa`, who connects has to have a certificate that it issued. */
  tls: z.strictObject({ cert: z.string(), key: z.string(), clientCa: z.string().optional() }).optional(),
  /** A file with the token that who connects has to send: over HTTP alone, `Authorization: Bearer …`. */
  tokenFile: z.string().optional(),
});
export type Listen = z.infer<typeof listenSchema>;

export type Scheme = "http" | "https" | "tcp" | "tls" | "udp";
/** `host` is an address, without the brackets of IPv6. */
export type Address = { scheme: Scheme; host: string; port: number };

/** An address with what was read for it. `tls` goes into `createServer` of node:tls or node:https as it is. */
export type Listener = Address & { tls?: TlsOptions; token?: Token };
/** SHA-256 of the token: what is kept of it in memory. */
type Token = Uint8Array;

export const HTTP_SCHEMES = ["http", "https"] as const;

const MAX_PEM = 1 << 20;
const MAX_TOKEN = 4096;
/** What nobody guesses: 128 bits are 22 characters of base64. */
const MIN_TOKEN = 22;

/**
 * The address, if a listener may be there. It reads no file.
 * @param schemes that the kind of source has
 * @throws AgentError `config`
 */
export function checkListener({ address, tls, tokenFile }: Listen, schemes: readonly Scheme[]): Address {
  const parsed = parseAddress(address, schemes);
  const { scheme, host } = parsed;
  const isSecure = scheme === "tls" || scheme === "https";
  const isHttp = scheme === "http" || scheme === "https";
  const refuse = (why: string): never => {
    throw new AgentError("config", `The listener ${quoted(address)} ${why}`);
  };
  if (isSecure && tls === undefined) refuse("needs tls: the files of its certificate (cert) and key");
  if (!isSecure && tls !== undefined) {
    refuse(
      `has tls, which ${scheme}:// does not use: write ${isHttp ? "https" : "tls"}://, or take tls away`,
    );
  }
  if (!isHttp && tokenFile !== undefined) {
    refuse("has a tokenFile, which syslog cannot send: take it away, and name a clientCa");
  }
  if (isLoopback(host)) return parsed;
  if (!isSecure) {
    refuse(
      `can be reached from other machines and is not encrypted: listen on 127.0.0.1, or use ${isHttp ? "https" : "tls"}://`,
    );
  }
  if (tls?.clientCa === undefined && tokenFile === undefined) {
    refuse(
      `would take events from anyone: name a clientCa${isHttp ? " or a tokenFile" : ""}, or listen on 127.0.0.1`,
    );
  }
  return parsed;
}

/** Where, and who may connect, in words. Throws AgentError `config`. */
export function describeListener(listen: Listen, schemes: readonly Scheme[]): string {
  const { tls, tokenFile } = listen;
  const { scheme, host, port } = checkListener(listen, schemes);
  const who = [
    isLoopback(host) ? "this machine alone" : "other machines",
    ...(tls === undefined ? [] : [`TLS by ${tls.cert}`]),
    ...(tls?.clientCa === undefined ? [] : [`with a client certificate issued by ${tls.clientCa}`]),
    ...(tokenFile === undefined ? [] : [`with the bearer token of ${tokenFile}`]),
  ];
  return `${urlOf({ scheme, host, port })} (${who.join(", ")})`;
}

/** @param bound what `address()` of the server says: where it listens indeed, for port 0. */
export function urlOf({ scheme, host, port }: Address, bound?: AddressInfo | string | null): string {
  const found = typeof bound === "object" ? bound?.port : undefined;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${found ?? port}`;
}

/** As `checkListener`, and reads the files. @throws AgentError `config` */
export function readListener(listen: Listen, schemes: readonly Scheme[]): Listener {
  const address = checkListener(listen, schemes);
  const { tls, tokenFile } = listen;
  const pem = (path: string): Buffer => Buffer.from(read(path, MAX_PEM));
  return {
    ...address,
    ...(tls && {
      tls: {
        cert: pem(tls.cert),
        key: pem(tls.key),
        minVersion: "TLSv1.2" as const,
        ...(tls.clientCa === undefined
          ? {}
          : { ca: pem(tls.clientCa), requestCert: true, rejectUnauthorized: true }),
      },
    }),
    ...(tokenFile !== undefined && { token: readToken(tokenFile) }),
  };
}

/** Whether a request may come in, by its Authorization header (RFC 6750 §2.1). The time taken says nothing of the token. */
export function mayEnter({ token }: Listener, authorization: string | undefined): boolean {
  if (token === undefined) return true;
  const [, given = ""] = /^Bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
  return timingSafeEqual(hashOf(given), token);
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  return loopback.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}

function parseAddress(text: string, schemes: readonly Scheme[]): Address {
  const [, name, ipv6, host = ipv6, digits] =
    /^([a-z]+):\/\/(?:\[([0-9a-f:.]+)\]|([\w.-]+)):(\d{1,5})\/?$/i.exec(text) ?? [];
  const scheme = schemes.find((known) => known === name?.toLowerCase());
  const address = host?.toLowerCase() === "localhost" ? "127.0.0.1" : host;
  const port = Number(digits);
  // A name may come to stand for another address: what is checked here has to be what is bound.
  if (scheme === undefined || address === undefined || isIP(address) === 0 || port > 65_535) {
    const wanted = schemes.map((known) => `${known}://127.0.0.1:<port>`).join(" or ");
    throw new AgentError(
      "config",
      `${quoted(text)} is not an address to listen on: write ${wanted}, with the IP address of an interface`,
    );
  }
  return { scheme, host: address, port };
}

function readToken(path: string): Token {
  const text = new TextDecoder().decode(read(path, MAX_TOKEN)).trim();
  if (text.length >= MIN_TOKEN && /^[\x21-\x7e]+$/.test(text)) return hashOf(text);
  throw new AgentError(
    "config",
    `${path} holds no token: it is one line of at least ${MIN_TOKEN} characters without spaces. Make one: openssl rand -base64 32`,
  );
}

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

function read(path: string, limit: number): Uint8Array {
  try {
    return readRegular(path, limit);
  } catch (cause) {
    if (cause instanceof RegularFileError) throw new AgentError("config", cause.message, { cause });
    throw cause;
  }
}

/** What `Source.ready` of a listener gives, and how it is told. Who does not ask for it learns of a failure from `run`. */
export function openReady() {
  let listening: (where: { url: string }) => void = () => undefined;
  let failed: (error: unknown) => void = () => undefined;
  const ready = new Promise<{ url: string }>((resolve, reject) => {
    listening = resolve;
    failed = reject;
  });
  ready.catch(() => undefined);
  return { ready, listening, failed };
}
