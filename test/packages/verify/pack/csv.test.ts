/** The table of a pack: what a spreadsheet would run is text in it, and each row has both of its times. */
import { reportCsv } from "@kedge/verify/pack/csv";
import type { JudgedPack, JudgedRow, PackCase } from "@kedge/verify/pack/pack";
import type { VerifyFailure, VerifyReport } from "@kedge/verify/proof/verify";
import { expect, test } from "vitest";
import { randomFrom } from "../../../support/faults.ts";

const about: PackCase = {
  v: 1,
  kind: "access",
  language: "en",
  filter: {},
  zone: "America/New_York",
  offsets: [
    { minutes: -300 },
    { from: "2026-03-08T07:00:00Z", minutes: -240 },
    { from: "2026-11-01T06:00:00Z", minutes: -300 },
  ],
  asOf: "2026-03-01T00:00:00.000Z",
  software: "0",
  headers: [],
  lookedThrough: 1,
};
const row: JudgedRow = {
  commitment: "00".repeat(32),
  event: "events/1.json",
  verdict: "untold",
  noProof: "pending",
};
const table = (rows: readonly JudgedRow[], more: Partial<PackCase> = {}): string[][] => {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(
    reportCsv({ case: { ...about, ...more }, rows } satisfies Pick<JudgedPack, "case" | "rows">),
  );
  expect(text.startsWith("\u{feff}")).toBe(true);
  return text
    .slice(1, -2)
    .split("\r\n")
    .map((line) => [...line.matchAll(/(?:^|,)("(?:[^"]|"")*"|[^,]*)/g)].map(([, cell = ""]) => cell));
};

test.each(["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1", "-2+3|cmd"])(
  "%j is not a formula in it",
  (name) => {
    const [heads = [], cells = []] = table([{ ...row, columns: { user: { name } } }]);
    expect(cells[heads.indexOf("User")]).toBe(`'${name}`);
  },
);

test.each([
  ["x;=1", "x;'=1"],
  ["x; -1", "x;' -1"],
  ["x\n@a", "x\n'@a"],
  ["\t=1", "'\t'=1"],
  ['x;"=1"', `x;'"=1"`],
])("%j is no formula either where cells are parted by semicolons", (explanation, safe) => {
  const text = new TextDecoder().decode(
    reportCsv({ case: about, rows: [{ ...row, columns: { reason: { explanation } } }] }),
  );
  expect(text).toContain(safe.replaceAll('"', '""'));
});

test("cells are made safe as this expression says, which alone would take minutes for a run of line ends", () => {
  const slow = /(?<=^|[;\t\r\n])(?=\s*["']?\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/g;
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.info(`seed ${seed}`);
  const random = randomFrom(seed);
  const characters = [..."=-; \n\t\r\"'ax\u2003\uff1d"];
  const cellOf = (explanation: string) => {
    const rows = [{ ...row, columns: { reason: { explanation } } }];
    return new TextDecoder().decode(reportCsv({ case: about, rows }));
  };
  for (let i = 0; i < 2_000; i++) {
    const text = Array.from(
      { length: 1 + Math.floor(random() * 8) },
      () => characters[Math.floor(random() * characters.length)],
    ).join("");
    const safe = text.replace(slow, "'");
    const quoted = /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    expect(cellOf(text)).toContain(`,${quoted},`);
  }
  expect(cellOf(`${"\n".repeat(100_000)}=`)).toContain(`${"'\n".repeat(100_000)}'=`);
});

test("commas, quotes and line ends stay in their cell", () => {
  const columns = { user: { name: 'a,"b"' }, reason: { explanation: "x\r\ny" } };
  const text = new TextDecoder().decode(reportCsv({ case: about, rows: [{ ...row, columns }] }));
  expect(text).toContain(',"a,""b""",');
  expect(text).toContain(',"x\r\ny",');
});

test("both times stand in a row, in the zone of the case, summer and winter; what has no offset is in it too, and of what is no time it has what the event says", () => {
  const at = (when: string): string[] => table([{ ...row, columns: { when } }])[1]?.slice(1, 3) ?? [];
  expect(at("2026-01-05T12:00:00Z")).toEqual(["2026-01-05 07:00:00-05:00", "2026-01-05T12:00:00Z"]);
  expect(at("2026-07-05T12:00:00.250+02:00")).toEqual([
    "2026-07-05 06:00:00-04:00",
    "2026-07-05T10:00:00.250Z",
  ]);
  expect(at("2026-07-05T12:00:00")).toEqual(["2026-07-05 12:00:00-04:00", "2026-07-05T16:00:00Z"]);
  expect(at("yesterday")).toEqual(["yesterday", ""]);
});

test("an accounting of disclosures has the four fields of 164.528(b)(2), in the language of the case; others have none", () => {
  const disclosure = { recipient: "Kasse", address: "Weg 1", description: "Befund", purpose: "Antrag" };
  const [heads = [], cells = []] = table([{ ...row, disclosure }], { kind: "disclosures", language: "de" });
  const named = Object.fromEntries(heads.map((head, i) => [head, cells[i]]));
  expect(named).toMatchObject({
    "Offengelegt an": "Kasse",
    Anschrift: "Weg 1",
    "Was offengelegt wurde": "Befund",
    Zweck: "Antrag",
    Urteil: '"Noch nicht zu sagen"'.slice(1, -1),
    Nachweis: "ausstehend",
  });
  expect(table([{ ...row, disclosure }])[0]).not.toContain("Purpose");
});

test("a proof that does not hold is told from none", () => {
  const evidence = (more: Partial<JudgedRow>) => {
    const { noProof: _, ...rest } = row;
    const [heads = [], cells = []] = table([{ ...rest, ...more }]);
    return cells[heads.indexOf("Evidence")];
  };
  const failed = (failure: VerifyFailure): VerifyReport => ({
    proven: false,
    failure,
    caveats: [],
    times: [],
  });
  const refuted = failed({ step: "anchor", code: "same_log" });
  const unopened = failed({ step: "opening", code: "no_opening" });
  expect(evidence({ verdict: "changed", report: refuted })).toBe("does not match its proof");
  expect(evidence({ verdict: "untold", report: unopened })).toBe("proof cannot be checked");
  expect(evidence({ verdict: "untold" })).toBe("no proof");
});
