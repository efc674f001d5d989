/** What the numbering of an export shows, in German: each finding has words of its own. */
import type { AuditFinding, AuditFindingKind } from "@kedge/verify/audit/audit";
import { tellAuditFinding } from "@kedge/verify/audit/words";
import { tellFindingInGerman } from "@kedge/verify/audit/words-de";
import { expect, test } from "vitest";

const KINDS: AuditFindingKind[] = [
  ...(["sequence_missing", "sequence_repeated", "gap_seen", "no_manifest", "manifest_missing"] as const),
  ...(["manifest_repeated", "manifest_chain", "manifest_numbers", "manifest_root"] as const),
  ...(["manifest_late", "manifest_malformed"] as const),
];
const found = (finding: AuditFindingKind): AuditFinding => ({
  ...{ finding, source: "ehr", event: "day/a.json", first: "3", last: "4" },
  ...{ from: "2026-03-14T10:00:00Z", to: "2026-03-14T11:00:00Z" },
});

test.each(KINDS)("%s is told in German, of its source or its file", (kind) => {
  const told = tellFindingInGerman(found(kind));
  expect(told).not.toBe(tellAuditFinding(found(kind)).message);
  expect(told).toMatch(/"ehr"|"day\/a\.json"/);
});

test("what only a whole log can have is told in English", () => {
  expect(tellFindingInGerman(found("log_shrunk"))).toBe(tellAuditFinding(found("log_shrunk")).message);
});
