/**
 * Rows of delimited files, such as an extract of Epic's access log.
 *
 * The hash covers a row's bytes without its line end (CRLF or LF), quotes and separators as they stand. It does not cover
 * the header, which says what the columns are: whoever reads the row has to be told (`Header`), and a header that was
 * swapped shows in no proof. To cover it, take the file as a whole.
 *
 * A row is refused whose fields are more or fewer than the header's, for a field would then stand under another's name.
 */
import { type Columns, columnsOf } from "./columns.ts";
import type { Format } from "./format.ts";
import type { Header, Preset } from "./header.ts";
import { malformedEvent } from "./malformed.ts";
import { rowFields, rowScanner } from "./rows.ts";

/**
 * Epic Clarity's, as Microsoft's connector for Epic documents them:
 * https://learn.microsoft.com/en-us/purview/import-epic-data
 */
const EPIC: Preset = {
  when: "ACCESS_LOG.ACCESS_TIME",
  "user.name": "CLARITY_EMP.NAME",
  "user.login": "CLARITY_EMP.SYSTEM_LOGIN",
  "user.department": "CLARITY_DEP.DEPARTMENT_NAME",
  "patient.name": ["PATIENT.PAT_FIRST_NAME", "PATIENT.PAT_MIDDLE_NAME", "PATIENT.PAT_LAST_NAME"],
  "patient.mrn": "PATIENT.PAT_MRN_ID",
  action: "ZC_ACCESS_ACTION.NAME",
  recordType: "ACCESS_LOG_METRIC.METRIC_NAME",
  workstation: "ACCESS_LOG.WORKSTATION_ID",
  "reason.code": "ZC_BTG_REASON.NAME",
  "reason.explanation": "PAT_BTG.BTG_EXPLANATION",
};
/** Where the first has nothing. */
const EPIC_OTHERWISE: Preset = {
  "user.login": "CLARITY_EMP.USER_ID",
  "patient.name": "PATIENT.PAT_NAME",
  recordType: "ZC_METRIC_GROUP.NAME",
};

export const delimited: Format = {
  name: "delimited",
  mediaTypes: ["text/csv", "text/tab-separated-values"],
  // A row looks like any line of text: only its media type tells.
  recognises: () => false,
  read: (row, header) => (header === undefined ? {} : rowColumns(row, header)),
};

function rowColumns(row: Uint8Array, above: Header): Columns {
  const { separator, quoted = true, header } = above;
  const options = { separator, quoted };
  const scanner = rowScanner(options);
  if (scanner.next(row, 0) !== -1) throw malformedEvent(row, row.length, "more than one row");
  if (scanner.isQuoted()) throw malformedEvent(row, row.length, "a quoted field without its end");
  const fields = rowFields(row, options);
  if (fields.length !== header.length) {
    const many = fields.length > header.length ? "more" : "fewer";
    throw malformedEvent(
      row,
      row.length,
      `${many} fields than the header has: ${fields.length} for ${header.length}`,
    );
  }
  const places = placesOf(above);
  const of = (column: keyof Preset) => {
    for (const alternative of places.get(column) ?? []) {
      const texts = alternative.map((place) => fields[place]?.trim() ?? "");
      const text = texts.filter((part) => part !== "").join(" ");
      if (text !== "") return text;
    }
    return "";
  };
  return columnsOf({
    when: of("when"),
    user: {
      name: of("user.name"),
      login: of("user.login"),
      role: of("user.role"),
      department: of("user.department"),
    },
    patient: { name: of("patient.name"), mrn: of("patient.mrn") },
    action: of("action"),
    recordType: of("recordType"),
    workstation: of("workstation"),
    reason: { code: of("reason.code"), explanation: of("reason.explanation") },
    outcome: of("outcome"),
    source: of("source"),
    subjects: [of("subject")],
  });
}

const isEpic = (header: readonly string[]): boolean =>
  ["ACCESS_TIME", "PAT_MRN_ID"].every((column) => header.some((name) => bare(normal(name)) === column));

type Places = ReadonlyMap<string, readonly (readonly number[])[]>;

/** Looked up once for all the rows below a header. */
const PLACES = new WeakMap<Header, Places>();

/** By column, where in a row its fields are, and where they are otherwise. */
function placesOf(header: Header): Places {
  const found = PLACES.get(header) ?? findPlaces(header);
  PLACES.set(header, found);
  return found;
}

function findPlaces({ header, preset }: Header): Places {
  const presets =
    typeof preset === "object" ? [preset] : isEpic(header) || preset === "epic" ? [EPIC, EPIC_OTHERWISE] : [];
  const names = presets.flatMap((one) => Object.values(one).flat());
  const places = new Map<string, number[][]>();
  for (const one of presets) {
    for (const [column, fields] of Object.entries(one)) {
      const indices = [fields].flat().map((name) => indexOf(name, names, header));
      places.set(column, [...(places.get(column) ?? []), indices]);
    }
  }
  return places;
}

/** @param known all the names that the presets have */
function indexOf(name: string, known: readonly string[], header: readonly string[]): number {
  const wanted = normal(name);
  const exact = header.findIndex((field) => normal(field) === wanted);
  if (exact !== -1) return exact;
  const column = bare(wanted);
  const namesakes = known.filter((other) => bare(normal(other)) === column);
  return namesakes.length > 1 ? -1 : header.findIndex((field) => normal(field) === column);
}

const normal = (name: string): string => name.trim().toUpperCase();
/** `COLUMN` of `TABLE.COLUMN`. */
const bare = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
