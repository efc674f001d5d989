/** A small evidence pack, made of keys that exist only in the test. It runs in a browser. */
import { commitEvent, type EventInput, type Opening } from "@kedge/verify/events/commitment";
import {
  MANIFEST_MEDIA_TYPE,
  type Manifest,
  manifestBytes,
  manifestSource,
} from "@kedge/verify/events/manifest";
import { sumsOf } from "@kedge/verify/pack/judge";
import type { FileFinding, PackKind } from "@kedge/verify/pack/pack";
import { ALL_SUMS, EVIDENCE_SUMS } from "@kedge/verify/pack/read";
import { type PackParts, type RowPart, writePack } from "@kedge/verify/pack/write";
import { writeZip, zipFile } from "@kedge/verify/pack/zip";
import type { RecordVerdict } from "@kedge/verify/proof/verdict";
import { concatBytes, utf8Encode } from "@kedge/verify/tlog/bytes";
import { checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { formatNote, formatVkey } from "@kedge/verify/tlog/note";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import { sha256 } from "@noble/hashes/sha2.js";
import {
  ANCHOR_ORIGIN,
  anchor,
  anchorProof,
  inclusion,
  LOG_ORIGIN,
  log,
  logSigner,
  policyText,
  signedHead,
  TENANT_KEY,
  witness1,
  witness2,
} from "./proofs.ts";
import { readZip } from "./zip.ts";

/** The keys of both logs, and witnesses: what the officer hands out. */
export const PACK_POLICY = `log ${formatVkey(log.vkey)}\n${policyText(2)}`;

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** An event of a FHIR server. */
export const accessEvent = (n: number): EventInput => ({
  bytes: text(
    JSON.stringify({
      resourceType: "AuditEvent",
      action: "R",
      recorded: `2026-03-02T08:${String(n % 60).padStart(2, "0")}:00Z`,
      agent: [{ name: n % 2 === 0 ? "=cmd()" : "Ines Beispiel", requestor: true }],
      entity: [{ what: { identifier: { value: `MRN-${n}` } }, name: "Erika Mustermann" }],
    }),
  ),
  mediaType: "application/fhir+json",
  source: "ehr",
  sequence: BigInt(n),
});

/** One that is no line: it is a file of its own. */
const longEvent = (n: number): EventInput => ({
  bytes: text(
    `<AuditMessage>\n  <EventIdentification EventDateTime="2026-03-02T09:00:00Z"/>\n</AuditMessage>\n`,
  ),
  mediaType: "application/dicom+xml",
  source: "ehr",
  sequence: BigInt(n),
});

export type Committed = { event: EventInput; commitment: Uint8Array; opening: Opening; proof: string };

/** Events, all in one tree of the log, which is anchored, cosigned by both witnesses. */
export function committed(events: readonly EventInput[]): Committed[] {
  const all = events.map((event) => ({ event, ...commitEvent(event, { tenantKey: TENANT_KEY }) }));
  const entries = all.map(({ commitment }) => commitment);
  const checkpoint = signedHead(LOG_ORIGIN, entries, [log]);
  const anchored = anchorProof(checkpoint, [anchor, witness1, witness2]);
  return all.map(({ event, commitment, opening }, index) => {
    const extra = utf8Encode(JSON.stringify({ anchor: anchored, timestamps: [], opening }), "");
    const hashes = inclusion(entries, index);
    return {
      ...{ event, commitment, opening },
      proof: formatProof({ extra, index: BigInt(index), hashes, checkpoint }),
    };
  });
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const rowOf = ({ event, commitment, proof }: Committed): RowPart => ({
  commitment: hex(commitment),
  event: { bytes: event.bytes, mediaType: event.mediaType },
  proof,
});

/** Four events, the last of which is several lines, and the manifest that counts them. */
export function smallParts(
  options: { kind?: PackKind; language?: "en" | "de"; lookedThrough?: number } = {},
): PackParts {
  const { kind = "access", language = "en", lookedThrough = 4 } = options;
  const events = [accessEvent(1), accessEvent(2), accessEvent(3), longEvent(4)];
  const commitments = events.map((event) => commitEvent(event, { tenantKey: TENANT_KEY }).commitment);
  const manifest: Manifest = {
    source: "ehr",
    from: Date.parse("2026-03-02T08:00:00Z"),
    to: Date.parse("2026-03-02T09:00:00Z"),
    numbers: { first: 1n, last: 4n },
    root: rootOf(commitments.map(leafHash)),
  };
  const counted: EventInput = {
    bytes: manifestBytes(manifest),
    mediaType: MANIFEST_MEDIA_TYPE,
    source: manifestSource("ehr"),
    sequence: 1n,
  };
  const all = committed([...events, counted]);
  return {
    case: {
      kind,
      language,
      number: "2026-17",
      requestedBy: "Privacy office",
      filter: {},
      zone: "Europe/Berlin",
      headers: [],
      lookedThrough,
    },
    policy: PACK_POLICY,
    rows: all.slice(0, 4).map(rowOf),
    manifests: all.slice(4).map(({ event, commitment, proof }) => ({
      commitment: hex(commitment),
      bytes: event.bytes,
      proof,
    })),
    page: text("<!doctype html><title>Verify</title>\n"),
  };
}

/** In place of the report, for who does not look at it: made of the judged pack alone, as that one is. */
export const stubReport = async (judged: unknown): Promise<Uint8Array> =>
  text(JSON.stringify(judged, (_, value) => (typeof value === "bigint" ? `${value}` : value)));

export async function smallPack(parts: PackParts = smallParts()): Promise<Uint8Array> {
  return (await writePack(parts, { makeReport: stubReport })).zip;
}

/** As many events as are asked for, each a line, with their proofs in one tree. */
export function* manyRows(count: number): Generator<RowPart> {
  const opened = function* () {
    for (let n = 1; n <= count; n++) {
      const event = accessEvent(n);
      yield { event, ...commitEvent(event, { tenantKey: TENANT_KEY }) };
    }
  };
  const levels = [Array.from(opened(), ({ commitment }) => leafHash(commitment))];
  for (let below = levels[0] ?? []; below.length > 1; below = levels.at(-1) ?? []) {
    levels.push(
      Array.from({ length: Math.ceil(below.length / 2) }, (_, i) => {
        const [left = new Uint8Array(), right] = below.slice(2 * i, 2 * i + 2);
        return right === undefined ? left : sha256(concatBytes(Uint8Array.of(1), left, right));
      }),
    );
  }
  const head = { origin: LOG_ORIGIN, size: BigInt(count), root: levels.at(-1)?.[0] ?? new Uint8Array() };
  const checkpoint = formatNote({ text: checkpointBody(head), signatures: [log.sign(head)] });
  const anchored = anchorProof(checkpoint, [anchor, witness1, witness2]);
  let index = 0;
  for (const { event, commitment, opening } of opened()) {
    const hashes = levels.flatMap((level, i) => level[(index >> i) ^ 1] ?? []).slice(0, levels.length - 1);
    const extra = utf8Encode(JSON.stringify({ anchor: anchored, timestamps: [], opening }), "");
    const proof = formatProof({ extra, index: BigInt(index), hashes, checkpoint });
    yield rowOf({ event, commitment, opening, proof });
    index += 1;
  }
}

// ---- packs that were changed --------------------------------------------------------------------------------------

type Files = Map<string, Uint8Array>;

/** The files of a pack, to be changed, and the zip of them. */
export const unzipped = (zip: Uint8Array): Files =>
  new Map([...readZip(zip)].map(([name, file]) => [name, file.bytes()]));
export const zipped = (files: Files): Uint8Array =>
  writeZip(
    new Map(
      [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, bytes]) => [name, zipFile(name, bytes)]),
    ),
  );

