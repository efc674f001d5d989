/** How much one request, one answer or one name may hold. */

/** Commitments in one post, and in one question of how far they have come. */
export const MAX_ENTRIES = 10_000;
/** Hashes in one request for proofs. */
export const MAX_PROOFS = 1_000;
/** Bytes of a request's body, 1 MiB: 10,000 hashes in JSON are 670 kB. */
export const MAX_BODY = 1 << 20;
/** Characters (code points) in the name of a tenant, a log or an API key. */
export const MAX_NAME = 100;
/** Logs of a tenant, and API keys of a tenant: keeps every listing small enough to answer whole. */
export const MAX_OF_A_KIND = 1_000;
/** Events of the trail in one answer. */
export const MAX_TRAIL_PAGE = 500;
