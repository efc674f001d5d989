/** What an audit found, in German: as words.ts says it in English. No sentence names a command's flag. */
import { quoted } from "../text.ts";
import type { AuditFinding } from "./audit.ts";
import { tellAuditFinding } from "./words.ts";

/** Of what the numbering of an export shows. Other findings are of a whole log, and are told in English. */
export function tellFindingInGerman(found: AuditFinding): string {
  const source = `Die Quelle ${quoted(found.source ?? "")}`;
  const numbers = found.first === found.last ? `${found.first}` : `${found.first} bis ${found.last}`;
  const period = `${found.from} bis ${found.to}`;
  const manifest = `Das Manifest von ${quoted(found.source ?? "")} für ${period}`;
  switch (found.finding) {
    case "sequence_missing":
      return `${source}: es ${found.first === found.last ? "fehlt die Nummer" : "fehlen die Nummern"} ${numbers}${found.from === undefined ? "" : ` (${period})`}.`;
    case "sequence_repeated":
      return `${source}: die Nummer ${numbers} gibt es mehr als einmal.`;
    case "manifest_missing":
      return `${source} hat für ${period} kein Manifest${found.first === undefined ? "" : `; dorthin gehören die Nummern ${numbers}`}.`;
    case "manifest_repeated":
      return `${manifest} ist nicht das erste: ein anderes für diese Zeit stand früher im Log, und das zählt.`;
    case "manifest_chain":
      return `${manifest} folgt nicht auf das vorige: eines von beiden wurde für einen anderen Verlauf gemacht, oder dazwischen fehlt eines.`;
    case "manifest_numbers":
      return found.detail?.isTwice
        ? `${manifest} zählt die Nummer ${numbers}, die schon ein früheres zählt.`
        : `${manifest} schließt nicht an das vorige an: die Nummer ${numbers} fehlt.`;
    case "manifest_root":
      return `${manifest} zählt andere Ereignisse als die vorliegenden: jede Nummer ist da, aber unter einer steht nicht, was dort stand, als es gemacht wurde.`;
    case "manifest_late":
      return `${manifest} kam ${found.detail?.hours ?? "viele"} Stunden nach dem Ende dieser Zeit ins Log, nach der Uhr des Betreibers.`;
    case "manifest_malformed":
      return `${quoted(found.event ?? "")} wurde als Manifest festgelegt und ist keines.`;
    case "no_manifest":
      return `${source} hat kein Manifest: ob sie vollständig ist, lässt sich nicht sagen.`;
    case "gap_seen":
      return `${source}: der Absender selbst hat vermerkt, dass hier etwas fehlt.`;
    default:
      return tellAuditFinding(found).message;
  }
}
