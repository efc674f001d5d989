/** What stands in a cell: a line, and maybe a second one below it. */
import { printedText, subjectsOf, type Traced } from "@kedge/verify/pack/subjects";
import { utc } from "./dates.ts";
import type { ColumnName, TableRow } from "./messages.ts";
import type { Strings } from "./strings.ts";

/** Of what an event names, in a cell: a pallet holds hundreds. */
const MAX_SUBJECTS = 4;

/** @param traced is told first of what an event names, of which there are `most`. */
export function cellLines(
  row: TableRow,
  column: ColumnName,
  { zone, traced, most = MAX_SUBJECTS }: { zone: string; traced: Traced; most?: number },
  t: Strings,
): string[] {
  const { columns, at } = row;
  switch (column) {
    case "when":
      if (at !== undefined) return [t.table.date(at, zone), utc(at)];
      return columns.when === undefined ? [] : [columns.when, t.table.unreadable];
    case "user": {
      const { name, login, role, department } = columns.user ?? {};
      return two([name, login, role, department]);
    }
    case "patient": {
      const { name, mrn } = columns.patient ?? {};
      const subjects = subjectsOf(columns, traced).map(({ text, epc }) =>
        epc === undefined ? text : printedText(epc, t.table.printed),
      );
      const more = subjects.length - most;
      return two([
        name,
        mrn === undefined ? undefined : t.table.mrn(mrn),
        ...subjects.slice(0, most),
        more > 0 ? t.table.moreSubjects(more) : undefined,
      ]);
    }
    case "reason":
      return two([columns.reason?.code, columns.reason?.explanation]);
    case "evidence":
      return [t.verdicts[row.verdict], t.states[row.state]];
    default:
      return two([columns[column]]);
  }
}

/** The first that is there, and the others in one line. */
function two(texts: readonly (string | undefined)[]): string[] {
  const [first, ...others] = texts.filter((text) => text !== undefined);
  if (first === undefined) return [];
  return others.length === 0 ? [first] : [first, others.join(" · ")];
}
