import { reportPdf } from "@kedge/cli/report/pdf";
import type { JudgedPack, JudgedRow } from "@kedge/verify/pack/pack";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { commitmentOf, judgedPack, judgedRow, provenReport } from "../../../support/judged.ts";
import { elementsOf, readingOf, readPdf } from "../../../support/pdf.ts";

const rowsOf = (count: number, more: Partial<JudgedRow> = {}) =>
  Array.from({ length: count }, (_, i) => judgedRow(i, more));
const read = async (judged: JudgedPack) => readPdf(await reportPdf(judged));
const reading = async (judged: JudgedPack) => readingOf((await read(judged)).top);

const plain = read(judgedPack(rowsOf(20)));

describe("for everybody who reads it", () => {
  test("each page has the evidence's SHA-256, and which page it is of how many", async () => {
    const { pages } = await plain;
    expect(pages.length).toBeGreaterThan(4);
    for (const [i, { drawn }] of pages.entries()) {
      const footer = drawn.filter(({ tag }) => tag === "Artifact").map(({ text }) => text);
      expect(footer.join("")).toContain(`Evidence SHA-256 ${judgedPack([]).evidence}`);
      expect(footer.join("")).toContain(`page ${i + 1} of ${pages.length}`);
    }
  });

  test("a screen reader is told all of it, in order: all that is drawn is in the tree or an artifact", async () => {
    const { pages, top } = await plain;
    const said = readingOf(top);
    for (const { drawn } of pages)
      for (const { tag, mcid, text } of drawn) {
        expect(tag).toBeDefined();
        if (tag !== "Artifact") expect(mcid, text).toBeDefined();
      }
    const inTree = pages.flatMap(({ drawn }) => drawn.filter(({ mcid }) => mcid !== undefined));
    const letters = (text: string) => text.replace(/\s/g, "").length;
    expect(letters(said)).toBe(letters(inTree.map(({ text }) => text).join("")));

    const order = [
      "Access report",
      "Unchanged",
      "Each of the 20 records is, byte for byte, what was logged at or before 14 March 2026, 10:35 UTC.",
      "This does not show that the access was justified",
      "2026-0147",
      "M. Okafor",
      "48,213",
      "numbers 251 to 253 are missing",
      "The rows",
      "Żaneta Wójcik",
      "Nguyễn Thị Hạnh",
      "audit.example.org/anchor",
      "45 CFR 164.312(b)",
      "What is not shown",
      "verify.html",
      "Signature",
      commitmentOf(19),
    ];
    let at = -1;
    for (const text of order) {
      const found = said.indexOf(text, at);
      expect(found, text).toBeGreaterThan(at);
      at = found;
    }
  });

  test("it is tagged: headings in order, header cells with a scope, the code with a text", async () => {
    const { top, root } = await plain;
    const elements = elementsOf(top);
    expect(top.type).toBe("Document");
    expect(root).toContain("/MarkInfo");
    const levels = elements.flatMap(({ type }) => (/^H\d$/.test(type) ? [Number(type[1])] : []));
    expect(levels[0]).toBe(1);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    for (const [i, level] of levels.entries()) expect(level - (levels[i - 1] ?? 0)).toBeLessThanOrEqual(1);
    const headers = elements.filter(({ type }) => type === "TH");
    expect(headers.length).toBeGreaterThan(20);
    for (const { dictionary } of headers) expect(dictionary).toMatch(/\/Scope \/(Column|Row)/);
    const figures = elements.filter(({ type }) => type === "Figure");
    expect(figures).toHaveLength(1);
    expect(figures[0]?.dictionary).toContain(
      "/Alt (QR code with the address https://audit.example.org/verify.html#",
    );
    for (const row of elements.filter(({ type }) => type === "TR"))
      for (const { type } of row.kids) expect(["TH", "TD"]).toContain(type);
  });

  test("of tables it says that what their columns are called is under no proof", async () => {
    const judged = judgedPack(rowsOf(1));
    const under = (headers: JudgedPack["case"]["headers"]) =>
      reading({ ...judged, case: { ...judged.case, headers } });
    expect(await under([{ separator: ",", header: ["WHO"] }])).toContain(VERDICT_WORDS.en.columnsNotShown);
    expect(await under([])).not.toContain(VERDICT_WORDS.en.columnsNotShown);
  });

  test("the header of the rows stands on each page of them, and is told once", async () => {
    const { pages, top } = await plain;
    const landscape = pages.filter(({ width, height }) => width > height);
    expect(landscape.length).toBeGreaterThan(1);
    for (const { drawn } of landscape) expect(drawn.map(({ text }) => text.trim())).toContain("Record type");
    const told = elementsOf(top).filter(({ type, text }) => type === "TH" && text === "Record type");
    expect(told).toHaveLength(1);
  });

  test("a time stands in one line, and a heading on the page of its table", async () => {
    const { pages } = await plain;
    const drawn = pages.flatMap((page) => page.drawn.map(({ text }) => text.trim()));
    expect(drawn.filter((text) => text === "2026-03-14T10:35:07Z")).toHaveLength(20);
    // Before, at and after the end of the page.
    for (let lines = 8; lines < 20; lines++) {
      const reason = Array.from({ length: lines }, (_, i) => `line ${i}`).join("\n");
      const pack = await read(judgedPack(rowsOf(1), { case: { reason } }));
      const has = (word: RegExp) =>
        pack.pages.findIndex((page) => page.drawn.some(({ text }) => word.test(text)));
      expect([lines, has(/^Completeness: what/)]).toEqual([lines, has(/^Source/)]);
    }
  });

  test("no text leaves its page", async () => {
    for (const { pages } of [await plain, await hostile])
      for (const { drawn, width, height } of pages)
        for (const { text, x, y, right } of drawn) {
          expect(x, text).toBeGreaterThanOrEqual(20);
          expect(right, text).toBeLessThanOrEqual(width - 20);
          expect(y, text).toBeGreaterThan(20);
          expect(y, text).toBeLessThan(height - 20);
        }
  });
});

