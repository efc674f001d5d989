/** The records of a pack or of many files: a hundred at a time, so that a hundred thousand are as quick as one. */
import { useMemo, useState } from "preact/hooks";
import type { CheckedRow } from "./check.ts";
import { cellOf, labelOf, RecordDetails } from "./details.tsx";
import { VerdictIcon } from "./icons.tsx";
import { sayRow } from "./say.ts";
import type { Strings } from "./strings/en.ts";

const PAGE = 100;
const FILTERS = ["all", "changed", "untold", "unchanged", "withheld"] as const;
type Filter = (typeof FILTERS)[number];
const COLUMNS = ["when", "user", "patient", "action", "recordType"] as const;

type Props = { rows: readonly CheckedRow[]; isPack: boolean; strings: Strings };

export function RowTable({ rows, isPack, strings }: Props) {
  const words = strings.table;
  const [filter, setFilter] = useState<Filter>("all");
  const [wanted, setPage] = useState(0);
  const [open, setOpen] = useState<number>();
  const numbered = useMemo(() => rows.map((row, i) => ({ row, number: i + 1 })), [rows]);
  const shown = useMemo(
    () => (filter === "all" ? numbered : numbered.filter(({ row }) => kindOf(row) === filter)),
    [numbered, filter],
  );
  const last = Math.max(0, Math.ceil(shown.length / PAGE) - 1);
  const page = Math.min(wanted, last);
  const start = page * PAGE;
  const visible = shown.slice(start, start + PAGE);
  const counts = useMemo(() => countRows(rows), [rows]);
  const columns = COLUMNS.filter((column) => visible.some(({ row }) => row.columns?.[column] !== undefined));
  const width = columns.length + (isPack ? 3 : 4);
  const go = (to: number) => {
    setPage(Math.max(0, Math.min(last, to)));
    setOpen(undefined);
  };
  return (
    <section class="rows" aria-labelledby="rows">
      <h3 id="rows">{words.title}</h3>
      <fieldset class="filter noprint">
        <legend>{words.filter}</legend>
        {FILTERS.filter((one) => one !== "withheld" || counts.withheld > 0).map((one) => (
          <button
            type="button"
            aria-pressed={filter === one}
            onClick={() => {
              setFilter(one);
              go(0);
            }}
            key={one}
          >
            {one === "all"
              ? words.all
              : one === "withheld"
                ? strings.words.withheldHeadline
                : strings.words.headlines[one]}{" "}
            ({strings.number(one === "all" ? rows.length : counts[one])})
          </button>
        ))}
      </fieldset>
      {shown.length === 0 ? (
        <p>{words.none}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard (WCAG 2.1.1)
        <section class="scroll" tabIndex={0} aria-labelledby="caption">
          <table aria-rowcount={shown.length + 1}>
            <caption id="caption" aria-live="polite">
              {words.caption(start + 1, start + visible.length, shown.length)}
            </caption>
            <thead>
              <tr aria-rowindex={1}>
                <th scope="col">{words.row}</th>
                <th scope="col">{words.verdict}</th>
                {!isPack && <th scope="col">{words.name}</th>}
                {columns.map((column) => (
                  <th scope="col" key={column}>
                    {strings.details.columns[column]}
                  </th>
                ))}
                <th scope="col" class="noprint">
                  {words.details}
                </th>
                <th scope="col" class="onlyprint">
                  {strings.details.term.index}, {strings.details.term.commitment}
                </th>
              </tr>
            </thead>
            <tbody>
              {visible.flatMap(({ row, number }, i) => {
                const isOpen = open === number;
                const label = strings.number(number);
                const line = (
                  <tr aria-rowindex={start + i + 2} class={row.verdict} key={number}>
                    <th scope="row">{label}</th>
                    <td data-label={words.verdict}>
                      <span class="badge">
                        <VerdictIcon verdict={row.verdict} />
                        {sayRow(row, true, strings).headline}
                      </span>
                    </td>
                    {!isPack && <td data-label={words.name}>{labelOf(row, strings)}</td>}
                    {columns.map((column) => (
                      <td data-label={strings.details.columns[column]} key={column}>
                        {row.columns && cellOf(row.columns, column)}
                      </td>
                    ))}
                    <td class="onlyprint">
                      {row.report?.log?.index} <code>{row.report?.commitment ?? row.packed?.commitment}</code>
                    </td>
                    <td class="noprint">
                      <button
                        type="button"
                        class="plain"
                        aria-expanded={isOpen}
                        aria-label={words.open(label)}
                        onClick={() => setOpen(isOpen ? undefined : number)}
                      >
                        {words.details}
                      </button>
                    </td>
                  </tr>
                );
                if (!isOpen) return [line];
                return [
                  line,
                  <tr class="opened" key={`${number} details`}>
                    <td colSpan={width}>
                      <Meaning row={row} strings={strings} />
                      <RecordDetails row={row} strings={strings} />
                    </td>
                  </tr>,
                ];
              })}
            </tbody>
          </table>
        </section>
      )}
      {last > 0 && (
        <nav class="pages noprint" aria-label={words.pages}>
          <button type="button" disabled={page === 0} onClick={() => go(0)}>
            {words.first}
          </button>
          <button type="button" disabled={page === 0} onClick={() => go(page - 1)}>
            {words.previous}
          </button>
          <span>
            {strings.number(page + 1)} / {strings.number(last + 1)}
          </span>
          <button type="button" disabled={page === last} onClick={() => go(page + 1)}>
            {words.next}
          </button>
          <button type="button" disabled={page === last} onClick={() => go(last)}>
            {words.last}
          </button>
        </nav>
      )}
      {last > 0 && <p class="onlyprint">{words.printed(visible.length, shown.length)}</p>}
    </section>
  );
}

/** What it means, and what to do: it stands before the details of a row. */
function Meaning({ row, strings }: { row: CheckedRow; strings: Strings }) {
  const { sentence, advice } = sayRow(row, true, strings);
  return (
    <>
      <p>
        <strong>{sentence}</strong>
      </p>
      {advice !== undefined && <p>{advice}</p>}
    </>
  );
}

export function countRows(rows: readonly CheckedRow[]) {
  const counts = { unchanged: 0, changed: 0, untold: 0, withheld: 0 };
  for (const row of rows) counts[kindOf(row)] += 1;
  return counts;
}

const kindOf = ({ verdict, facts }: CheckedRow) =>
  verdict === "unchanged" && facts.record === "withheld" ? "withheld" : verdict;
