/** Records, proofs and openings that were dropped beside one another: none is judged by what belongs to another. */
import { commitEvent } from "@kedge/verify/events/commitment";
import { checkFiles } from "@kedge/verify/page/check";
import type { FileKind } from "@kedge/verify/page/given";
import { parseKeys } from "@kedge/verify/proof/keys";
import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { accessEvent, type Committed, committed, PACK_POLICY } from "../../../support/pack.ts";
import { makeProof } from "../../../support/proofs.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const file = (name: string, kind: FileKind, content: Uint8Array | string) => {
  const bytes = typeof content === "string" ? utf8(content) : content;
  return { id: 0, name, bytes, sha256: "", kind };
};
const both = (name: string, { event, proof }: Pick<Committed, "event" | "proof">) => [
  file(name, "event", event.bytes),
  file(`${name}.tlog-proof`, "proof", proof),
];
const record = (event: string, { commitment, opening }: Pick<Committed, "commitment" | "opening">) =>
  file(
    "records.ndjson",
    "records",
    `${JSON.stringify({ event, commitment: bytesToHex(commitment), opening })}\n`,
  );
async function verdictsOf(files: ReturnType<typeof file>[]): Promise<string[]> {
  const trust = { ...parseKeys(PACK_POLICY), tsaCerts: [], bitcoinBlocks: [] };
  const { rows } = await checkFiles(files, trust, new AbortController().signal, () => {});
  return rows.map(({ verdict }) => verdict);
}

const all = committed([accessEvent(1), accessEvent(2)]);
const pairs = all.flatMap((one, i) => both(`${i}.json`, one));
/** Proofs that have no opening: it was given apart. */
const bare = [1, 2].map((n) => {
  const event = accessEvent(n);
  return { event, ...makeProof({ event, withOpening: false }) };
});

test("the record of one, or one that is nobody's, accuses none that its own proof opens", async () => {
  for (const [first] of [all, bare]) {
    if (first === undefined) throw new TypeError("there is no event");
    expect(await verdictsOf([...pairs, record("0.json", first)])).toEqual(["unchanged", "unchanged"]);
    const wrong = { ...first, opening: { ...first.opening, sequence: "9" } };
    expect(await verdictsOf([...pairs, record("0.json", wrong)])).toEqual(["unchanged", "unchanged"]);
  }
});

test("where the proofs have none, the opening of one leaves the other untold; of the only one it is its own", async () => {
  const [first, second] = bare;
  if (first === undefined || second === undefined) throw new TypeError("there is no event");
  const two = [...both("0.json", first), ...both("1.json", second)];
  expect(await verdictsOf([...two, record("0.json", first)])).toEqual(["unchanged", "untold"]);
  const opening = file("opening.json", "opening", JSON.stringify(first.opening));
  expect(await verdictsOf([...both("renamed.json", first), opening])).toEqual(["unchanged"]);
  const other = commitEvent(accessEvent(3), { nonce: new Uint8Array(32) }).opening;
  expect(
    await verdictsOf([...both("0.json", first), record("0.json", { ...first, opening: other })]),
  ).toEqual(["changed"]);
});
