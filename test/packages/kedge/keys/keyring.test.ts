/** A keyring loses no key: not by a rotation, a crash, a wrong passphrase, or two that change it at once. */
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyringError } from "@kedge/cli/keys/error";
import { type KeyringPlace, openKeyring, rotate, sealAnew } from "@kedge/cli/keys/keyring";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
let path: string;
const tenantKey = new Uint8Array(32).fill(7);
const now = Date.parse("2026-11-28T10:00:00Z");
const bytes = (text: string) => new TextEncoder().encode(text);
const passphrase = bytes("correct horse");
/** As weak as a file may say, so that the tests are quick. */
const N = 1 << 14;
const sealWish = { by: "passphrase" as const, passphrase, N };
const asking = (given: Uint8Array | undefined) => async () => given;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-keyring-"));
  path = join(folder, "keyring.json");
});
afterEach(() => rm(folder, { recursive: true }));

const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => "none",
    (error: unknown) => (error instanceof KeyringError ? error.code : String(error)),
  );

test("without a keyring the tenant key is epoch 0; the first rotation takes it over", async () => {
  const place: KeyringPlace = { path, tenantKey };
  const before = await openKeyring(place);
  expect(before.current()).toMatchObject({ epoch: 0, tenantKey });
  expect(await rotate(place, now)).toEqual({ epoch: 1, isNew: true, sealing: "plain" });
  const after = await openKeyring({ path });
  expect(after.of(0)).toEqual(before.current());
  expect(after.current().epoch).toBe(1);
  expect(after.current().tenantKey).not.toEqual(tenantKey);
  expect(after.all().map(({ epoch }) => epoch)).toEqual([1, 0]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await codeOf(openKeyring({ path: join(folder, "none.json") }))).toBe("absent");
});

test("however often it is rotated and sealed otherwise, every epoch's keys stay what they were", async () => {
  const wishes = fc.array(fc.constantFrom("rotate", "passphrase", "plain"), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(wishes, fc.uint8Array({ minLength: 32, maxLength: 32 }), async (steps, first) => {
      await rm(path, { force: true });
      const place: KeyringPlace = { path, tenantKey: first, passphrase: asking(passphrase) };
      const seen = new Map<number, string>();
      for (const step of ["rotate", ...steps]) {
        if (step === "rotate") await rotate(place, now);
        else await sealAnew(place, step === "plain" ? { by: "plain" } : sealWish, now);
        for (const { epoch, tenantKey: key, bodyKey } of (await openKeyring(place)).all()) {
          const keys = Buffer.concat([key, bodyKey ?? new Uint8Array()]).toString("hex");
          expect(seen.get(epoch) ?? keys).toBe(keys);
          seen.set(epoch, keys);
        }
      }
      expect(new Set(seen.values()).size).toBe(seen.size);
      expect(seen.get(0)?.slice(0, 64)).toBe(Buffer.from(first).toString("hex"));
    }),
    { numRuns: 3 },
  );
});

test("sealed, it opens with its passphrase alone, and holds no key in any spelling", async () => {
  const place: KeyringPlace = { path, tenantKey, passphrase: asking(passphrase) };
  await sealAnew(place, sealWish, now);
  await rotate(place, now);
  const text = await readFile(path);
  for (const { tenantKey: key, bodyKey } of (await openKeyring(place)).all()) {
    for (const secret of [key, bodyKey ?? key].map((it) => Buffer.from(it))) {
      for (const spelt of [
        secret,
        secret.toString("hex"),
        secret.toString("base64"),
        Buffer.from(passphrase),
      ]) {
        expect(text.includes(spelt)).toBe(false);
      }
    }
  }
  expect(await codeOf(openKeyring({ path }))).toBe("sealed");
  expect(await codeOf(openKeyring({ path, passphrase: asking(bytes("wrong")) }))).toBe("wrong_key");
  expect(await codeOf(rotate({ path, passphrase: asking(bytes("wrong")) }, now))).toBe("wrong_key");
  expect(await readFile(path)).toEqual(text);
});

test("a file that is changed anywhere is refused, or gives the same keys; it is never made anew", async () => {
  const place: KeyringPlace = { path, passphrase: asking(passphrase) };
  await sealAnew({ ...place, tenantKey }, sealWish, now);
  await rotate(place, now);
  const text = await readFile(path);
  const keys = (await openKeyring(place)).all();
  // Not N, r and p: within their bounds they take the time they say, and another key is `wrong_key` all the same.
  const from = text.indexOf('"salt"');
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: from, max: text.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, xor) => {
        const changed = Buffer.from(text);
        changed.writeUInt8(changed.readUInt8(at) ^ xor, at);
        await writeFile(path, changed);
        const opened = await openKeyring(place).catch((error: unknown) => error);
        if (opened instanceof KeyringError) expect(["damaged", "wrong_key"]).toContain(opened.code);
        else expect(opened).toMatchObject({ all: expect.any(Function) });
        if (!(opened instanceof Error) && opened !== null && typeof opened === "object" && "all" in opened) {
          expect((await openKeyring(place)).all()).toEqual(keys);
        }
      },
    ),
    { numRuns: 10 },
  );
  for (const hostile of ["", "{}", "null", '{"v":1}', "[".repeat(100_000)]) {
    await writeFile(path, hostile);
    expect(await codeOf(rotate({ ...place, tenantKey }, now))).toBe("damaged");
    expect(await readFile(path, "utf8")).toBe(hostile);
  }
});

