import { describe, expect, test } from "vitest";
import { ageOf, hasPassed, isAhead, MAX_SKEW } from "../../service/clock.ts";

const NOW = 1_800_000_000_000;
const YEAR = 365 * 24 * 3_600_000;

describe("a stored time", () => {
  test("is in the future when it is so by more than two right clocks differ", () => {
    expect(isAhead(BigInt(NOW - YEAR), NOW)).toBe(false);
    expect(isAhead(BigInt(NOW + MAX_SKEW), NOW)).toBe(false);
    expect(isAhead(BigInt(NOW + MAX_SKEW + 1), NOW)).toBe(true);
  });

  test("in the future holds nothing up: what is to come after it is due", () => {
    expect(hasPassed(1_000, BigInt(NOW - 999), NOW)).toBe(false);
    expect(hasPassed(1_000, BigInt(NOW - 1_000), NOW)).toBe(true);
    expect(hasPassed(1_000, BigInt(NOW + 1), NOW)).toBe(false);
    expect(hasPassed(1_000, BigInt(NOW + YEAR), NOW)).toBe(true);
    // Whichever way a clock jumps, and however far, nothing waits longer than its time and the skew.
    for (const at of [-YEAR, 0, NOW - YEAR, NOW, NOW + YEAR, 8.64e15]) {
      expect(hasPassed(1_000, BigInt(at), NOW + MAX_SKEW + 1_000)).toBe(true);
    }
  });

  test("never has the age 0 because it is in the future", () => {
    expect(ageOf(BigInt(NOW), NOW)).toBe(0);
    expect(ageOf(BigInt(NOW - YEAR), NOW)).toBe(YEAR);
    expect(ageOf(BigInt(NOW + YEAR), NOW)).toBe(YEAR);
  });
});
