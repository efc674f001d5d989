/** The case page's texts in the reader's language, and its errors in words. It needs no types of a page. */
import { EVIDENCE_ERROR_CODES } from "@kedge/cli/evidence/error";
import type { Language } from "@kedge/verify/pack/pack";
import { de } from "./strings/de.ts";
import { en, type Strings } from "./strings/en.ts";
import type { Told } from "./told.ts";

export type { Strings } from "./strings/en.ts";

export const stringsOf = (language: Language): Strings => (language === "de" ? de : en);

export function sayCode(code: string, { errors }: Strings): string {
  const known = Object.entries(errors).find(([name]) => name === code);
  return known?.[1] ?? errors.fault;
}

/** What the worker told of. What it says of a file names the file and the line. */
export function sayTold({ code, message }: Told, t: Strings): string {
  const is = EVIDENCE_ERROR_CODES.find((one) => code === `evidence_${one}`);
  return is === undefined ? sayCode(code, t) : t.evidence(is, message);
}
