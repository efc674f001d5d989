/** Sign-in against a real OpenID provider, and against one that forges what it answers. */
import { createHmac, createPublicKey, randomBytes } from "node:crypto";
import { signedInSchema, signInSchema } from "@kedge/cli/contract/people";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createApp } from "../../functions/http/app.ts";
import { registerProvider, removeProvider } from "../../service/sign-in-provider.ts";
import type { ClaimRule } from "../../service/sign-in-rule.ts";
import { jwt, newKey, rs256, startForger } from "../support/oidc-forger.ts";
import { type Account, signInThere, startProvider } from "../support/oidc-server.ts";
import { type App, bearer, type Harness, newTenant, startHarness } from "./harness.ts";

const ORIGIN = "http://127.0.0.1:8787";
const REDIRECT = `${ORIGIN}/`;
type Tenant = Harness["a"];

let kedge: Harness;
let app: App;
/** What is added to the service's clock, in ms. */
let ahead = 0;
/** Where the service's clock stands still, for as long as a test takes. */
let frozen: number | undefined;
beforeAll(async () => {
  kedge = await startHarness();
  app = createApp({ ...kedge.service, clock: () => (frozen ?? Date.now()) + ahead });
});
afterAll(() => kedge.close());

const random = () => randomBytes(32).toString("base64url");

async function register(tenant: Tenant, issuer: string, rule: Partial<ClaimRule> = {}): Promise<void> {
  const roles = [
    { value: "officers", role: "officer" as const },
    { value: "auditors", role: "auditor" as const, logs: [tenant.log.id] },
  ];
  await registerProvider(kedge.service, tenant.id, {
    ...{ issuer, clientId: "console", scope: "openid profile", origin: ORIGIN },
    rule: { claim: "groups", roles, require: {}, ...rule },
  });
}

