/** An identity provider on loopback that answers whatever a test wants; and keys and tokens, right and wrong. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

type Close = { close(): Promise<void> };

/** Ports that were given here: a provider is known, and remembered, by its address. */
const given = new Set<number>();

export async function listen(answer: RequestListener): Promise<Close & { server: Server; url: string }> {
  const server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = isAddress(address) ? address.port : 0;
  if (given.has(port)) {
    const another = await listen(answer);
    server.close();
    return another;
  }
  given.add(port);
  const url = `http://127.0.0.1:${port}`;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  };
  return { server, url, close };
}
const isAddress = (address: AddressInfo | string | null): address is AddressInfo =>
  typeof address === "object";

/** A signing key of a provider and the public half as its JWKS shows it. */
export function newKey(kid: string): { kid: string; key: KeyObject; jwk: object; privateJwk: object } {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const of = (key: KeyObject) => ({ ...key.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" });
  return { kid, key: privateKey, jwk: of(publicKey), privateJwk: of(privateKey) };
}

/** What the forger answers: tests change it between sign-ins. */
export type Forged = {
  /** Of discovery, beyond what is right. */
  metadata: Record<string, unknown>;
  keys: object[];
  token(nonce: string): Answer;
  /** In place of an answer, by path. */
  instead: Partial<Record<string, RequestListener>>;
};
type Answer = { readonly status?: number; readonly body: object };

export async function startForger() {
  const key = newKey("first");
  const forged: Forged = { metadata: {}, keys: [key.jwk], token: () => ({ body: {} }), instead: {} };
  const asked: string[] = [];
  const { url: issuer, close } = await listen((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    asked.push(path);
    const instead = forged.instead[path];
    if (instead !== undefined) return instead(request, response);
    const send = ({ status = 200, body }: Answer) =>
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    if (path === "/.well-known/openid-configuration") {
      const endpoints = { authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` };
      return send({ body: { issuer, ...endpoints, jwks_uri: `${issuer}/jwks`, ...forged.metadata } });
    }
    if (path === "/jwks") return send({ body: { keys: forged.keys } });
    let body = "";
    request.on("data", (part) => {
      body += part;
    });
    // The code is the nonce, so that a test need not tell it.
    request.on("end", () => send(forged.token(new URLSearchParams(body).get("code") ?? "")));
  });
  return { issuer, key, forged, asked, close };
}

/** A JWT as `sign` makes its signature: over the bytes of header and claims. */
export function jwt(header: object, claims: object, by: (signed: string) => Buffer | string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${Buffer.from(by(signed)).toString("base64url")}`;
}
export const rs256 = (key: KeyObject) => (signed: string) => sign("sha256", Buffer.from(signed), key);
