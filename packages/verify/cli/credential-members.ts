/**
 * What `.kedge/credentials.json` may hold, all of it strings, as `kedge tenant create` writes it. `log` is the log's id,
 * `tenantKey` 64 hex digits, each vkey one or more C2SP verifier keys; an auditor's file may have these alone.
 */
export const MEMBERS = [
  ...(["url", "tenant", "log", "apiKey", "tenantKey"] as const),
  ...(["logVkey", "anchorVkey", "anchorMldsaVkey"] as const),
];
