/** No test file is left out: what `npm test` does not run, by its file name, has a script, and CI runs the script. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import * as z from "zod";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8");
const { scripts } = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(read("package.json")));
const suites = new Set(
  readdirSync(`${root}/test`, { recursive: true, encoding: "utf8" }).flatMap(
    (path) => /\.([^./]+)\.test\.ts$/.exec(path)?.[1] ?? [],
  ),
);

test.each([...suites])("%s", (suite) => {
  expect(scripts[`test:${suite}`]).toBe(`KEDGE_SUITE=${suite} vitest run`);
  expect(read(".ci/run")).toContain(`npm run test:${suite}\n`);
});

test("no package's install script is run, nor warned of: each is refused by name", () => {
  const { packages } = z
    .object({ packages: z.record(z.string(), z.object({ hasInstallScript: z.boolean().default(false) })) })
    .parse(JSON.parse(read("package-lock.json")));
  const { allowScripts } = z
    .object({ allowScripts: z.record(z.string(), z.literal(false)) })
    .parse(JSON.parse(read("package.json")));
  const scripted = Object.keys(packages).filter(
    (path) => path.startsWith("node_modules/") && packages[path]?.hasInstallScript,
  );
  const names = scripted.map((path) => path.replace(/^.*node_modules\//, ""));
  expect(Object.keys(allowScripts)).toEqual(expect.arrayContaining([...new Set(names)]));
});

test("every test that a page rests on is there", () => {
  const pages = readdirSync(`${root}/docs`, { recursive: true, encoding: "utf8" }).map(
    (path) => `docs/${path}`,
  );
  const named = ["README.md", ...pages]
    .filter((path) => path.endsWith(".md"))
    .flatMap((page) => [...read(page).matchAll(/[\w./-]+\.test\.ts/g)].map(([path]) => path));
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((path) => !existsSync(`${root}/${path}`))).toEqual([]);
});
