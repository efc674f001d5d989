/** What the console says: whole in each language, and in words that hold up. */
import { expect, test } from "vitest";
import { SYSTEM_LOGS } from "../../service/tenants.ts";

/** By a path that is put together: the console is a project of its own, with other types. */
const languages = ["en", "de"].map(async (name): Promise<unknown> => {
  const module: Record<string, unknown> = await import(`../../console/strings/${name}.ts`);
  return module[name];
});

/** Every text by its path; of a function what it says of such arguments as it takes. */
function textsOf(value: unknown, path: string): [string, string][] {
  if (typeof value === "string") return [[path, value]];
  if (typeof value === "function") {
    const said: unknown = value(...Array.from({ length: value.length }, (_, i) => i + 2));
    return [[path, String(said)]];
  }
  if (typeof value !== "object" || value === null) throw new TypeError(`${path} is no text`);
  return Object.entries(value).flatMap(([name, each]) => textsOf(each, `${path}.${name}`));
}
const [english = [], german = []] = (await Promise.all(languages)).map((texts) => textsOf(texts, ""));

test("each text is there in both languages", () => {
  expect(english.length).toBeGreaterThan(150);
  expect(german.map(([path]) => path)).toEqual(english.map(([path]) => path));
  for (const [path, text] of [...english, ...german]) {
    expect([path, text]).toEqual([path, expect.stringMatching(/\S/)]);
    expect(text).not.toMatch(/undefined|NaN|\[object/);
  }
  const same = german.filter(([, text], i) => text === english[i]?.[1]).map(([, text]) => text);
  expect(new Set(same)).toEqual(
    new Set([
      "Kedge",
      "Log",
      "Logs",
      "Name",
      "Link",
      "Filter",
      "GTIN",
      "RFC 3161",
      "SHA-256",
      "OpenTimestamps",
      "2 · Kedge",
      "2, 3",
    ]),
  );
});

test("each log of Kedge's own has a name in both languages, in English that of the service", () => {
  const names = Object.values(SYSTEM_LOGS);
  const of = (texts: [string, string][]) => texts.filter(([path]) => path.startsWith(".logs.ofKedge."));
  expect(of(english)).toEqual(names.map((name) => [`.logs.ofKedge.${name}`, name]));
  const translated = of(german).map(([, name]) => name);
  expect(translated).toHaveLength(names.length);
  for (const name of translated) expect(names).not.toContain(name);
});

test("no text says more than a proof shows", () => {
  for (const [path, text] of [...english, ...german])
    expect([path, text]).not.toEqual([
      path,
      expect.stringMatching(
        /anonym|certified|guarantee|legally binding|hash mismatch|zertifiziert|garantier|rechtsverbindlich|Hash/i,
      ),
    ]);
});
