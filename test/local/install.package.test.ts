/** How a small site installs: a clone, `npm ci --omit=dev`, `npm start`. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
let clone: string;

beforeAll(async () => {
  clone = await mkdtemp(join(tmpdir(), "kedge-site-"));
  const { stdout } = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
  });
  for (const path of stdout.split("\0").filter((name) => existsSync(join(ROOT, name)) && name !== "")) {
    await cp(join(ROOT, path), join(clone, path));
  }
  await run("npm", ["ci", "--omit=dev", "--no-audit", "--no-fund"], { cwd: clone });
}, 300_000);
afterAll(() => rm(clone, { recursive: true }));

test("the CDK and the tests' tools are left out", () => {
  // Not esbuild: npm installs it beside vite, whose optional peer it is.
  for (const name of ["aws-cdk-lib", "aws-cdk", "constructs", "vitest", "playwright-core", "oidc-provider"]) {
    expect(existsSync(join(clone, "node_modules", name)), name).toBe(false);
  }
});

test("what is installed proves its first event and stops when it is told to", async () => {
  const env = { ...process.env, KEDGE_DATA: join(clone, ".kedge"), KEDGE_PORT: "0" };
  const server = spawn(process.execPath, ["dist/cli/kedge.js", "serve"], { cwd: clone, env });
  const exited = once(server, "exit");
  let output = "";
  for await (const chunk of server.stdout.setEncoding("utf8")) {
    output += chunk;
    if (output.includes("Ctrl-C stops it")) break;
  }
  server.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
  expect(output).toContain("PROVEN, anchored");
});

test("a hospital's witness and the operator's commands are there", async () => {
  const { stdout } = await run(process.execPath, ["dist/cli/kedge.js", "--help"], { cwd: clone });
  for (const name of ["serve", "witness", "tenant", "restore", "verify", "post"])
    expect(stdout).toContain(`  ${name} `);
});
