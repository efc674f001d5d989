/**
 * The rows of a case, all of them, in the worker: filtered, sorted, and handed out a window at a time. Texts that stand in
 * many rows are kept once. Pure.
 */
import { isManifest } from "@kedge/cli/evidence/completeness";
import type { OpenedEvent, OtherCommits } from "@kedge/cli/evidence/types";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { instantOf, zoneClock } from "@kedge/verify/pack/time";
import { EVIDENCE_STATES, type EvidenceState, isKnown, verdictOfState } from "./evidence-state.ts";
import type { ColumnName, Counts, Sort, TableRow, View } from "./messages.ts";

export type Table = ReturnType<typeof openTable>;

export function openTable() {
  const clock = zoneClock(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const instant = ({ columns }: OpenedEvent) => instantOf(columns.when, clock);
  const rows: OpenedEvent[] = [];
  let states = new Uint8Array(1_024);
  /** RFC 3339, by row: the time at or before which it was logged. */
  const loggedBy: (string | undefined)[] = [];
  const texts = new Map<string, string>();
  const ranks = new Map<ColumnName, Float64Array>();
  let shown = new Uint32Array(0);
  let total = 0;

  const keep = (text: string): string => {
    const same = texts.get(text);
    if (same !== undefined) return same;
    texts.set(text, text);
    return text;
  };

  /** Files that the log knows as a whole: what stands in them are no rows. */
  const wholes = new Set<string>();

  const stateOf = (row: number): EvidenceState => EVIDENCE_STATES[states[row] ?? 0] ?? "unopened";

  /** For each row the place of its text among all of the column; what has none comes last. */
  function ranksOf(column: ColumnName): Float64Array {
    if (column === "evidence") return Float64Array.from(states.subarray(0, rows.length));
    const known = ranks.get(column);
    if (known !== undefined) return known;
    const made =
      column === "when"
        ? Float64Array.from(rows, (event) => instant(event) ?? Number.POSITIVE_INFINITY)
        : byText(column);
    ranks.set(column, made);
    return made;
  }
  function byText(column: ColumnName): Float64Array {
    const keys = rows.map(({ columns }) => sortKey(columns, column));
    const { compare } = new Intl.Collator(undefined, { numeric: true });
    const places = new Map([...new Set(keys)].sort(compare).map((key, place) => [key, place]));
    places.set("", Number.POSITIVE_INFINITY);
    return Float64Array.from(keys, (key) => places.get(key) ?? 0);
  }

  /** A header, or a file as a whole, is a row only where the log knows it; a part only where it does not know the whole. */
  function isRow(row: number): boolean {
    const event = rows[row];
    if (event === undefined || isManifest(event)) return false;
    if (event.isPerhaps) return isKnown(stateOf(row));
    return event.whole === undefined || !wholes.has(event.file);
  }

  function countOf(numbers: Iterable<number>): Counts {
    const counts: Counts = { unchanged: 0, changed: 0, untold: 0 };
    for (const row of numbers) counts[verdictOfState(stateOf(row))] += 1;
    return counts;
  }

  return {
    /** Of all that may be a row. */
    get size() {
      return rows.length;
    },
    /** Of all that is one. */
    countRows(): number {
      let count = 0;
      for (let row = 0; row < rows.length; row++) if (isRow(row)) count += 1;
      return count;
    },
    /** Rows that no filter finds: neither when, nor who, nor whose could be read. */
    countUnread(): number {
      const isUnread = ({ columns: { when, user, patient } }: OpenedEvent) =>
        (when ?? user ?? patient) === undefined;
      let count = 0;
      for (const [row, event] of rows.entries()) if (isRow(row) && isUnread(event)) count += 1;
      return count;
    },
    get shown(): Uint32Array {
      return shown;
    },
    row: (number: number): OpenedEvent | undefined => rows[number],
    stateOf,
    add(event: OpenedEvent): void {
      if (rows.length === states.length) {
        const wider = new Uint8Array(2 * states.length);
        wider.set(states);
        states = wider;
      }
      states[rows.length] = EVIDENCE_STATES.indexOf(stateAtFirst(event));
      rows.push({ ...event, columns: keptColumns(event.columns, keep) });
      ranks.clear();
    },
    setEvidence(row: number, state: EvidenceState, by?: string): void {
      states[row] = EVIDENCE_STATES.indexOf(state);
      if (by !== undefined) loggedBy[row] = keep(by);
      const event = rows[row];
      if (event?.isPerhaps && !event.isHeader && isKnown(state)) wholes.add(event.file);
    },
    /** The log knows the event under another of its commitments; or under none, and only what it was changed from. */
    settle(row: number, commits?: OtherCommits): void {
      const event = rows[row];
      if (event === undefined) return;
      const { otherwise: _, commitment: __, opening: ___, ...rest } = event;
      rows[row] = { ...rest, ...commits };
      if (commits === undefined) states[row] = EVIDENCE_STATES.indexOf(stateAtFirst(rest));
    },
    /** All events as the log knows them, manifests among them: `settleEvents` of what is known by now. */
    events: (): OpenedEvent[] => rows.filter((event, row) => isRow(row) || isManifest(event)),
    /** Rows whose evidence is this, and of which `is` says yes. */
    count(state: EvidenceState, is: (event: OpenedEvent) => boolean = () => true): number {
      let count = 0;
      for (const [row, event] of rows.entries())
        if (stateOf(row) === state && isRow(row) && is(event)) count += 1;
      return count;
    },
    /** Whatever may be a row, whose evidence is one of these. */
    *inState(...wanted: readonly EvidenceState[]): Generator<number> {
      for (let row = 0; row < rows.length; row++) if (wanted.includes(stateOf(row))) yield row;
    },
    /** Chooses and orders what is shown from now on. */
    show(isWanted: (event: OpenedEvent, row: number) => boolean, { by, descending }: Sort): View {
      let found = 0;
      total = 0;
      const chosen = new Uint32Array(rows.length);
      for (const [row, event] of rows.entries()) {
        if (!isRow(row)) continue;
        total += 1;
        if (isWanted(event, row)) chosen[found++] = row;
      }
      const order = ranksOf(by);
      const sign = descending ? -1 : 1;
      shown = chosen.slice(0, found).sort((a, b) => {
        const [left, right] = [order[a] ?? 0, order[b] ?? 0];
        // What has no text is last either way; rows of one text stay in the order of the export.
        if (left === right) return a - b;
        if (left === Number.POSITIVE_INFINITY) return 1;
        return right === Number.POSITIVE_INFINITY ? -1 : sign * (left < right ? -1 : 1);
      });
      return { total, found, counts: countOf(shown) };
    },
    /** As many of the shown rows as asked for, from this place on. */
    window(from: number, count: number): TableRow[] {
      return [...shown.subarray(from, from + count)].flatMap((row, i) => {
        const event = rows[row];
        return event === undefined ? [] : tableRow(event, row, from + i);
      });
    },
    tableRow(row: number): TableRow | undefined {
      const event = rows[row];
      return event && tableRow(event, row, shown.indexOf(row));
    },
    /** The counts of what is shown, as the evidence is now. */
    view: (): View => ({ total, found: shown.length, counts: countOf(shown) }),
  };

  function tableRow({ columns, file, line, commitment }: OpenedEvent, row: number, place: number): TableRow {
    const at = instantOf(columns.when, clock);
    const by = loggedBy[row];
    const state = stateOf(row);
    return {
      ...{ row, place, file, columns, state, verdict: verdictOfState(state) },
      ...(line !== undefined && { line }),
      ...(at !== undefined && { at }),
      ...(commitment !== undefined && { commitment }),
      ...(by !== undefined && { loggedBy: by }),
    };
  }
}

function stateAtFirst({ commitment, changedFrom }: OpenedEvent): EvidenceState {
  if (commitment !== undefined) return "unasked";
  return changedFrom === undefined ? "unopened" : "altered";
}

function sortKey(columns: Columns, column: ColumnName): string {
  switch (column) {
    case "user":
      return columns.user?.name ?? columns.user?.login ?? "";
    case "patient":
      return columns.patient?.name ?? columns.patient?.mrn ?? columns.subjects?.[0] ?? "";
    case "reason":
      return columns.reason?.code ?? columns.reason?.explanation ?? "";
    case "evidence":
      return "";
    default:
      return columns[column] ?? "";
  }
}

/** The same columns, of texts that are kept once. A time and an explanation are most often a row's own. */
function keptColumns(columns: Columns, keep: (text: string) => string): Columns {
  const { when, user, patient, reason, subjects, ...texts } = columns;
  const kept = <T extends object>(group: T): T => {
    for (const name in group) {
      const value: unknown = group[name];
      if (typeof value === "string") Object.assign(group, { [name]: keep(value) });
    }
    return group;
  };
  return {
    ...kept({ ...texts }),
    ...(when !== undefined && { when }),
    ...(user && { user: kept({ ...user }) }),
    ...(patient && { patient: kept({ ...patient }) }),
    ...(reason && { reason: kept({ ...reason }) }),
    ...(subjects && { subjects: subjects.map(keep) }),
  };
}
