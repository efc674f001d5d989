/** The head as it is stored: the bytes that every version of Kedge must read, and leave for every other. */
import { EMPTY_ROOT, leafHash } from "@kedge/verify/tlog/merkle";
import { expect, test } from "vitest";
import type { Item } from "../../platform/store.ts";
import { decodeHead, emptyHead, headKey, moveHead, readHead } from "../../service/head.ts";
import { memoryStore } from "../support/memory-store.ts";

const LOG = "aaaaaaaaaaaaaaaaaaa";
const [left, right] = [leafHash(Uint8Array.of(1)), leafHash(Uint8Array.of(2))];

const none = { published: 0n, checkpoint: "", publishedAt: 0n };
const noAttempt = { base: 0n, attempt: "", items: 0n };
const attempt = { base: 3n, attempt: "00ff", items: 2n };
const tree = { size: 3n, root: left, frontier: Uint8Array.from([...left, ...right]) };
const unpublished: Item = { ...headKey(LOG), version: 1n, ...tree, ...none, ...attempt };
const stored: [string, Item][] = [
  ["that tells since when its batch was pending", { ...unpublished, pendingSince: 5n }],
  [
    "reset by a restore",
    {
      ...headKey(LOG),
      version: 2n,
      size: 0n,
      root: EMPTY_ROOT,
      frontier: new Uint8Array(),
      ...none,
      ...noAttempt,
    },
  ],
  ["with its first batch unpublished", unpublished],
  [
    "published",
    {
      ...headKey(LOG),
      version: 5n,
      ...tree,
      published: 3n,
      checkpoint: "note\n",
      publishedAt: 7n,
      ...attempt,
    },
  ],
];

test.each(stored)("a head %s is stored again as it was read", async (_, item) => {
  const store = memoryStore([item]);
  const head = await readHead(store, LOG);
  expect(await moveHead(store, head, head)).toEqual({ ...head, version: head.version + 1n });
  expect(store.items()).toEqual([{ ...item, version: head.version + 1n }]);
});

test("what is stored for none is none", () => {
  const [, reset, first, published] = stored.map(([, item]) => decodeHead(LOG, item));
  expect(reset).toEqual({ ...emptyHead(LOG), version: 2n });
  expect(first).toMatchObject({ checkpoint: undefined, staging: { base: 3n, attempt: "00ff", items: 2 } });
  expect(first?.frontier).toEqual([left, right]);
  expect(published?.checkpoint).toEqual({ note: "note\n", at: 7n });
});

test.each([{ published: 3n }, { checkpoint: "note\n" }, { size: "3" }])(
  "a head that contradicts itself is corrupt: %o",
  (wrong) => {
    expect(() => decodeHead(LOG, { ...unpublished, ...wrong })).toThrow(
      expect.objectContaining({ code: "corrupt" }),
    );
  },
);
