import { openClock } from "@kedge/cli/agent/clock";
import { expect, test } from "vitest";

test("the earlier of two clocks counts, and none before the service has told its time", () => {
  const world = { wall: 1_000_000, elapsed: 50 };
  const clock = openClock(
    () => world.wall,
    () => world.elapsed,
  );
  expect(clock.trusted()).toBeUndefined();
  expect(clock.ahead()).toBeUndefined();
  expect(clock.isFresh(1e9)).toBe(false);
  clock.heard(Number.NaN);
  expect(clock.trusted()).toBeUndefined();
  clock.heard(900_000);
  expect(clock.trusted()).toBe(900_000);
  expect(clock.ahead()).toBe(100_000);
  world.elapsed += 5_000;
  world.wall += 5_000;
  expect(clock.trusted()).toBe(905_000);
  expect([clock.isFresh(5_000), clock.isFresh(4_999)]).toEqual([true, false]);
  world.wall = 10;
  expect(clock.trusted()).toBe(10);
  expect(clock.ahead()).toBe(10 - 905_000);
  world.wall = 1e15;
  expect(clock.trusted()).toBe(905_000);
});