test("scrypt's parameters in a file are bounded: it can take neither the memory nor the hours of whoever opens it", async () => {
  await sealAnew({ path, tenantKey }, sealWish, now);
  const text = await readFile(path, "utf8");
  for (const [member, value] of [
    ...[1 << 10, (1 << 14) + 1, 2 ** 40, -1].map((n) => ["N", n] as const),
    ...[1, 1 << 20].map((n) => ["r", n] as const),
    ...[0, 1 << 20].map((n) => ["p", n] as const),
  ]) {
    await writeFile(path, text.replace(new RegExp(`"${member}": \\d+`), `"${member}": ${value}`));
    expect(await codeOf(openKeyring({ path, passphrase: asking(passphrase) }))).toBe("damaged");
  }
});

test("credentials of another tenant are refused, before anything is changed", async () => {
  await rotate({ path, tenantKey }, now);
  const text = await readFile(path);
  const other = { path, tenantKey: new Uint8Array(32).fill(8) };
  expect(await codeOf(openKeyring(other))).toBe("refused");
  expect(await codeOf(rotate(other, now))).toBe("refused");
  expect(await readFile(path)).toEqual(text);
});

test("of many rotations at once every one that succeeds has its epoch", async () => {
  await rotate({ path, tenantKey }, now);
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => rotate({ path }, now)));
  const epochs = all.flatMap((one) => (one.status === "fulfilled" ? [one.value.epoch] : []));
  expect(new Set(epochs).size).toBe(epochs.length);
  const keys = (await openKeyring({ path })).all();
  expect(keys.map(({ epoch }) => epoch)).toEqual([...epochs.toSorted((a, b) => b - a), 1, 0]);
});

test("who has it open sees a rotation when asked to, and keeps its keys when the file is gone or broken", async () => {
  await rotate({ path, tenantKey }, now);
  const open = await openKeyring({ path });
  expect(await open.refresh()).toBe(false);
  await rotate({ path }, now);
  expect(open.current().epoch).toBe(1);
  expect(await open.refresh()).toBe(true);
  expect(open.current().epoch).toBe(2);
  await writeFile(path, "{");
  expect(await codeOf(open.refresh())).toBe("damaged");
  await rm(path);
  expect(await codeOf(open.refresh())).toBe("absent");
  expect(open.all().map(({ epoch }) => epoch)).toEqual([2, 1, 0]);
});

/** Wraps by XOR, as no KMS should. */
async function wrapper(script: string): Promise<string[]> {
  const program = join(folder, `wrap-${randomBytes(4).toString("hex")}.cjs`);
  await writeFile(program, script);
  return [process.execPath, program];
}
const XOR = `let parts = []; process.stdin.on("data", (d) => parts.push(d)).on("end", () => {
  process.stdout.write(Buffer.from(Buffer.concat(parts).map((b) => b ^ 0x5a))) });`;

test("a command holds the sealing key: it gets bytes and a verb, no shell, and none of Kedge's secrets", async () => {
  const log = join(folder, "log");
  const spy = `require("fs").appendFileSync(${JSON.stringify(log)}, JSON.stringify([process.argv.slice(2), process.env.KEDGE_TENANT_KEY]) + "\\n");`;
  const command = [...(await wrapper(spy + XOR)), "$(touch evil); *"];
  process.env["KEDGE_TENANT_KEY"] = "canary";
  try {
    await sealAnew({ path, tenantKey }, { by: "command", command }, now);
    await rotate({ path }, now);
    expect((await openKeyring({ path })).of(0)).toMatchObject({ tenantKey });
  } finally {
    delete process.env["KEDGE_TENANT_KEY"];
  }
  const lines = (await readFile(log, "utf8")).trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    ["wrap", "unwrap", "unwrap", "unwrap"].map((verb) => [["$(touch evil); *", verb], null]),
  );
  expect((await readFile(path)).includes(Buffer.from(tenantKey).toString("base64"))).toBe(false);
});

test("a command that fails, gives nothing back, or writes without end changes nothing", async () => {
  await rotate({ path, tenantKey }, now);
  const text = await readFile(path);
  for (const script of [
    "process.exit(3)",
    "",
    'process.stdout.write("x".repeat(32))',
    'setInterval(() => process.stdout.write("x".repeat(65536)), 0)',
  ]) {
    const command = await wrapper(script);
    expect(await codeOf(sealAnew({ path }, { by: "command", command }, now))).toBe("command_failed");
  }
  const absent = [join(folder, "none")];
  expect(await codeOf(sealAnew({ path }, { by: "command", command: absent }, now))).toBe("command_failed");
  expect(await readFile(path)).toEqual(text);
});

test.skipIf(process.getuid?.() === 0)(
  "a folder that cannot be written leaves the keyring as it was",
  async () => {
    await rotate({ path, tenantKey }, now);
    const text = await readFile(path);
    await chmod(folder, 0o500);
    try {
      expect(await codeOf(rotate({ path }, now))).toBe("unwritable");
    } finally {
      await chmod(folder, 0o700);
    }
    expect(await readFile(path)).toEqual(text);
  },
);
