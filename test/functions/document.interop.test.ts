/**
 * The API's document, read by others: schemathesis sends what it describes, and what it does not, by the thousand; clients
 * that openapi-typescript, openapi-python-client and openapi-generator (Java) generate from it post, fetch, and get proofs that
 * verify, and so do the examples of the tenant's README.
 */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { parseVkey } from "@kedge/verify/tlog/note";
import { bytesToHex, hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { installPython, type Python } from "../support/python.ts";
import { codeOf } from "../support/readme.ts";
import { addressIn, serve, stop } from "../support/serve.ts";

const run = promisify(execFile);
const HERE = fileURLToPath(new URL(".", import.meta.url));
const NPM_PACKAGES = [
  "openapi-typescript@7.13.0",
  "openapi-fetch@0.17.0",
  "typescript@5.9.3",
  "@types/node@20.19.43",
];
const JAVA_GENERATOR = "openapi-generator-cli==7.26.0";
const README = "packages/kedge/README.md";
const KEDGE = fileURLToPath(new URL("../../dist/cli/kedge.js", import.meta.url));
/** How long a network that never answers may hold up the tests. */
const INSTALL_MS = 120_000;
/** Each operation gets so many from the generator, besides those that the document's limits give. */
const EXAMPLES = "60";
const MINUTES = 600_000;

const credentialsSchema = z.object({
  ...{ url: z.string(), log: z.string(), apiKey: z.string(), logVkey: z.string() },
  ...{ anchorVkey: z.string(), anchorMldsaVkey: z.string() },
});

let folder: string;
let credentials: z.infer<typeof credentialsSchema>;
let served: Awaited<ReturnType<typeof serve>>;
let document: string;
let hashes: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-generated-"));
  const data = join(folder, "data");
  served = await serve({ cwd: folder, data });
  const url = addressIn(served.output);
  const text = await readFile(join(data, "credentials.json"), "utf8");
  credentials = { ...credentialsSchema.parse(JSON.parse(text)), url };
  document = join(folder, "openapi.json");
  await writeFile(document, await (await fetch(`${url}/openapi.json`)).text());
  hashes = Array.from({ length: 3 }, () => bytesToHex(randomBytes(32)));
}, MINUTES);
afterAll(async () => {
  if (served !== undefined) await stop(served.child, "SIGTERM");
  await rm(folder, { recursive: true, force: true });
}, MINUTES);

const python = await installPython();
const npm = await installNpm();
afterAll(async () => {
  if ("remove" in python) await python.remove();
  if ("remove" in npm) await npm.remove();
});

async function installNpm(): Promise<{ folder: string; remove: () => Promise<void> } | { missing: string }> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-npm-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  try {
    const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"];
    await run("npm", ["install", ...quiet, ...NPM_PACKAGES], { cwd: folder, timeout: INSTALL_MS });
  } catch {
    await remove();
    return { missing: `npm cannot install ${NPM_PACKAGES.join(", ")}` };
  }
  return { folder, remove };
}

/** Registers tests of what was installed, or one that is skipped, with its reason. */
function withTools<Tools extends object>(
  name: string,
  tools: Tools | { missing: string },
  tests: (tools: Tools) => void,
): void {
  if ("missing" in tools) {
    console.log(`skipped: ${name}: ${tools.missing}`);
    test.skip(`${name}: ${tools.missing}`);
  } else {
    describe(name, () => tests(tools));
  }
}

withTools(
  "schemathesis finds no 5xx, no answer that the document does not have, and no other fault",
  python,
  ({ bin }: Python) => {
    const schemathesis = async (headers: readonly string[], seed: string) => {
      const args = [
        "--config-file",
        join(HERE, "schemathesis.toml"),
        "run",
        `${credentials.url}/openapi.json`,
      ];
      const options = [
        "--checks",
        "all",
        "--continue-on-failure",
        "--max-examples",
        EXAMPLES,
        "--seed",
        seed,
      ];
      const env = { ...process.env, KEDGE_LOG: credentials.log, KEDGE_HASH: hashes[0], NO_COLOR: "1" };
      const { stdout } = await run(
        join(bin, "st"),
        [...args, ...options, ...headers.flatMap((each) => ["-H", each])],
        {
          ...{ cwd: folder, env, maxBuffer: 64 << 20 },
        },
      ).catch((error: { stdout: string }) => error);
      expect(stdout).not.toContain("= FAILURES =");
      expect(stdout).not.toContain("= ERRORS =");
      const [, generated, passed] =
        /(\d+) generated, (\d+) passed/.exec(stdout) ?? expect.fail(stdout.slice(-3_000));
      return { generated: Number(generated), passed: Number(passed) };
    };

    test(
      "with an API key",
      async () => {
        const { generated } = await schemathesis([`Authorization: Bearer ${credentials.apiKey}`], "1");
        expect(generated).toBeGreaterThan(1_000);
      },
      MINUTES,
    );

    test(
      "without one",
      async () => {
        const { generated } = await schemathesis([], "2");
        expect(generated).toBeGreaterThan(1_000);
      },
      MINUTES,
    );
  },
);

