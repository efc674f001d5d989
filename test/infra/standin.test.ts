/** That the stand-in for Lambda refuses what Lambda refuses: otherwise what passes here could fail there. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LambdaFunction, lambdaFunction } from "../support/lambda-process.ts";

const HANDLER = `
export async function handler(event, context) {
  if (event.do === "throw") throw new RangeError("no");
  if (event.do === "large") return "x".repeat(event.bytes);
  if (event.do === "bigint") return 1n;
  if (event.do === "exit") process.exit(0);
  if (event.do === "sleep") await new Promise(() => setTimeout(() => {}, 60_000));
  if (event.do === "environment") return Object.keys(process.env).sort();
  if (event.do === "say") console.log("said");
  if (event.do === "context") return context.functionName;
}
`;

let folder: string;
let lambda: LambdaFunction;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-standin-"));
  await writeFile(join(folder, "index.mjs"), HANDLER);
  lambda = start(10);
});
afterAll(async () => {
  await lambda.close();
  await rm(folder, { recursive: true });
});

const start = (timeoutSeconds: number): LambdaFunction =>
  lambdaFunction({
    name: "f",
    arn: "arn:aws:lambda:eu-central-1:000000000000:function:f",
    folder,
    handler: "index.handler",
    memoryMb: 128,
    timeoutSeconds,
    environment: { LAMBDA_TASK_ROOT: folder, ONLY: "this" },
  });

test("a function sees its own environment and nothing else", async () => {
  expect(await lambda.invoke({ do: "environment" })).toEqual(["LAMBDA_TASK_ROOT", "ONLY"]);
  expect(await lambda.invoke({ do: "context" })).toBe("f");
});

test("what it returns goes as JSON, nothing as null", async () => {
  expect(await lambda.invoke({})).toBe(null);
  await expect(lambda.invoke({ do: "bigint" })).rejects.toMatchObject({ errorType: "Runtime.MarshalError" });
});

test("what it throws is told by name and message", async () => {
  const error = { errorType: "RangeError", message: "no" };
  await expect(lambda.invoke({ do: "throw" })).rejects.toMatchObject(error);
});

test("more than 6 MB pass neither way", async () => {
  expect(await lambda.invoke({ do: "large", bytes: 6_000_000 })).toHaveLength(6_000_000);
  const large = lambda.invoke({ do: "large", bytes: 6_300_000 });
  await expect(large).rejects.toMatchObject({ errorType: "Function.ResponseSizeTooLarge" });
  const event = lambda.invoke({ text: "x".repeat(6_300_000) });
  await expect(event).rejects.toMatchObject({ errorType: "RequestEntityTooLarge" });
});

test("a process that ends, or takes longer than it may, is an error and counted, and the next event has another", async () => {
  const other = start(2);
  await expect(other.invoke({ do: "exit" })).rejects.toMatchObject({ errorType: "Runtime.ExitError" });
  await expect(other.invoke({ do: "sleep" })).rejects.toMatchObject({ errorType: "Runtime.ExitError" });
  expect(await other.invoke({ do: "say" })).toBe(null);
  const { stdout, crashes } = await other.close();
  expect(stdout).toEqual(["said"]);
  expect(crashes).toEqual(["index.handler ended with 0", "index.handler ended with SIGKILL"]);
});