describe("for machines that keep it", () => {
  test("it says its language and title, and that it is PDF/A-2a and PDF/UA-1", async () => {
    const { root, file, dictionaryOf } = await plain;
    expect(root).toContain("/Lang (en)");
    expect(dictionaryOf(/\/ViewerPreferences (\d+)/.exec(root)?.[1])).toContain("/DisplayDocTitle true");
    expect(file).toMatch(/<pdfaid:part>2<[\s\S]*<pdfaid:conformance>A</);
    expect(file).toContain("<pdfuaid:part>1</pdfuaid:part>");
    expect(file).toContain(
      "Access report – case 2026-0147".replace("–", Buffer.from("–").toString("latin1")),
    );
    expect(root).toContain("/OutputIntents");
  });

  test("every font is embedded", async () => {
    const { objects } = await plain;
    const fonts = objects.filter(({ dictionary }) => /\/Type \/Font\n/.test(dictionary));
    expect(fonts.length).toBeGreaterThan(2);
    for (const { dictionary } of fonts) expect(dictionary).toMatch(/\/Subtype \/(Type0|CIDFontType2)/);
    for (const { dictionary } of objects.filter(({ dictionary }) => dictionary.includes("/FontDescriptor\n")))
      if (dictionary.includes("/FontName")) expect(dictionary).toContain("/FontFile2");
  });

  test("the same pack makes the same bytes, at another time too", async () => {
    const first = await reportPdf(judgedPack(rowsOf(3)));
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2031, 5, 1) });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    expect(Buffer.from(await reportPdf(judgedPack(rowsOf(3)))).equals(first)).toBe(true);
  });
});

// ---- what others wrote ----------------------------------------------------------------------------------------------

const BAD = "\u202egnitsop\u202c \u200b=cmd|'/c calc'!A1 中文 🂡 \ud800 </rdf:li>(\\)";
const LONG = "W".repeat(3_000);
const hostileRow = judgedRow(0, {
  columns: {
    when: `2026-03-14T09:00:00Z${BAD}`,
    user: { name: BAD, login: LONG, role: LONG, department: BAD },
    patient: { name: LONG, mrn: BAD },
    action: BAD,
    recordType: LONG,
    workstation: BAD,
    reason: { code: LONG, explanation: `${BAD} `.repeat(200) },
    outcome: BAD,
    source: LONG,
  },
});
const hostilePack = judgedPack([hostileRow, judgedRow(1)], {
  verdict: "changed",
  case: {
    number: `${BAD}\nCase number`,
    requestedBy: LONG,
    reason: `${BAD}\nProven unchanged\n99\n`.repeat(60),
    preparedBy: "\u0000\u0001",
    filter: { user: BAD, list: Array.from({ length: 500 }, () => LONG) },
    zone: "Not/AZone",
    asOf: "never",
    software: `${BAD}<x>`,
  },
  files: Array.from({ length: 200 }, (_, i) => ({ file: `${BAD}${i}`, is: "unlisted" })),
  policy: BAD,
});
const hostile = read(hostilePack);