type Sent = { code: string; codeVerifier?: string; nonce: string; redirectUri?: string; iss?: string };
const post = (tenant: string, { codeVerifier = random(), redirectUri = REDIRECT, ...sent }: Sent) =>
  app.request(`/v1/sign-in/${tenant}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ codeVerifier, redirectUri, ...sent }),
  });

describe("with a real provider", () => {
  const people: Record<string, Account> = {
    olga: { name: "Olga Officer", groups: ["staff", "officers"], tid: "a" },
    ada: { name: "Ada Auditor", groups: "auditors", tid: "a" },
    nobody: { name: "No Role", groups: ["staff"], tid: "a" },
    foreign: { name: "Of Another Hospital", groups: ["officers"], tid: "b" },
  };
  let provider: Awaited<ReturnType<typeof startProvider>>;
  let tenant: Tenant;
  beforeAll(async () => {
    provider = await startProvider(people, [REDIRECT]);
    provider.start(newKey("one"));
    tenant = await newTenant(kedge.service);
    await register(tenant, provider.issuer, { require: { tid: "a" } });
  });
  afterAll(() => provider.close());

  /** The whole way of a person, up to what the console posts. */
  async function begin(login: string, { clientId = "console", at = tenant.id } = {}) {
    const [nonce, verifier] = [random(), random()];
    const { authorizationEndpoint } = signInSchema.parse(
      await (await app.request(`/v1/sign-in/${at}`)).json(),
    );
    const back = await signInThere(authorizationEndpoint, {
      ...{ clientId, login, nonce, verifier, redirectUri: REDIRECT },
    });
    const { code = "", iss = "" } = Object.fromEntries(back);
    return { code, codeVerifier: verifier, nonce, iss };
  }

  test("an officer signs in, reads what the role allows, and signs out", async () => {
    const response = await post(tenant.id, await begin("olga"));
    expect(response.status).toBe(201);
    const { token, ...session } = signedInSchema.parse(await response.json());
    expect(session).toMatchObject({ tenant: { id: tenant.id }, name: "Olga Officer", role: "officer" });
    const headers = bearer(token);
    expect(await (await app.request("/v1/session", { headers })).json()).toEqual(session);
    expect((await app.request("/v1/logs", { headers })).status).toBe(200);
    expect((await app.request("/v1/keys", { headers })).status).toBe(403);
    expect((await app.request("/v1/session", { method: "DELETE", headers })).status).toBe(204);
    expect((await app.request("/v1/session", { headers })).status).toBe(401);
  });

  test("a claim that is one text opens the logs of its role alone", async () => {
    const response = await post(tenant.id, await begin("ada"));
    expect(await response.json()).toMatchObject({ role: "auditor", logs: [tenant.log.id] });
  });

  test("who has no role is refused, and so is another tenant's person", async () => {
    for (const login of ["nobody", "foreign"]) {
      expect([login, (await post(tenant.id, await begin(login))).status]).toEqual([login, 403]);
    }
  });

  test("two tenants share a client only where a claim tells them apart, and each lets in its own", async () => {
    const other = await newTenant(kedge.service);
    await expect(register(other, provider.issuer)).rejects.toMatchObject({ code: "conflict" });
    await expect(register(other, provider.issuer, { require: { tid: "a" } })).rejects.toMatchObject({
      code: "conflict",
    });
    expect((await app.request(`/v1/sign-in/${other.id}`)).status).toBe(404);
    await register(other, provider.issuer, { require: { tid: "b" } });
    expect((await post(other.id, await begin("olga", { at: other.id }))).status).toBe(403);
    const own = await post(other.id, await begin("foreign", { at: other.id }));
    expect(await own.json()).toMatchObject({ tenant: { id: other.id }, role: "officer" });
  });

  test("a code is worth one sign-in, with its own verifier, nonce and address", async () => {
    const { code, codeVerifier, nonce, iss } = await begin("olga");
    const whole = { code, codeVerifier, nonce, iss };
    expect((await post(tenant.id, { ...whole, redirectUri: "https://evil.example/" })).status).toBe(400);
    const both = await Promise.all([post(tenant.id, whole), post(tenant.id, whole)]);
    expect(both.map(({ status }) => status).sort()).toEqual([201, 401]);
    expect((await post(tenant.id, whole)).status).toBe(401);
    for (const wrong of [
      { codeVerifier: random() },
      { nonce: random() },
      { redirectUri: `${ORIGIN}/other` },
    ]) {
      expect((await post(tenant.id, { ...(await begin("olga")), ...wrong })).status).toBe(401);
    }
  });

  test("a code that is no code is refused, whatever is in it", async () => {
    const { codeVerifier, nonce, iss } = await begin("olga");
    for (const code of [
      "\u0000",
      "\ud800",
      "a\r\nHost: evil.example",
      "a&grant_type=password",
      "é".repeat(4_096),
    ]) {
      expect([code, (await post(tenant.id, { code, codeVerifier, nonce, iss })).status]).toEqual([code, 401]);
    }
  });

  test("a code of another client, or of another provider by its word, is refused", async () => {
    expect((await post(tenant.id, await begin("olga", { clientId: "another" }))).status).toBe(401);
    const begun = await begin("olga");
    expect((await post(tenant.id, { ...begun, iss: "https://other.example" })).status).toBe(401);
    // RFC 9207 §2.4: this provider says that it always names itself.
    const { iss: _, ...silent } = await begin("olga");
    expect((await post(tenant.id, silent)).status).toBe(401);
  });

  test("a key that the provider has just made is fetched", async () => {
    expect((await post(tenant.id, await begin("olga"))).status).toBe(201);
    provider.start(newKey("two"));
    expect((await post(tenant.id, await begin("olga"))).status).toBe(201);
  });

  test("another registration ends the sessions of the one before, and removal ends them all", async () => {
    const { token } = signedInSchema.parse(await (await post(tenant.id, await begin("olga"))).json());
    const status = async () => (await app.request("/v1/session", { headers: bearer(token) })).status;
    expect(await status()).toBe(200);
    await register(tenant, provider.issuer, { require: { tid: "a" } });
    expect(await status()).toBe(401);
    const next = signedInSchema.parse(await (await post(tenant.id, await begin("olga"))).json());
    expect(await removeProvider(kedge.service, tenant.id)).toBe(true);
    expect((await app.request("/v1/session", { headers: bearer(next.token) })).status).toBe(401);
    expect((await app.request(`/v1/sign-in/${tenant.id}`)).status).toBe(404);
    await register(tenant, provider.issuer, { require: { tid: "a" } });
  });
});

describe("with a provider that forges", () => {
  let forger: Awaited<ReturnType<typeof startForger>>;
  let tenant: Tenant;
  beforeEach(async () => {
    ahead = 0;
    frozen = undefined;
    forger = await startForger();
    tenant = await newTenant(kedge.service);
    await register(tenant, forger.issuer);
    return () => forger.close();
  });

  const now = () => Math.floor(Date.now() / 1000);
  const claims = (nonce: string) => ({
    ...{ iss: forger.issuer, aud: "console", sub: "olga", groups: ["officers"], nonce },
    ...{ iat: now(), exp: now() + 300 },
  });
  const HEADER = { alg: "RS256", kid: "first" };
  const signed =
    (changes: object = {}, header: object = HEADER) =>
    (nonce: string) => ({
      body: answer(jwt(header, { ...claims(nonce), ...changes }, rs256(forger.key.key))),
    });
  const answer = (idToken: string) => ({ access_token: "a", token_type: "Bearer", id_token: idToken });
  const signIn = async () => {
    const nonce = random();
    return await post(tenant.id, { code: nonce, nonce });
  };

  test("what is right is taken, or the rest would show nothing", async () => {
    forger.forged.token = signed();
    expect((await signIn()).status).toBe(201);
    forger.forged.token = signed({ aud: ["console", "api"], azp: "console" });
    expect((await signIn()).status).toBe(201);
  });

  const wrong: [string, object][] = [
    ["another audience", { aud: "another" }],
    ["two audiences and no authorized party", { aud: ["console", "another"] }],
    ["another authorized party", { aud: ["console", "another"], azp: "another" }],
    ["no audience", { aud: undefined }],
    ["another issuer", { iss: "https://other.example" }],
    ["no issuer", { iss: undefined }],
    ["another nonce", { nonce: "n".repeat(43) }],
    ["no nonce", { nonce: undefined }],
    ["expired", { exp: now() - 120 }],
    ["no expiry", { exp: undefined }],
    ["not valid yet", { nbf: now() + 600 }],
    ["issued in the future", { iat: now() + 600 }],
    ["issued long ago", { iat: now() - 7200 }],
    ["a time that is a text", { exp: "tomorrow" }],
    ["no subject", { sub: undefined }],
    ["an endless subject", { sub: "s".repeat(256) }],
    ["a subject that is a number", { sub: 7 }],
    ["a subject that looks like another's", { sub: "ol\u200bga" }],
    ["a subject that is read the other way round", { sub: "\u202eaglo" }],
    ["a subject that ends in a space", { sub: "olga " }],
    ["the subject of who signs in without a provider", { sub: "local" }],
  ];
  test.each(wrong)("an ID token is refused: %s", async (_, changes) => {
    forger.forged.token = signed(changes);
    expect((await signIn()).status).toBe(401);
  });

  test("alg tricks are refused: none, a MAC under the public key, another algorithm, an unknown key, crit", async () => {
    const pem = createPublicKey(forger.key.key).export({ type: "spki", format: "pem" });
    const mac = (secret: string | Buffer) => (text: string) =>
      createHmac("sha256", secret).update(text).digest();
    const other = newKey("first");
    const tricks: ((nonce: string) => string)[] = [
      (nonce) => jwt({ alg: "none" }, claims(nonce), () => ""),
      (nonce) => jwt({ alg: "None", kid: "first" }, claims(nonce), () => ""),
      (nonce) => jwt({ alg: "HS256", kid: "first" }, claims(nonce), mac(pem)),
      (nonce) => jwt({ alg: "HS256" }, claims(nonce), mac(Buffer.from(JSON.stringify(forger.key.jwk)))),
      (nonce) => jwt({ alg: "PS256", kid: "first" }, claims(nonce), rs256(forger.key.key)),
      (nonce) => jwt({ alg: "RS256", kid: "unknown" }, claims(nonce), rs256(forger.key.key)),
      (nonce) => jwt(HEADER, claims(nonce), rs256(other.key)),
      (nonce) => jwt({ ...HEADER, jwk: other.jwk }, claims(nonce), rs256(other.key)),
      (nonce) => jwt({ ...HEADER, crit: ["exp"] }, claims(nonce), rs256(forger.key.key)),
      (nonce) => `${jwt(HEADER, claims(nonce), rs256(forger.key.key)).slice(0, -4)}AAAA`,
      (nonce) => jwt(HEADER, claims(nonce), rs256(forger.key.key)).split(".").slice(0, 2).join("."),
      () => "not a token",
    ];
    for (const metadata of [{}, { id_token_signing_alg_values_supported: ["none", "HS256", "RS256"] }]) {
      forger.forged.metadata = metadata;
      for (const [i, trick] of tricks.entries()) {
        forger.forged.token = (nonce) => ({ body: answer(trick(nonce)) });
        expect([i, (await signIn()).status]).toEqual([i, 401]);
      }
    }
  });

  test("a subject that cannot be kept is refused: none, too long, or half a character", async () => {
    for (const sub of ["", "a".repeat(256), "olga\ud800", "\udc00"]) {
      forger.forged.token = signed({ sub });
      expect([sub, (await signIn()).status]).toEqual([sub, 401]);
    }
  });

  test("an ID token that was used is refused, whatever code it comes by", async () => {
    const nonce = random();
    forger.forged.token = () => signed()(nonce);
    expect((await post(tenant.id, { code: "one", nonce })).status).toBe(201);
    expect((await post(tenant.id, { code: "two", nonce })).status).toBe(401);
  });

  test("answers without an ID token, with errors, or that are no answers are refused", async () => {
    const answers = [
      { body: { access_token: "a", token_type: "Bearer" } },
      { status: 400, body: { error: "invalid_grant", error_description: "<script>a secret</script>" } },
      { status: 401, body: { error: "invalid_client" } },
      { body: ["nothing"] },
    ];
    for (const each of answers) {
      forger.forged.token = () => each;
      const response = await signIn();
      expect(response.status).toBe(401);
      expect(await response.text()).not.toContain("secret");
    }
  });

  const never = () => undefined;
  const broken: [string, NonNullable<Parameters<typeof createFailure>[0]>][] = [
    ["fails", (_, response) => response.writeHead(500).end("a stack trace")],
    ["throttles", (_, response) => response.writeHead(429).end()],
    ["moved", (_, response) => response.writeHead(302, { Location: "http://169.254.169.254/" }).end()],
    ["answers without end", (_, response) => void endless(response)],
    ["never answers", never],
    ["hangs up", (request) => request.socket.destroy()],
  ];
  const createFailure = (listener: (typeof forger.forged.instead)[string]) => listener;
  function endless(response: { write(part: Buffer, then: () => void): boolean; destroyed: boolean }): void {
    if (!response.destroyed) response.write(Buffer.alloc(65_536), () => endless(response));
  }

  test.each(broken)("a provider that %s is a 503 with Retry-After, within bounds", async (_, failure) => {
    forger.forged.token = signed();
    for (const path of ["/jwks", "/token", "/.well-known/openid-configuration"]) {
      const fresh = await startForger();
      await register(tenant, fresh.issuer);
      const nonce = random();
      fresh.forged.token = () => ({
        body: answer(jwt(HEADER, { ...claims(nonce), iss: fresh.issuer }, rs256(fresh.key.key))),
      });
      fresh.forged.instead[path] = failure;
      const response = await post(tenant.id, { code: nonce, nonce });
      expect([path, response.status]).toEqual([path, 503]);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await response.text()).not.toMatch(/127\.0\.0\.1|stack|oauth/i);
      if (path.startsWith("/.well")) expect((await app.request(`/v1/sign-in/${tenant.id}`)).status).toBe(503);
      await fresh.close();
    }
  });

  test("metadata that would send a browser or this service elsewhere is not used", async () => {
    for (const metadata of [
      { issuer: "https://other.example" },
      { authorization_endpoint: "javascript:alert(1)" },
      { authorization_endpoint: "http://login.example/auth" },
      { token_endpoint: "http://169.254.169.254/latest" },
      { jwks_uri: "file:///etc/passwd" },
      { jwks_uri: undefined },
      { id_token_signing_alg_values_supported: ["none", "HS256"] },
    ]) {
      const fresh = await startForger();
      fresh.forged.metadata = metadata;
      await register(tenant, fresh.issuer);
      expect([metadata, (await app.request(`/v1/sign-in/${tenant.id}`)).status]).toEqual([metadata, 503]);
      await fresh.close();
    }
  });

  test("sign-ins are counted for each tenant, and beyond so many in a minute are put off", async () => {
    forger.forged.token = () => ({ status: 400, body: { error: "invalid_grant" } });
    const statuses = new Set<number>();
    frozen = Date.now();
    for (let i = 0; i < 130; i++) statuses.add((await signIn()).status);
    expect(statuses).toEqual(new Set([401, 429]));
    const other = await newTenant(kedge.service);
    await register(other, (await startForger()).issuer);
    ahead = 60_000;
    expect((await signIn()).status).toBe(401);
  });

  test("neither a code, a token nor a name is in the log", async () => {
    forger.forged.token = signed({ name: "Olga Officer" });
    const nonce = random();
    const response = await post(tenant.id, { code: nonce, nonce });
    const { token } = signedInSchema.parse(await response.json());
    const logged = kedge.logged.join("");
    for (const secret of [nonce, token.split("_")[2] ?? "", "Olga", "eyJ"]) {
      expect(logged).not.toContain(secret);
    }
    // As a word: four letters stand within a random id now and then.
    expect(logged).not.toMatch(/(?<![a-z2-7])olga(?![a-z2-7])/);
    expect(logged).toContain("sign-in");
  });
});
