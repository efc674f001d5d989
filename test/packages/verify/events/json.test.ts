import { EventError } from "@kedge/verify/events/error";
import { type Json, MAX_DEPTH, readJson } from "@kedge/verify/events/json";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (text: string): Json => readJson(utf8(text));
const refuses = (code: string) => expect.objectContaining({ name: "EventError", code });

/** JSON.parse, or undefined where it throws. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The value read, or the code of the refusal; anything else thrown fails the test. */
function outcome(bytes: Uint8Array): { value: Json } | { code: string } {
  try {
    return { value: readJson(bytes) };
  } catch (error) {
    if (error instanceof EventError) return { code: error.code };
    throw error;
  }
}

// Member order survives a round trip, and -0 is never read, so equal text means equal values.
function sameJson(a: unknown, b: unknown): void {
  expect(JSON.stringify(a)).toBe(JSON.stringify(b));
}

const jsonText = fc.json({ stringUnit: "binary", maxDepth: 4 });

/** Text made of JSON's own tokens, in any order: valid just often enough. */
const tokens = fc
  .array(
    fc.constantFrom(
      ...'{}[],:"'.split(""),
      ..." \t\n\r\v\u00a0\ufeff".split(""),
      ...["null", "true", "false", "NaN", "Infinity", "nul", "True"],
      ...[
        "0",
        "-0",
        "-1",
        "01",
        "1.",
        ".5",
        "+1",
        "1e5",
        "1E+5",
        "1e",
        "0.10",
        "9007199254740993",
        "0x1",
        "1_0",
      ],
      ...['"a"', '"b"', '"\\u0061"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\x"', '"\t"', "'a'", "\\"],
      ...['{"a":1}', '{"a":1,"a":2}', "[1]", "[]", "{}", "[1,]", '{"__proto__":1}', "//"],
    ),
    { maxLength: 9 },
  )
  .map((parts) => parts.join(""));

describe("against JSON.parse", () => {
  test("what JSON.stringify writes is read as the same value", () => {
    fc.assert(fc.property(jsonText, (text) => sameJson(read(text), JSON.parse(text))));
  });

  test("what is accepted is JSON and has the same value; what is called malformed is not JSON", () => {
    const edited = fc
      .tuple(jsonText, fc.nat(), fc.nat(3), fc.string({ unit: "binary", maxLength: 2 }))
      .map(([text, at, cut, put]) => {
        const start = at % (text.length + 1);
        return text.slice(0, start) + put + text.slice(start + cut);
      });
    fc.assert(
      fc.property(fc.oneof(tokens, edited), (text) => {
        const result = outcome(utf8(text));
        const expected = parsed(new TextDecoder("utf-8", { ignoreBOM: true }).decode(utf8(text)));
        if ("value" in result) sameJson(result.value, expected);
        else if (result.code === "malformed_json") expect(expected).toBeUndefined();
        else expect(result.code).toBe("not_canonicalisable");
      }),
      { numRuns: 5000 },
    );
  });

  test("any bytes are read or refused, and nothing else is thrown", () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.uint8Array({ min: 0x20, max: 0x7e }).map((b) => utf8(`"${b}"`)),
    );
    fc.assert(fc.property(bytes, (b) => void outcome(b)));
  });

  test("a member named __proto__ is a member, not a prototype", () => {
    const value = read('{"__proto__":{"admin":true}}');
    expect(Object.keys(value ?? {})).toEqual(["__proto__"]);
    expect(value).not.toHaveProperty("admin");
  });
});

