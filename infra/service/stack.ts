/** The Service stack: functions, API, schedules and alarms. It holds no state: it can be deleted and deployed again. */
import { join } from "node:path";
import { anchorOrigin, logOrigin } from "@kedge/cli/contract/ids";
import { CfnOutput, Duration, Fn, Stack, type StackProps } from "aws-cdk-lib";
import * as sqs from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { publicDistribution } from "../api/distribution.ts";
import type { Config } from "../config.ts";
import type { Data } from "../data/stack.ts";
import { makeFunction } from "../function.ts";
import { makeHttpApi } from "../http-api.ts";
import { acknowledge } from "../nag.ts";
import { type FunctionName, roleName } from "../names.ts";
import { sealOnNewEntries } from "../sealer/stream.ts";
import { makeConsoleClient } from "../sign-in/client.ts";
import type { Resources } from "./function.ts";
import { runOnSchedules } from "./schedules.ts";
import { SPECS } from "./specs.ts";
import { watch } from "./watch.ts";

type ServiceProps = StackProps & {
  readonly config: Config;
  readonly data: Data;
  /** The folder that holds each function's bundle under the function's name. */
  readonly bundles: string;
};

export class ServiceStack extends Stack {
  constructor(scope: Construct, id: string, { config, data, bundles, ...props }: ServiceProps) {
    super(scope, id, props);
    const deadLetters = new sqs.Queue(this, "DeadLetters", {
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    acknowledge(deadLetters, "SQS3", "This is the dead-letter queue.");
    const resources = resourcesOf(config, data, deadLetters);
    const make = (name: FunctionName) =>
      makeFunction(this, SPECS[name], {
        config,
        resources,
        folder: join(bundles, name),
        id: name,
        description: `Kedge ${config.stage}: ${name}`,
        role: {
          roleName: roleName(config, name),
          description: `Kedge ${config.stage}: what its ${name} may do`,
        },
      });
    const functions = { api: make("api"), sealer: make("sealer"), anchorer: make("anchorer") };
    const { api, sealer, anchorer } = functions;
    sealOnNewEntries(this, sealer, config, { streamArn: resources.streamArn, deadLetters });
    runOnSchedules(this, config, functions, deadLetters);

    const http = makeHttpApi(
      this,
      {
        id: "Api",
        target: api,
        description: "Kedge: the HTTP API",
        authorization:
          "The API checks its tenants' own API keys and sessions; what needs none is public by design.",
      },
      config,
    );
    const distribution = publicDistribution(this, http, data.bucketName, config);
    const dashboard = watch(this, { config, functions, deadLetters, http, tableName: resources.tableName });
    const publicUrl = `https://${config.host?.name ?? distribution.distributionDomainName}`;
    outputs(this, config, resources, {
      ApiUrl: http.apiEndpoint,
      PublicUrl: publicUrl,
      ...(data.userPoolArn !== undefined && makeConsoleClient(this, data.userPoolArn, publicUrl)),
      DistributionDomain: distribution.distributionDomainName,
      ApiFunction: api.functionName,
      DeadLetterQueue: deadLetters.queueUrl,
      SealerFunction: sealer.functionName,
      AnchorerFunction: anchorer.functionName,
      Dashboard: `https://${config.region}.console.aws.amazon.com/cloudwatch/home?region=${config.region}#dashboards/dashboard/${dashboard.dashboardName}`,
    });
  }
}

function resourcesOf({ table }: Config, data: Data, { queueArn }: sqs.Queue): Resources {
  const { tableArn, streamArn } =
    table === undefined ? data : { tableArn: table.arn, streamArn: table.streamArn };
  const tableName = Fn.select(1, Fn.split("/", tableArn));
  return { ...data, tableArn, streamArn, tableName, deadLettersArn: queueArn };
}

/** The stack's outputs, which operators' commands read from `--outputs-file`. */
function outputs(
  stack: Stack,
  config: Config,
  { tableName, logKeys, anchorKeys, anchorMldsaKeys, bucketName, indexName }: Resources,
  more: Record<string, string>,
): void {
  const values: Record<string, string> = {
    Stage: config.stage,
    Region: config.region,
    Domain: config.domain,
    TableName: tableName,
    LogKeys: Fn.join(",", [...logKeys]),
    AnchorKeys: Fn.join(",", [...anchorKeys]),
    AnchorMldsaKeys: anchorMldsaKeys.length === 0 ? "-" : Fn.join(",", [...anchorMldsaKeys]),
    Publication: `s3://${bucketName}`,
    Index: `s3://${indexName}`,
    LogOrigins: logOrigin(config.domain, "<log id>"),
    AnchorOrigin: anchorOrigin(config.domain),
    ...more,
  };
  for (const [name, value] of Object.entries(values)) new CfnOutput(stack, name, { value });
}
