/** The reconciliation of an export: what of it was changed, is not in the log, or is missing. */
import { ClientError } from "@kedge/verify/error";
import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../context.ts";
import type { Desk } from "./desk.ts";
import type { Calls, Reconciled, Service } from "./messages.ts";
import { type Strings, sayCode } from "./strings.ts";

type Props = {
  t: Strings;
  desk: Desk;
  page: PageProps;
  /** Of the files that are open: what was found in others is not shown beside them. */
  opened: Calls["open"]["answer"];
  log: string;
  service: () => Service | undefined;
  busy: boolean;
  attempt: (work: () => Promise<void>) => Promise<void>;
};

export function Reconciliation({ t, desk, page, opened, log, service, busy, attempt }: Props) {
  const [found, setFound] = useState<Reconciled>();
  useEffect(() => setFound(undefined), [opened]);
  const run = () =>
    attempt(async () => {
      const done = await page.asking(async () => {
        const answer = await desk.ask("reconcile", service());
        if (answer.stopped === "unauthorized") throw new ClientError("unauthorized", "The session has ended");
        return answer;
      });
      if (log !== "") {
        const { people, asking } = page;
        await asking(() => people.reportExport({ kind: "reconciliation", log, count: done.rows }));
      }
      setFound(done);
      page.announce(t.reconcile.result(done.findings.length));
    });
  return (
    <section aria-labelledby="case-reconcile">
      <h2 id="case-reconcile">{t.reconcile.title}</h2>
      <p>{t.reconcile.lead}</p>
      <button type="button" disabled={busy} onClick={run}>
        {t.reconcile.run}
      </button>
      {found && (
        <>
          {found.stopped !== undefined && <p class="case-warning">{sayCode(found.stopped, t)}</p>}
          <p>{t.reconcile.unchanged(found.unchanged)}</p>
          {found.findings.length === 0 && <p>{t.reconcile.none}</p>}
          {found.findings.map(({ is, count, examples }) => (
            <details key={is}>
              <summary>{t.reconcile.is[is](count)}</summary>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
              <ul class="case-scroll" tabIndex={0}>
                {examples
                  .map((example) => (typeof example === "string" ? example : t.gaps.finding(example)))
                  .map((text) => (
                    <li key={text}>{text}</li>
                  ))}
              </ul>
              {count > examples.length && (
                <p class="case-help">{t.reconcile.more(count - examples.length)}</p>
              )}
            </details>
          ))}
        </>
      )}
    </section>
  );
}
