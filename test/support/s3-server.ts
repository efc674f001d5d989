/**
 * A bucket service for tests: what Kedge asks of S3, over its REST protocol, path style, and nothing else (501). Every
 * bucket exists. A bucket is as strict as a versioned one with Object Lock, and nothing in it is ever lost: GET of an
 * object and conditional PUT are all that there is. The index's bucket has ranges, plain PUT, DELETE and lists instead.
 * Signatures are not verified.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { crc32 } from "node:zlib";

export type S3Action = "s3:GetObject" | "s3:PutObject" | "s3:DeleteObject" | "s3:ListBucket";

/** A call as IAM would judge it; `absent` is whether the object was, when the call came in. The key of a list is its prefix. */
export type S3Call = {
  readonly accessKeyId: string;
  readonly action: S3Action;
  readonly bucket: string;
  readonly key: string;
  readonly absent: boolean;
};

/**
 * How a call goes wrong: S3 answers with an error; what was asked for is done, and the answer is lost; or the answer
 * stops halfway, is cut off halfway, or has a flipped bit.
 */
export type S3Fault =
  | { readonly status: number; readonly code: string }
  | "answer-lost"
  | "stalls"
  | "cut"
  | "garbled";

type StoredHeaders = { readonly "content-type"?: string; readonly "cache-control"?: string };

export type S3Server = {
  readonly url: string;
  /** Every version, the oldest first, by `<bucket>/<key>`; the index's bucket has one of each. Tests may put their own. */
  readonly objects: Map<string, Uint8Array[]>;
  /** Content-Type and Cache-Control of the newest version of each. */
  readonly headers: Map<string, StoredHeaders>;
  /** Makes the next `times` calls of this action go wrong. */
  fail(action: S3Action, fault: S3Fault, times?: number): void;
  close(): Promise<void>;
};

/**
 * Serves on a free port of 127.0.0.1.
 * @param options.isIndex whether this is the index's bucket; by default none is.
 * @param options.page how many keys of a list an answer has; S3's own are 1,000.
 */
