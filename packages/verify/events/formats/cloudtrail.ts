/**
 * AWS CloudTrail: a record a line, as CloudWatch and EventBridge's targets write them, or a log file with `Records`.
 *
 * The hash covers a record's bytes as they stand: a line without its line end, or in a log file from its first brace to
 * its last. It does not cover the file: CloudTrail's own digests do.
 *
 * Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
 */
import type { Json } from "../json.ts";
import { columnsOf } from "./columns.ts";
import type { Format } from "./format.ts";
import { at, each, first, isObject, joined, lookAtJson } from "./json.ts";
import { malformedEvent } from "./malformed.ts";
import { sliceObjects } from "./slices.ts";

export const cloudtrail: Format = {
  name: "cloudtrail",
  mediaTypes: [],
  recognises: ({ members, isArray }) =>
    isArray !== true &&
    ((members?.has("eventVersion") === true && members.has("eventSource") && members.has("eventName")) ||
      (members?.size === 1 && members.has("Records"))),
  read(bytes) {
    const record = lookAtJson(bytes);
    if (!isObject(record)) throw malformedEvent(bytes, 0, "no CloudTrail record");
    return cloudTrailRecord(record);
  },
  split: (bytes) =>
    sliceObjects(bytes, "application/json", (file) =>
      isObject(file) && Array.isArray(file["Records"]) ? file["Records"] : undefined,
    ),
};

function cloudTrailRecord(record: Json) {
  // A log file has none: its records are the events.
  const name = first(at(record, "eventName"));
  const identity = at(record, "userIdentity");
  const session = at(identity, "sessionContext", "sessionIssuer");
  const error = joined([at(record, "errorCode"), at(record, "errorMessage")], ": ");
  return columnsOf({
    when: at(record, "eventTime"),
    user: {
      name: first(at(identity, "userName"), at(session, "userName")),
      login: first(at(identity, "arn"), at(identity, "principalId"), at(identity, "invokedBy")),
      role: at(identity, "type"),
    },
    action: name,
    recordType: joined(
      each(record, "resources").map((resource) => first(at(resource, "type"), at(resource, "ARN"))),
    ),
    workstation: at(record, "sourceIPAddress"),
    outcome: error === undefined ? name && "success" : `failure: ${error}`,
    source: joined([at(record, "eventSource"), at(record, "awsRegion")], " at "),
    subjects: each(record, "resources").map((resource) => at(resource, "ARN")),
  });
}
