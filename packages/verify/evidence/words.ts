/** What evidence shows, in words for people. */
import { quoted } from "../text.ts";
import type { Verdict } from "./evidence.ts";

export function sayVerdict(verdict: Verdict): string {
  if (!verdict.convincing) return verdict.cause.message;
  const { contradiction } = verdict;
  const [log, owner] = [quoted(contradiction.origin), quoted(contradiction.owner)];
  const [a, b] = contradiction.sizes;
  switch (contradiction.kind) {
    case "signed_two_roots":
      return `${log} signed two roots for one size, ${a}.`;
    case "signed_two_histories":
      return `${log} signed two histories, of ${a} and of ${b} entries: their first ${contradiction.prefix} entries differ.`;
    case "holds_two_roots":
      return `${owner} holds two roots of ${log} for one size, ${a}.`;
    case "holds_shrunk":
      return `${owner} holds ${log} with ${a} entries and, later, with ${b}.`;
  }
}
