/** Lambda: the HTTP API behind API Gateway (payload format 2.0). */
import {
  type APIGatewayProxyResult,
  defaultIsContentTypeBinary,
  handle,
  type LambdaEvent,
} from "hono/aws-lambda";
import { openApiService } from "../service/config.ts";
import { createApp } from "./http/app.ts";
import { Problem } from "./http/problem.ts";

let respond: ReturnType<typeof handle> | undefined;

export async function handler(event: LambdaEvent): Promise<APIGatewayProxyResult> {
  // At the first event and not before: a wrong configuration is then an error in the log.
  respond ??= handle(createApp(openApiService(process.env)), { isContentTypeBinary });
  const result = await respond(event);
  // Only the app sets it: without, the adapter could not make a Request of the event.
  return result.headers?.["x-request-id"] === undefined ? unreadable() : result;
}

const isContentTypeBinary = (type: string): boolean =>
  !type.startsWith("text/") && defaultIsContentTypeBinary(type);

/** A request that HTTP allows and the Fetch standard does not, such as a GET with a body. */
function unreadable(): APIGatewayProxyResult {
  const problem = new Problem(
    "invalid",
    "The request has a method, header or body that this API does not take.",
  );
  return {
    statusCode: problem.status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store" },
    body: JSON.stringify(problem),
    isBase64Encoded: false,
  };
}
