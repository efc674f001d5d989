/** What a tenant keeps of a POST. It tells the tenant, and proves nothing to others: the service has not signed it. Proofs do. */
export type Receipt = {
  log: string;
  /** Commitments, repeated ones included: what of it was new to the log is known once it is sealed. */
  accepted: number;
  /** RFC 3339, by the service's own word: all of it is durable there since. */
  receivedAt: string;
  /** When it was sent, ms since the epoch, by this machine's clock. */
  postedAt: number;
};
