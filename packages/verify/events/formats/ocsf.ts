/**
 * Open Cybersecurity Schema Framework: an event a line, as Security Lake and what feeds it write them.
 *
 * The hash covers the line as it stands, without its line end: `unmapped` and `raw_data` too.
 *
 * Source: https://schema.ocsf.io/1.3.0/base_event
 */

import { isSayable, timeText } from "../../rfc3339.ts";
import type { Json } from "../json.ts";
import { columnsOf } from "./columns.ts";
import type { Format } from "./format.ts";
import { at, each, first, isObject, joined, lookAtJson } from "./json.ts";
import { malformedEvent } from "./malformed.ts";

export const ocsf: Format = {
  name: "ocsf",
  mediaTypes: [],
  recognises: ({ members, isArray }) =>
    members?.has("class_uid") === true && members.has("metadata") && isArray !== true,
  read(bytes) {
    const event = lookAtJson(bytes);
    if (!isObject(event)) throw malformedEvent(bytes, 0, "no OCSF event");
    return ocsfEvent(event);
  },
};

function ocsfEvent(event: Json) {
  const user = at(event, "actor", "user") ?? at(event, "user");
  const resources = [...each(event, "resources"), ...each(event, "resource"), ...each(event, "entity")];
  return columnsOf({
    when: first(at(event, "time_dt"), timeOf(at(event, "time"))),
    user: {
      name: first(at(user, "full_name"), at(user, "name")),
      login: first(at(user, "email_addr"), at(user, "uid"), at(user, "name")),
      role: joined([...each(user ?? null, "groups").map((one) => at(one, "name")), at(user, "type")]),
      department: first(at(user, "org", "ou_name"), at(user, "org", "name")),
    },
    action:
      joined([at(event, "activity_name"), first(at(event, "api", "operation"))], ": ") ??
      at(event, "activity_id"),
    recordType: first(
      joined(resources.map((one) => at(one, "type"))),
      at(event, "class_name"),
      at(event, "class_uid"),
    ),
    workstation: first(
      at(event, "device", "hostname"),
      at(event, "src_endpoint", "hostname"),
      at(event, "device", "ip"),
      at(event, "src_endpoint", "ip"),
    ),
    reason: { explanation: at(event, "message") },
    outcome: joined([first(at(event, "status"), at(event, "status_id")), at(event, "status_detail")], ": "),
    source: joined(
      [at(event, "metadata", "product", "vendor_name"), at(event, "metadata", "product", "name")],
      " ",
    ),
    subjects: resources.flatMap((one) => [at(one, "uid"), at(one, "name")]),
  });
}

/** From milliseconds since the epoch. */
function timeOf(time: Json | undefined): string | undefined {
  const ms = typeof time === "string" && /^-?\d{1,15}$/.test(time) ? Number(time) : Number.NaN;
  return isSayable(ms) ? timeText(ms) : undefined;
}
