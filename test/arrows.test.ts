/** The house: which folder may import which, and no circle between files. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
/** Each folder with those that it may import besides itself: arrows point down only. */
const MAY_IMPORT = {
  console: ["packages/kedge", "packages/verify"],
  infra: ["functions", "service", "witness", "platform", "packages/kedge", "packages/verify"],
  cli: ["local", "witness", "platform", "examples", "packages/kedge", "packages/verify"],
  local: ["functions", "service", "platform", "packages/kedge", "packages/verify"],
  functions: ["service", "platform", "packages/kedge", "packages/verify"],
  service: ["platform", "packages/kedge", "packages/verify"],
  witness: ["platform", "packages/kedge", "packages/verify"],
  platform: ["packages/kedge", "packages/verify"],
  examples: ["packages/kedge", "packages/verify"],
  "packages/kedge": ["packages/verify"],
  "packages/verify": [],
} as const;
const FOLDERS = Object.keys(MAY_IMPORT);
const folderOf = (file: string) => FOLDERS.find((folder) => file.startsWith(`${folder}/`)) ?? dirname(file);
const IMPORT = /(?:\bfrom|\bimport|\bimport\()\s*"(\.[^"]*|@kedge\/(?:verify|cli)\/[^"]*)"/g;

/** The files of ours that each file imports, types included. */
const graph = new Map(
  FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
  )
    .filter((file) => /\.m?tsx?$|\.mjs$/.test(file) && !/\/(dist|node_modules)\//.test(file))
    .map((file): [string, string[]] => [file, importsOf(file)]),
);

function importsOf(file: string): string[] {
  const specifiers = [...readFileSync(join(ROOT, file), "utf8").matchAll(IMPORT)].map(
    ([, name = ""]) => name,
  );
  return specifiers.map((name) =>
    name.startsWith(".")
      ? relative(ROOT, join(ROOT, dirname(file), name))
      : `${name.replace("@kedge/verify", "packages/verify").replace("@kedge/cli", "packages/kedge")}.ts`,
  );
}

test("every import is of a file that is there", () => {
  expect(graph.size).toBeGreaterThan(100);
  for (const [file, imported] of graph) {
    for (const target of imported) expect(existsSync(join(ROOT, target)), `${file} → ${target}`).toBe(true);
  }
});

test.each(Object.entries(MAY_IMPORT))("%s imports only what is below it", (folder, allowed) => {
  const wrong = [...graph].flatMap(([file, imported]) =>
    imported
      .filter((target) => folderOf(file) === folder && ![folder, ...allowed].includes(folderOf(target)))
      .map((target) => `${file} → ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("no file imports itself, however far around", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    if (path.includes(file) || done.has(file)) return;
    for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  expect(circles).toEqual([]);
});
