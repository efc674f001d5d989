import { expect, test } from "vitest";
import { matches } from "./pattern.ts";

const event = { eventName: "INSERT", dynamodb: { Keys: { pk: { S: "pending/a/1" } } } };

test.each([
  [{ eventName: ["INSERT"] }, true],
  [{ eventName: ["REMOVE", "INSERT"] }, true],
  [{ eventName: ["REMOVE"] }, false],
  [{ dynamodb: { Keys: { pk: { S: [{ prefix: "pending/" }] } } } }, true],
  [{ dynamodb: { Keys: { pk: { S: [{ prefix: "log/" }] } } } }, false],
  [{ dynamodb: { Keys: { other: { S: [{ prefix: "" }] } } } }, false],
  [{ eventName: ["REMOVE"], dynamodb: { Keys: { pk: { S: ["pending/a/1"] } } } }, false],
])("a pattern matches when each of its members does: %j", (pattern, expected) => {
  expect(matches(pattern, event)).toBe(expected);
});

test.each([
  [{ eventName: [{ exists: true }] }],
  [{ eventName: ["REMOVE"], dynamodb: { Keys: { pk: { S: [{ "anything-but": "a" }] } } } }],
  [{ eventName: [{ prefix: { "equals-ignore-case": "i" } }] }],
  [{ eventName: "INSERT" }],
])("a rule that is not known is an error, whatever the event: %j", (pattern) => {
  expect(() => matches(pattern, event)).toThrow(RangeError);
});
