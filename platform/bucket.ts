/** What the adapters on S3 share: a client whose calls end, the place of a bucket in a URL, and what S3's errors mean. */
import { S3Client, S3ServiceException } from "@aws-sdk/client-s3";
import { ServiceError } from "./error.ts";

export type ObjectLocation = { readonly Bucket: string; readonly Key: string };

/** A client whose calls end, as in dynamodb.ts. */
export function s3Client(): S3Client {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = process.env;
  return new S3Client({
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
    // AWS gives each bucket a host name of its own; at another endpoint, such as localhost, nobody resolves those.
    forcePathStyle: Boolean(AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL),
  });
}

const LOCATION = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[A-Za-z0-9._-]+)*)\/?$/;
/** What no general purpose bucket is called (Amazon S3 User Guide, "General purpose bucket naming rules"). */
const NOT_A_BUCKET =
  /\.\.|^\d+(\.\d+){3}$|^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/;

/** @param what is there, such as "publication". @throws ServiceError `invalid` when the URL is not that of a bucket. */
export function parseLocation(url: URL, what: string): { bucket: string; prefix: string } {
  const [, bucket = "", folder = ""] = LOCATION.exec(url.href) ?? [];
  if (bucket === "" || NOT_A_BUCKET.test(bucket)) {
    // Without the URL: people put credentials into it.
    throw new ServiceError(
      "invalid",
      `the ${what} is not a bucket; set s3://<bucket> or s3://<bucket>/<prefix>, the name of a general purpose ` +
        "bucket and a prefix of letters, digits, '.', '_', '-' and single slashes",
    );
  }
  return { bucket, prefix: folder === "" ? "" : `${folder.slice(1)}/` };
}

export const uri = ({ Bucket, Key }: ObjectLocation): string => `s3://${Bucket}/${Key}`;

/** S3's own error code; empty when it is not S3 that failed. */
export const errorCode = (cause: unknown): string => (cause instanceof S3ServiceException ? cause.name : "");

/** @param actions on an object that its place needs. @returns `throttled` or `unavailable`. */
export function failure(place: ObjectLocation, actions: string, cause: unknown): ServiceError {
  if (cause instanceof ServiceError) return cause;
  if (errorCode(cause) === "AccessDenied") {
    return new ServiceError(
      "unavailable",
      `S3 denied access to ${uri(place)}; allow ${actions} on it, and s3:ListBucket on the bucket, ` +
        "without which S3 denies what is only absent",
      { cause },
    );
  }
  const status = cause instanceof S3ServiceException ? cause.$metadata.httpStatusCode : undefined;
  // SlowDown and ServiceUnavailable are 503: both ask for fewer requests.
  if (status === 503 || status === 429) {
    return new ServiceError("throttled", "S3 is throttling; retry after a second", { cause });
  }
  const what = cause instanceof Error && cause.name !== "Error" ? ` (${cause.name})` : "";
  return new ServiceError(
    "unavailable",
    `S3 did not answer as expected for ${uri(place)}${what}; retry, then check the bucket, the region and the credentials`,
    { cause },
  );
}
