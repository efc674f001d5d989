import { type Framed, openFraming } from "@kedge/cli/agent/syslog-framing";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const LIMIT = 4096;
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

/** What comes out, with the octets as text and what was cut marked. */
function read(pieces: readonly Uint8Array[], { limit = LIMIT, isClean = true } = {}): string[] {
  const framing = openFraming(limit);
  const framed: Framed[] = [];
  for (const piece of pieces) framed.push(...framing.push(piece));
  framed.push(...framing.end(isClean));
  expect(framing.held()).toBe(0);
  return framed.map((one) =>
    one.kind === "overlong" ? `overlong ${one.octets}` : `${one.isCut ? "cut " : ""}${latin1(one.bytes)}`,
  );
}
const readText = (text: string, options = {}): string[] => read([bytesOf(text)], options);

const XML = '<?xml version="1.0"?>\n<AuditMessage>\n  <EventIdentification/>\n</AuditMessage>';
const header = "<85>1 2026-11-28T09:00:00Z ehr app 1 IHE+RFC-3881 - ";

describe("framing", () => {
  test("octet-counted messages may hold anything", () => {
    expect(readText("5 <1>\n\n3 <2>10 <3>345678\0")).toEqual(["<1>\n\n", "<2>", "<3>345678\0"]);
  });

  test("LF, CRLF, NUL and the end of the connection delimit what begins with anything else", () => {
    expect(readText("<1>a\n<2>b\r\n<3>c\0no header\n\xef\xbb\xbf<4>d")).toEqual([
      "<1>a",
      "<2>b",
      "<3>c",
      "no header",
      "\xef\xbb\xbf<4>d",
    ]);
  });

  test("both occur in one connection, with or without something between them", () => {
    expect(readText("4 <1>a<2>b\n4 <3>c\n<4>d\n\n\r\n\0\x004 <5>e")).toEqual([
      "<1>a",
      "<2>b",
      "<3>c",
      "<4>d",
      "<5>e",
    ]);
  });

  test("a line that begins with a digit and no count is a line", () => {
    const lines = ["2026-11-28 09:00 a", "0 a", "12345678901234567890 a", "1", "999999999"];
    expect(readText(`${lines.join("\n")}\n`)).toEqual(lines);
    expect(readText("123")).toEqual(["123"]);
  });

  test("an audit message in XML ends with its root element, whatever its framing", () => {
    expect(readText(`${header}${XML}\n${header}${XML}${header}${XML}\0<1>a\n${XML}`)).toEqual([
      ...Array.from({ length: 3 }, () => `${header}${XML}`),
      "<1>a",
      XML,
    ]);
    expect(readText('<1>a <x:AuditMessage a="1">\n</x:AuditMessage >\n<2>b')).toEqual([
      '<1>a <x:AuditMessage a="1">\n</x:AuditMessage >',
      "<2>b",
    ]);
  });

  test("a header on a line of its own belongs to the XML after it", () => {
    const message = `<13>2026-11-28T10:00:00+01:00 emr.example\n${XML}`;
    expect(readText(`${message}\n${message}`)).toEqual([message, message]);
    expect(readText("<13>2026-11-28T10:00:00+01:00 emr.example\n<2>b\n")).toEqual([
      "<13>2026-11-28T10:00:00+01:00 emr.example",
      "<2>b",
    ]);
  });

  test("XML that does not end is cut where the next message begins, at NUL, and at the end", () => {
    expect(readText(`${header}<AuditMessage>\n <a\n<85>1 b\n<AuditMessage>\0<2>b\n<AuditMessage> `)).toEqual([
      `cut ${header}<AuditMessage>\n <a`,
      "<85>1 b",
      "cut <AuditMessage>",
      "<2>b",
      "cut <AuditMessage> ",
    ]);
  });

  test("a counted message that does not come whole is cut; another only when the connection breaks", () => {
    expect(readText("10 <1>abc")).toEqual(["cut <1>abc"]);
    expect(readText("<1>abc")).toEqual(["<1>abc"]);
    expect(readText("<1>abc", { isClean: false })).toEqual(["cut <1>abc"]);
    expect(readText("<1>abc\n", { isClean: false })).toEqual(["<1>abc"]);
  });

  test("the longest message is taken, a longer one is passed over and the next is read", () => {
    const longest = `<1>${"x".repeat(LIMIT - 3)}`;
    const beyond = 3 * LIMIT;
    expect(readText(`${longest}\n${LIMIT} ${longest}${longest}\r\n<2>b\n`)).toEqual([
      longest,
      longest,
      longest,
      "<2>b",
    ]);
    expect(readText(`${longest}x\n${LIMIT + 1} ${longest}x${longest}${"x".repeat(beyond)}\n<2>b\n`)).toEqual([
      `overlong ${LIMIT + 1}`,
      `overlong ${LIMIT + 1}`,
      `overlong ${LIMIT + beyond}`,
      "<2>b",
    ]);
    expect(readText(`<AuditMessage>${"\n".repeat(beyond)}</AuditMessage>\n<2>b\n`)).toEqual([
      `overlong ${beyond + 29}`,
      "<2>b",
    ]);
    expect(readText(`999999999 ${longest}`)).toEqual([`overlong ${LIMIT}`]);
  });
});

/** What streams are made of: whole and broken messages, and what the patterns look for in pieces. */
const part = fc.oneof(
  fc.constantFrom(
    ...["\n", "\r\n", "\0", "<", ">", "<1>", "<85>1 ", "1", "7 ", "12 <3>", "\n<99>", "</AuditMessage>"],
    ...["<AuditMessage", "<a:AuditMessage ", "</a:AuditMessage", "</AuditMessage \n", "<?xml a?>", "?>", " "],
    ...[
      `${header}${XML}`,
      `${header}${XML}\n`,
      `<13>2026-11-28T10:00:00+01:00 emr\n`,
      `${XML.length} ${XML}`,
    ],
    ...["x".repeat(300), "\n".repeat(300), "9".repeat(20), "<".repeat(90), "400 ", "99999 "],
  ),
  fc.string({ unit: "binary-ascii", maxLength: 8 }),
);
const stream = fc.array(part, { maxLength: 30 }).map((parts) => bytesOf(parts.join("")));

function split(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

describe("framing, whatever is sent", () => {
  test("does not depend on how the stream was cut into pieces", () => {
    fc.assert(
      fc.property(
        stream,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
        fc.constantFrom(8, 64, 600, LIMIT),
        fc.boolean(),
        (bytes, sizes, limit, isClean) => {
          const whole = read([bytes], { limit, isClean });
          expect(read(split(bytes, sizes), { limit, isClean })).toEqual(whole);
          expect(read(split(bytes, [1]), { limit, isClean })).toEqual(whole);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("takes counted messages of any bytes as they were", () => {
    const message = fc.uint8Array({ minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(fc.array(message), fc.integer({ min: 1, max: 50 }), (messages, size) => {
        const bytes = Buffer.concat(messages.flatMap((one) => [bytesOf(`${one.length} `), one]));
        expect(read(split(bytes, [size]))).toEqual(messages.map(latin1));
      }),
    );
  });

  test("holds no more than the longest message, what is looked through again and a piece", () => {
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 100 }), (bytes, size) => {
        const framing = openFraming(64);
        for (const piece of split(bytes, [size])) {
          for (const one of framing.push(piece))
            if (one.kind === "message") expect(one.bytes.length).toBeLessThan(65);
          expect(framing.held()).toBeLessThanOrEqual(64 + 512 + 16);
        }
      }),
    );
  });
});
