/** The case: from an export to rows that are proven, and to what is handed over. */
import "./case.css";
import { ClientError } from "@kedge/verify/error";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { PageProps } from "../context.ts";
import { type Desk, DeskError, openDesk, sayError } from "./desk.ts";
import { FilesStep, UNCHOSEN } from "./files-step.tsx";
import { FiltersForm, NO_FILTERS, wantedOf } from "./filters.tsx";
import { Found } from "./found.tsx";
import { Gaps } from "./gaps.tsx";
import { HandOver } from "./hand-over.tsx";
import type { Calls, KindFile, Progress, Proven, Service, Sort, View } from "./messages.ts";
import { ProgressBar } from "./progress-bar.tsx";
import { Reconciliation } from "./reconciliation.tsx";
import { Review } from "./review.tsx";
import { RowDetail } from "./row-detail.tsx";
import { RowsGrid } from "./rows-grid.tsx";
import { stringsOf } from "./strings.ts";

type Opened = Calls["open"]["answer"];

export function CasePage(props: PageProps) {
  const { logs, language, announce, asking, connection, holdsWork } = props;
  const t = stringsOf(language);
  const [progress, setProgress] = useState<Progress>();
  const desk = useDesk(setProgress);
  const [chosen, setChosen] = useState(() => firstLog(logs));
  /** The log that the rows are held against: another choice counts once the files are read again. */
  const [log, setLog] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [opened, setOpened] = useState<Opened>();
  /** The files that the rows are of: those that are listed may be others by now. */
  const [read, setRead] = useState<readonly KindFile[]>();
  const [proven, setProven] = useState<Proven>();
  const [filters, setFilters] = useState(NO_FILTERS);
  const [sort, setSort] = useState<Sort>({ by: "when", descending: false });
  const [view, setView] = useState<View>();
  /** Why the filters are no question: then no row is shown. */
  const [unasked, setUnasked] = useState<string>();
  const [detail, setDetail] = useState<number>();
  const zone = useMemo(() => Intl.DateTimeFormat().resolvedOptions().timeZone, []);
  const wanted = useMemo(() => wantedOf(filters, zone, sort), [filters, zone, sort]);
  /** Filters are changed while proofs come: what is shown at the end is what is looked for by then. */
  const newest = useRef(wanted);
  newest.current = wanted;
  const show = useCallback(async (): Promise<void> => {
    try {
      const found = await desk.ask("show", newest.current);
      setUnasked(undefined);
      setView(found);
      announce(t.table.count(found.found, found.total));
    } catch (caught) {
      if (!(caught instanceof DeskError) || caught.code !== "evidence_filter") throw caught;
      setUnasked(t.filters.unreadable);
      setView(await desk.ask("view", undefined));
    }
  }, [desk, announce, t]);

  const attempt = useCallback(async (work: () => Promise<void>) => {
    setBusy(true);
    setError(undefined);
    try {
      await work();
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
      setProgress(undefined);
    }
  }, []);

  /** Asks the worker, and once more after the reader has signed in again. */
  const service = (of = log): Service | undefined => {
    const { url, apiKey } = connection();
    return of === "" ? undefined : { access: { url, ...(apiKey !== undefined && { apiKey }) }, log: of };
  };
  const prove = async (of: string): Promise<void> => {
    setLog(of);
    try {
      setProven(
        await asking(async () => {
          const answer = await desk.ask("prove", service(of));
          if (answer.stopped === "unauthorized")
            throw new ClientError("unauthorized", "The session has ended");
          return answer;
        }),
      );
    } catch (caught) {
      setProven(await desk.ask("proven", undefined));
      throw caught;
    } finally {
      await show();
    }
  };
  const begin = (files: readonly KindFile[], passphrase: string) =>
    attempt(async () => {
      const answer = await desk.ask("open", {
        files: [...files],
        ...(passphrase === "" ? {} : { passphrase }),
      });
      setProven(undefined);
      setOpened(answer);
      setRead(files);
      holdsWork(true);
      await show();
      await prove(chosen);
    });
  /** Who began without a log may go on with one. */
  const resume = () => attempt(() => prove(log === "" && chosen !== UNCHOSEN ? chosen : log));

  const isOpen = opened !== undefined;
  useEffect(() => {
    if (!isOpen) return;
    const timer = setTimeout(() => {
      show().catch(setError);
    }, 150);
    return () => clearTimeout(timer);
  }, [show, wanted, isOpen]);

  // While proofs come, the counts go up with them.
  useEffect(() => {
    if (!busy || !isOpen) return;
    const timer = setInterval(async () => setView(await desk.ask("view", undefined)), 1_000);
    return () => clearInterval(timer);
  }, [desk, busy, isOpen]);

  return (
    // What stands in the rows and fields goes to no translator and no spelling service of the browser's maker.
    <div class="case" translate={false} spellcheck={false}>
      <h1 tabIndex={-1}>{t.title}</h1>
      <p class="case-lead">{t.lead}</p>
      <FilesStep {...{ t, desk, logs, log: chosen, setLog: setChosen, busy, read, readLog: log, begin }} />
      {busy && progress && <ProgressBar {...{ t, progress, cancel: desk.cancel }} />}
      {error !== undefined && (
        <p class="case-alert case-stays" role="alert">
          {sayError(error, t)}
        </p>
      )}
      {opened && view && (
        <>
          <Found {...{ t, opened, proven, busy, resume }} />
          <section aria-labelledby="case-rows">
            <h2 id="case-rows">{t.table.title}</h2>
            <FiltersForm {...{ t, filters, setFilters, zone }} />
            {unasked !== undefined && (
              <p class="case-alert" role="alert">
                {unasked}
              </p>
            )}
            <RowsGrid {...{ t, desk, view, sort, setSort, zone, traced: wanted.filter, open: setDetail }} />
          </section>
          <Gaps {...{ t, desk, proven }} />
          <HandOver {...{ t, desk, page: props, opened, log, wanted, view, attempt, busy }} />
          <Reconciliation {...{ t, desk, page: props, opened, log, service, attempt, busy }} />
          <Review {...{ t, desk, page: props, opened, log, wanted, attempt, busy }} />
        </>
      )}
      {detail !== undefined && view && (
        <RowDetail
          {...{
            t,
            desk,
            page: props,
            log,
            number: detail,
            zone,
            traced: wanted.filter,
            open: setDetail,
            found: view.found,
          }}
        />
      )}
    </div>
  );
}

/** The only log of their own, if there is one. Of several a wrong one would call every row changed: the officer chooses. */
function firstLog(logs: PageProps["logs"]): string {
  const [only, another] = logs.filter(({ kind }) => kind !== "system");
  return only === undefined || another !== undefined ? UNCHOSEN : only.id;
}

/** One worker for as long as the page is there. */
function useDesk(onProgress: (progress: Progress) => void): Desk {
  const desk = useRef<Desk>(undefined);
  desk.current ??= openDesk(onProgress);
  useEffect(() => () => desk.current?.close(), []);
  return desk.current;
}
