/** One row: what the event says, and what its evidence shows, in plain words. */

import type { Traced } from "@kedge/verify/pack/subjects";
import { useEffect, useRef, useState } from "preact/hooks";
import type { PageProps } from "../context.ts";
import { cellLines } from "./cells.ts";
import { type Desk, sayError } from "./desk.ts";
import { DisclosureForm, type SetDetail } from "./disclosure-form.tsx";
import type { EvidenceState } from "./evidence-state.ts";
import { handOut } from "./hand-out.ts";
import { COLUMN_NAMES, type Detail } from "./messages.ts";
import type { Strings } from "./strings.ts";

type Props = {
  t: Strings;
  desk: Desk;
  page: PageProps;
  log: string;
  zone: string;
  traced: Traced;
  /** Place of the row among those shown, of how many. */
  number: number;
  found: number;
  open: (place: number | undefined) => void;
};

export function RowDetail({ t, desk, page, log, zone, traced, number, found, open }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [detail, setDetail] = useState<Detail>();
  useEffect(() => {
    if (dialog.current?.open === false) dialog.current.showModal();
    // Going back shows another page: a dialog that is not seen any more would keep it from being used.
    const close = () => dialog.current?.close();
    addEventListener("hashchange", close);
    return () => removeEventListener("hashchange", close);
  }, []);
  useEffect(() => {
    let isCurrent = true;
    void (async () => {
      const [row] = await desk.ask("window", { from: number, count: 1 });
      const answer = row && (await desk.ask("detail", { row: row.row, language: page.language }));
      if (isCurrent) setDetail(answer);
    })();
    return () => {
      isCurrent = false;
    };
  }, [desk, number, page.language]);

  return (
    <dialog ref={dialog} class="case-detail" aria-labelledby="case-detail" onClose={() => open(undefined)}>
      <div class="case-detail-bar">
        <h2 id="case-detail">{t.detail.titleOf(number + 1, found)}</h2>
        <button type="button" disabled={number === 0} onClick={() => open(number - 1)}>
          {t.detail.previous}
        </button>
        <button type="button" disabled={number + 1 >= found} onClick={() => open(number + 1)}>
          {t.detail.next}
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          {t.detail.close}
        </button>
      </div>
      {detail && <DetailBody {...{ t, desk, page, log, zone, traced, detail, setDetail }} />}
    </dialog>
  );
}

type BodyProps = Pick<Props, "t" | "desk" | "page" | "log" | "zone" | "traced"> & {
  detail: Detail;
  setDetail: SetDetail;
};

function DetailBody({ t, desk, page, log, zone, traced, detail, setDetail }: BodyProps) {
  const { row, text, isCut, report, told } = detail;
  const { state, verdict } = row;
  const [error, setError] = useState<unknown>();
  const proof = async (): Promise<void> => {
    setError(undefined);
    try {
      await handOut(page, { kind: "proof", log }, () => desk.ask("proof", row.row));
    } catch (caught) {
      setError(caught);
    }
  };
  return (
    <>
      <p class={`case-verdict case-${verdict}`}>
        <strong>{told?.headline ?? t.verdicts[verdict]}</strong>
      </p>
      <p>{told?.sentence ?? unproven(state, t)}</p>
      {told?.advice !== undefined && <p>{told.advice}</p>}
      <p class="case-help">{t.found.never}</p>
      <dl class="case-columns">
        {COLUMN_NAMES.map((name) => {
          const lines = cellLines(row, name, { zone, traced, most: Number.POSITIVE_INFINITY }, t);
          return lines.length === 0 ? null : (
            <div key={name}>
              <dt>{t.table.columns[name]}</dt>
              <dd>{lines.join(" · ")}</dd>
            </div>
          );
        })}
        {row.commitment !== undefined && (
          <div>
            <dt>{t.detail.commitment}</dt>
            <dd>
              <code>{row.commitment}</code>
            </dd>
          </div>
        )}
      </dl>
      <h3>{t.detail.event}</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
      <pre class="case-event" tabIndex={0}>
        {text}
      </pre>
      {isCut && <p class="case-help">{t.detail.cut}</p>}
      {report && (
        <details>
          <summary>{t.detail.more}</summary>
          <ul lang="en">
            {[
              ...report.statements,
              ...(report.failure ? [report.failure.message] : []),
              ...report.caveats,
            ].map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </details>
      )}
      {report && (
        <p>
          <button type="button" onClick={proof}>
            {t.detail.proof}
          </button>{" "}
          <span class="case-help">{t.detail.secret}</span>
        </p>
      )}
      {error !== undefined && (
        <p class="case-alert" role="alert">
          {sayError(error, t)}
        </p>
      )}
      <DisclosureForm {...{ t, desk, detail, setDetail }} />
    </>
  );
}

/** Of a row of which there is nothing to verify. */
function unproven(state: EvidenceState, { detail: { what } }: Strings): string {
  switch (state) {
    case "altered":
    case "unopened":
      return what[state];
    default:
      return what.unasked;
  }
}
