// Who may use the embedded servers: AWS clients on this machine that know the access key id of this start.
// Plain JavaScript, because the DynamoDB thread imports it too.
import { createHash, timingSafeEqual } from "node:crypto";

const LOOPBACK = /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i;
const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=([^/\s,]{1,128})\//;

/**
 * @param {import("node:http").IncomingHttpHeaders} headers
 * @param {string | undefined} accessKeyId
 * @returns {string | undefined} why the request is refused, to be answered with 403
 */
export function refusalOf(headers, accessKeyId) {
  // A browser names its Origin on every POST, an AWS client never does.
  if (headers.origin !== undefined) return "Web pages are not answered";
  // A page may also point a name of its own at 127.0.0.1 (DNS rebinding); Host then is that name.
  if (!LOOPBACK.test(headers.host ?? "")) return "Name the host 127.0.0.1 or localhost";
  if (accessKeyId === undefined) return undefined;
  const [, given = ""] = CREDENTIAL.exec(headers.authorization ?? "") ?? [];
  if (timingSafeEqual(sha256(given), sha256(accessKeyId))) return undefined;
  return "The AWS_ACCESS_KEY_ID is not that of this start: take it from environment.json in the data folder";
}

/** @param {string} text */
function sha256(text) {
  return createHash("sha256").update(text).digest();
}