describe("numbers", () => {
  const doubles = fc
    .double({ noDefaultInfinity: true, noNaN: true })
    .filter((value) => !Object.is(value, -0));

  test("every spelling of the value that ECMAScript writes for a double is read as that double", () => {
    fc.assert(
      fc.property(doubles, fc.nat(30), (value, zeroes) => {
        const [digits = "", exponent = ""] = value.toExponential().split("e");
        const padded = `${digits}${digits.includes(".") ? "" : ".0"}${"0".repeat(zeroes)}E${exponent}`;
        for (const literal of [String(value), value.toExponential(), padded])
          expect(read(literal)).toBe(value);
      }),
    );
  });

  test("a literal is accepted if it is exactly what is written for its double, or a fraction of 17 digits or fewer", () => {
    const digits = fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: 22 });
    const literals = fc
      .tuple(
        fc.constantFrom("", "-"),
        digits,
        fc.option(digits),
        fc.option(fc.integer({ min: -340, max: 320 })),
      )
      .map(
        ([sign, integer, fraction, exponent]) =>
          sign +
          integer.replace(/^0+(?=.)/, "") +
          (fraction === null ? "" : `.${fraction}`) +
          (exponent === null ? "" : `e${exponent}`),
      );
    fc.assert(
      fc.property(literals, (literal) => {
        const value = Number(literal);
        const isNumber = Number.isFinite(value) && !Object.is(value, -0);
        const isFraction = !Number.isInteger(value) && Math.abs(value) >= 2 ** -1022;
        const digits = literal.replace(/e.*|[-.]/g, "").replace(/^0+|0+$/g, "").length;
        const exact = isNumber && (scaled(literal) === scaled(String(value)) || (isFraction && digits <= 17));
        expect(outcome(utf8(literal))).toEqual(exact ? { value } : { code: "not_canonicalisable" });
      }),
      { numRuns: 2000 },
    );
  });

  /** A literal's value times 10^400, exactly. */
  function scaled(literal: string): bigint {
    const [significand = "", exponent = "0"] = literal.split("e");
    const [integer = "", fraction = ""] = significand.split(".");
    return BigInt(integer + fraction) * 10n ** BigInt(400 + Number(exponent) - fraction.length);
  }

  test.each([
    ["an integer above 2^53", "9007199254740993"],
    ["the exact value of a large double, which is written rounded", "295147905179352825856"],
    [
      "the exact value of the double nearest to 0.1",
      "0.1000000000000000055511151231257827021181583404541015625",
    ],
    ["a digit more than a double holds", "0.1000000000000000055511151231257827"],
    ["overflow", "1e400"],
    ["underflow", "1e-400"],
    ["an exponent too long to count", `1e-${"9".repeat(400)}`],
    ["minus zero", "-0"],
    ["minus zero, as a fraction", "-0.000e7"],
    ["underflow to minus zero", "-1e-400"],
  ])("%s is refused, wherever it stands", (_, literal) => {
    for (const text of [literal, `[${literal}]`, `{"a":{"b":${literal}}}`]) {
      expect(() => read(text)).toThrow(refuses("not_canonicalisable"));
    }
  });

  test.each([
    ["0e999999999999"],
    ["0.00000"],
    ["100e-2"],
    ["9007199254740992"],
    ["5e-324"],
    ["0.1"],
    ["1.50"],
  ])("%s loses nothing", (literal) => expect(read(literal)).toBe(Number(literal)));
});