/** What `sha256sum` would write of the files as they are now. */
export function listAnew(files: Files): void {
  const hashes = () => new Map([...files].map(([name, bytes]) => [name, hex(sha256(bytes))]));
  files.set(EVIDENCE_SUMS, text(sumsOf(hashes(), EVIDENCE_SUMS)));
  files.set(ALL_SUMS, text(sumsOf(hashes(), ALL_SUMS)));
}

function edit(files: Files, name: string, change: (content: string) => string): void {
  const before = new TextDecoder("utf-8", { ignoreBOM: true }).decode(files.get(name));
  const after = change(before);
  if (after === before) throw new TypeError(`${name} is as it was`);
  files.set(name, text(after));
}

const lines = (change: (all: string[]) => string[]) => (content: string) =>
  change(content.split("\n").slice(0, -1))
    .map((line) => `${line}\n`)
    .join("");
const onLine = (n: number, change: (line: string) => string) =>
  lines((all) => all.map((line, i) => (i === n - 1 ? change(line) : line)));
const without = (n: number) => lines((all) => all.filter((_, i) => i !== n - 1));

/** Changes the text of the proof of row `n`. */
const proof = (n: number, change: (proof: string) => string) => (files: Files) =>
  edit(
    files,
    "proofs.ndjson",
    onLine(n, (line) => {
      const { commitment, proof } = JSON.parse(line);
      return JSON.stringify({ commitment, proof: change(proof) });
    }),
  );
