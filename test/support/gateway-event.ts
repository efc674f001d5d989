import type { LambdaEvent } from "hono/aws-lambda";

/** An event as API Gateway sends it, payload format 2.0, in the type that hono gives it. Bytes go in base64. */
export function gatewayEvent(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: Uint8Array | string,
): LambdaEvent {
  const encoded = body !== undefined && typeof body !== "string";
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath: path,
    rawQueryString: "",
    headers,
    isBase64Encoded: encoded,
    body: encoded ? Buffer.from(body).toString("base64") : (body ?? null),
    requestContext: {
      accountId: "000000000000",
      apiId: "api",
      domainName: "api.example.org",
      domainPrefix: "api",
      http: { method, path, protocol: "HTTP/1.1", sourceIp: "192.0.2.1", userAgent: "test" },
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
