import fc from "fast-check";
import { expect, test } from "vitest";
import { refusalOf } from "../../../platform/embedded/access.mjs";

const KEY = "0123456789abcdef0123456789abcdef";
const credential = (keyId: string) =>
  `AWS4-HMAC-SHA256 Credential=${keyId}/20260101/us-east-1/kms/aws4_request, x`;
const headersWith = (headers: Record<string, string>) => ({
  host: "127.0.0.1:1",
  authorization: credential(KEY),
  ...headers,
});

test.each(["127.0.0.1", "127.0.0.1:65535", "localhost:8000", "LOCALHOST", "[::1]:1"])(
  "the host %s is served",
  (host) => {
    expect(refusalOf(headersWith({ host }), KEY)).toBeUndefined();
  },
);

test("no other host is served", () => {
  const near = fc.constantFrom(
    "localhost.",
    "127.0.0.1.example",
    "localhost.example:1",
    "x@127.0.0.1",
    "127.0.0.1:",
    "",
  );
  fc.assert(
    fc.property(fc.oneof(fc.domain(), near), (host) => {
      expect(refusalOf(headersWith({ host }), undefined)).toBeDefined();
    }),
  );
});

test("no other credential is served, and none when a key id is asked for", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.nat(32).map((n) => KEY.slice(0, n)),
      ),
      (other) => {
        fc.pre(other !== KEY);
        expect(refusalOf(headersWith({ authorization: credential(other) }), KEY)).toBeDefined();
        expect(refusalOf(headersWith({ authorization: other }), KEY)).toBeDefined();
      },
    ),
  );
  expect(refusalOf({ host: "localhost" }, KEY)).toBeDefined();
  expect(refusalOf({ host: "localhost" }, undefined)).toBeUndefined();
});

test("a refusal does not name the key id", () => {
  expect(refusalOf(headersWith({ authorization: "" }), KEY)).not.toContain(KEY);
});
