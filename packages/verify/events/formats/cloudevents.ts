/**
 * CloudEvents 1.0 in structured mode: the JSON event format, one event or a batch. What came in binary mode the agent
 * writes in this format too, its attributes in the order of their names, for they are in headers.
 *
 * The hash covers the whole object, its attributes and its data, as it stands in the body; one of a batch from its first
 * brace to its last. It covers no header of the request that brought it.
 *
 * Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */
import type { Json } from "../json.ts";
import { type Columns, columnsOf } from "./columns.ts";
import { fhirColumns } from "./fhir.ts";
import type { Format } from "./format.ts";
import { at, first, isObject, lookAtJson } from "./json.ts";
import { malformedEvent } from "./malformed.ts";
import { sliceObjects } from "./slices.ts";

const MEDIA_TYPE = "application/cloudevents+json";

export const cloudevents: Format = {
  name: "cloudevents",
  mediaTypes: [MEDIA_TYPE, "application/cloudevents-batch+json"],
  recognises: ({ members }) =>
    members?.has("specversion") === true && members.has("type") && members.has("source"),
  read(bytes) {
    const event = lookAtJson(bytes);
    const isEvent = ["specversion", "id", "source", "type"].every(
      (name) => first(at(event, name)) !== undefined,
    );
    if (!isObject(event) || !isEvent)
      throw malformedEvent(bytes, 0, "no CloudEvent: specversion, id, source or type is missing");
    return cloudEvent(event);
  },
  split: (bytes) => sliceObjects(bytes, MEDIA_TYPE, (value) => (Array.isArray(value) ? value : undefined)),
};

/** Of an event that carries a FHIR resource, that one's columns stand before its own. */
function cloudEvent(event: Json): Columns {
  const data = at(event, "data");
  const own = columnsOf({
    when: at(event, "time"),
    action: at(event, "type"),
    source: at(event, "source"),
    subjects: [at(event, "subject")],
  });
  if (!isObject(data) || first(at(data, "resourceType")) === undefined) return own;
  const carried = fhirColumns(data);
  const subjects = [...(carried.subjects ?? []), ...(own.subjects ?? [])];
  return { ...own, ...carried, ...(subjects.length > 0 && { subjects }) };
}
