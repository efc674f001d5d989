/** What of a data folder may be lost, damaged or readable by others, and what a start does then. */
import { existsSync } from "node:fs";
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openClient } from "@kedge/cli/client/api";
import { ed25519 } from "@noble/curves/ed25519.js";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createTenantForOperator, readCredentials } from "../../local/operator.ts";
import { startLocal } from "../../local/start.ts";
import { keepPrivate, refuseOlderKeys } from "../../local/state.ts";
import { folderPublication } from "../../platform/folder.ts";
import { vkeysText } from "../../platform/publication.ts";
import { emptyHead, moveHead } from "../../service/head.ts";
import { logsKey } from "../../service/logs.ts";
import { checkpointSigner, logVkeys } from "../../service/sign.ts";
import { kedge } from "../cli/run.ts";
import { memoryStore } from "../support/memory-store.ts";
import { serve, stop } from "../support/serve.ts";

let folder: string;
/** Of a log that was anchored, and stopped. */
let used: string;
let data: string;

const start = (more: { data?: string; port?: number } = {}) =>
  startLocal({ data, host: "127.0.0.1", port: 0, ...more });

beforeAll(async () => {
  for (const name of ["KEDGE_DOMAIN", "KEDGE_LOG_FILE", "KEDGE_POLICY"]) vi.stubEnv(name, undefined);
  folder = await mkdtemp(join(tmpdir(), "kedge-state-"));
  used = join(folder, "used");
  const local = await start({ data: used });
  const { log, apiKey } = await createTenantForOperator({ name: "A", out: join(used, "credentials.json") });
  await openClient({ url: local.url, apiKey }).post(log, [new Uint8Array(32)]);
  await vi.waitUntil(() => existsSync(join(used, "published/anchor/checkpoint")), { timeout: 60_000 });
  await local.close();
  data = join(folder, "data");
});
afterEach(() => rm(data, { recursive: true, force: true }));
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** The files of the folder with their content, but for the table of those that read the store: a start that is refused makes and changes none. */
async function contents(): Promise<Record<string, string>> {
  const names = await readdir(data, { recursive: true, withFileTypes: true });
  const files = names
    .filter((name) => name.isFile() && name.name !== "lock.mdb")
    .map((name) => join(name.parentPath, name.name));
  return Object.fromEntries(
    await Promise.all(files.map(async (path) => [path, await readFile(path, "hex")])),
  );
}

test("a tenant that is created while none serves has the address that the environment names, and is told so", async () => {
  await cp(used, data, { recursive: true });
  const env = { KEDGE_DATA: data, KEDGE_STORE: "", KEDGE_URL: "", KEDGE_PORT: "9123" };
  const created = await kedge(["tenant", "create", "B", "--out", "b.json"], { cwd: data, env });
  expect(created).toMatchObject({ code: 0, out: expect.stringMatching(/No server was reached/) });
  expect((await readCredentials(join(data, "b.json")))?.url).toBe("http://127.0.0.1:9123");
});

