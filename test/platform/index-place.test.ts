import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { folderIndex } from "../../platform/index-folder.ts";
import { bucketIndex } from "../../platform/index-s3.ts";
import { collect, indexPlaceContract } from "../support/index-place-contract.ts";
import { type S3Action, type S3Call, type S3Fault, type S3Server, startS3 } from "../support/s3-server.ts";

const BYTES = Uint8Array.of(1, 2, 3);
const PATH = "log/0/0-aa";

describe("in a folder", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kedge-index-"));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const at = (name: string) => folderIndex(pathToFileURL(`${join(folder, name)}/`));

  indexPlaceContract("the folder", () => at("contract"));

  test.skipIf(process.platform === "win32")("files and folders are their owner's alone", async () => {
    await at("private").write(PATH, BYTES);
    const modes = await Promise.all(
      ["", "log", "log/0", PATH].map(
        async (path) => (await stat(join(folder, "private", path))).mode & 0o777,
      ),
    );
    expect(modes).toEqual([0o700, 0o700, 0o700, 0o600]);
  });

  test("what a killed process left unfinished is in no list, and removed when it is old", async () => {
    const temporary = join(folder, "crashed/.tmp");
    await mkdir(temporary, { recursive: true });
    await writeFile(join(temporary, "old"), "half of a");
    await writeFile(join(temporary, "new"), "half of a");
    const hours = new Date(Date.now() - 2 * 3_600_000);
    await utimes(join(temporary, "old"), hours, hours);
    const place = at("crashed");
    await place.write(PATH, BYTES);
    expect(await collect(place.list(""))).toEqual([PATH]);
    expect(await readdir(temporary)).toEqual(["new"]);
  });

  test("a folder that was removed is made again by the next write", async () => {
    const place = at("removed");
    await place.write(PATH, BYTES);
    await rm(join(folder, "removed"), { recursive: true });
    expect(await place.read(PATH)).toBeUndefined();
    await place.write(PATH, BYTES).catch(() => undefined);
    await place.write(PATH, BYTES);
    expect(await place.read(PATH)).toEqual(BYTES);
  });

  test("one that cannot be written is unavailable, until it can be, and leaves nothing behind", async () => {
    const place = at("blocked");
    await mkdir(join(folder, "blocked/log"), { recursive: true });
    await writeFile(join(folder, "blocked/log/0"), "a file in its place");
    for (const run of [() => place.write(PATH, BYTES), () => place.read(PATH)])
      await expect(run()).rejects.toMatchObject({ code: "unavailable", cause: { code: "ENOTDIR" } });
    await rm(join(folder, "blocked/log/0"));
    await mkdir(join(folder, "blocked", PATH), { recursive: true });
    await expect(place.write(PATH, BYTES)).rejects.toMatchObject({ code: "unavailable" });
    expect(await readdir(join(folder, "blocked/.tmp"))).toEqual([]);
    await rm(join(folder, "blocked", PATH), { recursive: true });
    await place.write(PATH, BYTES);
    expect(await place.read(PATH)).toEqual(BYTES);
  });
});

/** As many as the SDK makes of one call. */
const ATTEMPTS = 3;
const BUCKET = "the-index";

describe("in a bucket, on a stand-in for S3", () => {
  let server: S3Server;
  let calls: S3Call[];
  const at = (place = BUCKET, deadlineMs?: number) => bucketIndex(new URL(`s3://${place}`), deadlineMs);

  beforeEach(async () => {
    calls = [];
    const isIndex = (bucket: string) => bucket === BUCKET;
    server = await startS3({ isIndex, page: 10, onCall: (call) => calls.push(call) });
    vi.stubEnv("AWS_ENDPOINT_URL_S3", server.url);
    vi.stubEnv("AWS_REGION", "eu-central-1");
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await server.close();
  });

  indexPlaceContract("the bucket", () => at(`${BUCKET}/some/folder`));

  test("each call is one request, a list one for each of its pages", async () => {
    const place = at();
    const paths = Array.from({ length: 21 }, (_, n) => `log/0/${n}-aa`);
    await Promise.all(paths.map((path) => place.write(path, BYTES)));
    await place.read(PATH, 0, 2);
    expect(await collect(place.list("log/"))).toHaveLength(21);
    await place.remove(PATH);
    const asked = calls
      .filter(({ action }) => action !== "s3:PutObject")
      .map(({ action, key }) => [action, key]);
    expect(asked).toEqual([
      ["s3:GetObject", PATH],
      ["s3:ListBucket", "log/"],
      ["s3:ListBucket", "log/"],
      ["s3:ListBucket", "log/"],
      ["s3:DeleteObject", PATH],
    ]);
  });

  test("a whole file whose bytes were flipped on their way is never returned", async () => {
    vi.stubEnv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required");
    await at().write(PATH, BYTES);
    server.fail("s3:GetObject", "garbled");
    await expect(at().read(PATH)).rejects.toMatchObject({ code: "unavailable" });
    expect(await at().read(PATH)).toEqual(BYTES);
  });

  test("an answer that ends early is never returned, nor waited for without an end", async () => {
    await at().write(PATH, new Uint8Array(1000));
    for (const fault of ["cut", "stalls"] as const) {
      server.fail("s3:GetObject", fault);
      await expect(at(BUCKET, 300).read(PATH, 0, 900)).rejects.toMatchObject({ code: "unavailable" });
    }
  });

  test.each<S3Fault>(["answer-lost", { status: 500, code: "InternalError" }])(
    "%j once is repeated",
    async (fault) => {
      const place = at();
      server.fail("s3:PutObject", fault);
      await place.write(PATH, BYTES);
      server.fail("s3:GetObject", fault);
      expect(await place.read(PATH, 1, 3)).toEqual(BYTES.slice(1));
      server.fail("s3:ListBucket", fault);
      expect(await collect(place.list("log/"))).toEqual([PATH]);
      server.fail("s3:DeleteObject", fault);
      await place.remove(PATH);
      expect(server.objects.size).toBe(0);
    },
  );

  test.each<[string, S3Action, () => Promise<unknown>]>([
    ["a read", "s3:GetObject", () => at().read(PATH, 0, 1)],
    ["a write", "s3:PutObject", () => at().write(PATH, BYTES)],
    ["a list", "s3:ListBucket", () => collect(at().list("log/"))],
    ["a removal", "s3:DeleteObject", () => at().remove(PATH)],
  ])("%s that is denied fails, and the error says what to allow", async (_, action, run) => {
    server.fail(action, { status: 403, code: "AccessDenied" });
    const message = expect.stringMatching(/s3:GetObject.*s3:PutObject.*s3:DeleteObject.*s3:ListBucket/);
    await expect(run()).rejects.toMatchObject({
      code: "unavailable",
      message,
      cause: { name: "AccessDenied" },
    });
  });

  test("one that S3 throttles says so", async () => {
    server.fail("s3:GetObject", { status: 503, code: "SlowDown" }, ATTEMPTS);
    await expect(at().read(PATH, 0, 1)).rejects.toMatchObject({ code: "throttled" });
  });

  test.each(["s3://", "s3://a/b c", "s3://user:secret@bucket"])("%s is refused, and not repeated", (url) => {
    const open = () => bucketIndex(new URL(url));
    expect(open).toThrow(expect.objectContaining({ code: "invalid" }));
    expect(open).toThrow(expect.not.objectContaining({ message: expect.stringContaining("secret") }));
  });
});
