/**
 * Publication into an S3 bucket, `s3://<bucket>/<prefix>`. Region, endpoint and credentials are the SDK's own.
 *
 * S3 keeps what the port promises: a read sees every write that was acknowledged before it, a change of one key is
 * atomic (Amazon S3 User Guide, "Amazon S3 data consistency model"), and a conditional write is refused once another
 * one has finished (the same, "Conditional write behavior"). So a crash leaves the old file or the new one.
 */
import { Readable } from "node:stream";
import { GetObjectCommand, type GetObjectCommandOutput, PutObjectCommand } from "@aws-sdk/client-s3";
import { withTimeout } from "@kedge/verify/net/exchange";
import { errorCode, failure, type ObjectLocation, parseLocation, s3Client, uri } from "./bucket.ts";
import { ServiceError } from "./error.ts";
import { fileHeaders, type Publication, type TaggedFile } from "./publication.ts";

/** More than the largest batch has, 32,768 checkpoints, and little enough for a function's memory. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A call ends by then, all attempts and the body included. */
const DEADLINE_MS = 15_000;
/** S3 answers with strong entity tags only (RFC 9110 §8.8.3), and for `*` any content would do. */
const STRONG_ETAG = /^"[\x21\x23-\x7e]+"$/;
/** The answers to a conditional PUT that wrote nothing: other content, none at all, or another write under way. */
const NOT_REPLACED = new Set(["PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict"]);

const ACTIONS = "s3:GetObject and s3:PutObject";

/**
 * Tags are ETags. When the answer to a PUT is lost, the SDK repeats it, and S3 refuses the repetition because of the
 * first: `replace` is then false although its bytes were written. Callers cope, for they read again after a false:
 * writeRecord (service/record.ts) then finds its own head recorded, and is content.
 * @throws ServiceError `invalid` when the URL is not that of a bucket. Its calls throw `throttled`, `unavailable`,
 * and `corrupt` for a file of more than 64 MiB.
 */
export function bucketPublication(url: URL, deadlineMs = DEADLINE_MS): Publication {
  const { bucket, prefix } = parseLocation(url, "publication");
  const client = s3Client();
  const placeOf = (path: string): ObjectLocation => ({ Bucket: bucket, Key: `${prefix}${path}` });

  return {
    async read(path) {
      const place = placeOf(path);
      const get = new GetObjectCommand({ ...place, ChecksumMode: "ENABLED" });
      try {
        return await withTimeout(deadlineMs, async (abortSignal) =>
          wholeFile(place, await client.send(get, { abortSignal })),
        );
      } catch (cause) {
        if (errorCode(cause) === "NoSuchKey") return undefined;
        throw failure(place, ACTIONS, cause);
      }
    },

    async replace(path, bytes, tag) {
      if (tag !== undefined && !STRONG_ETAG.test(tag)) return false;
      const place = placeOf(path);
      const { contentType, cacheControl } = fileHeaders(path);
      const put = new PutObjectCommand({
        ...place,
        ...(tag === undefined ? { IfNoneMatch: "*" } : { IfMatch: tag }),
        // Bytes, not a stream: a stream would be sent as aws-chunked, which fewer servers of S3's protocol know.
        Body: bytes,
        ContentType: contentType,
        CacheControl: cacheControl,
        // A bucket with Object Lock refuses a PUT without a checksum.
        ChecksumAlgorithm: "CRC32",
      });
      try {
        await withTimeout(deadlineMs, (abortSignal) => client.send(put, { abortSignal }));
        return true;
      } catch (cause) {
        if (NOT_REPLACED.has(errorCode(cause))) return false;
        throw failure(place, ACTIONS, cause);
      }
    },
  };
}

async function wholeFile(place: ObjectLocation, answer: GetObjectCommandOutput): Promise<TaggedFile> {
  const { Body, ContentLength, ETag } = answer;
  if (Body === undefined || ETag === undefined || !STRONG_ETAG.test(ETag)) {
    throw new ServiceError("unavailable", `S3 answered without content or ETag for ${uri(place)}; retry`);
  }
  // S3 always tells the length, and HTTP holds it to that.
  if (ContentLength === undefined || ContentLength > MAX_BYTES) {
    if (Body instanceof Readable) Body.destroy();
    throw new ServiceError(
      "corrupt",
      `${uri(place)} has ${ContentLength ?? "untold"} bytes, more than any published file; restore its last good version`,
    );
  }
  return { bytes: await Body.transformToByteArray(), tag: ETag };
}
