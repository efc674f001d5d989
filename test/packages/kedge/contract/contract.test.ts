import { API_KEY, KEY_ID, LOG_ID, TENANT_ID } from "@kedge/cli/contract/ids";
import { MAX_BODY, MAX_ENTRIES, MAX_PROOFS } from "@kedge/cli/contract/limits";
import { acceptedSchema, newEntriesSchema, newLogSchema } from "@kedge/cli/contract/wire";
import { build } from "esbuild";
import { expect, test } from "vitest";

test("a page can load the contract: it needs nothing of Node", async () => {
  const contents = 'export * from "@kedge/cli/contract/wire"; export * from "@kedge/cli/contract/limits";';
  const stdin = { contents, resolveDir: import.meta.dirname };
  const conditions = ["source"];
  const bundled = await build({
    ...{ stdin, bundle: true, write: false, logLevel: "silent" },
    ...{ platform: "browser", format: "esm", conditions },
  });
  expect([bundled.errors, bundled.outputFiles.length]).toEqual([[], 1]);
});

test("as many hashes as a request may name fit into its body", () => {
  const hashes = Array.from({ length: Math.max(MAX_ENTRIES, MAX_PROOFS) }, () => "a".repeat(64));
  expect(JSON.stringify({ hashes }, null, 1).length).toBeLessThan(MAX_BODY);
  expect(newEntriesSchema.safeParse({ hashes }).success).toBe(true);
  expect(newEntriesSchema.safeParse({ hashes: [...hashes, hashes[0]] }).success).toBe(false);
});

test("requests are closed, answers are open: a member that nobody knows is refused or left out", () => {
  expect(newLogSchema.safeParse({ name: "ward 7", more: 1 }).success).toBe(false);
  const accepted = { accepted: 1, receivedAt: "2026-03-01T08:30:00.000Z" };
  expect(acceptedSchema.parse({ ...accepted, more: 1 })).toEqual(accepted);
});

test("an API key's id is its tenant's and nine characters more, and no id is another kind's", () => {
  const [tenant, own, secret] = ["a".repeat(16), "b".repeat(9), "c".repeat(52)];
  expect(API_KEY.exec(`kedge_${tenant}${own}_${secret}`)?.slice(1)).toEqual([tenant, own, secret]);
  for (const id of [tenant, "l".repeat(19), `${tenant}${own}`]) {
    expect([TENANT_ID, LOG_ID, KEY_ID].filter((pattern) => pattern.test(id)).length).toBe(1);
  }
});