const fetchedSchema = z.object({
  ...{ assurance: z.string(), origin: z.string(), one: z.string() },
  statuses: z.array(z.string()),
  proofs: z.array(z.string()),
});

/** Posts and fetches with a program that reads its settings from stdin, and verifies what it fetched. */
async function postFetchAndVerify(program: string, args: readonly string[], cwd: string): Promise<void> {
  const { url, apiKey, log } = credentials;
  const own = Array.from({ length: 3 }, () => bytesToHex(randomBytes(32)));
  const step = async (step: string): Promise<unknown> => {
    const running = run(program, args, { cwd });
    running.child.stdin?.end(JSON.stringify({ url, apiKey, log, hashes: own, step }));
    return JSON.parse((await running).stdout);
  };
  expect(await step("post")).toEqual({ accepted: 3 });
  const status = async () => {
    const headers = { Authorization: `Bearer ${apiKey}` };
    const answers = own.map((hash) => fetch(`${url}/v1/logs/${log}/entries/${hash}`, { headers }));
    const texts = await Promise.all(answers.map(async (answer) => (await answer).text()));
    return texts.every((text) => text.includes('"anchored"'));
  };
  await expect.poll(status, { timeout: 60_000, interval: 500 }).toBe(true);
  const fetched = fetchedSchema.parse(await step("fetch"));
  expect(fetched).toMatchObject({ assurance: "anchored", origin: `localhost/log/${log}` });
  expect(fetched.statuses).toEqual(["anchored", "anchored", "anchored"]);
  expect([fetched.proofs.length, fetched.one]).toEqual([3, fetched.proofs[0]]);
  for (const [i, proof] of fetched.proofs.entries()) {
    const report = verifyEvent({
      commitment: hexToBytes(own[i] ?? ""),
      proof,
      logVkeys: credentials.logVkey.split(" ").map(parseVkey),
      anchorVkeys: `${credentials.anchorVkey} ${credentials.anchorMldsaVkey}`.split(" ").map(parseVkey),
    });
    expect(report).toMatchObject({ proven: true, assurance: "anchored" });
  }
}

