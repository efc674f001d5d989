/**
 * The index in an S3 bucket, `s3://<bucket>/<prefix>`: one without Object Lock, for what is derived may be deleted. Region,
 * endpoint and credentials are the SDK's own; what S3 promises of a PUT and a read after it is said in s3.ts.
 */
import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { withTimeout } from "@kedge/verify/net/exchange";
import { errorCode, failure, type ObjectLocation, parseLocation, s3Client, uri } from "./bucket.ts";
import { ServiceError } from "./error.ts";
import { checkRange, type IndexPlace } from "./index-place.ts";

/** More than the largest run has, some 170 MB, and what a function's memory holds. */
const MAX_BYTES = 256 * 1024 * 1024;
/** A call ends by then, all attempts and the body included; one that moves a whole file, after WHOLE times as long. */
const DEADLINE_MS = 15_000;
const WHOLE = 4;
/** Until S3 begins to answer, once it has all of a run. */
const WRITE_MS = 20_000;
const ACTIONS = "s3:GetObject, s3:PutObject and s3:DeleteObject";

/**
 * @throws ServiceError `invalid` when the URL is not that of a bucket. Its calls throw `throttled` and `unavailable`, and
 * `corrupt` for a file of more than 256 MiB.
 */
export function bucketIndex(url: URL, deadlineMs = DEADLINE_MS): IndexPlace {
  const { bucket: Bucket, prefix } = parseLocation(url, "index");
  const client = s3Client();
  const placeOf = (path: string): ObjectLocation => ({ Bucket, Key: `${prefix}${path}` });
  const within = async <T>(
    ms: number,
    place: ObjectLocation,
    call: (abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    try {
      return await withTimeout(ms, call);
    } catch (cause) {
      throw failure(place, ACTIONS, cause);
    }
  };

  return {
    async read(path, from = 0, to) {
      checkRange(from, to);
      const place = placeOf(path);
      const isWhole = from === 0 && to === undefined;
      const Range = `bytes=${from}-${to === undefined ? "" : to - 1}`;
      // Of a range there is no checksum; the index has its own.
      const get = new GetObjectCommand({ ...place, ...(isWhole ? { ChecksumMode: "ENABLED" } : { Range }) });
      return await within(deadlineMs * (isWhole ? WHOLE : 1), place, async (abortSignal) => {
        try {
          return await bodyOf(place, await client.send(get, { abortSignal }), isWhole ? undefined : from);
        } catch (cause) {
          if (errorCode(cause) === "NoSuchKey") return undefined;
          // The file ends before the range begins.
          if (errorCode(cause) === "InvalidRange") return new Uint8Array();
          throw cause;
        }
      });
    },

    async write(path, bytes) {
      const place = placeOf(path);
      // Without a condition: what stands there is the same, or what `kedge index rebuild` is to make good.
      const put = new PutObjectCommand({
        ...place,
        // Bytes, not a stream: a stream would be sent as aws-chunked, which fewer servers of S3's protocol know.
        Body: bytes,
        ContentType: "application/octet-stream",
        ChecksumAlgorithm: "CRC32",
      });
      const options = { requestTimeout: WRITE_MS };
      await within(deadlineMs * WHOLE, place, (abortSignal) => client.send(put, { ...options, abortSignal }));
    },

    async *list(folder) {
      const place = placeOf(folder);
      let ContinuationToken: string | undefined;
      do {
        const list = new ListObjectsV2Command({
          Bucket,
          Prefix: place.Key,
          ...(ContinuationToken !== undefined && { ContinuationToken }),
        });
        const {
          Contents = [],
          NextContinuationToken,
          IsTruncated,
        } = await within(deadlineMs, place, (abortSignal) => client.send(list, { abortSignal }));
        for (const { Key } of Contents) if (Key !== undefined) yield Key.slice(prefix.length);
        ContinuationToken = IsTruncated === true ? NextContinuationToken : undefined;
      } while (ContinuationToken !== undefined);
    },

    async remove(path) {
      const place = placeOf(path);
      // S3 says nothing of what was absent.
      await within(deadlineMs, place, (abortSignal) =>
        client.send(new DeleteObjectCommand(place), { abortSignal }),
      );
    },
  };
}

/** @param from where a range was to begin; undefined: the whole object was asked for. */
async function bodyOf(
  place: ObjectLocation,
  { Body, ContentLength, ContentRange }: GetObjectCommandOutput,
  from: number | undefined,
): Promise<Uint8Array> {
  // A server that knows no ranges answers with the whole object.
  const isAsked = from === undefined || ContentRange?.startsWith(`bytes ${from}-`) === true;
  if (Body !== undefined && isAsked && ContentLength !== undefined && ContentLength <= MAX_BYTES)
    return await Body.transformToByteArray();
  if (Body instanceof Readable) Body.destroy();
  if (Body === undefined || !isAsked) {
    throw new ServiceError("unavailable", `S3 answered ${uri(place)} without what was asked for; retry`);
  }
  throw new ServiceError(
    "corrupt",
    `${uri(place)} has ${ContentLength ?? "untold"} bytes, more than any run; delete it and run kedge index rebuild`,
  );
}
