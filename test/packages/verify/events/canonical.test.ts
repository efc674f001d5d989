import { canonicalise, parseCanonicalisation } from "@kedge/verify/events/canonical";
import type { Json } from "@kedge/verify/events/json";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const jcs = (text: string): string => new TextDecoder().decode(canonicalise("jcs", utf8(text)));
const refuses = (code: string) => expect.objectContaining({ name: "EventError", code });

describe("RFC 8785", () => {
  // §3.2.2, its first number with 17 digits; §3.2.3 prints it with 16.
  test.each(["333333333.33333329", "333333333.3333333"])(
    "the sample of §3.2.2, with %s, has the bytes of §3.2.4",
    (first) => {
      const sample = String.raw`{
      "numbers": [${first}, 1E30, 4.50,
                  2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
      const expected = `
      7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e
      75 6d 62 65 72 73 22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30
      2c 34 2e 35 2c 30 2e 30 30 32 2c 31 65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24
      5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d`;
      const bytes = canonicalise("jcs", utf8(sample));
      expect(bytes).toEqual(Uint8Array.from(expected.trim().split(/\s+/), (hex) => Number.parseInt(hex, 16)));
    },
  );

  test("a FHIR decimal of 17 digits is taken, and the precision of one is not covered", () => {
    expect(jcs('{"value":66.899999999999991}')).toBe('{"value":66.89999999999999}');
    expect(jcs("[1.10]")).toBe(jcs("[1.1]"));
  });

  test.each([
    "9007199254740993",
    "9007199254740992.5",
    "12345678901234567890",
    "0.10000000000000000555",
    "4e-324",
  ])("%s is refused, for another number would have its form", (literal) => {
    expect(() => jcs(`[${literal}]`)).toThrow(refuses("not_canonicalisable"));
  });

  test("members are sorted by UTF-16 code units, as in §3.2.3", () => {
    const sorted = jcs(String.raw`{
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"
    }`);
    const inOrder = [
      "Carriage Return",
      "One",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh",
    ];
    expect([...sorted.matchAll(/:"([^"]*)"/g)].map(([, value]) => value)).toEqual(inOrder);
  });

  // Appendix B, but for NaN and Infinity, which JSON has no literal for.
  test.each([
    ["0000000000000000", "0"],
    ["0000000000000001", "5e-324"],
    ["8000000000000001", "-5e-324"],
    ["7fefffffffffffff", "1.7976931348623157e+308"],
    ["ffefffffffffffff", "-1.7976931348623157e+308"],
    ["4340000000000000", "9007199254740992"],
    ["c340000000000000", "-9007199254740992"],
    ["4430000000000000", "295147905179352830000"],
    ["44b52d02c7e14af5", "9.999999999999997e+22"],
    ["44b52d02c7e14af6", "1e+23"],
    ["44b52d02c7e14af7", "1.0000000000000001e+23"],
    ["444b1ae4d6e2ef4e", "999999999999999700000"],
    ["444b1ae4d6e2ef4f", "999999999999999900000"],
    ["444b1ae4d6e2ef50", "1e+21"],
    ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
    ["3eb0c6f7a0b5ed8d", "0.000001"],
    ["41b3de4355555553", "333333333.3333332"],
    ["41b3de4355555554", "333333333.33333325"],
    ["41b3de4355555555", "333333333.3333333"],
    ["41b3de4355555556", "333333333.3333334"],
    ["41b3de4355555557", "333333333.33333343"],
    ["becbf647612f3696", "-0.0000033333333333333333"],
    ["43143ff3c1cb0959", "1424953923781206.2"],
  ])("the double %s of Appendix B is written %s", (bits, json) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt(`0x${bits}`));
    expect(jcs(view.getFloat64(0).toExponential())).toBe(json);
    expect(jcs(json)).toBe(json);
  });

  test("minus zero, which Appendix B writes 0, is refused", () => {
    expect(() => jcs("-0")).toThrow(refuses("not_canonicalisable"));
  });
});

describe("jcs", () => {
  const value = fc.jsonValue({ stringUnit: "binary" }).map((json): Json => JSON.parse(JSON.stringify(json)));

  test("whitespace and the order of members do not matter", () => {
    fc.assert(
      fc.property(
        value,
        fc.infiniteStream(fc.boolean()),
        fc.constantFrom("", "\t", "  "),
        (json, coins, indent) => {
          const reordered = JSON.stringify(reorder(json, coins), null, indent);
          expect(jcs(reordered)).toBe(jcs(JSON.stringify(json)));
        },
      ),
    );
  });

  function reorder(json: Json, coins: Iterator<boolean>): Json {
    if (Array.isArray(json)) return json.map((element) => reorder(element, coins));
    if (typeof json !== "object" || json === null) return json;
    const members: [string, Json][] = [];
    for (const [name, member] of Object.entries(json)) {
      const put = coins.next().value ? "push" : "unshift";
      members[put]([name, reorder(member, coins)]);
    }
    return Object.fromEntries(members);
  }

  test("different values have different forms, and a form is its own form", () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [formA, formB] = [jcs(JSON.stringify(a)), jcs(JSON.stringify(b))];
        expect(JSON.parse(formA)).toEqual(a);
        expect(JSON.parse(formB)).toEqual(b);
        expect(jcs(formA)).toBe(formA);
      }),
    );
  });

  test("the order of an array matters, and so does Unicode normalisation", () => {
    expect(jcs("[1,2]")).not.toBe(jcs("[2,1]"));
    expect(jcs('"\u00e5"')).not.toBe(jcs('"a\u030a"'));
  });

  test("what is not JSON is refused", () => {
    for (const text of ["", "resourceType: AuditEvent", "<AuditEvent/>", "{'a':1}"]) {
      expect(() => jcs(text)).toThrow(refuses("malformed_json"));
    }
  });
});

test("raw keeps any bytes as they are", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(canonicalise("raw", bytes)).toEqual(bytes);
    }),
  );
});

test("only raw and jcs are canonicalisations", () => {
  expect(["raw", "jcs"].map(parseCanonicalisation)).toEqual(["raw", "jcs"]);
  for (const name of ["", "RAW", "jcs ", "JCS", "toString", null, undefined, 1, ["raw"]]) {
    expect(() => parseCanonicalisation(name)).toThrow(refuses("unknown_canonicalisation"));
  }
});
