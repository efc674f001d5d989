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
