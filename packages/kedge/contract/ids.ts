/** What names things in the API: ids, API keys, origins, scopes. */

/** Ids are random and opaque, in lower-case base32 (RFC 4648 §6): 5 bits a character. */
export const TENANT_ID = /^[a-z2-7]{16}$/;
export const LOG_ID = /^[a-z2-7]{19}$/;
/** Its tenant's id and nine characters of its own. */
export const KEY_ID = /^[a-z2-7]{25}$/;
/** `kedge_<key id>_<secret>`; its groups are the tenant's id, the key's own part, the secret. */
export const API_KEY = /^kedge_([a-z2-7]{16})([a-z2-7]{9})_([a-z2-7]{52})$/;

/** What an API key may do: post entries; read a log and its proofs; manage the tenant's logs and keys. */
export const SCOPES = ["write", "read", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** What a person may do besides: sign off reviews and hand out viewer links; read the trail of who did what in Kedge. */
export const ALL_SCOPES = [...SCOPES, "review", "trail"] as const;
export type AnyScope = (typeof ALL_SCOPES)[number];

/** What people are to their organisation, and what each may do. */
export const ROLES = {
  engineer: ["write", "read"],
  officer: ["read", "review", "trail"],
  auditor: ["read", "trail"],
  administrator: ["read", "admin", "review", "trail"],
} as const satisfies Readonly<Record<string, readonly AnyScope[]>>;
export type Role = keyof typeof ROLES;

/** `kedgesession_<session id>_<secret>`: what a person who is signed in sends in place of an API key. */
export const SESSION = /^kedgesession_([a-z2-7]{16})([a-z2-7]{26})_([a-z2-7]{52})$/;
/** `<link id>_<secret>`: what stands after `#link=` in a viewer link. Its groups are the tenant's id, the link's own part, the secret. */
export const LINK = /^([a-z2-7]{16})([a-z2-7]{26})_([a-z2-7]{52})$/;

/** The origin of a tenant's log (C2SP tlog-checkpoint), under the operator's domain. */
export const logOrigin = (domain: string, log: string): string => `${domain}/log/${log}`;
export const anchorOrigin = (domain: string): string => `${domain}/anchor`;
