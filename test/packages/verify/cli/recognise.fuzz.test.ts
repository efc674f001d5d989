/** Large files that were made to be looked at for long. */
import { eventsWithin, lineRecogniser, looksLikeRecord, oddFile } from "@kedge/verify/cli/recognise";
import { expect, test } from "vitest";

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text));

/** Each would take hours of a look that goes back, or its depth a stack. */
const SIZE = 4 << 20;
test.each([
  ["digits", "[", "1", "x"],
  ["digits and points", "[", "1.", "x"],
  ["exponents", "[", "1e", "x"],
  ["words", "[", "true", ""],
  ["arrays in arrays", "", "[", ""],
  ["arrays in arrays, closed once", "", "[", "]"],
  ["objects in objects", "", '{"a":', "x"],
  ["closing brackets", "[", "]", ""],
  ["many objects, cut", "[", "{},", ""],
  ["white space", "", " ", "x"],
  ["white space in an array", "[", " ", "x"],
  ["white space at the end of XML", "<a>", " ", "x "],
  ["NULs at the end of XML", "<a>", "\0", "x\0"],
  ["lines", "{}\n", "\n", "{}\n"],
  ["escapes", '["', "\\", ""],
  ["commitments", "{", '"commitment"', ""],
  ["a commitment and white space", '{"commitment"', " ", ":"],
  ["commitments and white space", "{", '"commitment" : ', ""],
  ["an API key", '{"apiKey":"kedge_', "_", '!"}'],
  ["proofs", "{", '"proof"', ""],
  ["seeds", "{", '"seed"', ""],
  ["UTF-16", "{\0", '"\0:\0', ""],
])("4 MiB of %s are looked at once", (_, start, unit, end) => {
  const bytes = bytesOf(start + unit.repeat(SIZE / unit.length) + end);
  for (const name of ["a.json", "a.xml", "a"]) oddFile(bytes, name);
  eventsWithin(bytes);
  looksLikeRecord(bytes);
  const recogniser = lineRecogniser();
  expect(recogniser.add(bytesOf('{"a":1}'), 1, false)).toBeUndefined();
  recogniser.add(bytes, 2, true);
  recogniser.end();
});

test("JSON that is too long to be parsed is known by its shape", () => {
  const whole = `["${"x".repeat(17 << 20)}"]`;
  expect(oddFile(bytesOf(whole), "a.json")).toBeUndefined();
  expect(oddFile(bytesOf(whole.slice(0, -1)), "a.json")).toEqual({ is: "cut" });
});
