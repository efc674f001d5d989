/** The Service stack: functions, what calls them, the HTTP API, CloudFront and the outputs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { FUNCTIONS } from "../../infra/names.ts";
import { headKey } from "../../service/head.ts";
import { coverKey } from "../../service/index/cover.ts";
import { PENDING_SHARDS, pendingPartition } from "../../service/pending.ts";
import { stagingPartition } from "../../service/staging.ts";
import { tileItemKey } from "../../service/tiles.ts";
import {
  ALL,
  asserted,
  dev,
  full,
  lambda,
  only,
  POLICY,
  prod,
  ROOTS,
  resources,
  roles,
  synthesise,
} from "./templates.ts";

describe.each(ALL)("%s: functions", (name, { service }) => {
  test("run on arm64 and Node 24, each under a role and a log group of its own", () => {
    const made = FUNCTIONS.map((each) => lambda(service, each));
    asserted(service).resourceCountIs("AWS::Lambda::Function", FUNCTIONS.length);
    for (const { Runtime, Architectures } of made) {
      expect([Runtime, Architectures]).toEqual(["nodejs24.x", ["arm64"]]);
    }
    expect(new Set(made.map(({ Role }) => Role["Fn::GetAtt"][0])).size).toBe(made.length);
    expect(new Set(made.map(({ LoggingConfig }) => LoggingConfig.LogGroup.Ref)).size).toBe(made.length);
  });

  test("every log group has a retention", () => {
    const groups = resources(service, "AWS::Logs::LogGroup");
    // One per function, and the access log.
    expect(groups).toHaveLength(FUNCTIONS.length + 1);
    const days = name === "full" ? 731 : 365;
    for (const [, { Properties }] of groups) expect(Properties["RetentionInDays"]).toBe(days);
  });

  test("a function has exactly the variables that it needs", () => {
    const keys = ["KEDGE_LOG_KEY", "KEDGE_ANCHOR_KEY"];
    const common = ["KEDGE_STORE", "KEDGE_INDEX", "KEDGE_DOMAIN", "KEDGE_METRICS", ...keys];
    const mldsa = name === "full" ? [] : ["KEDGE_ANCHOR_MLDSA_KEY"];
    const witnesses = name === "full" ? ["KEDGE_POLICY"] : [];
    const tsa = ["KEDGE_TSA_URLS", "KEDGE_TSA_CERTS", "KEDGE_TSA_EVERY"];
    const timestamps = name === "full" ? [...tsa, "KEDGE_OTS_CALENDARS", "KEDGE_BITCOIN_URL"] : [];
    const minutes = ["KEDGE_SWEEP_MINUTES", "KEDGE_ANCHOR_MINUTES"];
    const wanted = {
      api: [...common, ...mldsa, ...witnesses, ...minutes, "KEDGE_INDEX_MEMORY", "KEDGE_SESSION_HOURS"],
      sealer: [...common, ...mldsa, "KEDGE_PUBLICATION", "KEDGE_INDEX_MEMORY", "KEDGE_TRAIL_DAYS"],
      anchorer: [...common, ...mldsa, ...witnesses, ...timestamps, "KEDGE_PUBLICATION"],
    };
    for (const each of FUNCTIONS) {
      const { Variables } = lambda(service, each).Environment;
      expect(Object.keys(Variables).sort(), each).toEqual(wanted[each].sort());
    }
  });

  test("the API times out before the gateway does, after 30 s", () => {
    expect(lambda(service, "api").Timeout).toBeLessThan(30);
  });

  test("new pending chunks call the sealer once per seal interval, and no other write does", () => {
    const [, { Properties }] = only(service, "AWS::Lambda::EventSourceMapping");
    const { FilterCriteria } = z
      .object({
        FilterCriteria: z.object({ Filters: z.tuple([z.object({ Pattern: z.string() })]) }),
      })
      .parse(Properties);
    expect(JSON.parse(FilterCriteria.Filters[0].Pattern)).toEqual({
      eventName: ["INSERT"],
      dynamodb: { Keys: { pk: { S: [{ prefix: "pending/" }] } } },
    });
    expect(Properties).toMatchObject({
      FunctionName: { Ref: lambda(service, "sealer").id },
      MaximumBatchingWindowInSeconds: { prod: 60, dev: 10, full: 120, restored: 60 }[name],
      StartingPosition: "TRIM_HORIZON",
      DestinationConfig: {
        OnFailure: { Destination: { "Fn::GetAtt": [only(service, "AWS::SQS::Queue")[0], "Arn"] } },
      },
    });
    const retries = z.number().parse(Properties["MaximumRetryAttempts"]);
    expect(retries).toBeGreaterThanOrEqual(0);
    expect(retries).toBeLessThanOrEqual(10);
  });

  test("the filter passes every pending partition, and never what the sealer itself writes", () => {
    const [, { Properties }] = only(service, "AWS::Lambda::EventSourceMapping");
    const prefix = /"prefix\\":\\"([^\\]+)/.exec(JSON.stringify(Properties["FilterCriteria"]))?.[1] ?? "";
    const log = "abcdefghij234567abc";
    for (let shard = 0; shard < PENDING_SHARDS; shard++)
      expect(pendingPartition(log, shard).startsWith(prefix)).toBe(true);
    const sealed = [headKey(log), coverKey(log), tileItemKey(log, "entries", 7n)];
    for (const pk of [...sealed.map((key) => key.pk), stagingPartition(log)])
      expect(pk.startsWith(prefix)).toBe(false);
  });

  test("sealer and anchorer run on schedules; a failed event is kept, not retried", () => {
    const [minutes, sweeps] = name === "full" ? [2, 10] : [1, 5];
    const rates = {
      anchorer: `rate(${minutes} minute${minutes === 1 ? "" : "s"})`,
      sealer: `rate(${sweeps} minutes)`,
    };
    const schedules = resources(service, "AWS::Scheduler::Schedule").map(([, { Properties }]) => Properties);
    expect(schedules).toHaveLength(2);
    for (const each of ["anchorer", "sealer"] as const) {
      expect(schedules).toContainEqual(
        expect.objectContaining({
          ScheduleExpression: rates[each],
          State: "ENABLED",
          Target: expect.objectContaining({
            Arn: { "Fn::GetAtt": [lambda(service, each).id, "Arn"] },
            DeadLetterConfig: { Arn: { "Fn::GetAtt": [only(service, "AWS::SQS::Queue")[0], "Arn"] } },
            RetryPolicy: expect.objectContaining({ MaximumRetryAttempts: 0 }),
          }),
        }),
      );
      asserted(service).hasResourceProperties("AWS::Lambda::EventInvokeConfig", {
        FunctionName: { Ref: lambda(service, each).id },
        MaximumRetryAttempts: 0,
      });
    }
  });

  test("the gateway throttles all tenants together, and writes no path and no address into its log", () => {
    const [, { Properties }] = only(service, "AWS::ApiGatewayV2::Stage");
    const [ThrottlingRateLimit, ThrottlingBurstLimit] = name === "full" ? [7, 11] : [500, 1_000];
    expect(Properties["DefaultRouteSettings"]).toMatchObject({ ThrottlingRateLimit, ThrottlingBurstLimit });
    const { Format } = z.object({ Format: z.string() }).parse(Properties["AccessLogSettings"]);
    const fields = [...Format.matchAll(/\$context\.([\w.]+)/g)].map(([, field]) => field);
    expect(fields.length).toBeGreaterThan(0);
    for (const field of fields)
      expect(field).not.toMatch(/path|identity|sourceIp|userAgent|routeKey|authoriz/i);
  });
});

test("timestamps are asked for as configured", () => {
  expect(lambda(full.service, "anchorer").Environment.Variables).toMatchObject({
    KEDGE_TSA_URLS: "https://tsa.example.org/tsr https://tsa.example.com",
    KEDGE_TSA_CERTS: "tsa-certs",
    KEDGE_TSA_EVERY: "30",
    KEDGE_OTS_CALENDARS: "https://ots.example.org",
    KEDGE_BITCOIN_URL: "https://blocks.example.org/api",
  });
});

test("whatever is configured, a function's environment is within Lambda's 4 KB", () => {
  const region = "ap-southeast-4";
  const tableName = "t".repeat(255);
  const arn = `arn:aws:dynamodb:${region}:111122223333:table/${tableName}`;
  const both = { a: "signs", b: "signs" };
  const url = (host: string) => `https://${host}.example.org/`.padEnd(128, "x");
  const urls = (host: string) => Array.from({ length: 8 }, (_, i) => url(`${host}${i}`));
  const { service } = synthesise({
    region,
    domain: "d".repeat(200),
    ...{ logKeys: both, anchorKeys: both, anchorMldsaKeys: both },
    policy: POLICY,
    table: { arn, streamArn: `${arn}/stream/2026-01-01T00:00:00.000` },
    timestamps: {
      ...{ tsaUrls: urls("tsa"), tsaCerts: ROOTS, everyMinutes: 1_440 },
      ...{ otsCalendars: urls("ots"), bitcoinUrl: url("blocks") },
    },
  });
  /** The value with the longest possible names of keys and buckets in place of references. */
  const widest = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value)
        .replace(/\{"Fn::ImportValue":"[^"]*(?:Published|Index)[^"]*"\}/g, `"${"b".repeat(63)}"`)
        .replace(
          /\{"Fn::ImportValue":"[^"]*Key[^"]*"\}/g,
          `"arn:aws:kms:${region}:111122223333:key/0123abcd-0123-0123-0123-0123456789ab"`,
        )
        .replace(/\{"Fn::Join":\["",\[([^\]{]*)\]\]\}/g, (_, parts) =>
          JSON.stringify(
            z
              .array(z.string())
              .parse(JSON.parse(`[${parts}]`))
              .join(""),
          ),
        ),
    );
  for (const each of FUNCTIONS) {
    const variables = z
      .record(z.string(), z.string())
      .parse(widest(lambda(service, each).Environment.Variables));
    expect(Buffer.byteLength(JSON.stringify(variables)), each).toBeLessThan(4_096);
  }
});

