/** CloudFront: what is public, under one host name. */
import { Annotations, Duration, type Stack } from "aws-cdk-lib";
import type * as apigateway from "aws-cdk-lib/aws-apigatewayv2";
import * as acm from "aws-cdk-lib/aws-certificatemanager";
import * as cloudfront from "aws-cdk-lib/aws-cloudfront";
import { HttpOrigin, S3BucketOrigin } from "aws-cdk-lib/aws-cloudfront-origins";
import * as s3 from "aws-cdk-lib/aws-s3";
import type { Config } from "../config.ts";
import { acknowledge } from "../nag.ts";

/**
 * Serves the anchor log from the published bucket and everything else from the API. Origins say in `Cache-Control` what
 * may be cached: tiles for ever, the checkpoint for seconds.
 */
export function publicDistribution(
  stack: Stack,
  http: apigateway.HttpApi,
  bucketName: string,
  { host, stage, webAcl }: Config,
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
    // So that a verifier in a browser can read it from any page.
    responseHeadersPolicy: cloudfront.ResponseHeadersPolicy.CORS_ALLOW_ALL_ORIGINS_AND_SECURITY_HEADERS,
  };
  const distribution = new cloudfront.Distribution(stack, "Public", {
    comment: `Kedge ${stage}`,
    // /v1/* belongs to tenants: nothing is cached, and API keys and sessions pass through in `Authorization`, which no
    // other behaviour passes.
    defaultBehavior: {
      ...secured,
      allowedMethods: cloudfront.AllowedMethods.ALLOW_ALL,
      cachePolicy: cloudfront.CachePolicy.CACHING_DISABLED,
      originRequestPolicy: cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
    },
    // In this order. The page at "/anchor/" is the API's: a bucket has no file of that name.
    additionalBehaviors: {
      "/": cached,
      "/assets/*": cached,
      "/verify.html": cached,
      "/anchor/": cached,
      "/anchor/*": anchorLog,
      "/docs*": cached,
      "/openapi.json": cached,
    },
    httpVersion: cloudfront.HttpVersion.HTTP2_AND_3,
    ...(webAcl !== undefined && { webAclId: webAcl }),
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
