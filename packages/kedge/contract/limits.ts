/** How much one request, one answer or one name may hold. */

/** Commitments in one post. */
export const MAX_ENTRIES = 10_000;
/** Hashes in one request for proofs. */
export const MAX_PROOFS = 1_000;
/** Bytes of a request's body, 1 MiB: 10,000 hashes in JSON are 670 kB. */
export const MAX_BODY = 1 << 20;
/** UTF-16 code units in the name of a tenant, a log or an API key. */
export const MAX_NAME = 100;
