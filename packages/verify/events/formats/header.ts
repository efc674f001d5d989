/** What stands above the rows of a delimited file, and which of its columns is what to the officer. */

/** Where the columns of a row come from: what stood above it in its file. */
export type Header = {
  separator: string;
  /** False where a quote has no meaning. */
  quoted?: boolean;
  /** The names of the fields, in the order of the row's. */
  header: readonly string[];
  /** By default Epic's, if the header has Epic's columns. */
  preset?: "epic" | Preset;
};

/** The officer's columns that a row can have. */
export const ROW_COLUMNS = [
  "when",
  "user.name",
  "user.login",
  "user.role",
  "user.department",
  "patient.name",
  "patient.mrn",
  "action",
  "recordType",
  "workstation",
  "reason.code",
  "reason.explanation",
  "outcome",
  "source",
  "subject",
] as const;

/**
 * Which field each of the officer's columns is: its name in the header, upper or lower case, or several, whose texts are
 * put one after another. `TABLE.COLUMN` stands for a field `COLUMN` too, where the preset has no other of that name.
 */
export type Preset = { readonly [column in (typeof ROW_COLUMNS)[number]]?: string | readonly string[] };
