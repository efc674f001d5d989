/**
 * What an agent saw and could not take as an event (events/gap.ts). The hash covers all of its bytes; what is missing is in
 * no hash.
 */
import { GAP_MEDIA_TYPE } from "../gap.ts";
import { columnsOf } from "./columns.ts";
import type { Format } from "./format.ts";
import { at, isObject, joined, lookAtJson } from "./json.ts";
import { malformedEvent } from "./malformed.ts";

export const gap: Format = {
  name: "gap",
  mediaTypes: [GAP_MEDIA_TYPE],
  // Whoever may write into a source cannot make one of what is taken as something else.
  recognises: () => false,
  read(bytes) {
    const value = lookAtJson(bytes);
    if (!isObject(value)) throw malformedEvent(bytes, 0, "no gap");
    const octets = at(value, "octets");
    return columnsOf({
      action: joined(["gap", at(value, "kind")], ": "),
      reason: { explanation: at(value, "detail") },
      outcome: typeof octets === "string" ? `${octets} octets` : undefined,
    });
  },
};
