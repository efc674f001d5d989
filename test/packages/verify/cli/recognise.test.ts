/** What is plainly no event is told, and what may be one is not accused. */
import { gzipSync } from "node:zlib";
import {
  eventsWithin,
  isLitter,
  lineRecogniser,
  looksLikeRecord,
  type Oddity,
  oddFile,
} from "@kedge/verify/cli/recognise";
import { recordLine } from "@kedge/verify/cli/records";
import { ED25519, formatVkey, makeVkey } from "@kedge/verify/tlog/note";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeProof } from "../../../support/proofs.ts";

const bytesOf = (text: string, encoding: BufferEncoding = "utf8") =>
  new Uint8Array(Buffer.from(text, encoding));
const utf16be = (text: string) => new Uint8Array(Buffer.from(text, "utf16le").swap16());

/** What is odd in a file of lines, first come first told. */
function oddLines(file: Uint8Array | string): Oddity | undefined {
  const all = Buffer.from(typeof file === "string" ? bytesOf(file) : file);
  const recogniser = lineRecogniser();
  let line = 0;
  for (let start = 0; start < all.length; ) {
    const end = all.indexOf(0x0a, start);
    line += 1;
    const bytes = new Uint8Array(all.subarray(start, end === -1 ? all.length : end));
    const odd = /^\s*$/.test(Buffer.from(bytes).toString("latin1"))
      ? undefined
      : recogniser.add(bytes, line, end === -1);
    if (odd !== undefined) return odd;
    start = end === -1 ? all.length : end + 1;
  }
  return recogniser.end();
}

const { opening, commitment, proof } = makeProof({});
const hex = Buffer.from(commitment).toString("hex");
const record = recordLine({ event: "day/a.json", commitment: hex, opening });
const object = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { minKeys: 1 });
const wide = fc.string({ unit: fc.constantFrom(..."日本語上名前имяéa\u0a0a"), minLength: 1, maxLength: 400 });
const jsonLine = object.map((value) => JSON.stringify(value));

