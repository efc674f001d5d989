import { patientPage } from "@kedge/cli/evidence/patient-page";
import { describe, expect, it } from "vitest";
import { judgedPack, judgedRow } from "../../../support/judged.ts";

const erika = { name: "Mustermann, Erika", mrn: "17" };
const tom = { name: "Berrio, Tom", mrn: "18" };
const row = (i: number, patient: { name: string; mrn: string }, more = {}) =>
  judgedRow(i, { columns: { ...judgedRow(i).columns, patient, ...more } });
const pack = (about = {}) =>
  judgedPack(
    [
      row(0, erika, {
        user: { name: "<b>Ana</b> & Co" },
        reason: { explanation: "mistook her for Berrio, Tom" },
      }),
      row(1, tom, { user: { name: "Someone Else" } }),
      row(2, { ...erika, mrn: "Patient/17" }, { subjects: ["18", "Berrio, Tom"] }),
      row(3, erika, { when: "2026-03-14T10:00:00" }),
    ],
    { case: { filter: { from: "2026-03-01T00:00:00+01:00" }, ...about } },
  );
const htmlOf = (...given: Parameters<typeof patientPage>) =>
  new TextDecoder().decode(patientPage(...given).html);

it("has the rows of one person, and no other patient, in a subject, a reason or elsewhere", () => {
  const { rows } = patientPage(pack(), "17");
  const html = htmlOf(pack(), "17");
  expect(rows).toBe(3);
  expect(html).toContain("Mustermann, Erika, number 17");
  expect(html).not.toMatch(/Berrio|Someone Else|\b18\b/);
});

it("says when in both zones, and where the offset was not told", () => {
  const html = htmlOf(pack(), "17");
  expect(html).toContain("2026-03-14 10:00:00+01:00<br><small>2026-03-14T09:00:00Z</small>");
  expect(html).toContain("The entry says no offset: taken as of Europe/Berlin");
});

it("has no script and no way out, and says nothing that an event could make into markup", () => {
  const html = htmlOf(pack(), "17");
  expect(html).toContain("&lt;b&gt;Ana&lt;/b&gt; &amp; Co");
  expect(html).toContain(`content="default-src 'none'; style-src 'sha256-`);
  expect(html).not.toMatch(/<script|<b>|javascript:|\son[a-z]+=|https?:|<link|<img|style="/i);
});

it("says the verdict first, what it does not show, how to check, and the evidence", () => {
  const html = htmlOf(pack(), "17");
  for (const said of [
    "Unchanged",
    "This does not show that the access was justified",
    "verify.html",
    pack().evidence,
  ])
    expect(html).toContain(said);
  expect(htmlOf(pack({ filter: { breakTheGlass: true } }), "17")).toContain("There may be others");
});

it("is in the language of the case", () => {
  const html = htmlOf(pack({ language: "de" }), "17");
  expect(html).toContain('<html lang="de">');
  expect(html).toContain("Wer Ihre Akte eingesehen hat");
  expect(html).toContain("Unverändert");
  expect(html).not.toContain("Who looked");
});

it("is the same bytes of the same pack", () => {
  expect(patientPage(pack(), "17")).toEqual(patientPage(pack(), "17"));
});

describe("is refused", () => {
  const code = (run: () => unknown) => expect(run).toThrow(expect.objectContaining({ code: "case" }));
  it("where a name is of several patients", () => {
    const two = judgedPack([row(0, erika), row(1, { ...erika, mrn: "99" })]);
    code(() => patientPage(two, "Erika Mustermann"));
    expect(patientPage(two, "99").rows).toBe(1);
  });

  it("of a pack that was changed, or that leaves patients out", () => {
    code(() => patientPage({ ...pack(), files: [{ file: "rows.ndjson", is: "changed" }] }, "17"));
    code(() => patientPage(pack({ withheld: "patients" }), "17"));
  });
});

it("says of nobody found that nothing was found", () => {
  expect(htmlOf(pack(), "4711")).toContain("Nothing was found");
});
