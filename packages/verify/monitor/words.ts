/** What a monitor found, in words for people. No sentence names a command's flag. */
import { keyLabel, quoted } from "../text.ts";
import type { MonitorCaveat, MonitorFinding, ToldMonitorFinding } from "./monitor.ts";

export function tellMonitorFinding(finding: MonitorFinding): ToldMonitorFinding {
  return { kind: finding.kind, message: sentence(finding) };
}

function sentence(finding: MonitorFinding): string {
  switch (finding.kind) {
    case "bad_checkpoint":
      return `The checkpoint is not one that ${quoted(finding.origin)} signed. ${finding.cause.message}`;
    case "no_quorum": {
      const names = finding.witnesses.join(", ") || "none";
      return `The checkpoint of ${finding.size} entries lacks the policy's quorum. Cosigned by: ${names}.`;
    }
    case "stale": {
      const what = finding.isSeen ? "has been the newest since" : "was last signed at";
      return `The checkpoint of ${finding.size} entries ${what} ${finding.since}: the log stands still, or an old copy is served.`;
    }
    case "future":
      return `The checkpoint of ${finding.size} entries was signed at ${finding.at}, and by this machine's clock it is ${finding.now}: one of the clocks is wrong, so how old it is cannot be told.`;
    case "rollback": {
      const meaning = finding.isOlder
        ? "It is an older one of the same log: an old copy is served, or the log was rolled back"
        : "What is served does not show whether it is of the same history";
      return `The checkpoint is of ${finding.size} entries, and one of ${finding.before} was seen before. ${meaning}.`;
    }
    case "fork": {
      const [a, b] = finding.sizes;
      const what = a === b ? `two roots for ${a} entries` : `one of ${a} entries and one of ${b}`;
      return `${quoted(finding.origin)} signed checkpoints that contradict each other: ${what}. Their first ${finding.prefix} entries differ.`;
    }
    case "bad_entries":
      return `The ${finding.what} that are served do not lead to the root that was signed for ${finding.size} entries: the log does not show what it signed.`;
    case "bad_entry":
      return `Entry ${finding.index} is not a signed checkpoint.`;
    case "foreign_entry":
      return `Entry ${finding.index} is of ${quoted(finding.origin)}, which is no tenant log of this operator.`;
    case "tenant_signature":
      return `Entry ${finding.index} of ${quoted(finding.origin)} is not signed by a pinned key: ${finding.vkeys.map(keyLabel).join(", ")}.`;
    case "tenant_two_roots":
      return `${quoted(finding.origin)} has two roots at size ${finding.size}: entries ${finding.before.index} and ${finding.index}.`;
    case "tenant_shrinks":
      return (
        `${quoted(finding.origin)}: entry ${finding.index} is of size ${finding.size}, after entry ${finding.before.index} of size ${finding.before.size}: ` +
        "the log has lost entries, or this checkpoint was anchored out of order."
      );
  }
}

export function sayMonitorCaveat({ code, size }: MonitorCaveat): string {
  switch (code) {
    case "never_shown":
      return `A checkpoint of ${size} entries, which the log signed, was never shown to be of this history.`;
    case "not_compared":
      return `The other checkpoint, of ${size} entries, was not compared: nothing is known of the log yet.`;
    case "ahead":
      return `The other checkpoint, of ${size} entries, is ahead of what was read: compare it again when the log is as large.`;
  }
}
