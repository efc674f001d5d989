/** What may come and go: the functions, the API, the schedules, and what watches them. */
import { Annotations, CfnOutput, Duration, Fn, Stack, type StackProps } from "aws-cdk-lib";
import type * as apigateway from "aws-cdk-lib/aws-apigatewayv2";
import * as acm from "aws-cdk-lib/aws-certificatemanager";
import * as cloudfront from "aws-cdk-lib/aws-cloudfront";
import { HttpOrigin, S3BucketOrigin } from "aws-cdk-lib/aws-cloudfront-origins";
import * as iam from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import { SqsDlq } from "aws-cdk-lib/aws-lambda-event-sources";
import * as s3 from "aws-cdk-lib/aws-s3";
import * as scheduler from "aws-cdk-lib/aws-scheduler";
import { LambdaInvoke } from "aws-cdk-lib/aws-scheduler-targets";
import * as sqs from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import type { Config } from "./config.ts";
import type { Data } from "./data.ts";
import { makeFunction, type Surroundings } from "./functions.ts";
import { acknowledge, makeHttpApi } from "./http-api.ts";
import { watch } from "./watch.ts";

export type ServiceProps = StackProps & {
  readonly config: Config;
  readonly data: Data;
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
    const around = { ...surroundings(config, data), deadLetters, bundles };
    const api = makeFunction(this, "api", config, around);
    const sealer = makeFunction(this, "sealer", config, around);
    const anchorer = makeFunction(this, "anchorer", config, around);
    const functions = { api, sealer, anchorer };

    sealOnNewEntries(this, sealer, config, around);
    const role = schedulerRole(this, [sealer, anchorer], deadLetters);
    every(this, "sweep", config.sweepMinutes, { target: sealer, role, deadLetters });
    every(this, "anchor", config.anchorMinutes, { target: anchorer, role, deadLetters });

    const http = makeHttpApi(
      this,
      {
        id: "Api",
        target: api,
        description: "Kedge: the HTTP API",
        authorization: "The API checks its tenants' own API keys; what needs none is public by design.",
      },
      config,
    );
    const distribution = publicDistribution(this, http, data.bucketName, config);
    const dashboard = watch(this, { config, functions, deadLetters, http, tableName: around.tableName });
    outputs(this, config, around, {
      ApiUrl: http.apiEndpoint,
      PublicUrl: `https://${config.host?.name ?? distribution.distributionDomainName}`,
      DistributionDomain: distribution.distributionDomainName,
      ApiFunction: api.functionName,
      DeadLetterQueue: deadLetters.queueUrl,
      SealerFunction: sealer.functionName,
      AnchorerFunction: anchorer.functionName,
      Dashboard: `https://${config.region}.console.aws.amazon.com/cloudwatch/home?region=${config.region}#dashboards/dashboard/${dashboard.dashboardName}`,
    });
  }
}

/** The data, with the table that was restored in the place of the stack's own, if any. */
function surroundings({ table }: Config, data: Data) {
  const { tableArn, streamArn } =
    table === undefined ? data : { tableArn: table.arn, streamArn: table.streamArn };
  return { ...data, tableArn, streamArn, tableName: Fn.select(1, Fn.split("/", tableArn)) };
}

/** The batching window is the seal interval: Lambda gathers what arrives in it and calls the sealer once a shard. */
function sealOnNewEntries(stack: Stack, sealer: lambda.Function, config: Config, around: Surroundings): void {
  new lambda.EventSourceMapping(stack, "NewEntries", {
    target: sealer,
    eventSourceArn: around.streamArn,
    startingPosition: lambda.StartingPosition.TRIM_HORIZON,
    batchSize: 10_000,
    maxBatchingWindow: Duration.seconds(config.sealSeconds),
    filters: [
      lambda.FilterCriteria.filter({
        eventName: lambda.FilterRule.isEqual("INSERT"),
        dynamodb: { Keys: { pk: { S: lambda.FilterRule.beginsWith("pending/") } } },
      }),
    ],
    // A log that stays broken must not hold up its shard: the sweep comes back to it.
    retryAttempts: 2,
    onFailure: new SqsDlq(around.deadLetters),
  });
}

function schedulerRole(
  stack: Stack,
  targets: readonly lambda.Function[],
  deadLetters: sqs.IQueue,
): iam.IRole {
  const statements = [
    new iam.PolicyStatement({
      actions: ["lambda:InvokeFunction"],
      resources: targets.map(({ functionArn }) => functionArn),
    }),
    new iam.PolicyStatement({ actions: ["sqs:SendMessage"], resources: [deadLetters.queueArn] }),
  ];
  return new iam.Role(stack, "SchedulerRole", {
    description: "Kedge: what its schedules may do",
    assumedBy: new iam.ServicePrincipal("scheduler.amazonaws.com", {
      conditions: { StringEquals: { "aws:SourceAccount": stack.account } },
    }),
    inlinePolicies: { kedge: new iam.PolicyDocument({ statements }) },
  }).withoutPolicyUpdates();
}

