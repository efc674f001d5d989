/** A pack without patients, with its report: no byte of it, and no word of the report, tells of a patient or of an event. */
import { inflateSync } from "node:zlib";
import { makePack } from "@kedge/cli/evidence/make";
import type { Columns } from "@kedge/verify/events/formats/columns";
import type { PackFilter } from "@kedge/verify/pack/pack";
import { expect, test } from "vitest";
import { opened, packInput } from "../../../support/evidence.ts";
import { unzipped } from "../../../support/pack.ts";
import { readingOf, readPdf } from "../../../support/pdf.ts";

const latin1 = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

/** Each file as it is, and what stands in it compressed or in base64. */
function* textsIn(zip: Uint8Array): Generator<[string, string]> {
  for (const [name, bytes] of unzipped(zip)) {
    const text = latin1(bytes);
    yield [name, text];
    yield [name, new TextDecoder().decode(bytes)];
    for (const [, part = ""] of text.matchAll(/([A-Za-z0-9+/]{16,}={0,2})/g)) yield [name, decoded(part)];
    if (name !== "report.pdf") continue;
    const { top, pages } = readPdf(bytes);
    yield [name, readingOf(top)];
    for (const { drawn } of pages) yield [name, drawn.map((one) => one.text).join(" ")];
    for (const [, stream = ""] of text.matchAll(/stream\n([\s\S]*?)\nendstream/g))
      yield [name, inflated(stream)];
  }
}

const decoded = (text: string): string => Buffer.from(text, "base64").toString("latin1");

function inflated(stream: string): string {
  try {
    return latin1(inflateSync(Buffer.from(stream, "latin1")));
  } catch {
    return stream; // it is not compressed
  }
}

/** Every name, number and explanation that an event has; words of a kind of event tell of nobody. */
function identifiersOf({ when, user, patient, reason, workstation }: Columns): string[] {
  const all = [when, ...Object.values(user ?? {}), ...Object.values(patient ?? {}), workstation];
  const texts = [...all, reason?.explanation].filter((text) => text !== undefined);
  return texts.flatMap((text) => [text, text.replace(/^.*\bPatient\//, "")]);
}

const filters: readonly [PackFilter, rows: number][] = [
  [{ patient: "MRN-2" }, 2],
  [{ list: ["MRN-2", "Muster, Erika"], from: "2026-03-01", to: "2026-03-10" }, 5],
  [{ user: "u2", patient: "Muster, Erika", sameSurname: true }, 0],
];

test.each(filters)("found by %o", async (filter, rows) => {
  const { events } = opened();
  const told = events.flatMap(({ columns }) => identifiersOf(columns));
  expect(told).toEqual(
    expect.arrayContaining(["MRN-2", "Muster, Erika", "Erika Mustermann", "on call", "u2"]),
  );
  for (const language of ["en", "de"] as const) {
    const about = { kind: "access", zone: "Europe/Berlin", withheld: "patients", filter, language } as const;
    const { zip, judged } = await makePack(
      packInput({
        case: { ...about, number: "2026-17", requestedBy: "Privacy office", reason: "A complaint" },
      }),
    );
    expect(judged.counts).toMatchObject({ total: rows, withheld: rows });
    // Digits alone, or two letters, stand anywhere by chance.
    const wanted = [...new Set(told)].filter((text) => text.length > 4);
    const found = [...textsIn(zip)].flatMap(([name, text]) =>
      wanted.filter((one) => text.includes(one)).map((one) => [name, one]),
    );
    expect(found).toEqual([]);
    const names = [...unzipped(zip).keys()];
    expect(names.filter((name) => name.startsWith("events/"))).toEqual([]);
    expect(JSON.stringify(judged.case)).not.toContain("u2");
  }
});
