import { randomUUID } from "node:crypto";
import type { Checkpoint } from "@kedge/verify/tlog/checkpoint";
import { sha256 } from "@noble/hashes/sha2.js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fileHeaders } from "../../platform/publication.ts";
import { bucketPublication } from "../../platform/s3.ts";
import { readRecord, writeRecord } from "../../service/record.ts";
import { publicationContract } from "../support/publication-contract.ts";
import { type S3Call, type S3Fault, type S3Server, startS3 } from "../support/s3-server.ts";

/** As many as the SDK makes of one call. */
const ATTEMPTS = 3;
const RACERS = 12;
const BUCKET = "published";
const PATH = "logs/a/head";
const [ONE, TWO] = [Uint8Array.of(1), Uint8Array.of(2)];

const at = (place: string, deadlineMs?: number) => bucketPublication(new URL(`s3://${place}`), deadlineMs);

// Read before the tests below point the same variables at the stand-in.
const { AWS_ENDPOINT_URL_S3: endpoint, KEDGE_TEST_BUCKET: bucket } = process.env;

if (endpoint === undefined || bucket === undefined) {
  const missing = "AWS_ENDPOINT_URL_S3 and KEDGE_TEST_BUCKET are not set";
  console.log(`skipped: the publication's contract on an S3 of your own: ${missing}`);
  test.skip(`the publication's contract on an S3 of your own: ${missing}`);
} else {
  describe("on the S3 of AWS_ENDPOINT_URL_S3", () => {
    const publication = at(`${bucket}/kedge-contract/${randomUUID()}`);
    publicationContract("the bucket", () => publication);
  });
}