describe("a start on what was lost or damaged names the file and the way on, and makes nothing", () => {
  const remove = (name: string) => rm(join(data, name), { recursive: true });
  const write = (name: string, text: string) => writeFile(join(data, name), text);
  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      "keys.json is missing",
      () => remove("keys.json"),
      /keys\.json is missing beside.*backup.*another folder/,
    ],
    [
      "keys.json is empty",
      () => truncate(join(data, "keys.json")),
      /keys\.json names no keys, beside.*backup/,
    ],
    ["keys.json is cut short", () => truncate(join(data, "keys.json"), 9), /keys\.json is damaged.*backup/],
    ["keys.json is other JSON", () => write("keys.json", "[1]"), /keys\.json is damaged.*backup/],
    [
      "kms.json is missing",
      () => remove("kms.json"),
      /kms\.json is missing: it has the keys that sign.*backup/,
    ],
    ["store is missing", () => remove("store"), /store is missing: it has the entries.*backup/],
    [
      "all but the keys is missing",
      async () => {
        for (const name of ["store", "published", "credentials.json", "kedge.log"]) await remove(name);
      },
      /store is missing/,
    ],
    [
      "all but the credentials is missing",
      async () => {
        for (const name of ["store", "published", "keys.json", "kms.json"]) await remove(name);
      },
      /keys\.json is missing beside credentials\.json/,
    ],
    [
      "credentials.json is empty",
      () => truncate(join(data, "credentials.json")),
      /credentials\.json is empty or/,
    ],
    [
      "credentials.json has no members",
      () => write("credentials.json", "{}"),
      /credentials\.json is empty or/,
    ],
    [
      "credentials.json is cut short",
      () => truncate(join(data, "credentials.json"), 40),
      /credentials\.json is empty or damaged.*tenant key.*backup.*move it away/,
    ],
    [
      "the public policy is damaged",
      () => write("published/anchor/policy", "quo"),
      /policy is damaged.*KEDGE_POLICY/,
    ],
    ["store has another file", () => write("store/data.mdb", "nonsense"), /store is damaged.*backup/],
    ["store's file is cut short", () => truncate(join(data, "store/data.mdb"), 8_192), /store is damaged/],
    ["kms.json is damaged", () => write("kms.json", "{}"), /kms\.json is not as the embedded KMS wrote it/],
  ])("%s", async (_, damage, message) => {
    await cp(used, data, { recursive: true });
    await damage();
    const before = await contents();
    const refused = await start().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({
      name: "ServiceError",
      code: "corrupt",
      message: expect.stringMatching(message),
    });
    expect(refused).not.toMatchObject({ message: expect.stringMatching(/ENOENT|"code":|Unexpected/) });
    const after = await contents();
    for (const [path, text] of Object.entries(before)) expect(after[path]).toBe(text);
    for (const name of ["keys.json", "kms.json", "credentials.json"]) {
      expect([name, existsSync(join(data, name))]).toEqual([name, Object.hasOwn(before, join(data, name))]);
    }
  });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      "an empty store",
      () => truncate(join(data, "store/data.mdb")),
      /store is empty beside keys that may have signed/,
    ],
    [
      "a lost record",
      () => remove("published"),
      /published\/logs\/anchor\/head is missing, and the anchor log/,
    ],
    [
      "keys of another folder",
      async () => {
        const text = await readFile(join(data, "keys.json"), "utf8");
        await write("keys.json", text.replace(/[0-9a-f]{12}"/, 'aaaaaaaaaaaa"'));
      },
      /keys\.json and .*kms\.json do not belong together: bring back both/,
    ],
    [
      "a store whose pages are damaged, where only a request reads them",
      async () => {
        const path = join(data, "store/data.mdb");
        const bytes = await readFile(path);
        await writeFile(path, bytes.fill(0, 2 * bytes.readUInt32LE(48)));
      },
      /store is damaged: bring it back from a backup \(docs\/operations\.md, Back up and restore one machine\)$/m,
    ],
  ])("by a process of its own: %s", async (_, damage, message) => {
    await cp(used, data, { recursive: true });
    await damage();
    const refused = await kedge(["serve", "--port", "0"], { cwd: folder, env: { KEDGE_DATA: data } });
    expect(refused).toMatchObject({ code: 1, out: "", err: expect.stringMatching(message) });
    // LMDB itself may say a word before.
    expect(refused.err.match(/^kedge: /gm)).toHaveLength(1);
    expect(refused.err).not.toMatch(/^ +at /m);
    expect(existsSync(join(data, "environment.json"))).toBe(false);
  });

  test("another domain than that of the logs", async () => {
    await cp(used, data, { recursive: true });
    vi.stubEnv("KEDGE_DOMAIN", "audit.example.org");
    await expect(start()).rejects.toMatchObject({ message: expect.stringMatching(/KEDGE_DOMAIN=localhost/) });
    vi.stubEnv("KEDGE_DOMAIN", undefined);
  });
});

describe("keys.json and kms.json of before a rotation do not undo it", () => {
  const key = (n: number) => ed25519.getPublicKey(new Uint8Array(32).fill(n));
  const keysOf = (numbers: readonly number[]) => ({
    ed25519: numbers.map((n) => ({
      publicKey: async () => key(n),
      sign: async (message: Uint8Array) => ed25519.sign(message, new Uint8Array(32).fill(n)),
    })),
    mldsa44: [],
  });
  const [anchorOrigin, origin] = ["localhost/anchor", "localhost/log/a"];

  /** @param last who signed what was published last. @param made the keys of kms.json. @param now those of keys.json. */
  async function startWith(
    which: "log" | "anchor",
    { last, made, now }: Record<"last" | "made" | "now", number[]>,
  ) {
    const store = memoryStore([{ ...logsKey("a"), origin, tenant: "t" }]);
    const vkeys = await logVkeys(keysOf(last), anchorOrigin);
    if (which === "anchor") {
      await mkdir(join(data, "published/anchor"), { recursive: true });
      await writeFile(join(data, "published/anchor/vkeys"), vkeysText(vkeys));
    } else {
      const tree = { size: 1n, root: new Uint8Array(32) };
      const note = await checkpointSigner(keysOf(last), () => 0)({ origin, ...tree });
      const head = { ...emptyHead("a"), ...tree, published: 1n, checkpoint: { note, at: 0n } };
      await moveHead(store, emptyHead("a"), head);
    }
    // The other kind of log has signed nothing.
    const keys = keysOf(now);
    await refuseOlderKeys(data, made.map(key), { store, anchorOrigin, logKeys: keys, anchorKeys: keys });
  }

  for (const which of ["log", "anchor"] as const) {
    test.each([
      ["the pair is older: the key that took over is in neither", { last: [2], made: [1], now: [1] }],
      ["the pair is older than both keys' time", { last: [1, 2], made: [1], now: [1] }],
      ["keys.json alone is older", { last: [2], made: [1, 2], now: [1] }],
      ["keys.json alone is older than both keys' time", { last: [1, 2], made: [1, 2], now: [1] }],
    ])(`the ${which} key, %s`, async (_, keys) => {
      await expect(startWith(which, keys)).rejects.toMatchObject({
        code: "corrupt",
        message: expect.stringMatching(
          /keys\.json and .*kms\.json are older.*signed last.*backup.*another folder/,
        ),
      });
    });

    test.each([
      ["nothing was rotated", { last: [1], made: [1], now: [1] }],
      ["the rotation is begun", { last: [1], made: [1, 2], now: [1, 2] }],
      ["both sign", { last: [1, 2], made: [1, 2], now: [1, 2] }],
      ["the first is retired", { last: [1, 2], made: [1, 2], now: [2] }],
      ["the log was quiet while both signed", { last: [1], made: [1, 2], now: [2] }],
      ["it is over", { last: [2], made: [1, 2], now: [2] }],
    ])(`but a start goes on, with the ${which} key: %s`, async (_, keys) => {
      await startWith(which, keys);
    });
  }
});

