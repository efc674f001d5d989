/** The tenant's keys in the browser are those that `kedge` has on the disk. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKeyring, rotate, sealAnew } from "@kedge/cli/keys/keyring";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KeysError, openKeys } from "../../../console/case/keyring.ts";
import { recognise } from "../../../console/case/recognise.ts";

const tenantKey = new Uint8Array(32).fill(7);
const passphrase = new TextEncoder().encode("correct horse");
let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-keys-"));
  path = join(folder, "keyring.json");
  await rotate({ path, tenantKey }, 0);
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

const code = async (text: string, given?: string) => {
  const failed = await openKeys(text, given).catch((error: unknown) => error);
  return failed instanceof KeysError ? failed.code : failed;
};

test("every epoch of a keyring is opened, the current one first, plain or sealed with a passphrase", async () => {
  const keys = (await openKeyring({ path })).all().map((key) => key.tenantKey);
  expect(await openKeys(await readFile(path, "utf8"), undefined)).toEqual(keys);
  await sealAnew({ path }, { by: "passphrase", passphrase, N: 1 << 14 }, 0);
  const sealed = await readFile(path, "utf8");
  expect(await openKeys(sealed, "correct horse")).toEqual(keys);
  expect(await code(sealed)).toBe("sealed");
  expect(await code(sealed, "another")).toBe("wrong_passphrase");
});

test("a tenant key alone and credentials will do; a command's keyring and all else are told apart", async () => {
  const hex = Buffer.from(tenantKey).toString("hex");
  expect(await openKeys(`${hex}\n`, undefined)).toEqual([tenantKey]);
  expect(await openKeys(JSON.stringify({ tenantKey: hex, url: "x" }), undefined)).toEqual([tenantKey]);
  const epochs = [{ epoch: 0, id: "0", key: "AAAA" }];
  expect(await code(JSON.stringify({ v: 1, sealing: { by: "command", command: ["x"] }, epochs }))).toBe(
    "command",
  );
  expect(await code("{}")).toBe("malformed");
  expect(await code("no key")).toBe("malformed");
  const greedy = { by: "passphrase", N: 2 ** 40, r: 8, p: 1, salt: "AAAA" };
  expect(await code(JSON.stringify({ v: 1, sealing: greedy, epochs }), "x")).toBe("malformed");
});

test.each([
  [`{"event":"a","commitment":"${"0".repeat(64)}","opening":{}}\n`, "records"],
  [`{"commitment":"${"0".repeat(64)}","proof":"c2sp.org/tlog-proof@v1"}\n`, "proofs"],
  ["ab".repeat(32), "keys"],
  ['{"v":1,"sealing":{},"signer":{},"epochs":[]}', "keys"],
  ["-----BEGIN CERTIFICATE-----\n", "authority"],
  ['{"resourceType":"AuditEvent"}\n', "events"],
  ["a|b|c\n1|2|3\n", "events"],
  ["", "events"],
])("what a file is, is told by its beginning: %#", (text, kind) => {
  expect(recognise(new TextEncoder().encode(text), true)).toBe(kind);
});
