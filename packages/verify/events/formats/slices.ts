/** Cuts a JSON document into the events that it holds, as they stand in its bytes. */
import type { Json } from "../json.ts";
import type { Slice } from "./format.ts";
import { isObject, lookAtObjects } from "./json.ts";
import { malformedEvent } from "./malformed.ts";

/**
 * @param eventsOf the events of the document, in their order; undefined when it is an event itself. One that is no object is refused.
 */
export function sliceObjects(
  bytes: Uint8Array,
  mediaType: string,
  eventsOf: (document: Json) => readonly Json[] | undefined,
): Slice[] {
  const { value, bytesOf } = lookAtObjects(bytes);
  const events = eventsOf(value);
  if (events === undefined) return [{ bytes, mediaType }];
  return events.map((event) => {
    if (!isObject(event)) throw malformedEvent(bytes, 0, "an event of it is no object");
    return { bytes: bytesOf(event), mediaType };
  });
}
