/** The first row of delimited files: never an event, and kept so that the rows can be read (verify/events/formats/delimited.ts). */
import { ROW_COLUMNS } from "@kedge/verify/events/formats/header";
import { type RowOptions, rowFields } from "@kedge/verify/events/formats/rows";
import { z } from "zod";
import type { Intake } from "./types.ts";

/** Which field each of the officer's columns is: Epic's, or the names of the fields by ROW_COLUMNS. */
export const presetSchema = z.union([
  z.literal("epic"),
  z.partialRecord(z.enum(ROW_COLUMNS), z.union([z.string(), z.array(z.string())])),
]);
export type Preset = z.infer<typeof presetSchema>;

/** What the first row of a file tells of the others. Its `header` is empty when the first row is a row like any other. */
export type Header = {
  /** As in the note `header <id>` of each row. */
  id: string;
  separator: string;
  quoted?: boolean;
  header: readonly string[];
  preset?: Preset;
};

const valueSchema = z.strictObject({
  separator: z.string(),
  quoted: z.boolean().optional(),
  header: z.array(z.string()),
  preset: presetSchema.optional(),
});

const PREFIX = "header/";
const NOTE = "header ";
export const headerNote = ({ id }: Header): string => NOTE + id;
/** Of a row as it was journalled, the id of what stood above it. */
export const noted = (notes: readonly string[]): string | undefined =>
  notes.find((note) => note.startsWith(NOTE))?.slice(NOTE.length);

/** As it lies in the journal's cursors. */
export const headerCursor = ({ id, ...header }: Header): [key: string, value: string] => [
  PREFIX + id,
  textOf(header),
];

const textOf = ({ separator, quoted, header, preset }: Omit<Header, "id">): string =>
  JSON.stringify({ separator, quoted, header, preset });

export function readHeader(intake: Pick<Intake, "cursor">, id: string): Header | undefined {
  const value = intake.cursor(PREFIX + id);
  if (value === undefined) return undefined;
  const { separator, quoted, header, preset } = valueSchema.parse(JSON.parse(value));
  return {
    ...{ id, separator, header },
    ...(quoted === undefined ? {} : { quoted }),
    ...(preset === undefined ? {} : { preset }),
  };
}

/** With the id that this header has, or the next. */
export function withId(intake: Intake, header: Omit<Header, "id">): Header {
  const value = textOf(header);
  const known = intake.cursors(PREFIX);
  const found = known.find(([, other]) => other === value);
  return { ...header, id: found === undefined ? `${known.length + 1}` : found[0].slice(PREFIX.length) };
}

/** Of Epic's access log: every extract has one of them. */
const EPIC_COLUMNS = [
  "ACCESS_TIME",
  "USER_ID",
  "SYSTEM_LOGIN",
  "PAT_MRN_ID",
  "METRIC_NAME",
  "WORKSTATION_ID",
];

/**
 * The columns that a first row names. None when none of the preset's is there: then it is a row like any other, and must not be
 * passed by as a header.
 */
export function headerColumns(first: Uint8Array, row: RowOptions, preset: Preset | undefined): string[] {
  const fields = rowFields(first, row).map((field) => field.trim());
  const wanted = preset === "epic" ? EPIC_COLUMNS : Object.values(preset ?? {}).flat();
  const names = fields.map(bare);
  return preset === undefined || wanted.some((column) => names.includes(bare(column))) ? fields : [];
}

/** `COLUMN` of `TABLE.COLUMN`. */
const bare = (name: string): string =>
  name
    .slice(name.lastIndexOf(".") + 1)
    .trim()
    .toUpperCase();
