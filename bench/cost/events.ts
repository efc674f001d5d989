/** Events as AWS hands them to the functions. */
import type { LambdaEvent } from "hono/aws-lambda";
import { PENDING_SHARDS, pendingPartition } from "../../service/table.ts";

/** Of the API Gateway, payload format 2.0. */
export function gatewayEvent(
  method: "GET" | "POST",
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): LambdaEvent {
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath: path,
    rawQueryString: "",
    headers: { host: "api.example.org", ...headers },
    isBase64Encoded: false,
    body: body ?? null,
    requestContext: {
      accountId: "000000000000",
      apiId: "api",
      domainName: "api.example.org",
      domainPrefix: "api",
      http: { method, path, protocol: "HTTP/1.1", sourceIp: "192.0.2.1", userAgent: "bench" },
      requestId: "JKJaXmPLvHcESHA=",
      routeKey: "$default",
      stage: "$default",
      time: "01/Mar/2026:08:30:00 +0000",
      timeEpoch: 1772353800000,
      authentication: null,
      authorizer: {},
    },
  };
}

/** Of the table's stream, filtered as the event source mapping does: a record for each pending chunk of these logs. */
export const streamEvent = (logs: readonly string[], chunks = 1) => ({
  Records: logs.flatMap((log) => records(log, chunks)),
});

const records = (log: string, chunks: number) =>
  Array.from({ length: chunks }, (_, i) => ({
    eventID: `${i}`,
    eventName: "INSERT",
    eventVersion: "1.1",
    eventSource: "aws:dynamodb",
    awsRegion: "us-east-1",
    dynamodb: {
      ApproximateCreationDateTime: 1772353800,
      Keys: { pk: { S: pendingPartition(log, i % PENDING_SHARDS) }, sk: { S: `${i}` } },
      SequenceNumber: `${i}`,
      SizeBytes: 120,
      StreamViewType: "KEYS_ONLY",
    },
  }));
