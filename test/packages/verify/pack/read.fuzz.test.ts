/** A zip and the files of a pack, changed in a hundred thousand ways: read, or refused as PackError. */
import { PackError } from "@kedge/verify/pack/error";
import { readStatement } from "@kedge/verify/pack/gaps";
import type { PackFile } from "@kedge/verify/pack/pack";
import { entriesOf, readSums } from "@kedge/verify/pack/read";
import { caseFile, rowLine } from "@kedge/verify/pack/schema";
import { zipSync } from "fflate";
import { fuzz } from "../../../support/fuzz.ts";
import { smallPack, smallParts, unzipped, zipped } from "../../../support/pack.ts";
import { atOnce, readZip } from "../../../support/zip.ts";

const declares = (error: unknown): boolean => error instanceof PackError;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const pack = unzipped(await smallPack());
const fileOf = (name: string): Uint8Array => pack.get(name) ?? new Uint8Array();
/** In two parts, which lines may cross. */
const filesOf = (name: string, bytes: Uint8Array): Map<string, PackFile> => {
  const middle = bytes.length >> 1;
  const chunks = () => [bytes.subarray(0, middle), bytes.subarray(middle)];
  return new Map([[name, { size: bytes.length, chunks, bytes: () => bytes }]]);
};

fuzz({
  name: "the zip of a pack",
  samples: [
    zipped(
      new Map([
        ["case.json", text("{}")],
        ["events/lines.ndjson", text("{}\n".repeat(30))],
      ]),
    ),
    zipSync({ "case.json": text("{}"), events: { "1.json": text("x") } }),
  ],
  parse(input) {
    for (const file of readZip(input).values()) for (const _ of file.chunks());
  },
  declares,
});

fuzz({
  name: "the case",
  samples: [fileOf("case.json")],
  parse: (input) => void caseFile.read(decode(input), "case.json"),
  declares,
});

fuzz({
  name: "what the numbering shows",
  samples: [
    fileOf("gaps.json"),
    text(decode(fileOf("gaps.json")).replace(/\n}\n$/, ',\n  "export": []\n}\n')),
  ],
  parse: (input) => void readStatement(decode(input), "gaps.json"),
  declares,
});

fuzz({
  name: "a list of hashes",
  samples: [fileOf("SHA256SUMS")],
  parse: (input) => void atOnce(readSums(filesOf("SHA256SUMS", input), "SHA256SUMS")),
  declares,
});

const [first = ""] = decode(fileOf("rows.ndjson")).split("\n", 1);
fuzz({
  name: "a row",
  samples: [text(first), text(first.replace("}", ',"noProof":"pending"}'))],
  parse: (input) => void rowLine.read(decode(input), "rows.ndjson"),
  declares,
});

const rows = [...smallParts().rows].slice(0, 2).map(({ commitment }, i) => ({
  ...{ commitment, event: "events/lines.ndjson", line: i + 1 },
}));
const short = text(
  rows.map(({ commitment }) => `${JSON.stringify({ commitment, proof: "none" })}\n`).join(""),
);
fuzz({
  name: "proofs beside rows",
  samples: [short],
  parse(input) {
    const files = new Map([
      ...filesOf("proofs.ndjson", input),
      ...filesOf("events/lines.ndjson", text("a\nb\n")),
    ]);
    for (const _ of entriesOf({ files, rows }));
  },
  declares,
});

fuzz({
  name: "events beside rows",
  samples: [text("one\ntwo\n")],
  parse(input) {
    const files = new Map([...filesOf("proofs.ndjson", short), ...filesOf("events/lines.ndjson", input)]);
    for (const _ of entriesOf({ files, rows }));
  },
  declares,
});