export async function startS3(
  options: { onCall?: (call: S3Call) => void; isIndex?: (bucket: string) => boolean; page?: number } = {},
): Promise<S3Server> {
  const objects = new Map<string, Uint8Array[]>();
  const stored = new Map<string, StoredHeaders>();
  const faults: Record<S3Action, S3Fault[]> = {
    "s3:GetObject": [],
    "s3:PutObject": [],
    "s3:DeleteObject": [],
    "s3:ListBucket": [],
  };
  const isIndex = options.isIndex ?? (() => false);

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    let reply: Reply;
    let fault: S3Fault | undefined;
    try {
      const { accessKeyId, action, bucket, key, after } = parseRequest(request, isIndex);
      const name = `${bucket}/${key}`;
      options.onCall?.({ accessKeyId, action, bucket, key, absent: !objects.has(name) });
      fault = faults[action].shift();
      if (typeof fault === "object") throw new S3Error(fault.status, fault.code, "As the test wants it");
      switch (action) {
        case "s3:GetObject":
          reply = getObject(objects, name, request, stored.get(name));
          break;
        case "s3:PutObject":
          reply = isIndex(bucket)
            ? overwriteObject(objects, name, request, body)
            : putObject(objects, name, request, body);
          stored.set(name, storedHeaders(request));
          break;
        case "s3:DeleteObject":
          objects.delete(name);
          reply = { status: 204, headers: {}, body: new Uint8Array() };
          break;
        case "s3:ListBucket":
          reply = listObjects(objects, { bucket, key, after }, options.page ?? 1000);
      }
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      reply = errorReply(error);
    }
    send(response, reply, fault);
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      // A lost connection ends the body early; anything else is a fault of the test.
      response.destroy();
      if (!request.destroyed) throw error;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    objects,
    headers: stored,
    fail(action, fault, times = 1) {
      faults[action].push(...Array<S3Fault>(times).fill(fault));
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

// ---- the operations (Amazon S3 API Reference), without anything to wait for: each is atomic --------------------

type Reply = { status: number; headers: Record<string, string>; body: Uint8Array };

class S3Error extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function getObject(
  objects: ReadonlyMap<string, readonly Uint8Array[]>,
  name: string,
  { headers }: IncomingMessage,
  stored: StoredHeaders = {},
): Reply {
  const body = objects.get(name)?.at(-1);
  if (body === undefined) throw new S3Error(404, "NoSuchKey", "The specified key does not exist.");
  if (headers.range !== undefined) return rangeOf(body, headers.range, stored);
  return {
    status: 200,
    headers: {
      etag: etagOf(body),
      ...stored,
      ...(headers["x-amz-checksum-mode"] === "ENABLED" && {
        "x-amz-checksum-crc32": crc32Of(body),
        "x-amz-checksum-type": "FULL_OBJECT",
      }),
    },
    body,
  };
}

/** RFC 9110 §14.1.2, one range; there is no checksum of a part. */
function rangeOf(body: Uint8Array, range: string, stored: StoredHeaders): Reply {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
  if (first === undefined || (last !== "" && Number(last) < Number(first)))
    throw notImplemented(`Range: ${range}`);
  const from = Number(first);
  if (from >= body.length) throw new S3Error(416, "InvalidRange", "The requested range is not satisfiable");
  const to = last === "" ? body.length : Math.min(Number(last) + 1, body.length);
  const contentRange = `bytes ${from}-${to - 1}/${body.length}`;
  const headers = { etag: etagOf(body), ...stored, "content-range": contentRange };
  return { status: 206, headers, body: body.subarray(from, to) };
}

function overwriteObject(
  objects: Map<string, Uint8Array[]>,
  name: string,
  { headers }: IncomingMessage,
  body: Uint8Array,
): Reply {
  checkIntegrity(headers, body);
  objects.set(name, [body]);
  return { status: 200, headers: { etag: etagOf(body) }, body: new Uint8Array() };
}

/** ListObjectsV2, in the order of the keys. A token is the last key of the page before. */
function listObjects(
  objects: ReadonlyMap<string, readonly Uint8Array[]>,
  { bucket, key: prefix, after = "" }: Pick<Request, "bucket" | "key" | "after">,
  page: number,
): Reply {
  const keys = [...objects.keys()]
    .filter((name) => name.startsWith(`${bucket}/${prefix}`))
    .map((name) => name.slice(bucket.length + 1))
    .filter((key) => key > after)
    .sort();
  const contents = keys.slice(0, page);
  const next = keys.length > page ? contents.at(-1) : undefined;
  const xml = [
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
    `<Name>${bucket}</Name><Prefix>${escaped(prefix)}</Prefix><KeyCount>${contents.length}</KeyCount>`,
    `<MaxKeys>${page}</MaxKeys><IsTruncated>${next !== undefined}</IsTruncated>`,
    ...(next === undefined ? [] : [`<NextContinuationToken>${escaped(next)}</NextContinuationToken>`]),
    ...contents.map((key) => `<Contents><Key>${escaped(key)}</Key></Contents>`),
    "</ListBucketResult>",
  ].join("");
  return { status: 200, headers: { "content-type": "application/xml" }, body: new TextEncoder().encode(xml) };
}

const storedHeaders = ({ headers }: IncomingMessage): StoredHeaders => ({
  ...(headers["content-type"] !== undefined && { "content-type": headers["content-type"] }),
  ...(headers["cache-control"] !== undefined && { "cache-control": headers["cache-control"] }),
});

function putObject(
  objects: Map<string, Uint8Array[]>,
  name: string,
  { headers }: IncomingMessage,
  body: Uint8Array,
): Reply {
  checkIntegrity(headers, body);
  const versions = objects.get(name) ?? [];
  const now = versions.at(-1);
  if (headers["if-match"] !== undefined) {
    if (now === undefined) throw new S3Error(404, "NoSuchKey", "The specified key does not exist.");
    if (headers["if-match"] !== etagOf(now)) throw preconditionFailed();
  } else if (now !== undefined) {
    throw preconditionFailed();
  }
  objects.set(name, [...versions, body]);
  return {
    status: 200,
    headers: {
      etag: etagOf(body),
      "x-amz-checksum-crc32": crc32Of(body),
      "x-amz-checksum-type": "FULL_OBJECT",
    },
    body: new Uint8Array(),
  };
}

const preconditionFailed = () =>
  new S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");

function checkIntegrity(headers: IncomingMessage["headers"], body: Uint8Array): void {
  const contentSha256 = headers["x-amz-content-sha256"];
  if (contentSha256 !== "UNSIGNED-PAYLOAD" && contentSha256 !== digestOf("sha256", body).toString("hex")) {
    throw new S3Error(400, "XAmzContentSHA256Mismatch", "x-amz-content-sha256 is not that of the body");
  }
  const given = [headers["content-md5"], headers["x-amz-checksum-crc32"]];
  const right = [digestOf("md5", body).toString("base64"), crc32Of(body)];
  if (given.every((checksum) => checksum === undefined)) {
    throw new S3Error(
      400,
      "InvalidRequest",
      "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
    );
  }
  if (given.some((checksum, i) => checksum !== undefined && checksum !== right[i])) {
    throw new S3Error(400, "BadDigest", "The checksum you specified did not match what we received.");
  }
}

/** Of an object that is encrypted with S3's own keys and was stored by one PUT: the MD5 of its content. */
const etagOf = remembered((bytes) => `"${digestOf("md5", bytes).toString("hex")}"`);
const digestOf = (algorithm: string, bytes: Uint8Array): Buffer =>
  createHash(algorithm).update(bytes).digest();

const crc32Of = remembered((bytes) => {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(bytes));
  return checksum.toString("base64");
});

/** Of an object that is read many times, once: it is replaced, never altered in place. */
function remembered(compute: (bytes: Uint8Array) => string): (bytes: Uint8Array) => string {
  const known = new WeakMap<Uint8Array, string>();
  return (bytes) => {
    const value = known.get(bytes) ?? compute(bytes);
    known.set(bytes, value);
    return value;
  };
}

// ---- HTTP ----------------------------------------------------------------------------------------------------------

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/\s,]{1,128})\/\d{8}\/[a-z0-9-]+\/s3\/aws4_request, SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}$/;
const AMZ_HEADERS = new Set([
  "x-amz-checksum-crc32",
  "x-amz-checksum-mode",
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-sdk-checksum-algorithm",
  "x-amz-security-token",
  "x-amz-user-agent",
]);
const LIST_PARAMETERS = new Set(["continuation-token", "list-type", "prefix"]);
const CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range"];

