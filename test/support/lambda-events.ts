/** Events as AWS delivers them to functions, whole: what a handler should ignore is there to be ignored. */
import { createHash, randomUUID } from "node:crypto";
import type { APIGatewayProxyEventV2, DynamoDBRecord, DynamoDBStreamEvent } from "aws-lambda";
import * as z from "zod";

export type Place = { readonly region: string; readonly account: string };

export type HttpRequest = {
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly query?: string;
  /** A name may come twice. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly cookies?: readonly string[];
  readonly body?: Uint8Array | string;
};

export type HttpAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

const API_ID = "a1b2c3d4e5";
/** Bodies of other types go in base64. */
const TEXT = /^(text\/.*|application\/(json|javascript|xml))\b/;

/** As an HTTP API sends it (API Gateway Developer Guide, "Payload format structure", 2.0), stage $default. */
export function gatewayEvent(
  { region, account }: Place,
  { method, path, query = "", headers = [], cookies, body }: HttpRequest,
): APIGatewayProxyEventV2 {
  const host = `${API_ID}.execute-api.${region}.amazonaws.com`;
  const bytes = typeof body === "string" ? Buffer.from(body) : body && Buffer.from(body);
  const joined = joinValues([
    ["accept", "*/*"],
    ["host", host],
    ["user-agent", "test/1"],
    ["x-amzn-trace-id", "Root=1-65e18f00-0123456789abcdef01234567"],
    ["x-forwarded-for", "192.0.2.1"],
    ["x-forwarded-port", "443"],
    ["x-forwarded-proto", "https"],
    ...(bytes === undefined ? [] : [["content-length", String(bytes.length)] as const]),
    ...headers.map(([name, value]) => [name.toLowerCase(), value] as const),
  ]);
  const parameters = joinValues([...new URLSearchParams(query)]);
  const isText = TEXT.test(joined["content-type"] ?? "");
  const now = new Date();
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath: path,
    rawQueryString: query,
    ...(cookies !== undefined && { cookies: [...cookies] }),
    headers: joined,
    ...(query !== "" && { queryStringParameters: parameters }),
    requestContext: {
      accountId: account,
      apiId: API_ID,
      domainName: host,
      domainPrefix: API_ID,
      http: { method, path, protocol: "HTTP/1.1", sourceIp: "192.0.2.1", userAgent: "test/1" },
      requestId: randomUUID(),
      routeKey: "$default",
      stage: "$default",
      time: logTime(now),
      timeEpoch: now.getTime(),
    },
    ...(bytes !== undefined && { body: bytes.toString(isText ? "utf8" : "base64") }),
    isBase64Encoded: bytes !== undefined && !isText,
  };
}

/** Of values with one name: joined with commas. */
function joinValues(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of pairs)
    joined[name] = joined[name] === undefined ? value : `${joined[name]},${value}`;
  return joined;
}

/** As in access logs: 01/Mar/2026:08:30:00 +0000. */
function logTime(time: Date): string {
  const [, day, month, year, clock] = /^\w+, (\d+) (\w+) (\d+) ([\d:]+) GMT$/.exec(time.toUTCString()) ?? [];
  return `${day}/${month}/${year}:${clock} +0000`;
}

/** The same guide, "Lambda function response for format 2.0": anything else is a 500 to the client. */
const responseSchema = z.strictObject({
  statusCode: z.int().min(200).max(599),
  headers: z.record(z.string(), z.string()),
  cookies: z.array(z.string()).optional(),
  body: z.string(),
  isBase64Encoded: z.boolean(),
});

/** What the client gets of a function's result. @throws z.ZodError where API Gateway would answer 500 itself. */
export function gatewayAnswer(result: unknown): HttpAnswer {
  const { statusCode, headers, body, isBase64Encoded } = responseSchema.parse(result);
  const bytes = new Uint8Array(Buffer.from(body, isBase64Encoded ? "base64" : "utf8"));
  return { status: statusCode, headers, body: bytes };
}

/** One write to a table, as its stream tells it. */
export type Change = {
  readonly eventName: "INSERT" | "MODIFY" | "REMOVE";
  readonly pk: string;
  readonly sk: string;
  /** Of the whole stream. */
  readonly sequence: number;
  readonly at: Date;
};

/** As a stream of KEYS_ONLY is read for a function (Lambda Developer Guide, "Using Lambda with DynamoDB"). */
export function streamRecord({ region }: Place, streamArn: string, change: Change): DynamoDBRecord {
  const { eventName, pk, sk, sequence, at } = change;
  const sequenceNumber = `${4_421_584_500_000_000n + BigInt(sequence)}`.padEnd(28, "0");
  return {
    eventID: createHash("md5").update(sequenceNumber).digest("hex"),
    eventName,
    eventVersion: "1.1",
    eventSource: "aws:dynamodb",
    awsRegion: region,
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(at.getTime() / 1000),
      Keys: { sk: { S: sk }, pk: { S: pk } },
      SequenceNumber: sequenceNumber,
      SizeBytes: 4 + Buffer.byteLength(pk + sk),
      StreamViewType: "KEYS_ONLY",
    },
    eventSourceARN: streamArn,
  };
}

export const streamEvent = (records: readonly DynamoDBRecord[]): DynamoDBStreamEvent => ({
  Records: [...records],
});

/** What EventBridge Scheduler sends to a function when its schedule has no input of its own. */
export function schedulerEvent({ region, account }: Place, schedule: string) {
  return {
    version: "0",
    id: randomUUID(),
    "detail-type": "Scheduled Event",
    source: "aws.scheduler",
    account,
    time: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    region,
    resources: [`arn:aws:scheduler:${region}:${account}:schedule/default/${schedule}`],
    detail: "{}",
  };
}
