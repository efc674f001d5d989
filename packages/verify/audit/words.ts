/** What an audit found, in words for people. No sentence names a command's flag. */

import type { Gap } from "../events/gap.ts";
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
  const period = `${found.from} to ${found.to}`;
  const manifest = `The manifest of ${quoted(found.source ?? "")} for ${period}`;
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
      return found.from === undefined
        ? `${source} has no event of number ${numbers}.`
        : `${source} has no event of number ${numbers}: its manifest for ${period} counts it, and it is not in what you gave.`;
    case "sequence_repeated":
      return `${source} has two events or more of number ${numbers}.`;
    case "incomplete":
      return `The log could not be read to its end. ${detail.cause?.message ?? ""}`;
    case "gap_seen":
      return `${source} says under number ${numbers} that something is missing there: ${gapSays(detail.gap)}`;
    case "manifest_missing": {
      const left = found.first === undefined ? "" : ` Numbers ${numbers} are in no manifest that you gave.`;
      return `${source} has no manifest for ${period}: how many events there were then is not known.${left}`;
    }
    case "manifest_repeated":
      return `${manifest} is not the first: another for that time was in the log before it, and counts. ${SECOND}`;
    case "manifest_chain":
      return `${manifest} does not follow the one before it: one of the two was made for another history, or one between them is missing.`;
    case "manifest_numbers":
      return detail.isTwice
        ? `${manifest} counts number ${numbers}, which one before it has counted.`
        : `${manifest} does not go on where the one before it ended: number ${numbers} is left out.`;
    case "manifest_root":
      return `${manifest} counts other events than you gave: every number is there, and what stands under one of them is not what stood there when the manifest was made.`;
    case "manifest_late":
      return `${manifest} came into the log ${detail.hours} hours after that time was over, by the operator's clock: until then nobody but the sender knew what it counts.`;
    case "manifest_malformed":
      return `${event} was committed as a manifest, and is none: ${detail.cause?.message ?? "it cannot be read"}`;
    case "no_manifest":
      return `${source} has no manifest: whether it is complete cannot be told. Between the first and the last number that you gave a gap would show, before and after not.`;
  }
}

const SECOND = "An agent makes one; a second one is a fault, or an attempt to count anew.";

/** What an agent wrote down is text of others. */
function gapSays(gap: Gap | undefined): string {
  if (gap === undefined) return "its event was not given, only its record.";
  const octets = gap.octets === undefined ? "" : ` of ${gap.octets} octets`;
  const detail = gap.detail === undefined ? "" : ` (${quoted(gap.detail)})`;
  switch (gap.kind) {
    case "overlong":
      return `a message${octets} was too long, and passed over${detail}.`;
    case "truncated":
      return `a message${octets} came cut short; what came is the next event${detail}.`;
    case "unreadable":
      return `a message${octets} could not be read as an event${detail}.`;
    case "lost":
      return `what was there was gone before it was read${octets}${detail}.`;
  }
}

function eventLabel(event: string, line: number | undefined): string {
  return `${quoted(event)}${line === undefined ? "" : ` line ${line}`}`;
}
