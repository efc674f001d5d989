import { type ReconcileInput, reconcile } from "@kedge/cli/evidence/reconcile";
import { openVerifier } from "@kedge/verify/proof/verify";
import { expect, it } from "vitest";
import { CSV_FILE, FHIR_FILE, hexOf, opened, PROOFS } from "../../../support/evidence.ts";
import { anchor, log } from "../../../support/proofs.ts";

const verify = openVerifier({ logVkeys: [log.vkey], anchorVkeys: [anchor.vkey] });

function run(over: Partial<ReconcileInput>) {
  const steps = reconcile({ ...opened(), proofs: PROOFS, verify, ...over });
  const rows = [];
  for (;;) {
    const step = steps.next();
    if (step.done) return { rows, ...step.value };
    rows.push(step.value);
  }
}
const edited = (edit: (lines: string[]) => string[]) => {
  const lines = new TextDecoder().decode(FHIR_FILE.bytes).trimEnd().split("\n");
  return opened([{ ...FHIR_FILE, bytes: new TextEncoder().encode(`${edit(lines).join("\n")}\n`) }, CSV_FILE]);
};

it("an export that is as it was logged is unchanged, row by row, and nothing is missing", () => {
  const { counts, missing, sources } = run({});
  expect(counts).toMatchObject({ rows: 10, unchanged: 10, copies: 0 });
  expect(missing).toEqual([]);
  expect(sources).toMatchObject([{ source: "ehr", findings: [] }]);
});

it("a row that was edited is changed, and the record is not missing besides", () => {
  const { counts, missing } = run(edited((lines) => lines.map((line) => line.replace("MRN-3", "MRN-8"))));
  expect(counts).toMatchObject({ unchanged: 9, changed: 1 });
  expect(missing).toEqual([]);
});

it("a row that was taken out is missing: its record is in the log, and its number leaves a gap", () => {
  const { counts, missing, sources } = run(edited((lines) => lines.toSpliced(2, 1)));
  expect(counts).toMatchObject({ rows: 9, unchanged: 9 });
  expect(missing).toMatchObject([{ is: "logged", record: { commitment: hexOf(2) } }]);
  expect(sources).toMatchObject([{ findings: [{ finding: "sequence_missing", first: "3", last: "3" }] }]);
});

it("a row that was added is opened by nothing; one that stands twice is a copy", () => {
  const added = (lines: string[]) => [...lines, (lines[0] ?? "").replace("MRN-1", "MRN-7"), lines[1] ?? ""];
  const { counts } = run(edited(added));
  expect(counts).toMatchObject({ rows: 12, unchanged: 11, unopened: 1, copies: 1 });
});

it("what the log says that it does not know, what is pending, and what was not asked for, cannot be told", () => {
  const proofs = new Map(PROOFS).set(hexOf(0), { noProof: "unknown" }).set(hexOf(1), { noProof: "pending" });
  proofs.delete(hexOf(4));
  const { counts, rows } = run({ proofs });
  expect(counts).toMatchObject({ unlogged: 1, pending: 1, untold: 1, unchanged: 7 });
  expect(rows.find(({ is }) => is === "unlogged")?.verdict).toBe("untold");
});
