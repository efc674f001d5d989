/** Publication into an S3 bucket, `s3://<bucket>/<prefix>`. */
import type { Publication } from "./publication.ts";

export function bucketPublication(_url: URL): Publication {
  throw new Error("not yet");
}
