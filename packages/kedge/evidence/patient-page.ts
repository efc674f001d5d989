/**
 * A page for one person: who looked at their record, what, when, and whether the entry is as it was logged. It is made of a judged
 * pack, is one file without a script, and has no other patient on it: of a row only what is said of its user and of what was done
 * is shown, and no explanation, which may name anybody. The same pack makes the same bytes. Runs in a browser.
 */
import { factsOf, type JudgedPack, type JudgedRow } from "@kedge/verify/pack/pack";
import { type BothTimes, hasOffset, statedClock, timesIn } from "@kedge/verify/pack/time";
import type { RecordVerdict } from "@kedge/verify/proof/verdict";
import { tellVerdict, VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { sha256 } from "@noble/hashes/sha2.js";
import { EvidenceError } from "./error.ts";
import { rowFilter } from "./filter.ts";
import { de } from "./strings/de.ts";
import { en, type Strings } from "./strings/en.ts";

export type PatientPage = { html: Uint8Array; rows: number };

/**
 * @param patient an MRN or a whole name
 *
 * Throws EvidenceError `case`: where a name is of several patients; where the pack was changed; where it has no events.
 */
export function patientPage(judged: JudgedPack, patient: string): PatientPage {
  const { case: about, files } = judged;
  if (about.withheld !== undefined) throw new EvidenceError("case", WITHHELD);
  if (files.some(({ is }) => is !== "other_version")) throw new EvidenceError("case", CHANGED);
  const isOf = rowFilter({ patient }, "UTC");
  const rows = judged.rows.filter(({ columns = {} }) => isOf({ columns }));
  const html = page(judged, { patient: personOf(rows, patient), rows });
  return { html: new TextEncoder().encode(html), rows: rows.length };
}

const WITHHELD = "This pack leaves patients out: make a page for a patient from one that does not";
const CHANGED = "This pack was changed after it was made: make a page from the pack as it was";

/** Who it is by the rows that are of nobody else; a row may be of several patients, and names the first. */
function personOf(rows: readonly JudgedRow[], wanted: string): { name?: string; mrn?: string } {
  const isMrn = (mrn: string | undefined) => mrn !== undefined && numberOf(mrn) === numberOf(wanted);
  const own = rows.flatMap(({ columns }) => columns?.patient ?? []);
  const numbers = new Set(own.flatMap(({ mrn }) => (mrn === undefined ? [] : [numberOf(mrn)])));
  const isName = !rows.some(({ columns }) => isMrn(columns?.patient?.mrn) || columns?.subjects?.some(isMrn));
  if (isName && numbers.size > 1) {
    throw new EvidenceError("case", `${numbers.size} patients have this name: give the number of the one`);
  }
  const named = own.find(({ mrn, name }) => name !== undefined && (isName || isMrn(mrn)));
  const [number] = isName ? numbers : [numberOf(wanted)];
  return {
    ...(named?.name !== undefined ? { name: named.name } : isName ? { name: wanted } : {}),
    ...(number === undefined ? {} : { mrn: number }),
  };
}

/** Of a FHIR reference its id. */
const numberOf = (mrn: string): string => mrn.trim().replace(/^.*\bPatient\/([A-Za-z0-9.-]{1,64}).*$/, "$1");

// ---- the page -----------------------------------------------------------------------------------------------------

type Content = { patient: { name?: string; mrn?: string }; rows: readonly JudgedRow[] };

function page(judged: JudgedPack, { patient, rows }: Content): string {
  const { case: about } = judged;
  const words = about.language === "de" ? de : en;
  const verdicts = VERDICT_WORDS[about.language];
  const title = about.kind === "disclosures" ? words.disclosuresTitle : words.title;
  const person = [patient.name, patient.mrn === undefined ? undefined : words.mrn(patient.mrn)];
  const facts: [string, string][] = [
    [words.of, person.filter((part) => part !== undefined).join(", ")],
    ...(about.number === undefined ? [] : [[words.number, about.number] satisfies [string, string]]),
    [words.asOf, verdicts.date(about.asOf)],
  ];
  const isSelection = Object.keys(about.filter).some((name) => !["from", "to", "patient"].includes(name));
  return `<!doctype html>
<html lang="${words.lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${STYLE_HASH}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${text(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${text(title)}</h1>
<dl>
${facts.map(([name, value]) => `<dt>${text(name)}</dt><dd>${text(value)}</dd>`).join("\n")}
</dl>
<p>${text(periodOf(judged, words))}</p>
${isSelection ? `<p><strong>${text(words.selection)}</strong></p>` : ""}
<p>${text(`${words.found(rows.length)}${countsOf(rows, words)}`)}</p>
${rows.length === 0 ? `<p>${text(words.none)}</p>` : table(judged, rows, words)}
<h2>${text(words.notShown)}</h2>
<ul>
<li>${text(verdicts.notShown)}</li>
<li>${text(words.complete)}</li>
</ul>
<h2>${text(words.check)}</h2>
<ol>
${words.checkSteps.map((step) => `<li>${text(step)}</li>`).join("\n")}
</ol>
<p>${text(words.evidenceSha)}<br><code>${text(judged.evidence)}</code></p>
</main>
<footer><p>${text(words.software(about.software))}</p></footer>
</body>
</html>
`;
}

function periodOf({ case: { filter, zone, offsets } }: JudgedPack, words: Strings): string {
  const times = timesIn(statedClock(offsets));
  const [from, to] = [filter.from, filter.to].map((time) =>
    time === undefined ? undefined : `${times(time)?.local ?? time} (${zone})`,
  );
  if (from !== undefined && to !== undefined) return words.period(from, to);
  if (from !== undefined) return words.since(from);
  return to === undefined ? words.wholePeriod : words.until(to);
}

function countsOf(rows: readonly JudgedRow[], words: Strings): string {
  const order: readonly RecordVerdict[] = ["unchanged", "changed", "untold"];
  const parts = order.flatMap((verdict) => {
    const count = rows.filter((row) => row.verdict === verdict).length;
    return count === 0 ? [] : [`${count} ${words.foundOf[verdict]}`];
  });
  return parts.length === 0 ? "" : `: ${parts.join(", ")}`;
}

function table(judged: JudgedPack, rows: readonly JudgedRow[], words: Strings): string {
  const { kind, zone, offsets } = judged.case;
  const times = timesIn(statedClock(offsets));
  const isDisclosures = kind === "disclosures";
  const heads = isDisclosures
    ? [words.when, words.recipient, words.description, words.purpose, words.evidence]
    : [words.when, words.who, words.what, words.evidence];
  const lines = rows.map((row) => {
    const cells = [
      whenCell(row, times, zone, words),
      ...(isDisclosures ? disclosureCells(row) : [whoCell(row, words), whatCell(row, words)]),
      verdictCell(judged, row),
    ];
    return `<tr>${cells.map((cell, i) => `<td data-of="${text(heads[i] ?? "")}">${cell}</td>`).join("")}</tr>`;
  });
  return `<p>${text(words.zone(zone))}</p>
<div class="table" role="region" aria-label="${text(words.caption)}" tabindex="0">
<table>
<caption>${text(words.caption)}</caption>
<thead><tr>${heads.map((head) => `<th scope="col">${text(head)}</th>`).join("")}</tr></thead>
<tbody>
${lines.join("\n")}
</tbody>
</table>
</div>`;
}

type Times = (when: string) => BothTimes | undefined;

function whenCell({ columns }: JudgedRow, times: Times, zone: string, words: Strings): string {
  const when = columns?.when;
  if (when === undefined) return small(words.noTime);
  const both = times(when);
  if (both === undefined) return text(when);
  const assumed = hasOffset(when) ? "" : `<br>${small(words.noOffset(zone))}`;
  return `${text(both.local)}<br>${small(both.utc)}${assumed}`;
}

function whoCell({ columns }: JudgedRow, words: Strings): string {
  const { name, login, role, department } = columns?.user ?? {};
  const own = name ?? login;
  if (own === undefined) return small(words.nobody);
  return [text(own), ...[role, department].flatMap((part) => (part === undefined ? [] : [small(part)]))].join(
    "<br>",
  );
}

function whatCell({ columns }: JudgedRow, words: Strings): string {
  const parts = [columns?.action, columns?.recordType].flatMap((part) =>
    part === undefined ? [] : [text(part)],
  );
  return parts.length === 0 ? small(words.nothing) : parts.join("<br>");
}

function disclosureCells({ disclosure }: JudgedRow): string[] {
  if (disclosure === undefined) return ["", "", ""];
  const { recipient, address, description, purpose } = disclosure;
  return [
    [text(recipient), ...(address === undefined ? [] : [small(address)])].join("<br>"),
    text(description),
    text(purpose),
  ];
}

function verdictCell(judged: JudgedPack, row: JudgedRow): string {
  const { headline, sentence, advice } = tellVerdict(
    factsOf(judged, row),
    VERDICT_WORDS[judged.case.language],
  );
  return `<strong class="${row.verdict}">${text(headline)}</strong><br>${text(sentence)}${advice === undefined ? "" : `<br>${small(advice)}`}`;
}

const small = (content: string): string => `<small>${text(content)}</small>`;

const ENTITIES: ReadonlyMap<string, string> = new Map(
  Object.entries({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }),
);
const text = (content: string): string => content.replace(/[&<>"']/g, (one) => ENTITIES.get(one) ?? one);

const STYLE = `
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --muted: #555; --line: #ccc; --good: #12603a; --bad: #a3161a; --open: #7a4a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #16181c; --muted: #b5b5b5; --line: #444; --good: #6fd39b; --bad: #ff8f8a; --open: #f0b95b; } }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
main, footer { max-width: 60rem; margin: 0 auto; }
h1 { line-height: 1.2; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .5rem 0; font-weight: 600; }
th, td { border-top: 1px solid var(--line); padding: .5rem .75rem .5rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th, td:first-child { overflow-wrap: normal; }
td { min-width: 9.5em; }
td:first-child { min-width: 11em; }
small { color: var(--muted); font-size: .875rem; }
.unchanged { color: var(--good); }
.changed { color: var(--bad); }
.untold { color: var(--open); }
@media screen and (max-width: 40rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr, td, td:first-child { display: block; min-width: 0; border: 0; padding: .25rem 0; }
  tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  td::before { content: attr(data-of); display: block; font-weight: 600; }
}
@media print { body { background: #fff; color: #000; } tr { break-inside: avoid; } }
`;
const STYLE_HASH = encodeBase64(sha256(new TextEncoder().encode(STYLE)));
