/** The packages as people get them: packed, installed into an empty folder, and used there without a network. */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { formatVkey } from "@kedge/verify/tlog/note";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { anchor, EVENT, log, makeProof } from "../support/proofs.ts";
import { codeOf } from "../support/readme.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { version: VERSION }: { version: string } = manifestOf("package.json");
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
const MB = 1_000_000;
/** What the service is made of, and neither package needs. */
const OF_THE_SERVICE = [
  ...["@aws-sdk", "@smithy", "aws-cdk-lib", "constructs", "dynalite", "typescript"],
  ...["@hono/zod-openapi", "swagger-ui-dist"],
];
const PACKAGES = [
  {
    ...{ name: "@kedge/verify", bin: "kedge-verify", tarballs: ["kedge-verify"], limit: 15 * MB },
    foreign: [...OF_THE_SERVICE, "hono", "lmdb"],
  },
  {
    ...{ name: "@kedge/cli", bin: "kedge", tarballs: ["kedge-cli", "kedge-verify"], limit: 40 * MB },
    foreign: OF_THE_SERVICE,
  },
];
/** Nothing but loopback, and that is down, where the machine lets us have it. */
const OFFLINE = canUnshare() ? ["unshare", "-rn"] : [];

let folder: string;
const folderOf = (name: string): string => join(folder, name.replace("@kedge/", ""));
const run = promisify(execFile);

beforeAll(async () => {
  if (OFFLINE.length === 0)
    console.warn("install: not cut off from the network, unshare -rn is not permitted here");
  folder = await mkdtemp(join(tmpdir(), "kedge-install-"));
  await run(process.execPath, [join(ROOT, "packages/pack.mjs"), join(folder, "packed")]);
  for (const { name, tarballs } of PACKAGES) {
    const cwd = folderOf(name);
    await mkdir(cwd);
    await writeFile(join(cwd, "package.json"), '{"private":true,"type":"module"}');
    const files = tarballs.map((tarball) => join(folder, "packed", `${tarball}-${VERSION}.tgz`));
    await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...files], { cwd });
    await writeFile(join(cwd, "event.json"), EVENT.bytes);
    await writeFile(join(cwd, "event.json.tlog-proof"), makeProof({ anchorSigners: [anchor] }).proof);
  }
}, 300_000);
afterAll(() => rm(folder, { recursive: true }));

test("every package has one version, and depends on that one", () => {
  const verify = manifestOf("packages/verify/package.json");
  const kedge = manifestOf("packages/kedge/package.json");
  expect([verify.version, kedge.version]).toEqual([VERSION, VERSION]);
  expect(kedge.dependencies["@kedge/verify"]).toBe(VERSION);
});

test("SHA256SUMS has the hash of each tarball and of the page, and packing again gives the same", async () => {
  const packed = join(folder, "packed");
  const sums = await readFile(join(packed, "SHA256SUMS"), "utf8");
  const tarballs = ["kedge-verify", "kedge-cli"].map((name) => `${name}-${VERSION}.tgz`);
  const lines = await Promise.all(
    [...tarballs, "verify.html"].map(async (file) => {
      return `${createHash("sha256")
        .update(await readFile(join(packed, file)))
        .digest("hex")}  ${file}\n`;
    }),
  );
  expect(sums).toBe(lines.join(""));
  const { stdout } = await run(process.execPath, [join(ROOT, "packages/pack.mjs"), join(folder, "again")]);
  expect(stdout).toBe(sums);
});

describe.each(PACKAGES)("$name", ({ name, bin, limit, foreign }) => {
  const kedge = (...args: string[]) => {
    const [file = "", ...rest] = [...OFFLINE, process.execPath, join("node_modules/.bin", bin), ...args];
    return run(file, rest, { cwd: folderOf(name) }).then(
      ({ stdout }) => ({ code: 0, stdout }),
      ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
    );
  };
  const keys = ["--log-vkey", formatVkey(log.vkey), "--anchor-vkey", formatVkey(anchor.vkey)];

  test("installs within its size", async () => {
    const size = await sizeOf(join(folderOf(name), "node_modules"));
    console.info(`${name}: ${(size / MB).toFixed(1)} MB installed, of at most ${limit / MB}`);
    expect(size).toBeLessThanOrEqual(limit);
  });

  test("brings the verifier page, at most 700,000 bytes and the one that SHA256SUMS names", async () => {
    const page = await readFile(join(folderOf(name), "node_modules/@kedge/verify/dist/verify.html"));
    expect(page.length).toBeLessThanOrEqual(700_000);
    expect(page).toEqual(await readFile(join(folder, "packed", "verify.html")));
  });

  test("brings no AWS package, and nothing else that only the service needs", async () => {
    const names = await readdir(join(folderOf(name), "node_modules"), { recursive: true });
    for (const unwanted of foreign) expect(names).not.toContain(unwanted);
  });

  test("verifies a proof without a network, and refuses an altered event", async () => {
    expect(await kedge("verify", "event.json", "event.json.tlog-proof", ...keys)).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^PROVEN {2}at assurance anchored/),
    });
    await writeFile(
      join(folderOf(name), "altered.json"),
      EVENT.bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte)),
    );
    expect(await kedge("verify", "altered.json", "event.json.tlog-proof", ...keys)).toMatchObject({
      code: 1,
    });
    expect(await kedge("--version")).toEqual({ code: 0, stdout: `${VERSION}\n` });
  });

  test.skipIf(name !== "@kedge/cli")(
    "numbers events of a source, though no install script has run",
    async () => {
      const args = ["commit", "event.json", "--source", "ehr", "--tenant-key", "07".repeat(32)];
      expect(await kedge(...args)).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/"sequence":"1"/),
      });
    },
  );

  test("its modules are typed where they are installed", async () => {
    const cwd = folderOf(name);
    const client =
      'import { openClient } from "@kedge/cli/client/api";\nopenClient({ url: "", apiKey: "" });\n';
    const verifier =
      'import { parseVkey, type Vkey } from "@kedge/verify/tlog/note";\nexport const vkey: Vkey = parseVkey("");\n';
    await writeFile(join(cwd, "use.ts"), name === "@kedge/cli" ? client + verifier : verifier);
    const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2023", "--types", ""];
    await expect(run(process.execPath, [TSC, ...options, "use.ts"], { cwd })).resolves.toBeDefined();
    if (name === "@kedge/cli") {
      await writeFile(join(cwd, "readme.ts"), await codeOf("packages/kedge/README.md", "ts"));
      const node = ["--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
      const strict = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2023", ...node];
      await expect(run(process.execPath, [TSC, ...strict, "readme.ts"], { cwd })).resolves.toBeDefined();
    }
    await writeFile(join(cwd, "misuse.ts"), `${verifier}export const wrong: number = vkey.name;\n`);
    await expect(run(process.execPath, [TSC, ...options, "misuse.ts"], { cwd })).rejects.toMatchObject({
      stdout: expect.stringContaining("TS2322"),
    });
  });
});

function manifestOf(path: string): { version: string; dependencies: Record<string, string> } {
  return JSON.parse(readFileSync(join(ROOT, path), "utf8"));
}

/** Bytes of all files below the folder. */
async function sizeOf(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(({ parentPath, name }) => stat(join(parentPath, name))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

function canUnshare(): boolean {
  try {
    execFileSync("unshare", ["-rn", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