describe("a start that fails leaves nothing behind", () => {
  test("on a taken port", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const address = taken.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    await expect(start({ port })).rejects.toMatchObject({
      message: expect.stringMatching(/is in use: name another with/),
    });
    expect(existsSync(data)).toBe(false);
    taken.close();
  });

  test.each([
    ["KEDGE_DOMAIN", "not a domain", /KEDGE_DOMAIN/],
    ["KEDGE_POLICY", "/nowhere", /KEDGE_POLICY \/nowhere/],
  ])("with a wrong %s", async (name, value, message) => {
    vi.stubEnv(name, value);
    await expect(start()).rejects.toMatchObject({ code: "invalid", message: expect.stringMatching(message) });
    vi.stubEnv(name, undefined);
    expect(existsSync(data)).toBe(false);
  });
});

test("a data folder that is a file is said to be one", async () => {
  await writeFile(data, "");
  await expect(start()).rejects.toMatchObject({
    message: expect.stringMatching(/is a file, not a folder: name another with KEDGE_DATA/),
  });
});

test("without its credentials it starts, says what is lost with them, and names no keys that are not there", async () => {
  await cp(used, data, { recursive: true });
  await mkdir(join(data, "demo"));
  for (const name of ["break-the-glass.json", "break-the-glass.json.tlog-proof"])
    await writeFile(join(data, "demo", name), "");
  await rm(join(data, "credentials.json"));
  const { child, output } = await serve({ cwd: folder, data });
  await stop(child, "SIGTERM");
  expect(output).toMatch(/credentials\.json is missing: it held the tenant key.*backup.*kedge tenant create/);
  expect(output).not.toMatch(/moved away|^Keys/m);
});

test.skipIf(process.platform === "win32")("nobody else may write, whatever the umask is", async () => {
  const before = process.umask(0);
  try {
    const modes = async (root: string) => {
      const names = await readdir(root, { recursive: true });
      return await Promise.all(
        ["", ...names].map(async (name) => ((await stat(join(root, name))).mode & 0o022) === 0 || name),
      );
    };
    const publication = folderPublication(pathToFileURL(`${join(data, "published")}/`));
    for (const path of ["anchor/tile/0/000", "anchor/checkpoint", "logs/a/head"])
      await publication.replace(path, new Uint8Array(1), undefined);
    expect(new Set(await modes(join(data, "published")))).toEqual(new Set([true]));
    // An earlier version made them so.
    for (const name of await readdir(join(data, "published"), { recursive: true })) {
      const path = join(data, "published", name);
      await chmod(path, (await stat(path)).isDirectory() ? 0o777 : 0o666);
    }
    await chmod(join(data, "published"), 0o777);
    await keepPrivate(data);
    const { mode } = await stat(join(data, "published/anchor/checkpoint"));
    expect(mode & 0o777).toBe(0o644);
    expect((await stat(join(data, "published/logs"))).mode & 0o777).toBe(0o700);
    expect(new Set(await modes(join(data, "published/anchor")))).toEqual(new Set([true]));
    expect((await stat(join(data, "published"))).mode & 0o777).toBe(0o755);
  } finally {
    process.umask(before);
  }
});

test.skipIf(process.platform === "win32")(
  "what is private is its owner's only, whatever the folder's mode and the umask are",
  async () => {
    await cp(used, data, { recursive: true });
    for (const name of await readdir(data, { recursive: true })) {
      const path = join(data, name);
      await chmod(path, (await stat(path)).isDirectory() ? 0o755 : 0o644);
    }
    await chmod(data, 0o755);
    await mkdir(join(data, "demo"));
    await keepPrivate(data);
    const mode = async (name: string) => (await stat(join(data, name))).mode & 0o777;
    for (const name of ["keys.json", "kms.json", "credentials.json", "kedge.log"])
      expect(await mode(name)).toBe(0o600);
    for (const name of ["store", "published/logs", "demo"]) expect(await mode(name)).toBe(0o700);
    // A web server may be let in to what is public.
    for (const name of [".", "published", "published/anchor"]) expect(await mode(name)).toBe(0o755);
  },
);
