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

/** The origin of a tenant's log (C2SP tlog-checkpoint), under the operator's domain. */
export const logOrigin = (domain: string, log: string): string => `${domain}/log/${log}`;
export const anchorOrigin = (domain: string): string => `${domain}/anchor`;