type Scheduled = {
  readonly target: lambda.Function;
  readonly role: iam.IRole;
  readonly deadLetters: sqs.IQueue;
};

/** Without retries: what one run missed the next one does. */
function every(stack: Stack, name: string, minutes: number, { target, role, deadLetters }: Scheduled): void {
  const retries = { retryAttempts: 0, maxEventAge: Duration.minutes(minutes) };
  new scheduler.Schedule(stack, `${name}Schedule`, {
    description: `Kedge: ${name} every ${minutes} min`,
    schedule: scheduler.ScheduleExpression.rate(Duration.minutes(minutes)),
    target: new LambdaInvoke(target, { role, deadLetterQueue: deadLetters, ...retries }),
  });
  target.configureAsyncInvoke(retries);
}

/**
 * The anchor log from the published bucket, all else from the API. What may be kept is for the origin to say, in
 * `Cache-Control`: tiles for ever, the checkpoint for seconds.
 */
function publicDistribution(
  stack: Stack,
  http: apigateway.HttpApi,
  bucketName: string,
  { host, stage }: Config,
): cloudfront.Distribution {
  const origin = new HttpOrigin(`${http.apiId}.execute-api.${stack.region}.amazonaws.com`, {
    originSslProtocols: [cloudfront.OriginSslPolicy.TLS_V1_2],
  });
  const bucket = s3.Bucket.fromBucketAttributes(stack, "Published", { bucketName, region: stack.region });
  const asTheOriginSays = new cloudfront.CachePolicy(stack, "AsTheOriginSays", {
    comment: "Kedge: neither cookies nor queries are part of what is public",
    minTtl: Duration.seconds(0),
    defaultTtl: Duration.seconds(0),
    maxTtl: Duration.days(365),
    enableAcceptEncodingGzip: true,
    enableAcceptEncodingBrotli: true,
  });
  const secured = {
    origin,
    viewerProtocolPolicy: cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
    responseHeadersPolicy: cloudfront.ResponseHeadersPolicy.SECURITY_HEADERS,
  };
  const cached = { ...secured, cachePolicy: asTheOriginSays, compress: true };
  const anchorLog = {
    ...cached,
    origin: S3BucketOrigin.withOriginAccessControl(bucket, {
      originAccessControl: new cloudfront.S3OriginAccessControl(stack, "AnchorLog", {
        // CloudFront is global, so the region is part of the name.
        originAccessControlName: `kedge-${stage}-${stack.region}`,
      }),
    }),
    // A verifier in a browser reads it from any page.
    responseHeadersPolicy: cloudfront.ResponseHeadersPolicy.CORS_ALLOW_ALL_ORIGINS_AND_SECURITY_HEADERS,
  };
  const distribution = new cloudfront.Distribution(stack, "Public", {
    comment: `Kedge ${stage}`,
    // /v1/* is the tenants' own: nothing of it is kept, and their API keys pass through.
    defaultBehavior: {
      ...secured,
      allowedMethods: cloudfront.AllowedMethods.ALLOW_ALL,
      cachePolicy: cloudfront.CachePolicy.CACHING_DISABLED,
      originRequestPolicy: cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
    },
    additionalBehaviors: { "/anchor/*": anchorLog, "/docs*": cached, "/openapi.json": cached },
    httpVersion: cloudfront.HttpVersion.HTTP2_AND_3,
    ...(host !== undefined && {
      minimumProtocolVersion: cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
      domainNames: [host.name],
      certificate: acm.Certificate.fromCertificateArn(stack, "Certificate", host.certificateArn),
    }),
  });
  Annotations.of(distribution).acknowledgeWarning(
    "@aws-cdk/aws-cloudfront-origins:updateImportedBucketPolicyOac",
    "The Data stack's bucket lets CloudFront read the anchor log.",
  );
  acknowledge(distribution, "CFR1", "Auditors may be anywhere.");
  acknowledge(
    distribution,
    "CFR2",
    "API keys of 256 bits, small bodies and the stage's throttle bound what anyone can do.",
  );
  acknowledge(distribution, "CFR3", "Access logs would hold who verified what, and from where.");
  if (host === undefined) {
    acknowledge(
      distribution,
      "CFR4",
      "CloudFront's own certificate fixes it: set host for TLS 1.2 as the least.",
    );
  }
  return distribution;
}

/** What `npx kedge … --outputs-file` reads. */
function outputs(
  stack: Stack,
  config: Config,
  { tableName, logKeys, anchorKeys, anchorMldsaKeys, bucketName }: Surroundings,
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
    LogOrigins: `${config.domain}/log/<log id>`,
    AnchorOrigin: `${config.domain}/anchor`,
    ...more,
  };
  for (const [name, value] of Object.entries(values)) new CfnOutput(stack, name, { value });
}
