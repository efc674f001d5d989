/** The officer's page and the expert's: no command for the officer, pictures that are there, and the words of the screen. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const docs = new URL("../../docs/", import.meta.url);
const read = (name: string): string => readFileSync(fileURLToPath(new URL(name, docs)), "utf8");
const officer = read("officer.md");
const expert = read("expert.md");

test("the officer's page has no command", () => {
  expect(officer).not.toMatch(/`|\$ |\b(?:npm|npx|node|sudo|curl|unzip)\b|[Tt]erminal|^ {4,}\S/m);
});

test("every picture is there, has a text, and is small", () => {
  const pictures = [...officer.matchAll(/!\[([^\]]*)\]\(([^)]+)\)/g)];
  expect(pictures.length).toBeGreaterThan(5);
  expect(pictures.length).toBeLessThanOrEqual(10);
  for (const [, text = "", path = ""] of pictures) {
    expect(text.length, path).toBeGreaterThan(10);
    expect(path).toMatch(/^pictures\/officer-[a-z-]+\.png$/);
    expect(statSync(fileURLToPath(new URL(path, docs))).size, path).toBeLessThanOrEqual(100_000);
  }
});

/** By paths that are put together: the console is a project of its own, with other types. */
const language = "en";
const modules: Record<string, unknown>[] = [
  await import(`../../console/strings/${language}.ts`),
  await import(`../../console/case/strings/${language}.ts`),
];
const texts = modules.flatMap((module) => textsIn(module[language]));

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

test("every word that is said to be on the screen is on the screen", () => {
  const onScreen = new Set([...texts, "Deutsch"]);
  const quoted = [...officer.matchAll(/\*\*([^*]+)\*\*/g)].map(([, text = ""]) => text.replace(/\s+/g, " "));
  expect(quoted.length).toBeGreaterThan(40);
  // What is quoted to "…" goes on there.
  const isThere = (text: string): boolean =>
    text.endsWith("…")
      ? [...onScreen].some((whole) => whole.startsWith(text.slice(0, -1).trimEnd()))
      : onScreen.has(text);
  expect(quoted.filter((text) => text !== "bold" && !isThere(text))).toEqual([]);
});

test("links lead somewhere", () => {
  for (const page of [officer, expert]) {
    for (const [, path = "", heading] of page.matchAll(/(?<!!)\[[^\]]+\]\(([a-z-]+\.md)(?:#([^)]+))?\)/g)) {
      expect(existsSync(fileURLToPath(new URL(path, docs))), path).toBe(true);
      const headings = [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) =>
        text
          .toLowerCase()
          .replace(/[^\w\s-]/g, "")
          .replace(/\s/g, "-"),
      );
      if (heading !== undefined) expect(headings, path).toContain(heading);
    }
  }
});

test.each([
  ["officer.md", officer],
  ["expert.md", expert],
])("%s promises nothing that does not hold up", (_, text) => {
  expect(text).not.toMatch(/hash mismatch|anonymous|certified|guarantee|legally binding|for six years/i);
});
