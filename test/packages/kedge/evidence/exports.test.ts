import { postedEvents } from "@kedge/cli/agent/posted-events";
import { EvidenceError } from "@kedge/cli/evidence/error";
import { readExports } from "@kedge/cli/evidence/exports";
import type { ExportedEvent } from "@kedge/cli/evidence/types";
import { commitEvent } from "@kedge/verify/events/commitment";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";

const utf8 = (text: string) => new TextEncoder().encode(text);
const textOf = (event: { bytes: Uint8Array } | undefined) => new TextDecoder().decode(event?.bytes);
const read = (name: string, text: string | Uint8Array, options = {}): ExportedEvent[] => [
  ...readExports([{ name, bytes: typeof text === "string" ? utf8(text) : text }], options),
];
const refusal = (name: string, text: string | Uint8Array, options = {}): EvidenceError => {
  try {
    read(name, text, options);
  } catch (error) {
    if (error instanceof EvidenceError) return error;
    throw error;
  }
  throw new Error("it was read");
};

const audit = (i: number) => `{"resourceType":"AuditEvent","id":"${i}","recorded":"2026-03-0${i}T08:00:00Z"}`;

describe("lines", () => {
  it("are events without their line feed, blank ones left out, each at its line", () => {
    const events = read("a.ndjson", `${audit(1)}\n\n ${audit(2)} \n${audit(3)}`);
    expect(events.map(textOf)).toEqual([audit(1), ` ${audit(2)} `, audit(3)]);
    expect(events.map(({ line }) => line)).toEqual([1, 3, 4]);
    expect(events.map(({ mediaType }) => mediaType)).toEqual(Array(3).fill("application/fhir+json"));
  });

  it("keep a carriage return, and may have been committed without", () => {
    const [event] = read("a.jsonl", `${audit(1)}\r\n${audit(2)}\r\n`);
    expect(textOf(event)).toBe(`${audit(1)}\r`);
    expect(event?.otherBytes?.map((bytes) => textOf({ bytes }))).toEqual([audit(1)]);
  });

  it("begin after a byte order mark", () => {
    const [event] = read("a.ndjson", `\ufeff${audit(1)}\n${audit(2)}\n`);
    expect(textOf(event)).toBe(audit(1));
    expect(event?.otherBytes?.map(({ length }) => length)).toEqual([audit(1).length + 3]);
  });

  it("are told by what they are where the name does not say it", () => {
    expect(read("a.json", `${audit(1)}\n${audit(2)}\n`)).toHaveLength(2);
    expect(read("a.log", `${audit(1)}\n${audit(2)}\n`)).toHaveLength(2);
    expect(read("messages.log", "Mar 1 08:00:00 ehr login\nMar 1 08:00:01 ehr logout\n").map(textOf)).toEqual(
      ["Mar 1 08:00:00 ehr login", "Mar 1 08:00:01 ehr logout"],
    );
  });

  it("are the bytes that an agent takes of the same lines in a POST", () => {
    const text = `${audit(1)}\r\n${audit(2)}\n`;
    const steps = postedEvents(new Headers({ "content-type": "application/x-ndjson" }), utf8(text));
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    const commits = step.value.map(({ bytes, mediaType }) => hexOf(bytes, mediaType));
    const read_ = read("a.ndjson", text).map(({ bytes, otherBytes = [], mediaType }) =>
      [bytes, ...otherBytes].map((one) => hexOf(one, mediaType)),
    );
    expect(read_.every((ways, i) => ways.includes(commits[i] ?? ""))).toBe(true);
  });
});

const hexOf = (bytes: Uint8Array, mediaType: string) =>
  bytesToHex(commitEvent({ bytes, mediaType }, { tenantKey: new Uint8Array(32) }).commitment);