describe("a file of lines", () => {
  test("of JSON objects is never accused, with or without a last newline, with CR, blank lines, any order", () => {
    fc.assert(
      fc.property(
        fc.array(jsonLine, { minLength: 1, maxLength: 8 }),
        fc.constantFrom("\n", "\r\n", "\n\n"),
        fc.boolean(),
        (lines, ending, isEnded) => {
          expect(oddLines(lines.join(ending) + (isEnded ? ending : ""))).toBeUndefined();
        },
      ),
    );
  });

  test("of plain text is never accused", () => {
    const plain = fc
      .stringMatching(/^[ -~]{1,60}$/)
      .filter((line) => line.trim() !== "" && !/^\s*[{[]/.test(line) && !line.startsWith("PK"));
    fc.assert(
      fc.property(fc.array(plain, { minLength: 1 }), (lines) => {
        expect(oddLines(lines.join("\n"))).toBeUndefined();
      }),
    );
    for (const text of [
      "<85>1 2026-03-02T08:00:00Z host app - IHE+RFC-3881 - <AuditMessage/>\n<85>1 x",
      "time;user;patient\n2026-03-02;anna;4711\n2026-03-02;ben;12",
      "[2026-03-02 08:00] login anna\n[INFO] x\n[12] y",
      "started\n{\nnot json\n}\n",
      "{date} {user}\n{date} {user}\n",
      "1,2,3\n4,5,6",
      `2026-03-02T08:00:00Z app ${JSON.stringify({ a: 1 })}\n2026-03-02T08:00:01Z app {`,
      '["2026-03-02","login"]\n["2026-03-02","logout"]\n',
      '["one","line","of","strings"]\n',
      'Server is up\n{"a":1}\n[INFO] x\n{"a":2}\n',
      ...["[2026", "[", "[-", "[1 "].map((line) => `{"a":1}\n${line}\n{"a":2}\n`),
      ...["[2026", "[-", "[1 "].map((line) => `${line}\n{"a":1}\n`),
      "[2026\n[2027\nlogin\n",
      "[\nlogin\n]\n",
    ]) {
      expect(oddLines(text), text).toBeUndefined();
    }
  });

  test("that is cut anywhere in its last line of several is cut", () => {
    fc.assert(
      fc.property(fc.array(jsonLine, { minLength: 2, maxLength: 4 }), fc.nat(), (lines, at) => {
        const last = lines.at(-1) ?? "";
        const cut = lines.slice(0, -1).join("\n");
        const text = `${cut}\n${last.slice(0, 1 + (at % (last.length - 1)))}`;
        expect(oddLines(text)).toEqual({ is: "cut", line: lines.length });
        expect(oddLines(`${text}\n`)).toMatchObject({ is: "cut" });
      }),
    );
  });

  test("whose first or only line is cut is cut", () => {
    expect(oddLines('{"a":1,"b')).toEqual({ is: "cut", line: 1 });
    expect(oddLines('{"a":1,"b\n{"a":2}\n')).toEqual({ is: "cut", line: 1 });
  });

  test("of JSON printed over several lines is pretty", () => {
    const many = fc.array(object, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(many, fc.constantFrom(1, 2, "\t"), (values, indent) => {
        const text = values.map((value) => `${JSON.stringify(value, undefined, indent)}\n`).join("");
        expect(oddLines(text)).toEqual({ is: "pretty", line: 1 });
        expect(oddLines(`${JSON.stringify(values, undefined, indent)}\n`)).toMatchObject({ is: "pretty" });
      }),
    );
  });

  test("in another encoding, compressed, or with a byte order mark is told", () => {
    const text = '{"a":1}\r\n{"a":2}\r\n';
    const bom = "\ufeff";
    expect(oddLines(bytesOf(`${bom}${text}`, "utf16le"))).toEqual({ is: "utf16" });
    expect(oddLines(utf16be(`${bom}${text}`))).toEqual({ is: "utf16" });
    expect(oddLines(bytesOf(text, "utf16le"))).toEqual({ is: "utf16", endian: "LE" });
    expect(oddLines(utf16be(text))).toEqual({ is: "utf16", endian: "BE" });
    expect(oddLines(bytesOf("user,patient\r\nanna,4711", "utf16le"))).toEqual({ is: "utf16", endian: "LE" });
    expect(oddLines(`${bom}${text}`)).toEqual({ is: "bom" });
    expect(oddLines(new Uint8Array(gzipSync(text)))).toEqual({ is: "compressed", format: "gzip" });
  });

  test("of which one is two half-written ones, or NULs of a power cut, is broken", () => {
    expect(oddLines('{"a":1}\n{"a":2,"b{"a":3}\n{"a":4}\n')).toEqual({ is: "broken", line: 2 });
    expect(oddLines('{"a":2,"b{"a":3}\n{"a":4}\n')).toEqual({ is: "broken", line: 1 });
    expect(oddLines('{"a":1}\n\0\0\0{"a":4}\n')).toEqual({ is: "broken", line: 2 });
    expect(oddLines('{"a":1}\n\0\0\0')).toEqual({ is: "cut", line: 2 });
  });

  test("in UTF-16 without a mark is told whatever its script", () => {
    for (const text of [
      '{"名前":"日本語日本語日本語日本語"}\n{"名前":"日本語"}\n',
      '{"名上":"上上上日本語"}\r\n',
      ' {"имя":"上',
    ]) {
      expect(oddLines(bytesOf(text, "utf16le")), text).toEqual({ is: "utf16", endian: "LE" });
      expect(oddLines(utf16be(text)), text).toEqual({ is: "utf16", endian: "BE" });
      expect(oddFile(bytesOf(text, "utf16le"), "a.json"), text).toEqual({ is: "utf16", endian: "LE" });
    }
    fc.assert(
      fc.property(
        fc.dictionary(wide, wide, { minKeys: 1 }),
        fc.constantFrom(undefined, 2),
        (value, indent) => {
          const text = JSON.stringify(value, undefined, indent);
          expect(oddFile(bytesOf(text, "utf16le"), "a.json")).toEqual({ is: "utf16", endian: "LE" });
          expect(oddFile(utf16be(text), "a.json")).toEqual({ is: "utf16", endian: "BE" });
        },
      ),
    );
  });

  test("of UTF-8 in any script is never UTF-16", () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(wide, wide, { minKeys: 1 }), { minLength: 1 }), (values) => {
        const text = values.map((value) => `${JSON.stringify(value)}\n`).join("");
        expect(oddLines(text)).toBeUndefined();
        expect(oddFile(bytesOf(text), "a.log")).toBeUndefined();
      }),
    );
  });

  test("that is one array of objects, of records, a proof or credentials is told", () => {
    expect(oddLines('[{"a":1},{"a":2}]\n')).toEqual({ is: "array", count: 2 });
    expect(oddLines(`[${record.trim()},${record.trim()}]\n`)).toEqual({ is: "record" });
    expect(oddLines(proof)).toEqual({ is: "proof" });
    const proofs = JSON.stringify({ event: "a", commitment: hex, proof });
    expect(oddLines(`${proofs}\n${proofs}\n`)).toEqual({ is: "proof" });
    expect(oddLines(`{"tenantKey":"${"07".repeat(32)}"}\n`)).toEqual({ is: "credentials" });
    const keyring = JSON.stringify({ v: 1, sealing: { by: "plain" }, signer: {}, epochs: [] });
    expect(oddLines(`${keyring}\n`)).toEqual({ is: "credentials" });
  });
});