describe("names and strings", () => {
  const string = fc.string({ unit: "binary" });
  const escaped = (text: string) =>
    `"${text.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)}"`;

  test("two members of one name are refused, however they are spelled and whatever they hold", () => {
    fc.assert(
      fc.property(string, string, (name, other) => {
        const [plain, spelled] = [JSON.stringify(name), escaped(name)];
        for (const second of [plain, spelled]) {
          expect(() => read(`{${plain}:1,${JSON.stringify(`${name}${other}-`)}:1,${second}:1}`)).toThrow(
            refuses("not_canonicalisable"),
          );
        }
        expect(read(`[{${plain}:1},{${spelled}:1}]`)).toEqual([{ [name]: 1 }, { [name]: 1 }]);
      }),
    );
  });

  test("an escaped string is the string", () => {
    fc.assert(
      fc.property(string, (text) => {
        expect(read(escaped(text))).toBe(text);
      }),
    );
  });

  test("a control character is read escaped only", () => {
    for (let unit = 0; unit < 0x20; unit++) {
      const character = String.fromCharCode(unit);
      expect(() => read(`"${character}"`)).toThrow(refuses("malformed_json"));
      expect(read(escaped(character))).toBe(character);
    }
    expect(read('"\x7f"')).toBe("\x7f");
  });

  test.each([
    ["a high surrogate alone", '"\\ud83d"'],
    ["a low surrogate alone", '"\\ude00"'],
    ["surrogates in the wrong order", '"\\ude00\\ud83d"'],
    ["a high surrogate before a character", '"\\ud83dx"'],
    ["a lone surrogate in a name", '{"\\udfff":1}'],
  ])("%s is refused", (_, text) => expect(() => read(text)).toThrow(refuses("not_canonicalisable")));

  test.each([
    ["a surrogate encoded in UTF-8", [0xed, 0xa0, 0x80]],
    ["an overlong NUL", [0xc0, 0x80]],
    ["a character cut short", [0xe2, 0x82]],
    ["a character above U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["Latin-1", [0x4d, 0xfc, 0x6c]],
  ])("%s is refused", (_, inner) => {
    const quoted = Uint8Array.of(0x22, ...inner, 0x22);
    expect(() => readJson(quoted)).toThrow(refuses("not_canonicalisable"));
  });

  test("a character cut in two by an escape is refused", () => {
    const cut = Uint8Array.of(0x22, 0xe2, 0x5c, 0x6e, 0x82, 0xac, 0x22);
    expect(() => readJson(cut)).toThrow(refuses("not_canonicalisable"));
  });
});

describe("the text as a whole", () => {
  test("a byte order mark is refused, and kept inside a string", () => {
    expect(() => read('\ufeff"a"')).toThrow(refuses("not_canonicalisable"));
    expect(read('"\ufeffa"')).toBe("\ufeffa");
  });

  test("text after the value is refused", () => {
    for (const text of ["{}x", "1 2", "[] []", '""\0', "{}\ufeff"]) {
      expect(() => read(text)).toThrow(refuses("not_canonicalisable"));
    }
  });

  test("every proper prefix of a JSON object is refused", () => {
    const object = fc.json({ maxDepth: 2 }).map((text) => `{"event":${text}}`);
    fc.assert(
      fc.property(object, fc.nat(), (text, at) => {
        expect(outcome(utf8(text.slice(0, at % text.length)))).toHaveProperty("code");
      }),
    );
  });

  test(`${MAX_DEPTH} levels are read, one more is refused, and a million do not overflow the stack`, () => {
    const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
    const objects = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
    expect(JSON.stringify(read(nested(MAX_DEPTH)))).toBe(nested(MAX_DEPTH));
    expect(JSON.stringify(read(objects(MAX_DEPTH)))).toBe(objects(MAX_DEPTH));
    for (const text of [nested(MAX_DEPTH + 1), objects(MAX_DEPTH + 1), nested(1e6), "[".repeat(1e6)]) {
      expect(() => read(text)).toThrow(refuses("not_canonicalisable"));
    }
  });

  test("an error says at which byte, and quotes nothing of the event", () => {
    const at = (text: string) => {
      try {
        read(text);
        return "accepted";
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    };
    const cases = [
      `{"é":"SECRET" SECRET`,
      `{"é":"SECRET","é":1}`,
      `["é", "SECRET\\ud800"]`,
      `["é", 123456789012345678]`,
    ];
    expect(cases.map((text) => /offset \d+/.exec(at(text))?.[0])).toEqual([
      "offset 15",
      "offset 15",
      "offset 7",
      "offset 7",
    ]);
    expect(at('{"a":')).toContain("unexpected end");
    for (const text of cases) expect(at(text)).not.toMatch(/SECRET|123456789|é/);
  });
});
