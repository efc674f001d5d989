/**
 * The identity provider of a tenant, registered by the operator: issuer, audience and claim rule. A sign-in names the tenant and
 * is judged by that tenant's registration alone, so that no token selects one (I7).
 */
import { createHash, randomBytes } from "node:crypto";
import { isLoopback } from "@kedge/verify/net/fetch";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Item, type Key, parseItem, type Store } from "../platform/store.ts";
import { providerKey, roleSchema } from "./people.ts";
import { type ClaimRule, toldApart } from "./sign-in-rule.ts";
import { findTenantLog, type TenantContext } from "./tenants.ts";

export type NewProvider = {
  readonly issuer: string;
  /** The client's id there, and so the audience of its ID tokens (OpenID Connect Core 1.0 §2). */
  readonly clientId: string;
  /** Space-separated, `openid` among them. */
  readonly scope: string;
  /** Where people open the console: a redirect URI is of this origin. */
  readonly origin: string;
  readonly rule: ClaimRule;
};
/** `version`: another with each registration; sessions name the one that let them in, and end with it. */
export type Provider = NewProvider & { readonly version: string };

const MAX_TEXT = 2_048;
const MAX_ROLES = 100;
const MAX_REQUIRED = 20;

const text = z.string().min(1).max(MAX_TEXT);
const ruleSchema = z.object({
  claim: text,
  roles: z
    .array(z.object({ value: text, role: roleSchema, logs: z.array(z.string()).exactOptional() }))
    .min(1)
    .max(MAX_ROLES),
  require: z
    .record(text, text)
    .refine((claims) => Object.keys(claims).length <= MAX_REQUIRED, `at most ${MAX_REQUIRED}`),
});

/** Every tenant that has registered an issuer and audience is found in one query, however it spelled the issuer's URL. */
const SHARED_PARTITION = "sign-in";
const sharedPrefix = ({ issuer, clientId }: Pick<NewProvider, "issuer" | "clientId">): string =>
  `${createHash("sha256").update(new URL(issuer).href).update("\0").update(clientId).digest("hex")}/`;
const sharedKey = (tenant: string, provider: NewProvider): Key => ({
  pk: SHARED_PARTITION,
  sk: `${sharedPrefix(provider)}${tenant}`,
});

/**
 * In place of the tenant's registration, whose sessions end.
 * @throws ServiceError `invalid` for an issuer, an origin or a rule that cannot be, `not_found` for a log that is not the
 * tenant's, `conflict` where another tenant has the issuer and audience, and the claim rules do not tell the two apart.
 */
export async function registerProvider(
  ctx: TenantContext,
  tenant: string,
  provider: NewProvider,
): Promise<void> {
  check(provider);
  for (const log of provider.rule.roles.flatMap(({ logs }) => logs ?? [])) {
    if ((await findTenantLog(ctx, tenant, log)) === undefined) {
      throw new ServiceError("not_found", `the tenant has no log ${log}: kedge tenant list shows its logs`);
    }
  }
  const { store } = ctx;
  const before = await findProvider(store, tenant);
  const key = sharedKey(tenant, provider);
  const [taken] = await store.get([key]);
  const rule = JSON.stringify(provider.rule);
  // Told to others before they are looked for: of two who register at once, one at least finds the other.
  await store.put({ ...key, rule });
  if (await isShared(store, tenant, provider)) {
    if (taken === undefined) await store.write([], [key]);
    else await store.put(taken);
    throw new ServiceError(
      "conflict",
      "another tenant has this issuer and client: its people and this one's must be told apart. Require a claim that differs " +
        "between the two (--require tid=…), or name groups with the tenant's id in them",
    );
  }
  const { issuer, clientId, scope, origin } = provider;
  const version = randomBytes(16).toString("hex");
  await store.put({ ...providerKey(tenant), issuer, clientId, scope, origin, rule, version });
  if (before !== undefined && sharedPrefix(before) !== sharedPrefix(provider)) {
    await store.write([], [sharedKey(tenant, before)]);
  }
}

/** Sessions by it end at once. @returns false where there was none. */
export async function removeProvider({ store }: TenantContext, tenant: string): Promise<boolean> {
  const before = await findProvider(store, tenant);
  if (before === undefined) return false;
  await store.write([], [providerKey(tenant)]);
  await store.write([], [sharedKey(tenant, before)]);
  return true;
}

export async function findProvider(store: Store, tenant: string): Promise<Provider | undefined> {
  const [item] = await store.get([providerKey(tenant)]);
  return item && decode(item);
}

async function isShared(store: Store, tenant: string, provider: NewProvider): Promise<boolean> {
  const prefix = sharedPrefix(provider);
  for await (const item of store.query({ pk: SHARED_PARTITION, from: prefix, to: `${prefix}~` })) {
    const other = item.sk.slice(prefix.length);
    const rule = decodeRule(parseItem(sharedSchema, item).rule, item);
    if (other !== tenant && !toldApart({ tenant, rule: provider.rule }, { tenant: other, rule })) return true;
  }
  return false;
}

function check({ issuer, clientId, scope, origin, rule }: NewProvider): void {
  const invalid = (message: string) => new ServiceError("invalid", message);
  const [at, home] = [issuer, origin].map((url) => (URL.canParse(url) ? new URL(url) : undefined));
  const isSafe = (url: URL) => url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url));
  if (home === undefined || !isSafe(home) || home.origin !== origin) {
    throw invalid(`${origin} is no origin of a console: it begins with https:// and has no path`);
  }
  if (at === undefined || !isSafe(at) || `${at.search}${at.hash}${at.username}${at.password}` !== "") {
    throw invalid(
      "an issuer is a URL that begins with https:// (http:// only on this machine), without ? and #",
    );
  }
  // A deployment's own loopback is where the function's runtime listens.
  if (at.protocol === "http:" && !isLoopback(home)) {
    throw invalid("an issuer on this machine is for a service on this machine: name one with https://");
  }
  if (!/^[\x21-\x7e]{1,512}$/.test(clientId))
    throw invalid("a client id has 1 to 512 characters without spaces");
  if (
    !/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(scope) ||
    scope.length > MAX_TEXT ||
    !scope.split(" ").includes("openid")
  ) {
    throw invalid("a scope is a list of words with single spaces, openid among them");
  }
  const parsed = ruleSchema.safeParse(rule);
  const [issue] = parsed.error?.issues ?? [];
  if (issue !== undefined)
    throw invalid(`the claim rule is wrong: ${issue.path.join(".")}: ${issue.message}`);
  if (new Set(rule.roles.map(({ value }) => value)).size < rule.roles.length) {
    throw invalid("a value stands for one role: name each once");
  }
  // Who makes API keys for every log would be limited by name alone.
  if (rule.roles.some(({ role, logs }) => role === "administrator" && logs !== undefined)) {
    throw invalid("an administrator manages every log: the role cannot be limited to some");
  }
}

const sharedSchema = z.object({ rule: z.string() });
const schema = z.object({
  issuer: z.string(),
  clientId: z.string(),
  scope: z.string(),
  origin: z.string(),
  rule: z.string(),
  version: z.string(),
});

function decode(item: Item): Provider {
  const { rule, ...stored } = parseItem(schema, item);
  return { ...stored, rule: decodeRule(rule, item) };
}

function decodeRule(rule: string, { pk, sk }: Item): ClaimRule {
  try {
    return ruleSchema.parse(JSON.parse(rule));
  } catch (cause) {
    throw new ServiceError("corrupt", `the claim rule of the item ${pk} ${sk} is malformed`, { cause });
  }
}