// ---- CloudFront ------------------------------------------------------------------------------------------------------

/** `*` in a path pattern is any text (CloudFront Developer Guide, "Path pattern"). */
const matches = (pattern: string, path: string): boolean =>
  new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", ".*")}$`).test(path);

const CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad";
const behaviour = z.looseObject({
  TargetOriginId: z.string(),
  PathPattern: z.string().optional(),
  ViewerProtocolPolicy: z.string(),
  CachePolicyId: z.union([z.string(), z.object({ Ref: z.string() })]),
  OriginRequestPolicyId: z.string().optional(),
  AllowedMethods: z.array(z.string()).optional(),
});
const distribution = z.object({
  DistributionConfig: z.looseObject({
    DefaultCacheBehavior: behaviour,
    CacheBehaviors: z.array(behaviour),
    Origins: z.array(
      z.looseObject({
        Id: z.string(),
        DomainName: z.unknown(),
        CustomOriginConfig: z.looseObject({ OriginProtocolPolicy: z.string() }).optional(),
        OriginAccessControlId: z.object({ "Fn::GetAtt": z.tuple([z.string(), z.literal("Id")]) }).optional(),
      }),
    ),
  }),
});

describe.each(ALL)("%s: CloudFront", (name, { service }) => {
  const { DistributionConfig } = distribution.parse(
    only(service, "AWS::CloudFront::Distribution")[1].Properties,
  );
  const { DefaultCacheBehavior, CacheBehaviors, Origins } = DistributionConfig;

  test("is HTTPS only, to viewers and to the API", () => {
    for (const { ViewerProtocolPolicy } of [DefaultCacheBehavior, ...CacheBehaviors])
      expect(ViewerProtocolPolicy).toBe("https-only");
    const api = Origins.filter(({ CustomOriginConfig }) => CustomOriginConfig !== undefined);
    expect(api.map(({ CustomOriginConfig }) => CustomOriginConfig)).toEqual([
      expect.objectContaining({ OriginProtocolPolicy: "https-only", OriginSSLProtocols: ["TLSv1.2"] }),
    ]);
  });

  test("takes the anchor log from the published bucket, signing every request, and nothing else from there", () => {
    const [bucket, ...more] = Origins.filter(
      ({ OriginAccessControlId }) => OriginAccessControlId !== undefined,
    );
    expect(more).toEqual([]);
    expect(JSON.stringify(bucket?.DomainName)).toMatch(/ImportValue.*Published.*\.s3\./);
    const [control] = bucket?.OriginAccessControlId?.["Fn::GetAtt"] ?? [];
    expect(service.Resources[control ?? ""]?.Properties).toMatchObject({
      OriginAccessControlConfig: {
        OriginAccessControlOriginType: "s3",
        SigningBehavior: "always",
        SigningProtocol: "sigv4",
      },
    });
    const fromBucket = [DefaultCacheBehavior, ...CacheBehaviors].filter(
      ({ TargetOriginId }) => TargetOriginId === bucket?.Id,
    );
    expect(fromBucket.map(({ PathPattern }) => PathPattern)).toEqual(["/anchor/*"]);
  });

  test("caches nothing of /v1, and passes tenants' keys on", () => {
    expect(DefaultCacheBehavior.CachePolicyId).toBe(CACHING_DISABLED);
    expect(DefaultCacheBehavior.AllowedMethods).toEqual(expect.arrayContaining(["POST", "DELETE"]));
    expect(DefaultCacheBehavior.OriginRequestPolicyId).toBeDefined();
    const kept = CacheBehaviors.map(({ PathPattern }) => PathPattern ?? "*");
    for (const path of ["/v1/logs", "/v1/keys", "/v1/logs/x/entries", "/healthz", "/v1/session"])
      expect(kept.filter((pattern) => matches(pattern, path))).toEqual([]);
    for (const path of ["/anchor/checkpoint", "/anchor/tile/0/x001/234", "/anchor/policy"])
      expect(kept.filter((pattern) => matches(pattern, path))).toEqual(["/anchor/*"]);
    for (const path of ["/", "/assets/index-1.js", "/verify.html"])
      expect(kept.filter((pattern) => matches(pattern, path))).toHaveLength(1);
    // The first counts: the page for people comes from the API.
    expect(kept.filter((pattern) => matches(pattern, "/anchor/"))).toEqual(["/anchor/", "/anchor/*"]);
  });

  test("caches as long as the origin says, and requests what it caches without a key, cookie or query", () => {
    const [id, { Properties }] = only(service, "AWS::CloudFront::CachePolicy");
    expect(Properties).toMatchObject({
      CachePolicyConfig: {
        MinTTL: 0,
        DefaultTTL: 0,
        MaxTTL: 365 * 24 * 3_600,
        ParametersInCacheKeyAndForwardedToOrigin: {
          HeadersConfig: { HeaderBehavior: "none" },
          CookiesConfig: { CookieBehavior: "none" },
          QueryStringsConfig: { QueryStringBehavior: "none" },
        },
      },
    });
    for (const { CachePolicyId, OriginRequestPolicyId, AllowedMethods } of CacheBehaviors) {
      expect(CachePolicyId).toEqual({ Ref: id });
      // Either would forward the Authorization header, and cache one tenant's answer for another.
      expect(OriginRequestPolicyId).toBeUndefined();
      expect(AllowedMethods ?? ["GET", "HEAD"]).toEqual(["GET", "HEAD"]);
    }
  });

  test("has the host name and at least TLS 1.2 where a host is configured", () => {
    if (name === "full") {
      expect(DistributionConfig).toMatchObject({
        Aliases: ["audit.example.org"],
        ViewerCertificate: { MinimumProtocolVersion: "TLSv1.2_2021" },
      });
    } else expect(DistributionConfig).not.toHaveProperty("Aliases");
  });

  test("has the web ACL that is configured, and none otherwise", () => {
    const webAcl = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/kedge/0123abcd-01ab-23cd";
    expect(DistributionConfig["WebACLId"]).toBe(name === "full" ? webAcl : undefined);
  });
});