/** `after`: a list goes on after this key. */
type Request = Omit<S3Call, "absent"> & { readonly after?: string | undefined };

function parseRequest(
  { method, url = "", headers }: IncomingMessage,
  isIndex: (bucket: string) => boolean,
): Request {
  const accessKeyId = AUTHORIZATION.exec(headers.authorization ?? "")?.[1];
  if (accessKeyId === undefined) throw new S3Error(403, "AccessDenied", "Sign with Signature Version 4");
  const [path = "", query] = url.split("?");
  const [, listed] = /^\/([a-z0-9.-]{3,63})\/?$/.exec(path) ?? [];
  if (method === "GET" && listed !== undefined && isIndex(listed))
    return { accessKeyId, action: "s3:ListBucket", bucket: listed, ...parseList(query) };
  const [, bucket, escapedKey] = /^\/([a-z0-9.-]{3,63})\/([^/].*)$/.exec(path) ?? [];
  if (bucket === undefined || escapedKey === undefined)
    throw notImplemented("an operation on anything but an object");
  const foreign = Object.keys(headers).find((name) => name.startsWith("x-amz-") && !AMZ_HEADERS.has(name));
  if (foreign !== undefined) throw notImplemented(`the header ${foreign}`);
  const call = { accessKeyId, bucket, key: unescapeKey(escapedKey) };
  const conditions = CONDITIONS.filter((name) => headers[name] !== undefined);
  switch (`${method}?${query ?? ""}`) {
    case "GET?":
    case "GET?x-id=GetObject":
      if (conditions.some((name) => name !== "range" || !isIndex(bucket)))
        throw notImplemented(`a GET with ${conditions.join(", ")}`);
      return { ...call, action: "s3:GetObject" };
    case "PUT?":
    case "PUT?x-id=PutObject":
      checkUpload(headers);
      if (isIndex(bucket) && conditions.length > 0)
        throw notImplemented("a PUT of the index with a condition");
      if (!isIndex(bucket)) checkConditions(headers, conditions);
      return { ...call, action: "s3:PutObject" };
    case "DELETE?":
    case "DELETE?x-id=DeleteObject":
      if (!isIndex(bucket)) throw notImplemented("a DELETE of what is locked");
      return { ...call, action: "s3:DeleteObject" };
    default:
      throw notImplemented(`${method} with the query "${query ?? ""}"`);
  }
}

