/**
 * The table: rows of the worker, of which only those in sight are here. A grid with one stop for the keyboard: the arrow
 * keys move the row that is active, Enter opens it. On small screens each row is a card.
 */

import type { Traced } from "@kedge/verify/pack/subjects";
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualizerOptions,
} from "@tanstack/virtual-core";
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { cellLines } from "./cells.ts";
import type { Desk } from "./desk.ts";
import { COLUMN_NAMES, type Sort, type TableRow, type View } from "./messages.ts";
import type { Strings } from "./strings.ts";

/** In rem, as all that stands in them. */
const ROW = 3.625;
const CARD = 17.4;
const CARDS = "(max-width: 60rem)";
const MAX_PRINTED = 2_000;

type Props = {
  t: Strings;
  desk: Desk;
  view: View;
  sort: Sort;
  setSort: (sort: Sort) => void;
  zone: string;
  traced: Traced;
  open: (place: number) => void;
};

export function RowsGrid({ t, desk, view, sort, setSort, zone, traced, open }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const isCards = useMedia(CARDS);
  const virtual = useVirtual(view.found, (isCards ? CARD : ROW) * rem(), scroller);
  const [active, setActive] = useState(0);
  const [printed, setPrinted] = useState<readonly TableRow[]>();
  const items = virtual.getVirtualItems();
  const from = items[0]?.index ?? 0;
  const rows = useWindow(desk, view, from, items.length);
  const at = Math.min(active, Math.max(0, view.found - 1));

  const move = (place: number): void => {
    const next = Math.max(0, Math.min(view.found - 1, place));
    setActive(next);
    virtual.scrollToIndex(next);
  };
  const page = Math.max(1, items.length - 12);
  const onKeyDown = (event: KeyboardEvent): void => {
    const keys: Record<string, () => void> = {
      ArrowDown: () => move(at + 1),
      ArrowUp: () => move(at - 1),
      PageDown: () => move(at + page),
      PageUp: () => move(at - page),
      Home: () => move(0),
      End: () => move(view.found - 1),
      Enter: () => open(at),
    };
    const act = event.target === event.currentTarget && view.found > 0 ? keys[event.key] : undefined;
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
  const print = async (): Promise<void> => {
    setPrinted(await desk.ask("window", { from: 0, count: MAX_PRINTED }));
  };
  useEffect(() => {
    if (printed === undefined) return;
    window.print();
    setPrinted(undefined);
  }, [printed]);

  return (
    <>
      <div class="case-bar">
        <p role="status" class="case-count">
          {t.table.count(view.found, view.total)}:{" "}
          {t.table.counts(view.counts.unchanged, view.counts.changed, view.counts.untold)}
        </p>
        <div class="case-sort">
          <label for="case-sort">{t.table.sortBy}</label>
          <select
            id="case-sort"
            value={sort.by}
            onChange={({ currentTarget }) =>
              setSort({ ...sort, by: COLUMN_NAMES.find((name) => name === currentTarget.value) ?? sort.by })
            }
          >
            {COLUMN_NAMES.map((name) => (
              <option key={name} value={name}>
                {t.table.columns[name]}
              </option>
            ))}
          </select>
          <button
            type="button"
            onClick={() => setSort({ ...sort, descending: !sort.descending })}
            aria-label={`${t.table.turnOrder}: ${sort.descending ? t.table.descending : t.table.ascending}`}
          >
            {sort.descending ? "↓" : "↑"}
          </button>
        </div>
        <button type="button" onClick={print} disabled={view.found > MAX_PRINTED || view.found === 0}>
          {t.table.print}
        </button>
      </div>
      {view.found > MAX_PRINTED && <p class="case-help case-no-print">{t.table.printTooMany(MAX_PRINTED)}</p>}
      <p class="case-help" id="case-grid-help">
        {t.table.help}
      </p>
      {/* biome-ignore lint/a11y/useSemanticElements: a table of 100,000 rows of which some are there is a grid */}
      <div
        class={isCards ? "case-grid case-cards" : "case-grid"}
        ref={scroller}
        role="grid"
        aria-label={t.table.label}
        aria-describedby="case-grid-help"
        aria-rowcount={view.found + 1}
        aria-colcount={COLUMN_NAMES.length}
        aria-activedescendant={view.found > 0 ? `case-row-${at}` : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        {/* biome-ignore lint/a11y/useSemanticElements: of a grid */}
        <div class="case-head case-row" role="row" aria-rowindex={1} tabIndex={-1}>
          {COLUMN_NAMES.map((name, i) => (
            // biome-ignore lint/a11y/useSemanticElements: of a grid
            <div
              key={name}
              role="columnheader"
              aria-colindex={i + 1}
              aria-sort={sort.by !== name ? "none" : sort.descending ? "descending" : "ascending"}
              tabIndex={-1}
            >
              <button
                type="button"
                class="case-sorter"
                onClick={() => setSort({ by: name, descending: sort.by === name && !sort.descending })}
              >
                {t.table.columns[name]}
                <span aria-hidden="true">{sort.by !== name ? "" : sort.descending ? " ↓" : " ↑"}</span>
              </button>
            </div>
          ))}
        </div>
        <div class="case-body" role="presentation" style={{ height: `${virtual.getTotalSize()}px` }}>
          {items.map(({ index, start, size }) => {
            const row = rows.get(index);
            return (
              // biome-ignore lint/a11y/useSemanticElements: of a grid
              // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the keys
              <div
                key={index}
                id={`case-row-${index}`}
                class={index === at ? "case-row case-active" : "case-row"}
                role="row"
                aria-rowindex={index + 2}
                aria-selected={index === at}
                tabIndex={-1}
                style={{ transform: `translateY(${start}px)`, height: `${size}px` }}
                onClick={() => {
                  setActive(index);
                  open(index);
                }}
              >
                <Cells {...{ t, row, zone, traced }} />
              </div>
            );
          })}
        </div>
      </div>
      {view.found === 0 && <p>{t.table.none}</p>}
      {printed && (
        <table class="case-printed">
          <thead>
            <tr>
              {COLUMN_NAMES.map((name) => (
                <th key={name}>{t.table.columns[name]}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {printed.map((row) => (
              <tr key={row.row}>
                {COLUMN_NAMES.map((name) => (
                  <td key={name}>{cellLines(row, name, { zone, traced }, t).join(" · ")}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

const ICONS = { unchanged: "✓", changed: "✕", untold: "…" } as const;

type CellsProps = Pick<Props, "t" | "zone" | "traced"> & { row: TableRow | undefined };

function Cells({ t, row, zone, traced }: CellsProps) {
  return (
    <>
      {COLUMN_NAMES.map((name, i) => {
        const [first = "", second] =
          row === undefined ? [t.table.loading] : cellLines(row, name, { zone, traced }, t);
        return (
          // biome-ignore lint/a11y/useSemanticElements: of a grid
          <div
            key={name}
            role="gridcell"
            aria-colindex={i + 1}
            tabIndex={-1}
            class={`case-cell case-${name}`}
          >
            <span class="case-label" aria-hidden="true">
              {name === "patient" ? t.table.concerns : t.table.columns[name]}
            </span>
            <span
              class={name === "evidence" && row ? `case-first case-${row.verdict}` : "case-first"}
              title={first}
            >
              {name === "evidence" && row && <span aria-hidden="true">{ICONS[row.verdict]} </span>}
              {first}
            </span>
            {second !== undefined && <span class="case-second">{second}</span>}
          </div>
        );
      })}
    </>
  );
}

/** Rows by their place: those that were asked for last. One question at a time, and then the newest. */
function useWindow(desk: Desk, view: View, from: number, count: number): ReadonlyMap<number, TableRow> {
  const [rows, setRows] = useState<ReadonlyMap<number, TableRow>>(new Map());
  const asked = useRef<{ isAsking: boolean; next?: { from: number; count: number } }>({ isAsking: false });
  useEffect(() => {
    const state = asked.current;
    state.next = { from, count };
    if (state.isAsking) return;
    state.isAsking = true;
    void (async () => {
      while (state.next !== undefined) {
        const { next } = state;
        delete state.next;
        const answer = await desk.ask("window", next);
        setRows(new Map(answer.map((row) => [row.place, row])));
      }
      state.isAsking = false;
    })();
  }, [desk, view, from, count]);
  return rows;
}

/** Pixels; a reader's own size of letters counts. */
const rem = (): number => Number.parseFloat(getComputedStyle(document.documentElement).fontSize);

function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const change = () => setMatches(media.matches);
    media.addEventListener("change", change);
    return () => media.removeEventListener("change", change);
  }, [query]);
  return matches;
}

type Rows = Virtualizer<HTMLDivElement, Element>;

function useVirtual(count: number, size: number, scroller: { current: HTMLDivElement | null }): Rows {
  const [, redraw] = useReducer((drawn: number) => drawn + 1, 0);
  const options: VirtualizerOptions<HTMLDivElement, Element> = {
    ...{ count, overscan: 6, scrollToFn: elementScroll, observeElementRect, observeElementOffset },
    getScrollElement: () => scroller.current,
    estimateSize: () => size,
    onChange: () => redraw(0),
  };
  const [virtual] = useState<Rows>(() => new Virtualizer(options));
  virtual.setOptions(options);
  useLayoutEffect(() => virtual._didMount(), [virtual]);
  useLayoutEffect(() => virtual._willUpdate());
  useLayoutEffect(() => virtual.measure(), [virtual, size]);
  return virtual;
}
