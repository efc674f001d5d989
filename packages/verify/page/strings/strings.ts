/** The languages of the page, and which one is a reader's. */
import { LANGUAGES, type Language } from "@kedge/verify/pack/pack";
import { de } from "./de.ts";
import { en, type Strings } from "./en.ts";

export type { Language };
export const STRINGS: Record<Language, Strings> = { en, de };

/** The first of the reader's languages (BCP 47) that the page has, or English. */
export function languageOf(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const found = LANGUAGES.find((language) => tag.toLowerCase().split("-")[0] === language);
    if (found !== undefined) return found;
  }
  return "en";
}