test.each(ALL)("%s: the outputs are what the kedge command and the runbook read", (name, { service }) => {
  const ofSignIn = ["SignInIssuer", "SignInClientId"];
  const wanted = [
    ...["Stage", "Region", "TableName", "Domain", "LogKeys", "AnchorKeys", "AnchorMldsaKeys"],
    ...["Publication", "Index", "ApiUrl", "PublicUrl", "AnchorOrigin", "LogOrigins", "Dashboard"],
  ];
  const runbookReads = [
    ...readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8").matchAll(
      /(?:\bout|\bask) ([A-Z]\w+)/g,
    ),
  ].map(([, name]) => name ?? "");
  expect(runbookReads.length).toBeGreaterThan(0);
  expect(runbookReads).toEqual(expect.arrayContaining(ofSignIn));
  const outputs = Object.keys(service.Outputs);
  // Without a user pool `out` says that there is no such output: better than the name of one that signs nobody in.
  const always = [...wanted, ...runbookReads].filter((output) => !ofSignIn.includes(output));
  expect(outputs).toEqual(expect.arrayContaining(always));
  expect(outputs.filter((output) => ofSignIn.includes(output))).toEqual(name === "full" ? ofSignIn : []);
});

test("without post-quantum keys their output is `-`", () => {
  expect(full.service.Outputs["AnchorMldsaKeys"]?.Value).toBe("-");
});

test("stages and regions of one account share no name of a role, a dashboard or an origin access control", () => {
  const names = [prod, dev, synthesise({ region: "us-east-1" })].map(({ service }) => [
    ...roles(service).flatMap(({ name }) => name ?? []),
    only(service, "AWS::CloudWatch::Dashboard")[1].Properties["DashboardName"],
    ...resources(service, "AWS::CloudFront::OriginAccessControl").map(([, { Properties }]) =>
      JSON.stringify(Properties["OriginAccessControlConfig"]),
    ),
  ]);
  const all = names.flat();
  expect(new Set(all).size).toBe(all.length);
});

test.each(ALL)("%s: cdk-nag finds nothing, and every exception has a reason", (_, { report }) => {
  const [nag] = report.pluginReports.filter(({ pluginName }) => pluginName === "AwsSolutions");
  expect(nag?.violations).toEqual([]);
  expect(nag?.conclusion).toBe("success");
  // Proof that it looked.
  expect(nag?.suppressedViolations.length).toBeGreaterThan(0);
  for (const { ruleName, reason } of nag?.suppressedViolations ?? [])
    expect(reason, ruleName).toMatch(/^[A-Z].{20,}[.;]?$/);
});