const extra = (change: (value: { anchor: string; opening: Opening }) => unknown) =>
  proof(2, (content) => {
    const parsed = parseProof(content);
    const value = JSON.parse(new TextDecoder().decode(parsed.extra));
    return formatProof({ ...parsed, extra: text(JSON.stringify(change(value))) });
  });
/** Another digit of base64 in place of the first of the line that matches. */
const flipped = (pattern: RegExp) => (content: string) =>
  content.replace(pattern, (found) => `${found.slice(0, -1)}${found.endsWith("A") ? "B" : "A"}`);

export type Tampering = {
  name: string;
  change(files: Files): void;
  /**
   * What is found though both lists of hashes were changed to fit. Where they were not, the verdict is always "changed".
   * `error`: it cannot be read. `rows`: where they are not all "unchanged".
   */
  found:
    | { error: "malformed" }
    | { verdict: RecordVerdict; rows?: readonly RecordVerdict[]; files?: readonly FileFinding[] };
};

const CHANGED = "changed" as const;
const UNCHANGED = "unchanged" as const;
const UNTOLD = "untold" as const;
const REPORT_DIFFERS: FileFinding = { file: "report.pdf", is: "differs" };
const TABLE_DIFFERS: FileFinding = { file: "report.csv", is: "differs" };
const CASE_DIFFERS: FileFinding = { file: "case.json", is: "differs" };
/** Of a row that is not what it was, table and report tell another. */
const SECOND = { rows: [UNCHANGED, CHANGED, UNCHANGED, UNCHANGED] } as const;

