/** What the formats of audit events have in common: a file each beside this one. */
import type { Beginning } from "./beginning.ts";
import type { Columns } from "./columns.ts";
import type { Header } from "./header.ts";

export type Format = {
  /** A short name for configurations and reports, such as `fhir`. */
  name: string;
  /** The media types that are of this format and no other: `application/json` is of none. */
  mediaTypes: readonly string[];
  /** Whether an event is of this format, by its beginning. */
  recognises(beginning: Beginning): boolean;
  /**
   * Throws EventError `malformed_event` with line, column and reason in its message; quotes nothing of the event.
   *
   * @param header of a row of a delimited file
   */
  read(bytes: Uint8Array, header?: Header): Columns;
  /**
   * The events that one document holds, as they stand in its bytes: a FHIR Bundle's resources, the events of an EPCIS
   * document. Of what is an event and no document: itself. Absent where there are no such documents. Throws EventError
   * as `read`.
   */
  split?(bytes: Uint8Array): Slice[];
};

/** An event within a document. Its bytes are a view of the document's, where nothing else is said. */
export type Slice = { bytes: Uint8Array; mediaType: string };
