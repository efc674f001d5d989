/** An event of API Gateway in the type that hono gives it: lambda-events.ts has what AWS really sends. */
import type { LambdaEvent } from "hono/aws-lambda";
import { gatewayEvent as event } from "./lambda-events.ts";

const PLACE = { region: "eu-central-1", account: "000000000000" };

export function gatewayEvent(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: Uint8Array | string,
): LambdaEvent {
  const request = { method, path, headers: Object.entries(headers), ...(body !== undefined && { body }) };
  const { requestContext, ...rest } = event(PLACE, request);
  const context = { ...requestContext, requestId: "JKJaXmPLvHcESHA=", authentication: null, authorizer: {} };
  return { ...rest, body: rest.body ?? null, requestContext: context };
}
