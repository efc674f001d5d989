/**
 * A bucket service for tests: GET and PUT of one object over S3's REST protocol, path style, and nothing else. It is
 * as strict as a versioned bucket with Object Lock, and stricter: what Kedge has no reason to send is refused (501).
 * Every bucket exists, and nothing is ever lost. Signatures are not verified.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { crc32 } from "node:zlib";

export type S3Action = "s3:GetObject" | "s3:PutObject";

/** A call as IAM would judge it; `absent` is whether the object was, when the call came in. */
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
  /** Every version ever stored, the oldest first, by `<bucket>/<key>`. Tests may put their own. */
  readonly objects: Map<string, Uint8Array[]>;
  /** Content-Type and Cache-Control of the newest version of each. */
  readonly headers: Map<string, StoredHeaders>;
  /** Makes the next `times` calls of this action go wrong. */
  fail(action: S3Action, fault: S3Fault, times?: number): void;
  close(): Promise<void>;
};

/** Serves on a free port of 127.0.0.1. */
export async function startS3(options: { onCall?: (call: S3Call) => void } = {}): Promise<S3Server> {
  const objects = new Map<string, Uint8Array[]>();
  const stored = new Map<string, StoredHeaders>();
  const faults: Record<S3Action, S3Fault[]> = { "s3:GetObject": [], "s3:PutObject": [] };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    let reply: Reply;
    let fault: S3Fault | undefined;
    try {
      const { accessKeyId, action, bucket, key } = parseRequest(request);
      const name = `${bucket}/${key}`;
      options.onCall?.({ accessKeyId, action, bucket, key, absent: !objects.has(name) });
      fault = faults[action].shift();
      if (typeof fault === "object") throw new S3Error(fault.status, fault.code, "As the test wants it");
      reply =
        action === "s3:GetObject"
          ? getObject(objects, name, request, stored.get(name))
          : putObject(objects, name, request, body);
      if (action === "s3:PutObject") stored.set(name, storedHeaders(request));
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

// ---- the two operations (Amazon S3 API Reference), without anything to wait for: each is atomic --------------------

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
const etagOf = (bytes: Uint8Array): string => `"${digestOf("md5", bytes).toString("hex")}"`;
const digestOf = (algorithm: string, bytes: Uint8Array): Buffer =>
  createHash(algorithm).update(bytes).digest();

function crc32Of(bytes: Uint8Array): string {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(bytes));
  return checksum.toString("base64");
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
const CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range"];

type Request = Omit<S3Call, "absent">;

function parseRequest({ method, url = "", headers }: IncomingMessage): Request {
  const accessKeyId = AUTHORIZATION.exec(headers.authorization ?? "")?.[1];
  if (accessKeyId === undefined) throw new S3Error(403, "AccessDenied", "Sign with Signature Version 4");
  const [path = "", query] = url.split("?");
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
      if (conditions.length > 0) throw notImplemented(`a GET with ${conditions.join(", ")}`);
      return { ...call, action: "s3:GetObject" };
    case "PUT?":
    case "PUT?x-id=PutObject":
      checkPut(headers, conditions);
      return { ...call, action: "s3:PutObject" };
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

/** S3 would overwrite without a condition; Kedge never may. */
function checkPut(headers: IncomingMessage["headers"], conditions: readonly string[]): void {
  if (headers["transfer-encoding"] !== undefined || headers["content-encoding"] !== undefined) {
    throw notImplemented("a chunked or encoded upload");
  }
  if (headers["content-length"] === undefined) {
    throw new S3Error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
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
  const text = message.replace(/[<>&]/g, (char) => `&#${char.charCodeAt(0)};`);
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${text}</Message></Error>`;
  return { status, headers: { "content-type": "application/xml" }, body: new TextEncoder().encode(xml) };
}

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