withTools("a client that openapi-python-client generated", python, ({ bin }: Python) => {
  test("finds patterns that Python compiles, and that take the example beside them", async () => {
    const program = join(HERE, "clients/patterns.py");
    const { stdout } = await run(join(bin, "python"), [program, document]);
    expect(Number(stdout)).toBeGreaterThanOrEqual(4);
  });

  test(
    "posts in both forms, and fetches proofs that verify; nothing of the document is lost on it",
    async () => {
      const output = join(folder, "kedge_client");
      const generate = [
        "generate",
        "--path",
        document,
        "--output-path",
        output,
        "--meta",
        "none",
        "--fail-on-warning",
      ];
      const env = { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"]}` };
      await run(join(bin, "openapi-python-client"), generate, { cwd: folder, env });
      await postFetchAndVerify(join(bin, "python"), [await copied("client.py", folder)], folder);
      await writeFile(join(folder, "example.py"), await codeOf(README, "python"));
      await runExample(join(bin, "python"), [join(folder, "example.py")], "python");
    },
    MINUTES,
  );
});

/** What the generated client needs to be compiled, and to run. */
async function installJava(
  tools: Python | { missing: string },
): Promise<{ jar: string } | { missing: string }> {
  if ("missing" in tools) return tools;
  try {
    for (const tool of ["java", "javac", "mvn"]) await run(tool, ["-version"], { timeout: INSTALL_MS });
  } catch {
    return { missing: "there is no java, javac and mvn on the PATH" };
  }
  try {
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-input"];
    await run(join(tools.bin, "pip"), ["install", ...quiet, JAVA_GENERATOR], { timeout: 2 * INSTALL_MS });
    const where = "import openapi_generator_cli as it; print(it.__path__[0])";
    const { stdout } = await run(join(tools.bin, "python"), ["-c", where]);
    return { jar: join(stdout.trim(), "openapi-generator.jar") };
  } catch {
    return { missing: `pip cannot install ${JAVA_GENERATOR}` };
  }
}

withTools("a client that openapi-generator generated for Java", await installJava(python), ({ jar }) => {
  test(
    "posts in both forms, and fetches proofs that verify",
    async () => {
      const output = join(folder, "kedge-client");
      const names = "invokerPackage=kedge,apiPackage=kedge.api,modelPackage=kedge.model";
      const generate = ["generate", "-g", "java", "-i", document, "-o", output];
      await run("java", ["-jar", jar, ...generate, "--additional-properties", names], { cwd: folder });
      const libraries = join(folder, "lib");
      const copy = [
        "dependency:copy-dependencies",
        "-DincludeScope=compile",
        `-DoutputDirectory=${libraries}`,
      ];
      await run("mvn", ["-q", "-B", ...copy], { cwd: output });
      await writeFile(join(folder, "Example.java"), javaProgram(await codeOf(README, "java")));
      const classes = join(folder, "classes");
      const path = ["-cp", [classes, join(libraries, "*")].join(delimiter)];
      const sources = await readdir(join(output, "src/main/java"), { recursive: true });
      const files = [
        ...sources
          .filter((name) => name.endsWith(".java"))
          .map((name) => join(output, "src/main/java", name)),
        ...[join(HERE, "clients/Client.java"), join(folder, "Example.java")],
      ];
      await run("javac", ["-nowarn", "-d", classes, ...path, ...files], { cwd: folder });
      await postFetchAndVerify("java", [...path, "Client"], folder);
      await runExample("java", [...path, "Example"], "java");
    },
    MINUTES,
  );
});

/** Statements and their imports as a program. */
function javaProgram(code: string): string {
  const lines = code.split("\n");
  const imports = lines.filter((line) => line.startsWith("import "));
  const body = lines.filter((line) => !line.startsWith("import "));
  const main = "public static void main(String[] args) throws Exception {";
  return [...imports, "public class Example {", main, ...body, "}", "}"].join("\n");
}

/** An example of the README, in a folder with the tenant's credentials and an event: its proof verifies, of that event alone. */
async function runExample(program: string, args: readonly string[], language: string): Promise<void> {
  const cwd = await mkdtemp(join(folder, "example-"));
  const event = join(cwd, "event.json");
  const secret = { ...credentials, tenantKey: bytesToHex(randomBytes(32)) };
  await writeFile(join(cwd, "credentials.json"), JSON.stringify(secret), { mode: 0o600 });
  await writeFile(
    event,
    `{"resourceType":"AuditEvent","recorded":"2026-03-02T08:00:00Z","id":"${language}"}`,
  );
  await run(program, args, { cwd, env: { ...process.env, PYTHONPATH: folder }, timeout: MINUTES });
  const verify = () =>
    run(
      process.execPath,
      [KEDGE, "verify", event, `${event}.tlog-proof`, "--media-type", "application/fhir+json"],
      {
        ...{
          cwd,
          env: { PATH: process.env["PATH"], HOME: cwd, KEDGE_CREDENTIALS: join(cwd, "credentials.json") },
        },
      },
    );
  expect((await verify()).stdout).toContain("PROVEN");
  await writeFile(
    event,
    `{"resourceType":"AuditEvent","recorded":"2026-03-02T08:00:01Z","id":"${language}"}`,
  );
  await expect(verify()).rejects.toMatchObject({ code: 1 });
}

withTools("a client on the types that openapi-typescript generated", npm, (tools: { folder: string }) => {
  test(
    "compiles strictly, posts in both forms, and fetches proofs that verify",
    async () => {
      const bin = join(tools.folder, "node_modules/.bin");
      await run(join(bin, "openapi-typescript"), [document, "--output", join(tools.folder, "api.d.ts")]);
      await copyFile(join(HERE, "clients/client.ts.txt"), join(tools.folder, "client.ts"));
      const strict = ["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"];
      await run(join(bin, "tsc"), [...strict, "client.ts"], { cwd: tools.folder });
      await postFetchAndVerify(process.execPath, ["client.js"], tools.folder);
    },
    MINUTES,
  );
});

async function copied(name: string, to: string): Promise<string> {
  await copyFile(join(HERE, "clients", name), join(to, name));
  return join(to, name);
}
