/** The formats of audit events that are known, and the one way to an event's columns. Pure: it runs in a browser. */
import { beginningOf } from "./beginning.ts";
import { plainBytes } from "./bytes.ts";
import { cloudevents } from "./cloudevents.ts";
import { cloudtrail } from "./cloudtrail.ts";
import type { Columns } from "./columns.ts";
import { delimited } from "./delimited.ts";
import { dicom } from "./dicom.ts";
import { epcis } from "./epcis.ts";
import { fhir } from "./fhir.ts";
import type { Format } from "./format.ts";
import { gap } from "./gap.ts";
import type { Header } from "./header.ts";
import { ocsf } from "./ocsf.ts";
import { odm } from "./odm.ts";

/** In the order in which they are asked; the last one takes everything. */
export const FORMATS: readonly Format[] = [
  fhir,
  dicom,
  epcis,
  odm,
  cloudevents,
  cloudtrail,
  ocsf,
  delimited,
  gap,
  plainBytes,
];

/**
 * The format of an event or a document: the one whose media type it has; else the first that recognises its beginning.
 * Never throws.
 */
export function formatOf(bytes: Uint8Array, mediaType?: string): Format {
  const own = FORMATS.find(({ mediaTypes }) => mediaType !== undefined && mediaTypes.includes(mediaType));
  if (own !== undefined) return own;
  const beginning = beginningOf(bytes);
  return FORMATS.find((format) => format.recognises(beginning)) ?? plainBytes;
}

/**
 * What an officer reads of an event, `{}` when nothing is known of its format. Throws EventError `malformed_event` when
 * it is not what its format is.
 *
 * @param mediaType as it was committed with
 * @param header of a row of a delimited file: without it a row has no columns
 */
export function readColumns(bytes: Uint8Array, mediaType: string, header?: Header): Columns {
  return formatOf(bytes, mediaType).read(bytes, header);
}
