/** The claim rule of a tenant: which claims of an ID token make a person somebody here. Pure. */
import type { Role } from "@kedge/cli/contract/ids";

export type RoleRule = {
  /** What the claim is, or holds where it is a list. */
  readonly value: string;
  readonly role: Role;
  /** Ids of the only logs that it opens; absent: every log of the tenant. */
  readonly logs?: readonly string[];
};

export type ClaimRule = {
  /** A claim's name (`cognito:groups`), a path of names (`realm_access.roles`), or a JSON pointer (RFC 6901). */
  readonly claim: string;
  /** The first whose value the claim has counts. */
  readonly roles: readonly RoleRule[];
  /** Claims that must be, or hold, this value, by their names or paths: such as `tid` or `hd`. */
  readonly require: Readonly<Record<string, string>>;
};

export type Claims = Readonly<Record<string, unknown>>;

/** Codes: the trail and the log name them, and nothing of the token. */
export type Refusal = "requirement" | "no_role";

export function judgeClaims(rule: ClaimRule, claims: Claims): RoleRule | Refusal {
  const required = Object.entries(rule.require);
  if (!required.every(([claim, value]) => valuesOf(claims, claim).includes(value))) return "requirement";
  const values = valuesOf(claims, rule.claim);
  return rule.roles.find(({ value }) => values.includes(value)) ?? "no_role";
}

/** A text, or the texts of a list; nothing else is compared. */
function valuesOf(claims: Claims, path: string): readonly unknown[] {
  const value = find(claims, path);
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [value];
}

/** A name counts before a path: names of claims may hold dots and slashes, as URLs do. */
function find(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  const names = path.startsWith("/") ? path.slice(1).split("/").map(unescapePointer) : path.split(".");
  let value: unknown = claims;
  for (const name of names) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = Object.getOwnPropertyDescriptor(value, name)?.value;
  }
  return value;
}

const unescapePointer = (name: string): string => name.replaceAll("~1", "/").replaceAll("~0", "~");

/**
 * Whether no token of one issuer and audience can open both tenants, unless the issuer itself says that its person belongs to
 * both: a claim that both require has another value, or the values that make a role name each its own tenant.
 */
export const toldApart = (a: TenantRule, b: TenantRule): boolean =>
  Object.entries(a.rule.require).some(
    ([claim, value]) => Object.hasOwn(b.rule.require, claim) && b.rule.require[claim] !== value,
  ) ||
  (namesItsTenant(a) && namesItsTenant(b));

type TenantRule = { readonly tenant: string; readonly rule: Pick<ClaimRule, "roles" | "require"> };

const namesItsTenant = ({ tenant, rule }: TenantRule): boolean =>
  rule.roles.every(({ value }) => value.includes(tenant));
