/** What the formats of audit events have in common: a file each beside this one. */

/** What an officer reads of an event: the columns of a table. What the event does not say is absent. */
export type Columns = {
  /** As the event has it, RFC 3339 where it can be told. */
  when?: string;
  user?: { name?: string; login?: string; role?: string; department?: string };
  patient?: { name?: string; mrn?: string };
  action?: string;
  recordType?: string;
  /** A workstation's name, or an address. */
  workstation?: string;
  reason?: { code?: string; explanation?: string };
  outcome?: string;
  /** The system that the event names as its source. */
  source?: string;
  /** What a trace asks for: GTIN, lot, serial, EPC; a subject of a trial. */
  subjects?: readonly string[];
};

export type Format = {
  /** A short name for configurations and reports, such as `fhir`. */
  name: string;
  mediaTypes: readonly string[];
  /** Whether the bytes are of this format, by their beginning: cheap, never throws. */
  recognises(bytes: Uint8Array): boolean;
  /** Throws EventError `malformed_event` with line, column and reason in its message; quotes nothing of the event. */
  read(bytes: Uint8Array): Columns;
  /**
   * The events that one document holds, as they stand in its bytes: a FHIR Bundle's resources, the events of an EPCIS document.
   * Absent where a document is an event. Throws EventError as `read`.
   */
  split?(bytes: Uint8Array): { bytes: Uint8Array; mediaType: string }[];
};