/** Each is done to `smallPack()`, and judged with `stubReport` and with the pack's own keys. */
export const TAMPERINGS: readonly Tampering[] = [
  {
    name: "one letter of an event",
    change: (files) =>
      edit(
        files,
        "events/lines.ndjson",
        onLine(2, (line) => line.replace("MRN-2", "MRN-3")),
      ),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "white space in an event",
    change: (files) =>
      edit(
        files,
        "events/lines.ndjson",
        onLine(2, (line) => line.replace(":", ": ")),
      ),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "an event that is a file of its own",
    change: (files) =>
      edit(files, "events/4.xml", (content) => content.replace("2026-03-02T09", "2026-03-02T10")),
    found: { verdict: CHANGED, rows: [UNCHANGED, UNCHANGED, UNCHANGED, CHANGED] },
  },
  {
    name: "two events change places",
    change: (files) =>
      edit(
        files,
        "events/lines.ndjson",
        lines(([a = "", b = "", ...rest]) => [b, a, ...rest]),
      ),
    found: { verdict: CHANGED, rows: [CHANGED, CHANGED, UNCHANGED, UNCHANGED] },
  },
  {
    name: "an event's file is gone",
    change: (files) => files.delete("events/4.xml"),
    found: {
      verdict: CHANGED,
      rows: [UNCHANGED, UNCHANGED, UNCHANGED, UNTOLD],
      files: [{ file: "events/4.xml", is: "missing" }],
    },
  },
  {
    name: "an event is gone, with its line",
    change: (files) => edit(files, "events/lines.ndjson", without(3)),
    found: {
      verdict: CHANGED,
      rows: [UNCHANGED, UNCHANGED, UNTOLD, UNCHANGED],
      files: [{ file: "events/lines.ndjson", is: "differs" }],
    },
  },
  {
    name: "an event that no row names",
    change: (files) => files.set("events/5.json", text("{}")),
    found: { verdict: CHANGED, files: [{ file: "events/5.json", is: "unlisted" }] },
  },
  {
    name: "a line that no row names",
    change: (files) => edit(files, "events/lines.ndjson", (content) => `${content}{}\n`),
    found: { verdict: CHANGED, files: [{ file: "events/lines.ndjson", is: "differs" }] },
  },
  {
    name: "a file that belongs to no pack",
    change: (files) => files.set("report.exe", text("MZ")),
    found: { verdict: CHANGED, files: [{ file: "report.exe", is: "unlisted" }] },
  },
  {
    name: "a hash of a proof",
    change: proof(2, flipped(/(?<=\nindex 1\n)./)),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "the index of a proof",
    change: proof(2, (content) => content.replace("\nindex 1\n", "\nindex 3\n")),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "the opening of an event is another's",
    change: extra((value) => ({ ...value, opening: { ...value.opening, sequence: "3" } })),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "the opening of an event is taken away",
    change: extra(({ opening: _, ...value }) => value),
    found: { verdict: CHANGED, rows: [UNCHANGED, UNTOLD, UNCHANGED, UNCHANGED], files: [TABLE_DIFFERS] },
  },
  {
    name: "a signed tree head: its root",
    change: proof(2, flipped(/(?<=\n\naudit\.example\.org\/log\/[a-z0-9]+\n5\n)./)),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "a signed tree head: its signature",
    change: proof(2, flipped(/\u2014 audit\.example\.org\/log\/[a-z0-9]+ .{20}/)),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "the public log's tree head in a proof",
    change: extra((value) => ({
      ...value,
      anchor: flipped(/(?<=\n\naudit\.example\.org\/anchor\n5\n)./)(value.anchor),
    })),
    found: { verdict: CHANGED, ...SECOND },
  },
  {
    name: "the public log's part of a proof is cut off",
    change: extra(({ anchor: _, ...value }) => value),
    found: { verdict: CHANGED, files: [TABLE_DIFFERS] },
  },
  {
    name: "a proof is no proof",
    change: proof(2, () => "none"),
    found: { verdict: CHANGED, rows: [UNCHANGED, UNTOLD, UNCHANGED, UNCHANGED], files: [TABLE_DIFFERS] },
  },
  {
    name: "two rows with each other's proofs",
    change: (files) => {
      const [first = "", second = ""] = new TextDecoder().decode(files.get("proofs.ndjson")).split("\n");
      const [a, b] = [JSON.parse(first), JSON.parse(second)];
      edit(
        files,
        "proofs.ndjson",
        lines(([, , ...rest]) => [
          JSON.stringify({ ...a, proof: b.proof }),
          JSON.stringify({ ...b, proof: a.proof }),
          ...rest,
        ]),
      );
    },
    found: { verdict: CHANGED, rows: [CHANGED, CHANGED, UNCHANGED, UNCHANGED] },
  },
  {
    name: "a proof is gone",
    change: (files) => edit(files, "proofs.ndjson", without(2)),
    found: {
      verdict: CHANGED,
      rows: [UNCHANGED, UNTOLD, UNCHANGED, UNCHANGED],
      files: [{ file: "proofs.ndjson", is: "differs" }],
    },
  },
  {
    name: "the proofs are gone",
    change: (files) => files.delete("proofs.ndjson"),
    found: {
      verdict: CHANGED,
      rows: [UNTOLD, UNTOLD, UNTOLD, UNTOLD],
      files: [{ file: "proofs.ndjson", is: "missing" }],
    },
  },
  {
    name: "a proof of a commitment that no row has",
    change: (files) =>
      edit(
        files,
        "proofs.ndjson",
        lines((all) => [...all, (all[0] ?? "").replace(/[0-9a-f]{64}/, "0".repeat(64))]),
      ),
    found: { verdict: CHANGED, files: [{ file: "proofs.ndjson", is: "differs" }] },
  },
  {
    name: "a row without its proof, said to be pending",
    change: (files) => {
      edit(files, "proofs.ndjson", without(2));
      edit(
        files,
        "rows.ndjson",
        onLine(2, (line) => line.replace(/}$/, ',"noProof":"pending"}')),
      );
    },
    found: { verdict: CHANGED, rows: [UNCHANGED, UNTOLD, UNCHANGED, UNCHANGED], files: [TABLE_DIFFERS] },
  },
  {
    name: "a row is removed",
    change: (files) => edit(files, "rows.ndjson", without(2)),
    found: {
      verdict: CHANGED,
      rows: [UNCHANGED, UNCHANGED, UNCHANGED],
      files: [
        { file: "events/lines.ndjson", is: "differs" },
        { file: "proofs.ndjson", is: "differs" },
      ],
    },
  },
  {
    name: "a row is removed with its event and proof",
    change: (files) => {
      edit(files, "rows.ndjson", without(4));
      edit(files, "proofs.ndjson", without(4));
      files.delete("events/4.xml");
    },
    found: {
      verdict: CHANGED,
      rows: [UNCHANGED, UNCHANGED, UNCHANGED],
      files: [TABLE_DIFFERS, REPORT_DIFFERS],
    },
  },
  {
    name: "a row stands twice",
    change: (files) =>
      edit(
        files,
        "rows.ndjson",
        lines((all) => [...all, all[3] ?? ""]),
      ),
    found: {
      verdict: CHANGED,
      rows: [UNCHANGED, UNCHANGED, UNCHANGED, UNCHANGED, UNTOLD],
      files: [{ file: "rows.ndjson", is: "differs" }],
    },
  },
  {
    name: "two rows change places",
    change: (files) =>
      edit(
        files,
        "rows.ndjson",
        lines(([a = "", b = "", ...rest]) => [b, a, ...rest]),
      ),
    found: {
      verdict: CHANGED,
      rows: [UNTOLD, UNTOLD, UNCHANGED, UNCHANGED],
      files: [{ file: "rows.ndjson", is: "differs" }],
    },
  },
  {
    name: "the commitment of a row",
    change: (files) =>
      edit(
        files,
        "rows.ndjson",
        onLine(2, (line) => line.replace(/[0-9a-f]{64}/, "0".repeat(64))),
      ),
    found: {
      verdict: CHANGED,
      rows: [UNCHANGED, UNTOLD, UNCHANGED, UNCHANGED],
      files: [{ file: "proofs.ndjson", is: "differs" }],
    },
  },
  {
    name: "the commitment of a row and of its proof's line",
    change: (files) => {
      for (const file of ["rows.ndjson", "proofs.ndjson"]) {
        edit(
          files,
          file,
          onLine(2, (line) => line.replace(/[0-9a-f]{64}/, "0".repeat(64))),
        );
      }
    },
    found: { verdict: CHANGED, ...SECOND, files: [{ file: "rows.ndjson", is: "differs" }] },
  },
  {
    name: "an event is said to be withheld",
    change: (files) => {
      edit(files, "case.json", (content) =>
        content.replace('  "lookedThrough"', '  "withheld": "patients",\n  "lookedThrough"'),
      );
      edit(
        files,
        "rows.ndjson",
        onLine(4, (line) => line.replace(',"event":"events/4.xml"', "")),
      );
      files.delete("events/4.xml");
    },
    found: { verdict: CHANGED, files: [TABLE_DIFFERS, REPORT_DIFFERS] },
  },
  {
    name: "the case's number",
    change: (files) => edit(files, "case.json", (content) => content.replace("2026-17", "2026-18")),
    found: { verdict: CHANGED, files: [REPORT_DIFFERS] },
  },
  {
    name: "what was looked for is narrower",
    change: (files) =>
      edit(files, "case.json", (content) =>
        content.replace('"filter": {}', '"filter": {\n    "user": "Ines Beispiel"\n  }'),
      ),
    found: { verdict: CHANGED, files: [CASE_DIFFERS, REPORT_DIFFERS] },
  },
  {
    name: "what was looked for is no question",
    change: (files) =>
      edit(files, "case.json", (content) =>
        content.replace('"filter": {}', '"filter": {\n    "gtin": "1"\n  }'),
      ),
    found: { error: "malformed" },
  },
  {
    name: "the offset of local times",
    change: (files) =>
      edit(files, "case.json", (content) => content.replace('"minutes": 60', '"minutes": 120')),
    found: { verdict: CHANGED, files: [TABLE_DIFFERS, REPORT_DIFFERS] },
  },
  {
    name: "an offset of a hundred hours",
    change: (files) =>
      edit(files, "case.json", (content) => content.replace('"minutes": 60', '"minutes": 6000')),
    found: { error: "malformed" },
  },
  {
    name: "offsets in no order",
    change: (files) =>
      edit(files, "case.json", (content) =>
        content.replace(
          '"minutes": 60\n    }',
          '"minutes": 60\n    }'.concat(
            ...["2026-03-29T01:00:00Z", "2026-03-01T01:00:00Z"].map(
              (from) => `,\n    {\n      "from": "${from}",\n      "minutes": 120\n    }`,
            ),
          ),
        ),
      ),
    found: { error: "malformed" },
  },
  {
    name: "the date of the document",
    change: (files) =>
      edit(files, "case.json", (content) => content.replace(/"asOf": "2026/, '"asOf": "2025')),
    found: { verdict: CHANGED, files: [CASE_DIFFERS, REPORT_DIFFERS] },
  },
  {
    name: "how many events were looked through: less than there are",
    change: (files) =>
      edit(files, "case.json", (content) => content.replace('"lookedThrough": 4', '"lookedThrough": 3')),
    found: { verdict: CHANGED, files: [CASE_DIFFERS, REPORT_DIFFERS] },
  },
  {
    name: "a member twice in case.json",
    change: (files) =>
      edit(files, "case.json", (content) => content.replace('  "v": 1,', '  "v": 1,\n  "v": 1,')),
    found: { error: "malformed" },
  },
  {
    name: "a member twice in a row",
    change: (files) =>
      edit(
        files,
        "rows.ndjson",
        onLine(2, (line) => line.replace('"line":2', '"line":3,"line":2')),
      ),
    found: { error: "malformed" },
  },
  {
    name: "a member twice in the line of a proof",
    change: (files) =>
      edit(
        files,
        "proofs.ndjson",
        onLine(2, (line) => line.replace("{", '{"proof":"none",')),
      ),
    found: { error: "malformed" },
  },
  {
    name: "a member that no pack has",
    change: (files) =>
      edit(files, "case.json", (content) => content.replace('  "v": 1,', '  "v": 1,\n  "w": 1,')),
    found: { error: "malformed" },
  },
  {
    name: "the key of the log",
    change: (files) =>
      edit(files, "policy.txt", (content) =>
        content.replace(formatVkey(log.vkey), formatVkey(logSigner(LOG_ORIGIN, 99).vkey)),
      ),
    found: { verdict: CHANGED, rows: [UNTOLD, UNTOLD, UNTOLD, UNTOLD] },
  },
  {
    name: "the key of the public log",
    change: (files) =>
      edit(files, "policy.txt", (content) =>
        content.replace(formatVkey(anchor.vkey), formatVkey(logSigner(ANCHOR_ORIGIN, 99).vkey)),
      ),
    found: { verdict: CHANGED, rows: [UNTOLD, UNTOLD, UNTOLD, UNTOLD] },
  },
  {
    name: "the witnesses",
    change: (files) => edit(files, "policy.txt", (content) => content.replace("quorum all", "quorum none")),
    found: { verdict: CHANGED, files: [TABLE_DIFFERS, REPORT_DIFFERS] },
  },
  {
    name: "a policy that is none",
    change: (files) => edit(files, "policy.txt", (content) => content.replace("quorum all", "quorum some")),
    found: { error: "malformed" },
  },
  {
    name: "a checkpoint's text",
    change: (files) => {
      const name = [...files.keys()].find((file) => file.startsWith("checkpoints/log-")) ?? "";
      edit(files, name, (content) => content.replace("\n5\n", "\n6\n"));
    },
    found: { verdict: CHANGED },
  },
  {
    name: "a checkpoint is gone",
    change: (files) => {
      for (const name of files.keys()) if (name.startsWith("checkpoints/anchor-")) files.delete(name);
    },
    found: { verdict: CHANGED },
  },
  {
    name: "a checkpoint more",
    change: (files) => files.set("checkpoints/log-9-0000000000000000.txt", text("none")),
    found: { verdict: CHANGED, files: [{ file: "checkpoints/log-9-0000000000000000.txt", is: "unlisted" }] },
  },
  {
    name: "the table",
    change: (files) =>
      edit(files, "report.csv", (content) => content.replace("Ines Beispiel", "Ines Anders")),
    found: { verdict: CHANGED, files: [TABLE_DIFFERS] },
  },
  {
    name: "the table is gone",
    change: (files) => files.delete("report.csv"),
    found: { verdict: CHANGED, files: [{ file: "report.csv", is: "missing" }] },
  },
  {
    name: "what the numbering shows",
    change: (files) => edit(files, "gaps.json", (content) => content.replace('"complete"', '"incomplete"')),
    found: { verdict: CHANGED, files: [{ file: "gaps.json", is: "differs" }] },
  },
  {
    name: "what the numbering shows of more than is in the pack, where all is in it",
    change: (files) =>
      edit(files, "gaps.json", (content) => content.replace(/\n}\n$/, ',\n  "export": []\n}\n')),
    found: { verdict: CHANGED, files: [{ file: "gaps.json", is: "differs" }] },
  },
  {
    name: "a manifest",
    change: (files) =>
      edit(files, "manifests/events.ndjson", (content) =>
        content.replace('"count":4', '"count":3').replace('"last":"4"', '"last":"3"'),
      ),
    found: {
      verdict: CHANGED,
      files: [
        { file: "gaps.json", is: "differs" },
        { file: "manifests/events.ndjson", is: "differs" },
      ],
    },
  },
  {
    name: "the manifests are gone",
    change: (files) => {
      files.delete("manifests/events.ndjson");
      files.delete("manifests/proofs.ndjson");
    },
    found: { verdict: CHANGED, files: [{ file: "gaps.json", is: "differs" }] },
  },
  {
    name: "the report",
    change: (files) => files.set("report.pdf", text("%PDF-1.7 another")),
    found: { verdict: CHANGED, files: [REPORT_DIFFERS] },
  },
  {
    name: "what is to be read first",
    change: (files) => edit(files, "README.txt", (content) => `${content}Call this number.\n`),
    found: { verdict: CHANGED, files: [{ file: "README.txt", is: "differs" }] },
  },
];

/** The zip of the pack after the change; with both lists of hashes made to fit, or as they were. */
export function tampered(zip: Uint8Array, { change }: Tampering, lists: "fit" | "as they were"): Uint8Array {
  const files = unzipped(zip);
  change(files);
  if (lists === "fit") listAnew(files);
  return zipped(files);
}
