import { expect, test } from "vitest";
import { type Grant, type Judged, kindsOf, unneeded } from "./access.ts";

const TABLE = "arn:aws:dynamodb:eu-central-1:000000000000:table/t";
const LOG = "abcdefghijklmnop234";
const put = (...partitions: string[]): Judged => ({
  action: "dynamodb:PutItem",
  resource: TABLE,
  context: { "dynamodb:LeadingKeys": partitions },
});
const mayPut = (partitions: string): Grant => ({ action: "dynamodb:PutItem", resource: TABLE, partitions });

test("a grant that no call uses is not needed, nor is one that another covers", () => {
  const used = mayPut("log/*");
  const unused = mayPut("tile/*");
  const covered = mayPut("log/?");
  expect(unneeded([used, unused], [put("log/a")])).toEqual([unused]);
  expect(unneeded([used, covered], [put("log/a"), put("log/ab")])).toEqual([covered]);
  expect(unneeded([{ action: "dynamodb:Query", resource: TABLE }], [put("log/a")])).toHaveLength(1);
  expect(unneeded([{ action: "dynamodb:PutItem", resource: `${TABLE}x` }], [put("log/a")])).toHaveLength(1);
});

test("each partition of a call is a need of its own", () => {
  expect(unneeded([mayPut("log/*"), mayPut("tile/*")], [put("log/a", "tile/b")])).toEqual([]);
});

test("calls are of one kind when they differ in ids, hashes and numbers only", () => {
  const other = LOG.replace("a", "z");
  expect(kindsOf([put(`log/${LOG}`), put(`log/${other}`)])).toHaveLength(1);
  expect(kindsOf([put(`pending/${LOG}/1`), put(`pending/${LOG}/7`, `pending/${other}/2`)])).toHaveLength(1);
  const kinds = [put(`log/${LOG}`), put("log/anchor"), put(`log/${LOG}/0`), put(`log/${LOG}a`), put()];
  expect(kindsOf(kinds)).toHaveLength(kinds.length);
  expect(kindsOf([put(`log/${LOG}`), put(`log/${LOG}`, "log/anchor")])).toHaveLength(2);
});
