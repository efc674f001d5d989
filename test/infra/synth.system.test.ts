/** `cdk synth` as whoever deploys runs it, on a machine with Node and nothing else: no AWS, no network, no Docker. */
import { type ExecFileException, execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HELP } from "../../infra/config.ts";
import { WITNESS_HELP } from "../../infra/witness/config.ts";

const ROOT = join(import.meta.dirname, "../..");
const CDK = createRequire(import.meta.url).resolve("aws-cdk/bin/cdk");

/** Loaded into every process before all else: refuses to connect anywhere but to a pipe, and says so on paper. */
const OFFLINE = `
  import { appendFileSync } from "node:fs";
  import { Socket } from "node:net";
  const { connect } = Socket.prototype;
  Socket.prototype.connect = function (...args) {
    const [to] = args.flat();
    if (typeof to === "string" || typeof to?.path === "string") return connect.apply(this, args);
    appendFileSync(process.env.CONNECTIONS, JSON.stringify(to) + "\\n");
    throw new Error("this machine has no network");
  };`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-synth-"));
  await mkdir(join(folder, "bin"));
  await mkdir(join(folder, "home"));
  await symlink(process.execPath, join(folder, "bin", "node"));
  await writeFile(join(folder, "connections"), "");
});
afterAll(() => rm(folder, { recursive: true }));

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

function synth(...args: string[]): Promise<Outcome> {
  const env = {
    PATH: join(folder, "bin"),
    HOME: join(folder, "home"),
    TMPDIR: folder,
    CONNECTIONS: join(folder, "connections"),
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(OFFLINE)}`,
  };
  return new Promise((resolve) => {
    const done = (error: ExecFileException | null, stdout: string, stderr: string) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    execFile(process.execPath, [CDK, "synth", ...args], { cwd: ROOT, env }, done);
  });
}

/** Every file under a folder, by its path within. */
async function filesIn(root: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const read = paths.sort().map(async (path) => [path.slice(root.length), await readFile(path)] as const);
  return new Map(await Promise.all(read));
}

const EXAMPLES = [
  { kind: "config", file: "config/prod.json", stacks: ["Kedge-prod-Data", "Kedge-prod-Service"], bundles: 3 },
  { kind: "witness", file: "config/witness.json", stacks: ["KedgeWitness-prod"], bundles: 1 },
];

describe.each(EXAMPLES)("the committed example $file", ({ kind, file, stacks, bundles }) => {
  const outcomes: Outcome[] = [];
  const outputs: Map<string, Buffer>[] = [];
  beforeAll(async () => {
    for (const name of ["first", "second"]) {
      const out = join(folder, `${kind}-${name}`);
      outcomes.push(await synth("-q", "-c", `${kind}=${file}`, "-o", out));
      outputs.push(await filesIn(out));
    }
  });

  test("is synthesised without credentials, network or Docker, and without a warning", async () => {
    for (const { code, stderr } of outcomes) {
      expect(code, stderr).toBe(0);
      expect(stderr).not.toMatch(/warn|error|deprecat/i);
    }
    expect(await readFile(join(folder, "connections"), "utf8")).toBe("");
  });

  test("gives the same bytes each time, in every file", () => {
    const [first, second] = outputs;
    expect([...(first ?? [])].map(([path]) => path)).toEqual([...(second ?? [])].map(([path]) => path));
    for (const [path, bytes] of first ?? [])
      expect(bytes.equals(second?.get(path) ?? Buffer.of()), path).toBe(true);
  });

  test("gives its stacks, and a bundle for each function", () => {
    const paths = [...(outputs[0] ?? [])].map(([path]) => path);
    const templates = paths.filter((path) => path.endsWith(".template.json"));
    expect(templates).toEqual(stacks.map((name) => `/${name}.template.json`));
    expect(paths.filter((path) => path.endsWith("/index.mjs"))).toHaveLength(bundles);
  });

  test("leaves nothing behind but what was asked for", async () => {
    const left = await readdir(folder);
    expect(left.filter((name) => name.startsWith("kedge-bundles-"))).toEqual([]);
  });
});

test.each([
  ["the service", [], HELP],
  ["a witness", ["-c", "witness="], WITNESS_HELP],
])(
  "without a configuration, deploying %s is refused with all that can be configured",
  async (_, args, help) => {
    const { code, stderr } = await synth(...args, "-o", join(folder, "none"));
    expect(code).not.toBe(0);
    expect(stderr).toContain(help);
    expect(stderr).not.toMatch(/^\s+at /m);
  },
);

test.each([
  ["config", { sealSecond: 5 }, ["sealSecond is no setting: is it sealSeconds?", "domain: is required"]],
  ["witness", { silentHour: 5 }, ["silentHour is no setting: is it silentHours?", "logs: is required"]],
])("a wrong %s is refused by its own words, and not by a stack trace", async (kind, settings, told) => {
  const path = join(folder, `wrong-${kind}.json`);
  await writeFile(path, JSON.stringify({ stage: "prod", region: "eu-central-1", ...settings }));
  const { code, stderr } = await synth("-c", `${kind}=${path}`, "-o", join(folder, "wrong"));
  expect(code).not.toBe(0);
  for (const words of [`${path} cannot be deployed:`, ...told]) expect(stderr).toContain(words);
  expect(stderr).not.toMatch(/^\s+at /m);
});
