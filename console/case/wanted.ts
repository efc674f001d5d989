/** What the officer looks for, as a question to each row. */
import { rowFilter } from "@kedge/cli/evidence/filter";
import type { OpenedEvent } from "@kedge/cli/evidence/types";
import { verdictOfState } from "./evidence-state.ts";
import type { Wanted } from "./messages.ts";
import type { Table } from "./table.ts";

/** Throws EvidenceError `filter`. */
export function isWanted(
  { filter, zone, verdict }: Wanted,
  table: Table,
): (event: OpenedEvent, row: number) => boolean {
  const isInCase = rowFilter(filter, zone);
  return (event, row) =>
    (verdict === undefined || verdictOfState(table.stateOf(row)) === verdict) && isInCase(event);
}
