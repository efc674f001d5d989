/**
 * Times that were stored, held against the clock of now. A clock that jumped ahead leaves times that lie in the future for
 * as long as it jumped: they are a wrong clock's, and nothing may wait for them. docs/operations.md (Clocks) has the whole list.
 */

/** Of several machines whose clocks are right, one may be ahead of another by this much, ms. */
export const MAX_SKEW = 5 * 60_000;

/** Whether a stored time lies in the future by more than clocks differ. Both in ms since the epoch. */
export const isAhead = (at: bigint, now: number): boolean => at > BigInt(now + MAX_SKEW);

/** Whether `ms` have passed since a stored time. One in the future holds nothing up: then they have. */
export const hasPassed = (ms: number, since: bigint, now: number): boolean =>
  isAhead(since, now) || BigInt(now) - since >= BigInt(ms);

/**
 * How long ago a stored time was, ms, for a metric with an alarm. One in the future counts as far off as it lies ahead: 0
 * would say that all is well.
 */
export const ageOf = (at: bigint, now: number): number => Math.abs(now - Number(at));