describe("a file that is one event", () => {
  test("of any bytes that claim nothing is not accused", () => {
    const magic = ["gz", "PK\u0003\u0004"];
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        fc.pre(bytes.some((byte) => byte > 0x20));
        expect(oddFile(bytes, "scan.dcm")?.is ?? "nothing").toMatch(/nothing|utf|compressed/);
      }),
    );
    for (const [name, text] of [
      ["a.json", '{\n  "resourceType": "AuditEvent"\n}\n'],
      ["a.json", "not JSON at all"],
      ["a.json", '\ufeff{"a":1}'],
      ["a.log", '{"a":1}\n{"b":2}\n'],
      ["a.csv", "a;b\n1;2"],
      ["a.xml", "<a>\n</a>\n"],
      ["report.xlsx", `${magic[1]}rest`],
      ["a.json", JSON.stringify({ proof: "of delivery", commitment: "paid", apiKey: "none" })],
    ] as const) {
      expect(oddFile(bytesOf(text), name), name).toBeUndefined();
    }
    for (const end of [" ".repeat(2000), "\0", "\n\0\0 "]) {
      expect(oddFile(bytesOf(`<a></a>${end}`), "a.xml")).toBeUndefined();
    }
    expect(oddFile(bytesOf("\ufeff<a/>", "utf16le"), "a.xml")).toBeUndefined();
  });

  test("is told for what it is", () => {
    for (const [name, bytes, odd] of [
      ["a", new Uint8Array(), { is: "empty" }],
      ["a.json", bytesOf(" \r\n"), { is: "empty" }],
      ["a.json", new Uint8Array(4096), { is: "empty" }],
      ["a.json", bytesOf('{"a":1}\n{"b":2}\n'), { is: "lines" }],
      ["a.json", bytesOf('{"a":[1,2'), { is: "cut" }],
      ["a.xml", bytesOf("<a><b>text</b"), { is: "cut" }],
      ["a.json", bytesOf('{"a":1}', "utf16le"), { is: "utf16", endian: "LE" }],
      ["a.json", bytesOf("PK\u0003\u0004rest"), { is: "compressed", format: "zip" }],
      ["day.tar", bytesOf(`${"\0".repeat(257)}ustar`), { is: "compressed", format: "tar" }],
      ["r.json", bytesOf(`[${record}]`), { is: "record" }],
      ["r.txt", bytesOf(`\ufeff${record}`, "utf16le"), { is: "record" }],
      ["p.txt", bytesOf(proof), { is: "proof" }],
      ["c.txt", bytesOf(`{"apiKey":"kedge_a_b"}`), { is: "credentials" }],
      ["key", bytesOf("PRIVATE+KEY+name+00000000+AAAA"), { is: "credentials" }],
    ] as const) {
      expect(oddFile(bytes, name), name).toEqual(odd);
    }
  });

  test("with a member that credentials have too is not accused of being credentials", () => {
    const key = fc.constantFrom({ tenantKey: "07".repeat(32) }, { apiKey: "kedge_a_b", tenant: "a" });
    const others = fc.dictionary(
      fc.string().filter((name) => !/^[a-z]+(Key|Vkey)?$/.test(name)),
      fc.jsonValue(),
      {
        minKeys: 1,
      },
    );
    fc.assert(
      fc.property(key, others, (members, event) => {
        const text = JSON.stringify({ ...event, ...members });
        expect(oddFile(bytesOf(text), "a.json")).toBeUndefined();
        expect(oddLines(`${text}\n`)).toBeUndefined();
      }),
    );
    const credentials = JSON.stringify({
      url: "https://a.test",
      tenant: "a",
      log: "b",
      tenantKey: "07".repeat(32),
    });
    expect(oddFile(bytesOf(credentials), "c.json")).toEqual({ is: "credentials" });
  });

  const vkeys = fc
    .array(fc.tuple(fc.stringMatching(/^[a-z.]{1,20}$/), fc.uint8Array({ minLength: 32, maxLength: 32 })), {
      minLength: 1,
      maxLength: 4,
    })
    .map((keys) => keys.map(([name, key]) => formatVkey(makeVkey(name, ED25519, key))));

  test("of verifier keys or a policy is told; with one character changed, or beside other lines, it is not", () => {
    fc.assert(
      fc.property(
        vkeys,
        fc.constantFrom("", "\n", "\r\n"),
        fc.stringMatching(/^[ -~]{1,40}$/),
        (keys, end, line) => {
          const [first = ""] = keys;
          const policy = `# who signs\nlog ${first}\nquorum none\n`;
          for (const text of [keys.join("\n") + end, policy, `log ${first}`.concat("\nquorum none")])
            expect(oddFile(bytesOf(text), "a.vkey"), text).toEqual({ is: "vkeys" });
          const other = first.replace(/\+(.)/, (_, digit) => `+${digit === "0" ? "1" : "0"}`);
          for (const text of [other, `log ${other}\nquorum none\n`, `${first}\nat ${line}`, `key ${first}`])
            expect(oddFile(bytesOf(text), "a.txt"), text).toBeUndefined();
          expect(oddLines(`${JSON.stringify({ key: first })}\n`)).toBeUndefined();
        },
      ),
    );
  });

  test("of a data folder's keys is told, and an event with such members and others is not", () => {
    const seed = fc.stringMatching(/^[0-9a-f]{64}$/);
    const other = fc
      .string({ minLength: 1 })
      .filter((name) => !/^(version|keys|sha256|KEDGE_\w+_KEY)$/.test(name));
    fc.assert(
      fc.property(
        fc.array(seed, { minLength: 1, maxLength: 3 }),
        other,
        fc.jsonValue(),
        (seeds, name, value) => {
          const keys = seeds.map((seed) => ({ keyId: "a", keySpec: "ML_DSA_44", created: 1, seed }));
          const kms = { version: 1, keys, sha256: "00" };
          const ids = { KEDGE_LOG_KEY: "a", KEDGE_ANCHOR_KEY: "b,c", KEDGE_ANCHOR_MLDSA_KEY: "d" };
          for (const file of [kms, ids]) {
            expect(oddFile(bytesOf(JSON.stringify(file, undefined, 2)), "a.json")).toEqual({
              is: "credentials",
            });
            expect(oddLines(`${JSON.stringify(file)}\n`)).toEqual({ is: "credentials" });
            const event = JSON.stringify(Object.fromEntries([...Object.entries(file), [name, value]]));
            expect(oddFile(bytesOf(event), "a.json"), event).toBeUndefined();
            expect(oddLines(`${event}\n`), event).toBeUndefined();
          }
        },
      ),
    );
    for (const event of [{ keys: [] }, { keys: [{ seed: "maize", keySpec: "" }] }, { KEDGE_LOG_KEY: "a" }])
      expect(oddFile(bytesOf(JSON.stringify(event)), "a.json")).toBeUndefined();
  });

  test("JSON that is cut anywhere is cut, and whole JSON is not", () => {
    fc.assert(
      fc.property(object, fc.nat(), fc.constantFrom(undefined, 2), (value, at, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(oddFile(bytesOf(text), "a.json")?.is).toBeUndefined();
        expect(oddFile(bytesOf(text.slice(0, 1 + (at % (text.length - 1)))), "a.json")).toEqual({
          is: "cut",
        });
      }),
    );
  });

  test("counts the events that it seems to hold", () => {
    expect(eventsWithin(bytesOf('[{"a":1},{"a":2},{}]'))).toBe(3);
    expect(eventsWithin(bytesOf('{"resourceType":"Bundle","entry":[{"a":1},{"a":2}]}'))).toBe(2);
    expect(eventsWithin(bytesOf('{"a":1}\n\n{"a":2}\n'))).toBe(2);
    for (const one of ['{"a":1}', "[1,2]", '[{"a":1}]', "a\nb\n", '{"resourceType":"Bundle"}']) {
      expect(eventsWithin(bytesOf(one))).toBeUndefined();
    }
  });
});

test("a record is known however it is printed", () => {
  for (const text of [record, JSON.stringify(JSON.parse(record), undefined, 2), `\ufeff${record}`]) {
    expect(looksLikeRecord(bytesOf(text))).toBe(true);
  }
});

test("what desktops and editors leave is known, and the names of events are not", () => {
  for (const name of [
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "._a.json",
    "a.json~",
    ".a.json.swp",
    "a.tmp",
  ]) {
    expect(isLitter(name), name).toBe(true);
  }
  for (const name of ["~$report.docx", "a.json.12.partial", "__MACOSX", ".git", ".kedge", ".~lock.a.csv#"]) {
    expect(isLitter(name), name).toBe(true);
  }
  for (const name of ["a.json", "thumbs.json", ".hidden.json", "a~b.json", "tmp", "partial.json", "day.1"]) {
    expect(isLitter(name), name).toBe(false);
  }
});