describe("on a stand-in for S3", () => {
  let server: S3Server;
  let calls: S3Call[];

  beforeEach(async () => {
    calls = [];
    server = await startS3({ onCall: (call) => calls.push(call) });
    vi.stubEnv("AWS_ENDPOINT_URL_S3", server.url);
    vi.stubEnv("AWS_REGION", "eu-central-1");
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await server.close();
  });

  const versions = (key = PATH) => server.objects.get(`${BUCKET}/${key}`) ?? [];

  publicationContract("the bucket", () => at(`${BUCKET}/some/folder/`));

  describe("writes", () => {
    test("of replaces that race from different processes one wins, and one version is stored", async () => {
      let tag: string | undefined;
      for (const round of [1, 2, 3]) {
        const contents = Array.from({ length: RACERS }, (_, i) => Uint8Array.of(round, i));
        const won = await Promise.all(contents.map((bytes) => at(BUCKET).replace(PATH, bytes, tag)));
        expect(won.filter((mine) => mine)).toHaveLength(1);
        expect(versions()).toHaveLength(round);
        expect(versions().at(-1)).toEqual(contents[won.indexOf(true)]);
        tag = (await at(BUCKET).read(PATH))?.tag;
      }
    });

    test("a lost answer is false although the bytes are there, once", async () => {
      server.fail("s3:PutObject", "answer-lost");
      expect(await at(BUCKET).replace(PATH, ONE, undefined)).toBe(false);
      expect(versions()).toEqual([ONE]);

      const file = await at(BUCKET).read(PATH);
      server.fail("s3:PutObject", "answer-lost");
      expect(await at(BUCKET).replace(PATH, TWO, file?.tag)).toBe(false);
      expect(versions()).toEqual([ONE, TWO]);
    });

    test("when every answer is lost, nobody is told that it was or was not written", async () => {
      server.fail("s3:PutObject", "answer-lost", ATTEMPTS);
      await expect(at(BUCKET).replace(PATH, ONE, undefined)).rejects.toMatchObject({ code: "unavailable" });
      expect(versions()).toEqual([ONE]);
    });

    test("another write under way is no failure: nothing was written, and it may be tried again", async () => {
      const publication = at(BUCKET);
      server.fail("s3:PutObject", { status: 409, code: "ConditionalRequestConflict" });
      expect(await publication.replace(PATH, ONE, undefined)).toBe(false);
      expect(versions()).toEqual([]);
      expect(await publication.replace(PATH, ONE, undefined)).toBe(true);
    });

    test("each file is stored with what a web server is to say of it", async () => {
      const paths = ["logs/a/head", "anchor/checkpoint", "anchor/tile/0/000.p/5", "anchor/policy"];
      for (const path of paths) {
        await at(`${BUCKET}/folder`).replace(path, ONE, undefined);
        const { contentType, cacheControl } = fileHeaders(path);
        const stored = server.headers.get(`${BUCKET}/folder/${path}`);
        expect(stored).toEqual({ "content-type": contentType, "cache-control": cacheControl });
      }
    });

    test("what no ETag can be is not even asked for", async () => {
      const publication = at(BUCKET);
      await publication.replace(PATH, ONE, undefined);
      const { tag = "" } = (await publication.read(PATH)) ?? {};
      const before = calls.length;
      for (const wrong of ["", "*", tag.slice(1), `W/${tag}`, `${tag}, ${tag}`]) {
        expect(await publication.replace(PATH, TWO, wrong)).toBe(false);
      }
      expect(calls.length).toBe(before);
      expect(await publication.replace(PATH, TWO, tag)).toBe(true);
    });

    test("the checksums that Object Lock and readers need do not depend on the environment", async () => {
      vi.stubEnv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required");
      vi.stubEnv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required");
      const publication = at(BUCKET);
      expect(await publication.replace(PATH, ONE, undefined)).toBe(true);
      server.fail("s3:GetObject", "garbled");
      await expect(publication.read(PATH)).rejects.toMatchObject({ code: "unavailable" });
    });

    test("a file of megabytes goes in one request, and comes back", async () => {
      const bytes = new Uint8Array(3 * 1024 * 1024).map((_, i) => i % 251);
      expect(await at(BUCKET).replace(PATH, bytes, undefined)).toBe(true);
      expect(calls.map(({ action }) => action)).toEqual(["s3:PutObject"]);
      const file = await at(BUCKET).read(PATH);
      expect(Buffer.compare(file?.bytes ?? ONE, bytes)).toBe(0);
    });
  });

  describe("reads", () => {
    const limit = 64 * 1024 * 1024;

    test("a file larger than any that is published is refused, and holds nothing up", async () => {
      const publication = at(BUCKET);
      server.objects.set(`${BUCKET}/large`, [new Uint8Array(limit + 1)]);
      server.objects.set(`${BUCKET}/largest`, [new Uint8Array(limit)]);
      // One more than the SDK has connections: each must be free again.
      for (let i = 0; i < 51; i++) {
        await expect(publication.read("large")).rejects.toMatchObject({ code: "corrupt" });
      }
      expect((await publication.read("largest"))?.bytes).toHaveLength(limit);
    });

    test.each<S3Fault>(["cut", "garbled"])("an answer that is %s is never returned", async (fault) => {
      server.objects.set(`${BUCKET}/${PATH}`, [new Uint8Array(1000)]);
      const publication = at(BUCKET);
      server.fail("s3:GetObject", fault);
      await expect(publication.read(PATH)).rejects.toMatchObject({ code: "unavailable" });
      expect((await publication.read(PATH))?.bytes).toHaveLength(1000);
    });

    test("a read whose answer is lost is repeated", async () => {
      server.objects.set(`${BUCKET}/${PATH}`, [ONE]);
      server.fail("s3:GetObject", "answer-lost");
      expect((await at(BUCKET).read(PATH))?.bytes).toEqual(ONE);
    });
  });

  test("a call whose answer never ends does end", async () => {
    server.objects.set(`${BUCKET}/${PATH}`, [new Uint8Array(1000)]);
    const publication = at(BUCKET, 200);
    server.fail("s3:GetObject", "stalls");
    await expect(publication.read(PATH)).rejects.toMatchObject({ code: "unavailable" });
    server.fail("s3:PutObject", "stalls");
    await expect(publication.replace("other", ONE, undefined)).rejects.toMatchObject({ code: "unavailable" });
  });

  describe.each([
    ["a read", "s3:GetObject", () => at(BUCKET).read(PATH)],
    ["a replace", "s3:PutObject", () => at(BUCKET).replace(PATH, ONE, undefined)],
  ] as const)("%s", (_, action, run) => {
    test.each([
      [503, "SlowDown", "throttled"],
      [503, "ServiceUnavailable", "throttled"],
      [429, "TooManyRequests", "throttled"],
      [500, "InternalError", "unavailable"],
      [404, "NoSuchBucket", "unavailable"],
      [301, "PermanentRedirect", "unavailable"],
      [403, "InvalidAccessKeyId", "unavailable"],
      [409, "OperationAborted", "unavailable"],
      [501, "NotImplemented", "unavailable"],
    ])("answered by %i %s fails, with that as the cause", async (status, code, expected) => {
      server.fail(action, { status, code }, ATTEMPTS);
      await expect(run()).rejects.toMatchObject({ code: expected, cause: { name: code } });
      expect(versions()).toEqual([]);
    });

    test.each([
      [503, "SlowDown"],
      [500, "InternalError"],
    ])("answered once by %i %s is repeated", async (status, code) => {
      server.fail(action, { status, code });
      await run();
      expect(calls).toHaveLength(2);
    });

    test("that is denied is not one of what is absent, and the error says what to allow", async () => {
      server.fail(action, { status: 403, code: "AccessDenied" });
      const allow = /s3:GetObject.*s3:PutObject.*s3:ListBucket/;
      await expect(run()).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringMatching(allow),
        cause: { name: "AccessDenied" },
      });
    });

    test("without an S3 at the endpoint fails", async () => {
      await server.close();
      await expect(run()).rejects.toMatchObject({ code: "unavailable" });
      server = await startS3();
    });
  });

  describe("its URL", () => {
    test("names a prefix, and two prefixes do not meet", async () => {
      const places = ["", "/a", "/ab", "/a/b", "/b", "/A", "/logs", "/a.b_c-1"];
      for (const [i, place] of places.entries()) {
        expect(await at(BUCKET + place).replace(PATH, Uint8Array.of(i), undefined)).toBe(true);
      }
      for (const [i, place] of places.entries()) {
        for (const slash of ["", "/"]) {
          expect((await at(BUCKET + place + slash).read(PATH))?.bytes).toEqual(Uint8Array.of(i));
        }
      }
      const keys = places.map((place) => `${BUCKET}${place}/${PATH}`);
      expect([...server.objects.keys()].sort()).toEqual(keys.sort());
    });

    test("names a bucket, and two buckets do not meet", async () => {
      await at("one-bucket/a").replace(PATH, ONE, undefined);
      expect(await at("two.buckets/a").read(PATH)).toBeUndefined();
    });

    test.each([
      "s3://",
      "s3:published",
      "s3:///published",
      "https://published",
      "s3://ab",
      `s3://${"a".repeat(64)}`,
      "s3://Published",
      "s3://pub_lished",
      "s3://-published",
      "s3://published-",
      "s3://published.",
      "s3://pub..lished",
      "s3://192.168.5.4",
      "s3://xn--published",
      "s3://sthree-published",
      "s3://published-s3alias",
      "s3://published--ol-s3",
      "s3://published--euc1-az1--x-s3",
      "s3://published--table-s3",
      "s3://published.mrap",
      "s3://published:443",
      "s3://published//a",
      "s3://published/a//b",
      "s3://published/a//",
      "s3://published/a b",
      "s3://published/a%2Fb",
      "s3://published/ä",
      "s3://published?region=eu-central-1",
      "s3://published/a#b",
    ])("%s is refused", (url) => {
      expect(() => bucketPublication(new URL(url))).toThrow(expect.objectContaining({ code: "invalid" }));
    });

    test("with credentials in it is refused without repeating them", () => {
      const open = () => at("AKIDEXAMPLE:secret@published");
      expect(open).toThrow(expect.objectContaining({ code: "invalid" }));
      expect(open).toThrow(expect.not.objectContaining({ message: expect.stringContaining("secret") }));
    });

    test.each(["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])(
      "needs no host name per bucket at %s",
      async (name) => {
        vi.stubEnv("AWS_ENDPOINT_URL_S3", undefined);
        vi.stubEnv(name, server.url.replace("127.0.0.1", "localhost"));
        expect(await at(`${BUCKET}/a`).replace(PATH, ONE, undefined)).toBe(true);
        expect(versions(`a/${PATH}`)).toEqual([ONE]);
      },
    );
  });

  describe("the record of a log", () => {
    const log = { id: "a", origin: "kedge.example/log/a" };
    const head = (size: bigint, history = ""): Checkpoint & { extensions: string[] } => ({
      origin: log.origin,
      extensions: [],
      size,
      root: sha256(new TextEncoder().encode(`${history} ${size}`)),
    });

    test("is there for every reader once it is written", async () => {
      let before: Checkpoint | undefined;
      for (const size of [1n, 2n, 300n]) {
        expect(await writeRecord(at(BUCKET), log, head(size), before)).toBe(true);
        before = head(size);
        expect(await readRecord(at(BUCKET), log)).toEqual(before);
      }
      expect(versions()).toHaveLength(3);
    });

    test.each<[string, S3Fault]>([
      ["its answer is lost", "answer-lost"],
      ["another write is under way", { status: 409, code: "ConditionalRequestConflict" }],
      ["S3 fails once", { status: 500, code: "InternalError" }],
    ])("is written, once, when %s", async (_, fault) => {
      const publication = at(BUCKET);
      for (const [size, before] of [
        [1n, undefined],
        [2n, head(1n)],
      ] as const) {
        server.fail("s3:PutObject", fault);
        expect(await writeRecord(publication, log, head(size), before)).toBe(true);
        expect(await readRecord(publication, log)).toEqual(head(size));
        expect(versions()).toHaveLength(Number(size));
      }
    });

    test("is found written by the next run when every answer was lost", async () => {
      const publication = at(BUCKET);
      server.fail("s3:PutObject", "answer-lost", ATTEMPTS);
      const written = writeRecord(publication, log, head(1n), undefined);
      await expect(written).rejects.toMatchObject({ code: "unavailable" });
      expect(await writeRecord(publication, log, head(1n), undefined)).toBe(true);
      expect(versions()).toHaveLength(1);
    });

    test("takes one of the histories that race, and names the others a rollback", async () => {
      const histories = Array.from({ length: RACERS }, (_, i) => `history ${i}`);
      const ends = await Promise.allSettled(
        histories.map((history) => writeRecord(at(BUCKET), log, head(7n, history), undefined)),
      );
      const won = ends.filter(({ status }) => status === "fulfilled");
      expect(won).toEqual([{ status: "fulfilled", value: true }]);
      for (const end of ends) {
        if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "rollback" });
      }
      const [winner = ""] = histories.filter((_, i) => ends[i]?.status === "fulfilled");
      expect(await readRecord(at(BUCKET), log)).toEqual(head(7n, winner));
      expect(versions()).toHaveLength(1);
    });

    test("that is denied is not taken for a log without one", async () => {
      await writeRecord(at(BUCKET), log, head(1n), undefined);
      server.fail("s3:GetObject", { status: 403, code: "AccessDenied" });
      await expect(readRecord(at(BUCKET), log)).rejects.toMatchObject({ code: "unavailable" });
    });
  });

  describe("the stand-in itself", () => {
    const authorization = `AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=${"0".repeat(64)}`;
    const put = {
      authorization,
      "if-none-match": "*",
      "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
      // Of "123456789", the check value of CRC catalogues.
      "content-md5": "JfnnlDI7RTiF9RgfG2JNCw==",
      "x-amz-checksum-crc32": "y/Q5Jg==",
    };
    type Changes = Record<string, string | undefined>;
    const ask = async (method: string, path: string, changed: Changes) => {
      const headers = new Headers();
      for (const [name, value] of Object.entries(changed)) if (value !== undefined) headers.set(name, value);
      const body = method === "PUT" || method === "POST" ? "123456789" : null;
      const answer = await fetch(`${server.url}${path}`, { method, headers, body });
      return { status: answer.status, code: /<Code>(.*)<\/Code>/.exec(await answer.text())?.[1] };
    };

    test("tells who called for what, and whether it was there", async () => {
      await at(BUCKET).read(PATH);
      await at(BUCKET).replace(PATH, ONE, undefined);
      await at(BUCKET).read(PATH);
      const call = { accessKeyId: "AKIDEXAMPLE", bucket: BUCKET, key: PATH };
      expect(calls).toEqual([
        { ...call, action: "s3:GetObject", absent: true },
        { ...call, action: "s3:PutObject", absent: true },
        { ...call, action: "s3:GetObject", absent: false },
      ]);
    });

    test("takes a PUT with either checksum", async () => {
      const [md5, crc32] = ["content-md5", "x-amz-checksum-crc32"];
      expect(await ask("PUT", "/bucket/1", { ...put, [md5]: undefined })).toMatchObject({ status: 200 });
      expect(await ask("PUT", "/bucket/2", { ...put, [crc32]: undefined })).toMatchObject({ status: 200 });
      expect(await ask("GET", "/bucket/2?x-id=GetObject", { authorization })).toMatchObject({ status: 200 });
    });

    test.each<[string, Changes, number, string]>([
      ["no signature", { authorization: undefined }, 403, "AccessDenied"],
      ["no checksum", { "content-md5": undefined, "x-amz-checksum-crc32": undefined }, 400, "InvalidRequest"],
      ["a wrong CRC32", { "x-amz-checksum-crc32": "AAAAAA==" }, 400, "BadDigest"],
      ["a wrong MD5", { "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" }, 400, "BadDigest"],
      ["a wrong SHA-256", { "x-amz-content-sha256": "0".repeat(64) }, 400, "XAmzContentSHA256Mismatch"],
      ["no condition", { "if-none-match": undefined }, 501, "NotImplemented"],
      ["both conditions", { "if-match": '"a"' }, 501, "NotImplemented"],
      ["If-Match: *", { "if-none-match": undefined, "if-match": "*" }, 501, "NotImplemented"],
      ["If-None-Match of a tag", { "if-none-match": '"a"' }, 501, "NotImplemented"],
      ["If-Match of what is absent", { "if-none-match": undefined, "if-match": '"a"' }, 404, "NoSuchKey"],
      ["aws-chunked content", { "content-encoding": "aws-chunked" }, 501, "NotImplemented"],
      ["a header of another operation", { "x-amz-copy-source": "/b/k" }, 501, "NotImplemented"],
    ])("refuses a PUT with %s, and stores nothing", async (_, changes, status, code) => {
      expect(await ask("PUT", "/bucket/key", { ...put, ...changes })).toEqual({ status, code });
      expect(server.objects.size).toBe(0);
    });

    test.each([
      ["DELETE", "/bucket/key"],
      ["POST", "/bucket/key?uploads"],
      ["PUT", "/bucket/key?partNumber=1&uploadId=1"],
      ["PUT", "/bucket"],
      ["GET", "/bucket?list-type=2"],
      ["GET", "/bucket/key?versionId=1"],
      ["GET", "/bucket//key"],
    ])("does not offer %s %s", async (method, path) => {
      const headers = method === "PUT" ? put : { authorization };
      expect(await ask(method, path, headers)).toEqual({ status: 501, code: "NotImplemented" });
    });
  });
});
