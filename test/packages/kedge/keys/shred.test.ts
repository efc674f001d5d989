/** Shredding: what is gone, what is left, and that each step may be repeated, wherever it was stopped. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyringError } from "@kedge/cli/keys/error";
import { type KeyringPlace, openKeyring, rotate, sealAnew } from "@kedge/cli/keys/keyring";
import { beginShred, destroyKey, noteShred, overwriteIn, SHRED_MEDIA_TYPE } from "@kedge/cli/keys/shred";
import { commitEvent, openCommitment } from "@kedge/verify/events/commitment";
import { parseNote, parseVkey, verifyTextSignature } from "@kedge/verify/tlog/note";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
let place: KeyringPlace;
const tenantKey = new Uint8Array(32).fill(7);
const now = Date.parse("2026-11-28T10:00:00Z");
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-shred-"));
  place = { path: join(folder, "keyring.json"), tenantKey };
  await rotate(place, now);
});
afterEach(() => rm(folder, { recursive: true }));

const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => "none",
    (error: unknown) => (error instanceof KeyringError ? error.code : String(error)),
  );
const text = () => readFile(place.path, "utf8");

test("the key is in the file no more, in any epoch's place, and the other epochs are as they were", async () => {
  await rotate(place, now);
  const before = await openKeyring(place);
  await beginShred(place, 1, now);
  await destroyKey(place, 1);
  const after = await openKeyring(place);
  expect(after.all()).toEqual(before.all().filter(({ epoch }) => epoch !== 1));
  const gone = before.of(1)?.tenantKey ?? tenantKey;
  for (const spelt of [bytesToHex(gone), Buffer.from(gone).toString("base64")]) {
    expect(await text()).not.toContain(spelt);
  }
  expect(after.shredded()).toHaveLength(1);
});

test("what a command left behind that was stopped while it wrote is destroyed too, and no other file", async () => {
  const left = `${place.path}.4711.partial`;
  await writeFile(left, await text());
  await writeFile(`${place.path}.mine`, "mine");
  await beginShred(place, 0, now);
  await destroyKey(place, 0);
  expect((await readdir(folder)).toSorted()).toEqual(["keyring.json", "keyring.json.mine"]);
});

test("the current epoch and one there is not are refused, and nothing changes", async () => {
  const before = await text();
  for (const epoch of [1, 2, 999]) expect(await codeOf(beginShred(place, epoch, now))).toBe("refused");
  expect(await codeOf(destroyKey(place, 0))).toBe("refused");
  const none = { ...place, path: join(folder, "none.json") };
  expect(await codeOf(beginShred(none, 0, now))).toBe("refused");
  expect(await text()).toBe(before);
});

test("the record is a note of the keyring's own key, committed under the current epoch with its number", async () => {
  await rotate(place, now);
  const records = [await beginShred(place, 0, now), await beginShred(place, 1, now)];
  const { signer }: { signer: { vkey: string } } = JSON.parse(await text());
  const vkey = parseVkey(signer.vkey);
  for (const [i, { record, commitment, opening }] of records.entries()) {
    const note = parseNote(record);
    expect(note.text).toMatch(
      new RegExp(`^kedge/v1 shred\nepoch ${i}\nkey [0-9a-f]{16}\nat 2026-11-28T10:00:00.000Z\n$`),
    );
    verifyTextSignature(vkey, note.text, note.signatures[0]?.signature ?? new Uint8Array());
    expect(opening).toMatchObject({ mediaType: SHRED_MEDIA_TYPE, source: vkey.name, sequence: `${i + 1}` });
    expect(bytesToHex(openCommitment(opening, utf8ToBytes(record)))).toBe(commitment);
  }
});

test("stopped after any step and begun again, it is one record and the same end", async () => {
  const steps = fc.array(fc.constantFrom("begin", "posted", "destroy", "anchored"), { maxLength: 12 });
  const fresh = await text();
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      await writeFile(place.path, fresh);
      const first = await beginShred(place, 0, now);
      for (const step of [...taken, "begin", "posted", "destroy", "anchored"]) {
        if (step === "begin") await beginShred(place, 0, now + 1000);
        else if (step === "destroy") await destroyKey(place, 0);
        else await noteShred(place, 0, step === "posted" ? { posted: true } : { anchored: true });
        expect((await openKeyring(place)).of(0)).toBeUndefined();
      }
      expect(await beginShred(place, 0, now)).toEqual({
        ...first,
        posted: true,
        anchored: true,
        destroyed: true,
      });
      expect((await openKeyring(place)).current().epoch).toBe(1);
    }),
    { numRuns: 20 },
  );
});

test("a stop between overwriting and taking out leaves a keyring that opens, and the shredding goes on", async () => {
  await beginShred(place, 0, now);
  await overwriteIn(place.path, Buffer.from(tenantKey).toString("base64"));
  expect(await text()).not.toContain(Buffer.from(tenantKey).toString("base64"));
  expect((await openKeyring(place)).all().map(({ epoch }) => epoch)).toEqual([1]);
  const wish = { by: "passphrase" as const, passphrase: utf8ToBytes("x"), N: 1 << 14 };
  expect(await codeOf(sealAnew(place, wish, now))).toBe("refused");
  await destroyKey(place, 0);
  expect(await codeOf(sealAnew(place, wish, now))).toBe("none");
});

test("an opening that is kept proves its event as before; without it nobody can derive it again", async () => {
  const event = { bytes: utf8ToBytes('{"patient":"1"}'), mediaType: "application/json" };
  const { commitment, opening } = commitEvent(event, { tenantKey });
  await beginShred(place, 0, now);
  await destroyKey(place, 0);
  expect(openCommitment(opening, event.bytes)).toEqual(commitment);
  const derived = (await openKeyring({ path: place.path }))
    .all()
    .map((key) => commitEvent(event, key).commitment);
  expect(derived).not.toContainEqual(commitment);
});

test("an opening says nothing of another event's: with it, a guess of the other cannot be told from the truth", () => {
  const event = fc.uint8Array({ maxLength: 64 });
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(event, event, key, (disclosed, other, tenantKey) => {
      fc.pre(!Buffer.from(disclosed).equals(other));
      const of = (bytes: Uint8Array) =>
        commitEvent({ bytes, mediaType: "text/plain", source: "ehr" }, { tenantKey });
      const given = of(disclosed);
      const hidden = of(other);
      // Whoever has the opening of one may use all that is in it on the right guess of the other, as tenant key and as nonce.
      const nonce = new Uint8Array(Buffer.from(given.opening.nonce, "base64"));
      const input = { bytes: other, mediaType: "text/plain", source: "ehr" };
      for (const secret of [{ nonce }, { tenantKey: nonce }]) {
        expect(commitEvent(input, secret).commitment).not.toEqual(hidden.commitment);
      }
      expect(given.opening.nonce).not.toBe(hidden.opening.nonce);
    }),
  );
});
