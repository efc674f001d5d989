/**
 * `gaps.json`: what the numbering shows, per source. `pack` is of what is in the pack, and is made anew by whoever judges it;
 * `export` is of all that was looked through, and is the word of who made the pack.
 */
import * as z from "zod/mini";
import type { AuditFinding } from "../audit/audit.ts";
import type { SourceCompleteness } from "../audit/completeness.ts";
import type { MakerStatement } from "./pack.ts";
import { document, list } from "./schema.ts";

const number = z.string().check(z.regex(/^(0|[1-9][0-9]{0,18})$/));
const time = z.iso.datetime();
const FINDINGS = [
  "sequence_missing",
  "sequence_repeated",
  "gap_seen",
  "manifest_missing",
  "manifest_repeated",
  "manifest_chain",
  "manifest_numbers",
  "manifest_root",
  "manifest_late",
  "manifest_malformed",
  "no_manifest",
] as const;

/** Hours, and findings: a source has 9,000 hours in a year. */
const MAX_OF_A_SOURCE = 1_000_000;
const MAX_SOURCES = 1_000_000;

const sourceSchema = z.strictObject({
  source: z.string().check(z.minLength(1)),
  periods: list(
    z.strictObject({
      from: time,
      to: time,
      count: number,
      first: z.exactOptional(number),
      last: z.exactOptional(number),
      verdict: z.enum(["complete", "incomplete", "untold"]),
    }),
    MAX_OF_A_SOURCE,
  ),
  findings: list(
    z.strictObject({
      finding: z.enum(FINDINGS),
      source: z.exactOptional(z.string()),
      first: z.exactOptional(number),
      last: z.exactOptional(number),
      from: z.exactOptional(time),
      to: z.exactOptional(time),
      index: z.exactOptional(number),
      entry: z.exactOptional(z.string()),
      isTwice: z.exactOptional(z.literal(true)),
      hours: z.exactOptional(z.int()),
    }),
    MAX_OF_A_SOURCE,
  ),
});
type Source = z.infer<typeof sourceSchema>;

const gapsFile = document(
  z.strictObject({
    v: z.literal(1),
    pack: list(sourceSchema, MAX_SOURCES),
    export: z.exactOptional(list(sourceSchema, MAX_SOURCES)),
  }),
);

/** @param whole what the numbering shows of all that was looked through, where that is more */
export function formatGaps(
  pack: readonly SourceCompleteness[],
  whole: readonly SourceCompleteness[] | undefined,
): string {
  const statement = whole && { export: whole.map(toJson) };
  return gapsFile.write({ v: 1, pack: pack.map(toJson), ...statement });
}

/** What the maker says in it. Throws PackError. */
export function readStatement(text: string, file: string): MakerStatement | undefined {
  const { export: sources } = gapsFile.read(text, file);
  return sources && { sources: sources.map(fromJson) };
}

const timeText = (ms: number): string => new Date(ms).toISOString().replace(".000Z", "Z");

function toJson({ source, periods, findings }: SourceCompleteness): Source {
  return {
    source,
    periods: periods.map(({ from, to, count, numbers, verdict }) => ({
      from: timeText(from),
      to: timeText(to),
      count: `${count}`,
      ...(numbers && { first: `${numbers.first}`, last: `${numbers.last}` }),
      verdict,
    })),
    findings: findings.flatMap(findingToJson),
  };
}

/** Of the findings, those that the numbering shows; of an event it says no name. */
function findingToJson({ finding, detail, ...found }: AuditFinding): Source["findings"] {
  const known = FINDINGS.find((one) => one === finding);
  if (known === undefined) return [];
  const { source, first, last, from, to, index, entry } = found;
  const { isTwice, hours } = detail ?? {};
  return [
    {
      finding: known,
      ...(source === undefined ? {} : { source }),
      ...(first === undefined ? {} : { first }),
      ...(last === undefined ? {} : { last }),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(index === undefined ? {} : { index }),
      ...(entry === undefined ? {} : { entry }),
      ...(isTwice ? { isTwice: true as const } : {}),
      ...(hours === undefined ? {} : { hours }),
    },
  ];
}

function fromJson({ source, periods, findings }: Source): SourceCompleteness {
  return {
    source,
    periods: periods.map(({ from, to, count, first, last, verdict }) => ({
      from: Date.parse(from),
      to: Date.parse(to),
      count: BigInt(count),
      ...(first === undefined || last === undefined
        ? {}
        : { numbers: { first: BigInt(first), last: BigInt(last) } }),
      verdict,
    })),
    findings: findings.map(({ isTwice, hours, ...found }) => {
      const detail = { ...(isTwice && { isTwice }), ...(hours === undefined ? {} : { hours }) };
      return { ...found, ...(Object.keys(detail).length > 0 && { detail }) };
    }),
  };
}
