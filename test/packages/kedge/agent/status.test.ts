import { statusOf } from "@kedge/cli/agent/status";
import { GAP_MEDIA_TYPE, gapBytes } from "@kedge/verify/events/gap";
import { expect, test } from "vitest";
import { memoryJournal } from "./memory-journal.ts";

test("the status lists gaps with their numbers and kinds, and says large counts as text", async () => {
  const { journal } = memoryJournal(() => Date.UTC(2026, 2, 1, 8));
  const intake = await journal.intake("atna");
  const bytes = gapBytes({ kind: "overlong", octets: 2_000_000 });
  await intake.take({ arrivals: [{ bytes, mediaType: GAP_MEDIA_TYPE }] });
  const [entry] = journal.entries("atna");
  const [state] = journal.sources();
  if (entry === undefined || state === undefined) throw new Error("nothing was taken");
  const { bytes: _, ...unopened } = entry;
  const reader = {
    sources: () => [
      { ...state, seen: 2n ** 53n },
      { ...state, name: "kedge.manifest/atna" },
    ],
    gaps: () => [entry, unopened, { ...entry, bytes: new TextEncoder().encode("{") }],
  };
  expect(statusOf(reader)).toEqual({
    sources: [
      {
        ...{ name: "atna", seen: "9007199254740992", journalled: 1, posted: 0, sealed: 0, last: 1 },
        gaps: [
          { number: 1, kind: "overlong", at: "2026-03-01T08:00:00.000Z", octets: 2_000_000 },
          { number: 1, kind: "unknown", at: "2026-03-01T08:00:00.000Z" },
          { number: 1, kind: "unknown", at: "2026-03-01T08:00:00.000Z" },
        ],
      },
    ],
  });
});
