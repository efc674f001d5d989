/** Lambda: a witness behind API Gateway (payload format 2.0). */
import { type APIGatewayProxyResult, handle, type LambdaEvent } from "hono/aws-lambda";
import { openWitness } from "./config.ts";
import { createWitness } from "./http.ts";

let respond: ReturnType<typeof handle> | undefined;

export async function handler(event: LambdaEvent): Promise<APIGatewayProxyResult> {
  // All answers are text; the adapter would take `text/x.tlog.size` for binary.
  respond ??= handle(createWitness(openWitness(process.env)), { isContentTypeBinary: () => false });
  const result = await respond(event);
  // Only the app sets it: without, the adapter could not make a Request of the event.
  return result.headers?.["x-request-id"] === undefined ? unreadable() : result;
}

/** A request that HTTP allows and the Fetch standard does not, such as a GET with a body. */
const unreadable = (): APIGatewayProxyResult => ({
  statusCode: 400,
  headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
  body: "The request has a method, header or body that a witness does not take.\n",
  isBase64Encoded: false,
});