describe("rows", () => {
  const header = "ACCESS_TIME,USER_ID,PAT_MRN_ID,METRIC_NAME";

  it("are events without their line end, below a header that is none", () => {
    const events = read(
      "a.csv",
      `${header}\r\n2026-03-01 08:00:00,u1,17,"Chart,\nReview"\r\n2026-03-01 08:00:01,u2,18,x\r\n`,
    );
    expect(events.map(textOf)).toEqual([
      header,
      '2026-03-01 08:00:00,u1,17,"Chart,\nReview"',
      "2026-03-01 08:00:01,u2,18,x",
    ]);
    expect(events.map(({ isHeader }) => isHeader)).toEqual([true, undefined, undefined]);
    expect(events.map(({ line }) => line)).toEqual([1, 2, 4]);
    expect(events[1]?.header).toEqual({ separator: ",", header: header.split(",") });
    expect(events[1]?.mediaType).toBe("text/csv");
  });

  it("are told in files of other names, and by the separator that is given", () => {
    expect(read("extract.txt", `${header}\n1,2,3,4\n`)).toHaveLength(2);
    expect(read("a.tsv", "A\tB\n1\t2\n")[1]?.mediaType).toBe("text/tab-separated-values");
    expect(read("a.dat", "A^B\n1^2\n", { separator: "^" })[1]?.header?.header).toEqual(["A", "B"]);
  });

  it("are refused where their fields are more or fewer than the header's, with file and line", () => {
    const error = refusal("a.csv", `${header}\n1,2,3,4\n1,2,3\n`);
    expect(error).toMatchObject({ code: "row", file: "a.csv", line: 3 });
    expect(error.message).not.toContain("1,2,3");
  });

  it("are refused after a quote that is never closed, unless quotes mean nothing", () => {
    expect(refusal("a.csv", 'A,B\n1,"2\n3,4\n')).toMatchObject({ code: "row", line: 2 });
    expect(read("a.csv", 'A,B\n1,"2\n3,4\n', { quoted: false })).toHaveLength(3);
  });

  it("have the columns that were named where the same row stood above others", () => {
    const preset = { when: "TIME", "patient.mrn": "NO" };
    const above = { separator: ",", header: ["TIME", "NO"], preset };
    const headers = new Map([["events/ris-1.csv", above]]);
    expect(read("a.csv", "TIME,NO\n1,2\n", { headers })[1]?.header).toEqual(above);
    expect(read("a.csv", "NO,TIME\n1,2\n", { headers })[1]?.header?.preset).toBeUndefined();
    expect(read("a.csv", "TIME;NO\n1;2\n", { headers })[1]?.header?.preset).toBeUndefined();
    expect(read("events/ris-1.csv", "1,2\n", { headers })).toMatchObject([{ header: above }]);
  });

  it("need a header with the columns that are asked for", () => {
    expect(refusal("a.csv", "1,2\n3,4\n", { preset: { when: "TIME" } })).toMatchObject({ code: "header" });
  });
});

describe("documents", () => {
  it("give the resources of a Bundle as they stand in its bytes", () => {
    const bundle = `{"entry":[{"fullUrl":"x","resource": ${audit(1)}},{"resource":${audit(2)} }],"resourceType":"Bundle"}`;
    const events = read("bundle.json", bundle);
    expect(events.map(textOf)).toEqual([audit(1), audit(2)]);
    expect(events[0]?.whole).toHaveLength(bundle.length);
  });

  it("give the objects of an array, whatever stands in their texts", () => {
    const tricky = '{"eventTime":"2026-03-01T08:00:00Z","type":"ObjectEvent","x":"]}\\\\\\"{["}';
    expect(read("a.json", `[${tricky}, ${tricky}]`).map(textOf)).toEqual([tricky, tricky]);
  });

  it("are themselves where they are one event", () => {
    const [event, ...others] = read("a.json", audit(1));
    expect(others).toEqual([]);
    expect(event).toMatchObject({ file: "a.json", mediaType: "application/fhir+json" });
    expect(event).not.toHaveProperty("whole");
  });

  it("are refused where they are cut or broken", () => {
    expect(refusal("b.json", `{"resourceType":"Bundle","entry":[{"resource":${audit(1)}},`).code).toBe("cut");
    expect(refusal("b.json", `{"resourceType":"Bundle","entry":[1]}`).code).toBe("malformed");
    expect(refusal("b.json", `{"resourceType":"Bundle","entry":[],"entry":[]}`).code).toBe("malformed");
  });

  it("of any size are gone through once", () => {
    const many = Array.from({ length: 20_000 }, () => `{"resource":${audit(1)}}`).join(",");
    expect(read("b.json", `{"resourceType":"Bundle","entry":[${many}]}`)).toHaveLength(20_000);
  });
});

describe("what is no export", () => {
  it.each([
    ["nothing", "a.ndjson", "\n\n", "empty"],
    ["an archive", "a.csv", new Uint8Array([0x50, 0x4b, 3, 4, 0, 0]), "not_events"],
    ["UTF-16", "a.csv", new Uint8Array([0xff, 0xfe, 0x41, 0, 0x2c, 0, 0x42, 0]), "not_events"],
    ["pretty JSON", "a.ndjson", '{\n  "a": 1\n}\n', "malformed"],
    ["a line that is cut", "a.ndjson", `${audit(1)}\n{"resourceType":"Aud`, "cut"],
    ["proofs", "a.txt", "c2sp.org/tlog-proof@v1\nindex 0\n\n", "not_events"],
  ])("%s is refused by its code, and names the file", (_, name, text, code) => {
    expect(refusal(name, text)).toMatchObject({ code, file: name });
  });

  it("does not keep the other files from being read, where somebody listens", () => {
    const errors: EvidenceError[] = [];
    const files = [
      { name: "empty.ndjson", bytes: utf8("") },
      { name: "a.ndjson", bytes: utf8(audit(1)) },
    ];
    expect([...readExports(files, { onError: (error) => errors.push(error) })]).toHaveLength(1);
    expect(errors.map(({ file }) => file)).toEqual(["empty.ndjson"]);
  });
});
