/** The document of a review: what others can make anew from the rows that it names. */
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { makeReview } from "../../../console/case/review-document.ts";

const filled = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const rowOf = (byte?: number) => (byte === undefined ? {} : { commitment: bytesToHex(filled(byte)) });
const review = (...bytes: readonly (number | undefined)[]) =>
  makeReview({
    ...{
      by: "Ana Berrio",
      log: "abc",
      now: Date.UTC(2026, 2, 14),
      counts: { unchanged: 3, changed: 0, untold: 0 },
    },
    wanted: { filter: {}, zone: "UTC", sort: { by: "user", descending: false } },
    rows: bytes.map(rowOf),
  }).review;

test("the root is of the rows, whatever the screen sorted them by; rows without a commitment are counted alone", () => {
  const root = bytesToHex(rootOf([1, 2, 3].map((byte) => leafHash(filled(byte)))));
  expect(review(3, 1, undefined, 2)).toMatchObject({ count: 4, root });
  expect(review(undefined, 2, 3, 1)).toMatchObject({ count: 4, root });
});
