/** Signing off a review: the document stays with the officer, its commitment is anchored like any event's. */
import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../context.ts";
import type { Desk } from "./desk.ts";
import type { Calls, Wanted } from "./messages.ts";
import type { Strings } from "./strings.ts";

type Props = {
  t: Strings;
  desk: Desk;
  page: PageProps;
  /** What was signed off of other files, or under other filters, is not told beside these. */
  opened: Calls["open"]["answer"];
  log: string;
  wanted: Wanted;
  busy: boolean;
  attempt: (work: () => Promise<void>) => Promise<void>;
};

export function Review({ t, desk, page, opened, log, wanted, busy, attempt }: Props) {
  const { session, people, asking, save, announce, reloadLogs } = page;
  const [by, setBy] = useState(session.name ?? "");
  const [saved, setSaved] = useState<number>();
  useEffect(() => setSaved(undefined), [opened, wanted]);
  const mayReview = session.scopes.includes("review");
  const why = !mayReview
    ? t.review.mayNot
    : log === ""
      ? t.review.needsLog
      : by.trim() === ""
        ? t.review.needsBy
        : undefined;
  const signOff = () =>
    attempt(async () => {
      setSaved(undefined);
      const { made, review } = await desk.ask("review", { by: by.trim(), wanted, log });
      // Handed out first: what opens the commitment must not be lost once it is in the log.
      save(made.name, made.bytes, made.type);
      await asking(() => people.review(log, review));
      setSaved(review.count);
      announce(t.review.saved(review.count));
      // The first one makes the log that reviews are in.
      reloadLogs();
    });
  return (
    <section aria-labelledby="case-review">
      <h2 id="case-review">{t.review.title}</h2>
      <p>{t.review.lead}</p>
      <div class="case-field">
        <label for="case-review-by">{t.review.by}</label>
        <input
          id="case-review-by"
          value={by}
          maxLength={200}
          onInput={({ currentTarget }) => setBy(currentTarget.value)}
          autocomplete="off"
        />
      </div>
      {why !== undefined && (
        <p class="case-help" id="case-review-why">
          {why}
        </p>
      )}
      <div class="case-actions">
        <button
          type="button"
          disabled={busy || why !== undefined}
          aria-describedby={why === undefined ? undefined : "case-review-why"}
          onClick={signOff}
        >
          {t.review.save}
        </button>
      </div>
      {saved !== undefined && <p class="case-made">{t.review.saved(saved)}</p>}
    </section>
  );
}
