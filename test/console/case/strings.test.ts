/** Errors of files and of what is made of them, as the reader hears them. */
import { EVIDENCE_ERROR_CODES, EvidenceError } from "@kedge/cli/evidence/error";
import { describe, expect, test } from "vitest";
import { sayTold, stringsOf } from "../../../console/case/strings.ts";
import { told } from "../../../console/case/told.ts";

describe.each(EVIDENCE_ERROR_CODES)("an error %s", (code) => {
  const error = told(
    new EvidenceError(code, "log.csv, line 7: what is wrong.", { file: "log.csv", line: 7 }),
  );

  test("says in English what happened, and where", () => {
    expect(sayTold(error, stringsOf("en"))).toBe("log.csv, line 7: what is wrong.");
  });

  test("says it in German first, with the place", () => {
    const said = sayTold(error, stringsOf("de"));
    expect(said).toMatch(/^[A-ZÄÖÜ].*\. \(Im Einzelnen, auf Englisch: log\.csv, line 7: what is wrong\.\)$/);
    expect(said).not.toContain(stringsOf("de").errors.fault);
  });
});

test("a code that is no file's has its own text, and an unknown one is a fault of the page", () => {
  const t = stringsOf("de");
  expect(sayTold({ code: "keys_sealed", message: "" }, t)).toBe(t.errors.keys_sealed);
  expect(sayTold({ code: "evidence_unheard", message: "raw" }, t)).toBe(t.errors.fault);
});

/** Every text that is told of counts, each of them this one. */
function toldOf(n: number, value: unknown): string[] {
  if (typeof value === "function") return [String(value(...Array.from({ length: value.length }, () => n)))];
  return typeof value === "object" && value !== null
    ? Object.values(value).flatMap((each) => toldOf(n, each))
    : [];
}

test("what is told of one tells of one, and of several of several", () => {
  const told = (language: "en" | "de", n: number) => {
    const { found, pack, reconcile, review } = stringsOf(language);
    return toldOf(n, { found, pack, reconcile, review }).join("\n");
  };
  const english = (n: number) => told("en", n);
  const german = (n: number) => told("de", n);
  const severalInEnglish = /\b(?:they|them|their|these)\b/;
  const severalInGerman = /\bdenen\b|\bOb sie\b|\bGehören sie\b|\bdieser Ereignisse\b|\bihren Records\b/;
  expect(english(1)).not.toMatch(severalInEnglish);
  expect(german(1)).not.toMatch(severalInGerman);
  expect(english(2)).toMatch(severalInEnglish);
  expect(german(2)).toMatch(severalInGerman);
  for (const text of [english(2), german(2)])
    expect(text).not.toMatch(/\b2 (?:row|event|record|proof|gap)\b/);
  expect(german(2)).not.toMatch(/\bZu 2 Ereignisse\b/);
  expect(english(1)).toContain("1 row changed after it was logged");
});
