/** The verdict on one record in words: the words of the verifier, and what to do on this page. */
import { type ToldVerdict, tellVerdict } from "@kedge/verify/proof/verdict-words";
import type { CheckedRow } from "./check.ts";
import type { Strings } from "./strings/en.ts";

export function sayRow({ facts, why }: CheckedRow, hasKeys: boolean, strings: Strings): ToldVerdict {
  const { words, verdict } = strings;
  const told = tellVerdict(facts, words);
  if (why === "no_event") return { ...told, ...words.reasons.recordAbsent, advice: verdict.whys.no_event };
  if (why !== undefined) return { ...told, advice: verdict.whys[why] };
  const isWithoutKeys = !hasKeys && facts.report?.failure?.code === "unknown_key";
  return isWithoutKeys ? { headline: told.headline, sentence: verdict.noKeys } : told;
}
