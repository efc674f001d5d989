import { expect, test } from "vitest";
import { type Call, judgeOf, kindsOf, policyWith, unneeded } from "./access.ts";

const TABLE = "arn:aws:dynamodb:eu-central-1:000000000000:table/t";
const LOG = "abcdefghijklmnop234";
const put = (...partitions: string[]): Call => ({
  action: "dynamodb:PutItem",
  resource: TABLE,
  context: { "dynamodb:LeadingKeys": partitions },
});
const mayPut = (...partitions: string[]) => ({
  Effect: "Allow",
  Action: ["dynamodb:PutItem"],
  Resource: TABLE,
  Condition: { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": partitions } },
});
/** The grants of these statements that these calls do not need. */
const left = (statements: object[], calls: Call[]) => {
  const role = { name: "r", policies: { all: policyWith(...statements) } };
  return unneeded(judgeOf("000000000000"), role, calls);
};
const grant = { action: "dynamodb:PutItem", resource: TABLE };

test("a grant that no call uses is not needed, nor is one that another covers", async () => {
  expect(await left([mayPut("log/*", "tile/*")], [put("log/a")])).toEqual([
    { ...grant, partitions: "tile/*" },
  ]);
  const both = [put("log/a"), put("log/ab")];
  expect(await left([mayPut("log/*"), mayPut("log/?")], both)).toEqual([{ ...grant, partitions: "log/?" }]);
  expect(await left([mayPut("log/*", "log/?")], both)).toEqual([{ ...grant, partitions: "log/?" }]);
  const query = { Effect: "Allow", Action: ["dynamodb:Query", "dynamodb:PutItem"], Resource: TABLE };
  expect(await left([query], [put("log/a")])).toEqual([{ action: "dynamodb:Query", resource: TABLE }]);
  const elsewhere = { ...mayPut("log/*"), Resource: [TABLE, `${TABLE}x`] };
  expect(await left([elsewhere], [put("log/a")])).toEqual([
    { ...grant, resource: `${TABLE}x`, partitions: "log/*" },
  ]);
});

test("a call needs a grant for each of its partitions", async () => {
  expect(await left([mayPut("log/*", "tile/*")], [put("log/a", "tile/b")])).toEqual([]);
});

test("calls are of one kind when they differ in ids, hashes and numbers only", () => {
  const other = LOG.replace("a", "z");
  expect(kindsOf([put(`log/${LOG}`), put(`log/${other}`)])).toHaveLength(1);
  expect(kindsOf([put(`pending/${LOG}/1`), put(`pending/${LOG}/7`, `pending/${other}/2`)])).toHaveLength(1);
  const kinds = [put(`log/${LOG}`), put("log/anchor"), put(`log/${LOG}/0`), put(`log/${LOG}a`), put()];
  expect(kindsOf(kinds)).toHaveLength(kinds.length);
  expect(kindsOf([put(`log/${LOG}`), put(`log/${LOG}`, "log/anchor")])).toHaveLength(2);
});
