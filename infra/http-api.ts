/** An HTTP API that sends every request to one function, with a throttle and an access log without personal data. */
import type { Stack } from "aws-cdk-lib";
import { AccessLogFormat } from "aws-cdk-lib/aws-apigateway";
import * as apigateway from "aws-cdk-lib/aws-apigatewayv2";
import { HttpLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import type * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import { acknowledge } from "./nag.ts";
import type { Deployed } from "./settings.ts";
import { removalPolicyOf } from "./stage.ts";

/** No path: it holds hashes, or tells which log a monitor follows. No IP address: it may be a person's. */
const ACCESS_LOG = {
  requestId: "$context.requestId",
  time: "$context.requestTimeEpoch",
  method: "$context.httpMethod",
  status: "$context.status",
  ms: "$context.responseLatency",
  bytes: "$context.responseLength",
  error: "$context.error.responseType",
};

type Route = {
  /** Construct id of the integration, and so part of the logical id of the function's permission. */
  readonly id: string;
  readonly target: lambda.Function;
  readonly description: string;
  /** Why API Gateway authorises nobody. */
  readonly authorization: string;
};

export function makeHttpApi(
  stack: Stack,
  { id, target, description, authorization }: Route,
  config: Deployed,
): apigateway.HttpApi {
  const http = new apigateway.HttpApi(stack, "Http", {
    description,
    createDefaultStage: false,
    defaultIntegration: new HttpLambdaIntegration(id, target, {
      payloadFormatVersion: apigateway.PayloadFormatVersion.VERSION_2_0,
    }),
  });
  acknowledge(http, "APIG4", authorization);
  const accessLogs = new logs.LogGroup(stack, "AccessLogs", {
    retention: config.logRetentionDays,
    removalPolicy: removalPolicyOf(config),
  });
  new apigateway.HttpStage(stack, "DefaultStage", {
    httpApi: http,
    stageName: "$default",
    autoDeploy: true,
    throttle: { rateLimit: config.throttle.rate, burstLimit: config.throttle.burst },
    accessLogSettings: {
      destination: new apigateway.LogGroupLogDestination(accessLogs),
      format: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
    },
  });
  return http;
}