describe("text of others", () => {
  test("cannot turn or hide what stands there: it is shown as code points", async () => {
    const { file, top } = await hostile;
    const said = readingOf(top);
    expect(said).toContain("[U+202E]gnitsop[U+202C]");
    expect(said).toContain("[U+4E2D][U+6587]");
    expect(said).toContain("[U+1F0A1]");
    expect(said).toContain("[U+D800]");
    expect(said).not.toMatch(/[\u202e\u202c\u200b]/);
    expect(file).not.toContain("</rdf:li></rdf:li>");
    expect(file).not.toContain("calc");
    expect(file).toContain('<rdf:li xml:lang="x-default">Access report</rdf:li>');
  });

  test("is cut in the table, which says so, and a zone that is none is UTC", async () => {
    const said = readingOf((await hostile).top);
    expect(said).toContain("… cut here: report.csv and the event have the whole");
    expect(said).toContain("in Not/AZone and in UTC");
    expect(said).toContain("The policy of the pack cannot be read");
    expect(said).toContain("Changed, or never logged");
    expect(said).toContain("200 files of the evidence pack are not as packed");
  });
});

// ---- what is said ---------------------------------------------------------------------------------------------------

describe("what it says", () => {
  test("of rows that are not proven: which, why, and what to do", async () => {
    const { report: _, ...without } = judgedRow(1, { verdict: "untold" });
    const said = await reading(
      judgedPack(
        [
          judgedRow(0),
          { ...without, noProof: "pending" },
          judgedRow(2, {
            verdict: "changed",
            report: {
              proven: false,
              times: [],
              caveats: [],
              failure: { step: "log", code: "converted", conversions: ["lf"] },
            },
          }),
        ],
        { verdict: "changed" },
      ),
    );
    expect(said).toMatch(
      /^Access report\n.*\nChanged, or never logged\n1 record is not what was logged, or was never logged\./,
    );
    expect(said).toContain("2 (1 changed, or never logged; 1 cannot be told yet)");
    // Of three records "the record" would be any.
    expect(said).toContain(
      "1 record is, byte for byte, what was logged at or before 14 March 2026, 10:35 UTC.",
    );
    expect(said).toContain(
      "Cannot tell yet The record was taken, and is not yet in a signed tree of the log.",
    );
    expect(said).toContain("only its form was changed");
    expect(said).not.toMatch(/hash mismatch|anonymous|certified|guaranteed|legally binding/i);
  });

  test("of times: the event's own in both zones, and that of the case where the offset is missing, which is said", async () => {
    const columns = judgedRow(0).columns;
    const at = (when: string) => judgedRow(0, { columns: { ...columns, when } });
    const said = await reading(
      judgedPack([
        at("2026-03-29T01:30:00+01:00"),
        at("2026-03-29T03:30:00+02:00"),
        at("2026-03-29T04:00:00"),
      ]),
    );
    expect(said).toContain("2026-03-29 01:30:00+01:00 2026-03-29T00:30:00Z");
    expect(said).toContain("2026-03-29 03:30:00+02:00 2026-03-29T01:30:00Z");
    expect(said).toContain("2026-03-29 04:00:00+02:00 2026-03-29T02:00:00Z the event says no offset");
  });

  test("each kind has its own title, and a disclosure its four fields", async () => {
    const disclosure = {
      recipient: "Dr. B. Novak",
      address: "12 Harbour Road",
      description: "Discharge summary",
      purpose: "Request of the court",
    };
    const rows = rowsOf(2, { disclosure });
    const disclosures = await reading(judgedPack(rows, { case: { kind: "disclosures" } }));
    expect(disclosures).toMatch(/^Accounting of disclosures\n/);
    expect(disclosures).toContain("Dr. B. Novak 12 Harbour Road\nDischarge summary\nRequest of the court");
    expect(await reading(judgedPack(rows, { case: { kind: "inspection" } }))).toMatch(
      /^Audit trail for inspection\n/,
    );
    const serials = Array.from({ length: 40 }, (_, i) => `urn:epc:id:sgtin:0614141.107346.${2_000 + i}`);
    const subjects = [...serials.flatMap((epc, i) => [epc, "10614141073464", `${2_000 + i}`])];
    const trace = await reading(
      judgedPack([judgedRow(0, { columns: { when: "2026-03-14T09:00:00Z", subjects } })], {
        case: { kind: "trace", filter: { gtin: "10614141073464", serial: "2017" } },
      }),
    );
    expect(trace).toMatch(/^Trace of a product\n/);
    // Of a pallet that is packed, what was asked for stands first.
    expect(trace).toMatch(
      /\nGTIN 10614141073464, serial 2017 urn:epc:id:sgtin:0614141\.107346\.2017 GTIN 10614141073464, serial 2000 .* and 34 more/,
    );
    const trial = judgedRow(0, { columns: { when: "2026-03-14T09:00:00Z", subjects: ["SUBJ-0042"] } });
    expect(await reading(judgedPack([trial], { case: { kind: "inspection" } }))).toContain("SUBJ-0042");
  });

  test("a row that is withheld says so, and nothing else of it is there", async () => {
    const { columns: _, event: __, line: ___, ...row } = judgedRow(0);
    const said = await reading(judgedPack([row, row], { case: { withheld: "patients" } }));
    expect(said).toContain("Left out: for readers who may not see patients");
    expect(said).toContain(row.commitment.slice(0, 8));
    expect(said).not.toContain("Emma");
  });

  test("whether the keys came with the pack, which they are, and who cosigned", async () => {
    const pack = await reading(judgedPack(rowsOf(1)));
    expect(pack).toContain("The keys came with the pack.");
    expect(await reading(judgedPack(rowsOf(1), { keys: "given" }))).not.toContain("The keys came with");
    expect(pack).toMatch(/audit\.example\.org\/anchor\+[0-9a-f]{8}\nlog, Ed25519\n[0-9a-f]{64}/);
    expect(pack).toContain("w1: for 1 record, at the latest 14 March 2026, 10:35 UTC");
    expect(pack).toContain("CN=Example TSA (RFC 3161): 2026-03-14T10:40:00Z, to within 1 s");
  });

  test("in German, all of it", async () => {
    const pack = judgedPack(rowsOf(3), { case: { language: "de" } });
    const { root, top, pages } = await read(pack);
    const said = readingOf(top);
    expect(root).toContain("/Lang (de)");
    expect(said).toMatch(/^Zugriffsbericht\n/);
    expect(said).toContain("spätestens am 14. März 2026, 10:35 Uhr UTC protokolliert war");
    expect(said).toContain("48.213");
    expect(pages[0]?.drawn.map(({ text }) => text.trim())).toContain("Seite 1 von");
    const { policy } = pack;
    const without = { ...pack, policy: policy.replace(/^quorum .*$/m, "quorum none") };
    expect(await reading(without)).toContain("Die Policy verlangt keinen Zeugen.");
    expect(said).not.toMatch(/Unchanged|Checked|page \d|\brecords?\b|\bThe\b/);
  });

  test.each([
    ["en", (n: number, file: string) => `And ${n} more, in ${file} of the pack.`, "has the whole"],
    ["de", (n: number, file: string) => `Und ${n} weitere, in ${file} des Pakets.`, "enthält alles"],
  ] as const)(
    "of whatever it cuts: how much is left, and in which file (%s)",
    async (language, more, whole) => {
      const many = Array.from({ length: 80 }, (_, i) => i);
      const report = provenReport(1);
      const [stamp] = report.timestamps ?? [];
      const rows = many.map((i) =>
        judgedRow(i, {
          report: {
            ...report,
            witnesses: { cosigned: [`w${i}`], listed: 80 },
            ...(stamp?.type === "rfc3161" && { timestamps: [{ ...stamp, by: `CN=Authority ${i}` }] }),
          },
        }),
      );
      const text = many.map((i) => `line ${i}`).join("\n");
      const said = await reading(
        judgedPack(rows, {
          checkpoints: [{ file: "checkpoints/log-7.txt", text }],
          checkpointCount: 90,
          case: {
            ...{ language, reason: text },
            filter: { user: "u".repeat(201), list: ["p".repeat(101), "short"] },
          },
        }),
      );
      expect(said).toContain(more(80 - 64, "checkpoints/log-7.txt"));
      expect(said).toContain(more(90 - 1, "checkpoints/"));
      expect(said).toContain("w63:");
      expect(said).not.toContain("w64:");
      // Witnesses, and timestamps.
      expect(said.split(more(80 - 64, "proofs.ndjson"))).toHaveLength(3);
      expect(said.replace(/\s+/g, " ").split(`case.json ${whole}`)).toHaveLength(4);
      const all = await reading(judgedPack(rows.slice(0, 2), { case: { language } }));
      expect(all).not.toMatch(/proofs\.ndjson|checkpoints\/ of the pack\.|case\.json/);
    },
  );

  test("of more periods than it lists: how many there are beside them", async () => {
    const periods = Array.from({ length: 70 }, (_, hour) => ({
      from: Date.UTC(2026, 2, 14, hour),
      to: Date.UTC(2026, 2, 14, hour + 1),
      count: 1n,
      verdict: hour % 2 === 0 ? ("complete" as const) : ("untold" as const),
    }));
    const sources = [{ source: "ehr-production", periods, findings: [] }];
    const said = await reading(judgedPack([], { verdict: "untold", sources, policy: "" }));
    expect(said).toContain("And 6 more: gaps.json has all.");
  });

  test("of no row: that there is none", async () => {
    const said = await reading(judgedPack([], { verdict: "untold", sources: [], policy: "" }));
    expect(said).toContain("No record was found: there is nothing to prove.");
    expect(said).toContain("There is no QR code");
  });
});
