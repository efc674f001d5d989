/** The rows of a case: what is a row, in which order, and what is kept of proofs. */
import type { OpenedEvent } from "@kedge/cli/evidence/types";
import { expect, test } from "vitest";
import { openTable } from "../../../console/case/table.ts";
import { isWanted } from "../../../console/case/wanted.ts";

const HASHES = ["00", "11", "22", "33"].map((two) => two.repeat(32));
const event = (user: string, when: string, more: Partial<OpenedEvent> = {}): OpenedEvent => ({
  ...{ file: "log.csv", bytes: new TextEncoder().encode(user), mediaType: "text/csv" },
  ...{ columns: { when, user: { login: user } }, commitment: HASHES[0] ?? "" },
  ...more,
});
const BY_TIME = { by: "when", descending: false } as const;
const users = (table: ReturnType<typeof openTable>) =>
  table.window(0, 10).map(({ columns }) => columns.user?.login);

test("rows are sorted by their times as instants, and those without one come last either way", () => {
  const table = openTable();
  table.add(event("late", "2026-03-01T12:00:00+01:00"));
  table.add(event("none", "yesterday"));
  table.add(event("early", "2026-03-01T10:30:00Z"));
  table.show(() => true, BY_TIME);
  expect(users(table)).toEqual(["early", "late", "none"]);
  table.show(() => true, { ...BY_TIME, descending: true });
  expect(users(table)).toEqual(["late", "early", "none"]);
});

test("a column is sorted as people sort: numbers by value, and what has no text last", () => {
  const table = openTable();
  for (const user of ["login10", "login2", "", "Login1"]) table.add(event(user, "2026-03-01T12:00:00Z"));
  table.show(() => true, { by: "user", descending: false });
  expect(users(table)).toEqual(["Login1", "login2", "login10", ""]);
});

test("a header and a whole file are rows only where the log knows them, and then its parts are none", () => {
  const table = openTable();
  const whole = new Uint8Array();
  table.add(event("whole", "2026-03-01T12:00:00Z", { isPerhaps: true }));
  table.add(event("header", "2026-03-01T12:00:00Z", { isPerhaps: true, isHeader: true, whole }));
  table.add(event("part", "2026-03-01T12:00:00Z", { whole }));
  table.show(() => true, BY_TIME);
  expect(users(table)).toEqual(["part"]);
  table.setEvidence(1, "sealed");
  table.show(() => true, BY_TIME);
  expect(users(table)).toEqual(["header", "part"]);
  table.setEvidence(0, "pending");
  table.show(() => true, BY_TIME);
  expect(users(table)).toEqual(["whole", "header"]);
});

test("what the log knows under another commitment is taken under that one", () => {
  const table = openTable();
  const { opening: _, ...plain } = event("a", "2026-03-01T12:00:00Z");
  const opening = { v: "kedge/v1", canonicalisation: "raw", mediaType: "text/csv", nonce: "" } as const;
  const other = { commitment: HASHES[1] ?? "", opening, bytes: new Uint8Array([1]) };
  table.add({ ...plain, otherwise: [other] });
  table.settle(0, other);
  expect(table.row(0)).toMatchObject(other);
  expect(table.row(0)?.otherwise).toBeUndefined();
});

test("an event whose own record does not open it is changed once that record is proven, and not before", () => {
  const table = openTable();
  const { commitment: _, ...unopened } = event("a", "2026-03-01T12:00:00Z");
  const opening = { v: "kedge/v1", canonicalisation: "raw", mediaType: "text/csv", nonce: "" } as const;
  table.add({ ...unopened, changedFrom: { event: "log.csv", commitment: HASHES[2] ?? "", opening } });
  table.add(unopened);
  table.show(() => true, BY_TIME);
  expect(table.stateOf(0)).toBe("altered");
  expect(table.view().counts).toEqual({ unchanged: 0, changed: 0, untold: 2 });
  table.setEvidence(0, "refuted");
  expect(table.view().counts).toEqual({ unchanged: 0, changed: 1, untold: 1 });
  const wanted = { filter: {}, zone: "UTC", verdict: "changed", sort: BY_TIME } as const;
  expect(table.show(isWanted(wanted, table), BY_TIME).found).toBe(1);
});
