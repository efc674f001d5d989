/** Every format, on its samples changed: see test/support/fuzz.ts. A new format's samples stand in test/support/event-samples.ts. */
import { EventError } from "@kedge/verify/events/error";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { FORMATS, formatOf, readColumns } from "@kedge/verify/events/formats/formats";
import { rowFields, rowScanner, separatorOf } from "@kedge/verify/events/formats/rows";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { EPIC_HEADER, EPIC_ROW, SAMPLES } from "../../../../support/event-samples.ts";
import { fuzz } from "../../../../support/fuzz.ts";

const header = { separator: "|", header: EPIC_HEADER.split("|") };
const declares = (error: unknown): boolean =>
  error instanceof EventError &&
  error.code === "malformed_event" &&
  /^The event cannot be read: line [1-9]\d*, column [1-9]\d*: [^:]/.test(error.message);

const UNSEEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202e]/u;

function check(columns: Columns): void {
  for (const cell of Object.values(columns).flatMap((column) =>
    typeof column === "string" ? [column] : Object.values(column),
  )) {
    if (typeof cell !== "string" || cell.length > 2_100 || UNSEEN.test(cell))
      throw new Error("A cell is no line of text");
  }
}

/** JSON and XML are two parsers each. */
const kinds = new Set(SAMPLES.map(({ format, text }) => `${format} ${/^[<{[]/.exec(text)?.[0] ?? "text"}`));

for (const kind of kinds) {
  const [name, first = ""] = kind.split(" ");
  const samples = SAMPLES.filter(
    ({ format, text }) =>
      format === name && (first === "text" ? !/^[<{[]/.test(text) : text.startsWith(first)),
  );
  const format = FORMATS.find((one) => one.name === name);
  if (format === undefined) throw new Error(`no format ${name}`);
  fuzz({
    name: `${name}, beginning with ${first}`,
    samples: samples.map(({ text }) => utf8ToBytes(text)),
    parse(input) {
      for (const slice of format.split?.(input) ?? []) {
        if (slice.bytes.length === 0) throw new Error("An empty slice");
      }
      check(format.read(input, header));
    },
    declares,
  });
}

fuzz({
  name: "the choice of a format",
  samples: SAMPLES.map(({ text }) => utf8ToBytes(text)),
  parse(input) {
    formatOf(input);
  },
  declares: () => false,
});

fuzz({
  name: "slices, read by their own media type",
  samples: SAMPLES.filter(({ name }) => /Bundle|document|file|EPCIS XML/.test(name)).map(({ text }) =>
    utf8ToBytes(text),
  ),
  parse(input) {
    for (const { bytes, mediaType } of formatOf(input).split?.(input) ?? []) {
      try {
        check(readColumns(bytes, mediaType));
      } catch (error) {
        if (!declares(error)) throw error;
      }
    }
  },
  declares,
});

fuzz({
  name: "rows",
  samples: [EPIC_ROW, `${EPIC_HEADER}\r\n${EPIC_ROW}\r\n`, 'a,"b ""c""\n",d\n', "a;b\tc|d^e"].map(
    utf8ToBytes,
  ),
  parse(input) {
    const separator = separatorOf(input);
    for (const quoted of [true, false]) {
      const scanner = rowScanner({ separator, quoted });
      let from = 0;
      for (let end = scanner.next(input, 0); end !== -1; end = scanner.next(input, from)) {
        if (end < from) throw new Error("The scanner went back");
        rowFields(input.subarray(from, end), { separator, quoted });
        from = end + 1;
      }
      rowFields(input.subarray(from), { separator, quoted });
    }
  },
  declares: () => false,
});
