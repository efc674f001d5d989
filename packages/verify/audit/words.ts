/** What an audit found, in words for people. No sentence names a command's flag. */
import { quoted } from "../text.ts";
import type { AuditFinding } from "./audit.ts";

/** A finding as it is told and kept: without what only the sentence is made of. */
export type ToldAuditFinding = Omit<AuditFinding, "detail"> & { message: string };

export function tellAuditFinding(found: AuditFinding): ToldAuditFinding {
  const { finding, detail: _, ...members } = found;
  return { finding, message: sentence(found), ...members };
}

function sentence({ finding, detail = {}, ...found }: AuditFinding): string {
  const label = eventLabel(found.event ?? "", found.line);
  const event = `The event ${label}`;
  const entry = `Entry ${found.index}, ${found.entry}`;
  const source = `The source ${quoted(found.source ?? "")}`;
  const numbers = found.first === found.last ? `${found.first}` : `${found.first} to ${found.last}`;
  const name = detail.checkpoint ?? "in the log's history";
  switch (finding) {
    case "root_differs": {
      const upTo =
        detail.lastIndex === undefined
          ? ""
          : ` Up to entry ${detail.lastIndex} they do, by an earlier checkpoint.`;
      return `The ${found.size} entries that the service gave are not those that the log signed.${upTo}`;
    }
    case "tile_differs":
      return `${found.tile} is not what the entries make it.`;
    case "checkpoint_differs": {
      const unsigned = detail.isUnsigned ? " No pinned key has signed it either." : "";
      return `The checkpoint of ${found.size} entries (${name}) is not of the entries that the service gave.${unsigned}`;
    }
    case "contradiction": {
      const isOneSize = found.size === detail.laterSize;
      const what = isOneSize ? "two roots" : "and the second tree did not grow out of the first";
      return `Two signed checkpoints of the log contradict each other, of ${found.size} and of ${detail.laterSize} entries: ${what}.`;
    }
    case "log_shrunk":
      return `The log has shrunk: it signed ${found.size} entries (${name}), and shows ${detail.laterSize} (${detail.laterCheckpoint}).`;
    case "entry_without_event":
      return `${entry}, is not of an event in the export that you gave.`;
    case "entry_repeated":
      return `${entry}, repeats entry ${detail.firstIndex}: a commitment stands in a log once.`;
    case "event_not_in_log":
      return detail.isRecord
        ? `The record of ${label} is not of an entry in the log.`
        : `${event} is not in the log.`;
    case "event_changed":
      return `${event} is not the one that its record was made of.`;
    case "event_without_opening":
      return `${event} has no opening, in no record and by no tenant key: whether it is in the log is not known.`;
    case "record_without_event":
      return found.index === undefined
        ? `${event} has a record, and is neither in the export that you gave nor in the log.`
        : `${entry}, is of an event that is not in the export that you gave: by its record of ${label}.`;
    case "left_out":
      return `${label} was left out and not read: what it holds of the export is not known.`;
    case "untold":
      return `Which of ${detail.records} records are of ${detail.events} events is not known: it would take too many tries. Give both in one order, or the tenant key.`;
    case "bad_checkpoint":
      return detail.cause?.message ?? "";
    case "period_beyond_log":
      return `The period goes to entry ${found.last}, and the log has ${found.size} entries: what is beyond was never in it, or is no longer shown.`;
    case "sequence_missing":
      return `${source} has no event of number ${numbers}.`;
    case "sequence_repeated":
      return `${source} has two events or more of number ${numbers}.`;
    case "incomplete":
      return `The log could not be read to its end. ${detail.cause?.message ?? ""}`;
  }
}

function eventLabel(event: string, line: number | undefined): string {
  return `${quoted(event)}${line === undefined ? "" : ` line ${line}`}`;
}