function unescapeKey(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    throw new S3Error(400, "InvalidURI", "Couldn't parse the specified URI.");
  }
}

function parseList(query = ""): Pick<Request, "key" | "after"> {
  const parameters = new Map(new URLSearchParams(query));
  const foreign = [...parameters.keys()].find((name) => !LIST_PARAMETERS.has(name));
  if (parameters.get("list-type") !== "2" || foreign !== undefined)
    throw notImplemented(`a list with the query "${query}"`);
  const after = parameters.get("continuation-token");
  return { key: parameters.get("prefix") ?? "", after };
}

function checkUpload(headers: IncomingMessage["headers"]): void {
  if (headers["transfer-encoding"] !== undefined || headers["content-encoding"] !== undefined) {
    throw notImplemented("a chunked or encoded upload");
  }
  if (headers["content-length"] === undefined) {
    throw new S3Error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
}

/** S3 would overwrite without a condition; of what is published Kedge never may. */
function checkConditions(headers: IncomingMessage["headers"], conditions: readonly string[]): void {
  const [condition, ...more] = conditions;
  if (more.length > 0 || (condition !== "if-match" && condition !== "if-none-match")) {
    throw notImplemented("a PUT without exactly one of If-Match and If-None-Match");
  }
  const isAny = headers[condition] === "*";
  if (isAny !== (condition === "if-none-match")) throw notImplemented(`${condition}: ${headers[condition]}`);
}

const notImplemented = (what: string) =>
  new S3Error(501, "NotImplemented", `This server does not offer ${what}`);

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

function errorReply({ status, code, message }: S3Error): Reply {
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${escaped(message)}</Message></Error>`;
  return { status, headers: { "content-type": "application/xml" }, body: new TextEncoder().encode(xml) };
}

const escaped = (text: string): string => text.replace(/[<>&]/g, (char) => `&#${char.charCodeAt(0)};`);

function send(response: ServerResponse, { status, headers, body }: Reply, fault: S3Fault | undefined): void {
  if (fault === "answer-lost") {
    response.destroy();
    return;
  }
  const half = body.subarray(0, body.length / 2);
  if (fault === "stalls" && half.length === 0) return;
  response.writeHead(status, { ...headers, "content-length": body.length });
  if (fault === "stalls") response.write(half);
  else if (fault === "cut") response.write(half, () => response.destroy());
  else if (fault === "garbled") response.end(body.map((byte, i) => (i === 0 ? byte ^ 1 : byte)));
  else response.end(body);
}
