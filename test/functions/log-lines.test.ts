/** What a request's log line says, and what it never does. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { bearer, type Harness, startHarness } from "./harness.ts";

let kedge: Harness;
beforeAll(async () => {
  kedge = await startHarness();
});
afterAll(() => kedge.close());

async function lineOf(path: string, headers: Record<string, string> = {}): Promise<Record<string, unknown>> {
  await kedge.app.request(path, { headers });
  return JSON.parse(kedge.logged.at(-1) ?? "");
}

test.each([
  ["/v2/logs", "/*/logs"],
  ["/v1/logs/aaaa/entires", "/v1/logs/*/*"],
  ["/v1/patients/MRN-4711/entries", "/v1/*/*/entries"],
  ["/anchor/kedge_abc_def", "/anchor/*"],
  [`/${"v1/".repeat(100)}`, `/${Array(10).fill("v1").join("/")}`],
])("a path that is no route is named by the words that routes have: %s", async (path, route) => {
  expect(await lineOf(path)).toMatchObject({ status: 404, route });
});

test("a route is named by its pattern, whether or not there is such a log", async () => {
  const line = await lineOf("/v1/logs/aaaa", bearer(kedge.a.read));
  expect(line).toMatchObject({ status: 404, route: "/v1/logs/:log" });
});

test("a refused API key is named by the public half of what it claims to be, and by nothing else", async () => {
  const [, id = "", secret = ""] = kedge.a.read.split("_");
  const wrong = secret.replace(/^./, secret.startsWith("a") ? "b" : "a");
  const path = `/v1/logs/${kedge.a.log.id}`;
  expect(await lineOf(path, bearer(`kedge_${id}_${wrong}`))).toMatchObject({ status: 401, keyId: id });
  for (const text of [secret, `kedge_${secret}`, `kedge_${secret}_${id}`, "St. Example"]) {
    const line = await lineOf(path, bearer(text));
    expect([line["status"], line["keyId"]]).toEqual([401, undefined]);
  }
  expect(kedge.logged.join("")).not.toContain(secret);
  expect(kedge.logged.join("")).not.toContain(wrong);
});
