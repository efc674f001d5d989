/**
 * One evidence has one verdict, whoever tells it: the console, a reconciliation, who makes a pack, who judges it, its table and
 * its report, the verifier page, and the verifier of one proof.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { readExports } from "@kedge/cli/evidence/exports";
import { recordsInProofs } from "@kedge/cli/evidence/given";
import { makePack } from "@kedge/cli/evidence/make";
import { openEvents, settleEvents } from "@kedge/cli/evidence/open";
import { reconcile } from "@kedge/cli/evidence/reconcile";
import type { GivenFile, GivenRecord, KnownProof, OpenedEvent } from "@kedge/cli/evidence/types";
import { judgePack } from "@kedge/verify/pack/judge";
import { keysOfPolicy, readPack } from "@kedge/verify/pack/read";
import { checkFiles, checkPack } from "@kedge/verify/page/check";
import { verifySource } from "@kedge/verify/proof/pairing";
import { type RecordVerdict, verdictOf } from "@kedge/verify/proof/verdict";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { openVerifier } from "@kedge/verify/proof/verify";
import { formatVkey } from "@kedge/verify/tlog/note";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCase } from "../../../console/case/case.ts";
import { FHIR_FILE, hexOf, PROOFS, RECORDS } from "../../support/evidence.ts";
import { PACK_POLICY, stubReport, unzipped } from "../../support/pack.ts";
import { readingOf, readPdf } from "../../support/pdf.ts";
import { LOG_ORIGIN, logSigner, TENANT_KEY } from "../../support/proofs.ts";

/** The row that the states are of, from 0, and the commitment of its record. */
const ROW = 2;
const OWN = hexOf(ROW);
const HERE = { proof: PROOFS.get(OWN)?.proof ?? "" } as const;
const UNKNOWN = { noProof: "unknown" } as const;
const PENDING = { noProof: "pending" } as const;
const otherDigit = (found: string): string => `${found.slice(0, -1)}${found.endsWith("A") ? "B" : "A"}`;
const proofOf = (proof: string | undefined): KnownProof => ({ proof: proof ?? "" });
const OTHER_KEYS = PACK_POLICY.replace(/^log .*$/m, `log ${formatVkey(logSigner(LOG_ORIGIN, 77).vkey)}`);

type State = {
  name: string;
  /** Whether the row is what its record was made of; whether there is a record; whether the tenant's key is there too. */
  row:
    | "matches"
    | "matches, opened by its proof"
    | "contradicts"
    | "has no record"
    | "contradicts, with the key";
  /** Of its record's commitment, as the log says; undefined: nobody asked. */
  log: KnownProof | undefined;
  keys?: string;
  verdict: RecordVerdict;
};
const states: readonly State[] = [
  { name: "in the log", row: "matches", log: HERE, verdict: "unchanged" },
  { name: "in the log", row: "matches, opened by its proof", log: HERE, verdict: "unchanged" },
  { name: "not in the log", row: "matches", log: UNKNOWN, verdict: "untold" },
  { name: "pending", row: "matches", log: PENDING, verdict: "untold" },
  { name: "not asked", row: "matches", log: undefined, verdict: "untold" },
  { name: "in the log", row: "contradicts", log: HERE, verdict: "changed" },
  { name: "not in the log", row: "contradicts", log: UNKNOWN, verdict: "untold" },
  { name: "pending", row: "contradicts", log: PENDING, verdict: "untold" },
  { name: "not asked", row: "contradicts", log: undefined, verdict: "untold" },
  { name: "in the log", row: "contradicts, with the key", log: HERE, verdict: "changed" },
  { name: "not in the log", row: "contradicts, with the key", log: UNKNOWN, verdict: "untold" },
  { name: "not asked", row: "has no record", log: undefined, verdict: "untold" },
  {
    name: "in the log by a proof whose signature was changed",
    row: "matches",
    log: proofOf(HERE.proof.replace(/— audit\.example\.org\/log\S+ \S+?(?==*$)/m, otherDigit)),
    verdict: "changed",
  },
  {
    name: "in the log by the proof of another",
    row: "matches",
    log: proofOf(PROOFS.get(hexOf(ROW + 1))?.proof),
    verdict: "changed",
  },
  { name: "in the log by no proof at all", row: "matches", log: proofOf("no proof\n"), verdict: "untold" },
  { name: "in a log of other keys", row: "matches", log: HERE, keys: OTHER_KEYS, verdict: "untold" },
  { name: "in a log of other keys", row: "contradicts", log: HERE, keys: OTHER_KEYS, verdict: "untold" },
];

/** The log, as the state has it. */
let answers: ReadonlyMap<string, KnownProof>;
const service = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const { hashes }: { hashes: string[] } = JSON.parse(`${Buffer.concat(chunks)}`);
  const lines = hashes.map((hash) => {
    const { proof, noProof = "unknown" } = answers.get(hash) ?? {};
    if (proof !== undefined) return { hash, assurance: "sealed", proof };
    return {
      hash,
      problem: { type: `urn:kedge:problem:${noProof === "pending" ? "pending" : "not-found"}` },
    };
  });
  response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
});
let url: string;
beforeAll(async () => {
  await new Promise<void>((done) => service.listen(0, "127.0.0.1", done));
  const { port } = service.address() as AddressInfo;
  url = `http://127.0.0.1:${port}`;
});
afterAll(() => service.close());

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const file = ({ name, bytes }: GivenFile): File => new File([new Uint8Array(bytes)], name);
const lines = (values: readonly unknown[]): Uint8Array =>
  utf8(values.map((value) => `${JSON.stringify(value)}\n`).join(""));

/** Six rows, of which one is in the state, and all that goes with them. */
function given({ row, log, keys = PACK_POLICY }: State) {
  const text = new TextDecoder().decode(FHIR_FILE.bytes);
  const isOwn = !row.startsWith("contradicts");
  const bytes = isOwn ? FHIR_FILE.bytes : utf8(text.replace("MRN-3", "MRN-8"));
  const isByProof = row === "matches, opened by its proof";
  const records = RECORDS.slice(0, isByProof ? 0 : 6).filter((_, i) => row !== "has no record" || i !== ROW);
  const proofs = new Map([...PROOFS].slice(0, 6));
  if (log === undefined) proofs.delete(OWN);
  else proofs.set(OWN, log);
  const kept = [...proofs].flatMap(([commitment, { proof }]) =>
    proof === undefined
      ? []
      : [{ event: FHIR_FILE.name, line: [...PROOFS.keys()].indexOf(commitment) + 1, commitment, proof }],
  );
  const tenantKeys = row === "contradicts, with the key" ? [TENANT_KEY] : [];
  return { events: { ...FHIR_FILE, bytes }, records, proofs, kept, keys, tenantKeys };
}
type Given = ReturnType<typeof given>;

/** As `kedge evidence` has them. */
function opened({ events, records: given, proofs, kept, tenantKeys }: Given): OpenedEvent[] {
  const inProofs = () => recordsInProofs([{ name: "proofs.ndjson", bytes: lines(kept) }]);
  const records = given.length > 0 ? given : [...inProofs()];
  const found = [...openEvents(readExports([events]), { records, tenantKeys })];
  return settleEvents(
    found,
    (hex) => proofs.get(hex) !== undefined && proofs.get(hex)?.noProof !== "unknown",
  );
}

async function inConsole(state: State) {
  const { events, records, proofs, kept, keys, tenantKeys } = given(state);
  answers = proofs;
  const signal = new AbortController().signal;
  const desk = openCase({ tell: () => undefined, signal: () => signal });
  const isOnline = state.log !== undefined && records.length > 0;
  await desk.open({
    files: [
      { file: file(events), is: "events" },
      ...(records.length === 0
        ? []
        : [{ file: file({ name: "records.ndjson", bytes: lines(records) }), is: "records" } as const]),
      { file: file({ name: "policy.txt", bytes: utf8(keys) }), is: "policy" },
      ...(isOnline
        ? []
        : [{ file: file({ name: "proofs.ndjson", bytes: lines(kept) }), is: "proofs" } as const]),
      ...tenantKeys.map(
        (key) => ({ file: file({ name: "key", bytes: utf8(bytesToHex(key)) }), is: "keys" }) as const,
      ),
    ],
  });
  await desk.prove(isOnline ? { access: { url, apiKey: "none" }, log: "6xq2m4k3v7q2m5xj4t6" } : undefined);
  await desk.show({ filter: {}, zone: "UTC", sort: { by: "when", descending: false } });
  const row = (await desk.window({ from: ROW, count: 1 }))[0];
  const detail = await desk.detail({ row: row?.row ?? -1, language: "en" });
  const { counts } = await desk.view(undefined);
  const pack = await Promise.resolve(
    desk.pack({
      form: {
        ...{ kind: "access", language: "en", number: "", requestedBy: "", reason: "", preparedBy: "" },
        withheld: false,
      },
      wanted: { filter: {}, zone: "UTC", sort: { by: "when", descending: false } },
      verifier: new Uint8Array(utf8("<!doctype html>")),
    }),
  ).catch(() => undefined);
  return { row: row?.verdict, headline: detail?.told?.headline, counts, pack: pack?.bytes };
}

/** What whoever judges the pack says of the row. */
async function inPack(zip: Uint8Array | undefined) {
  if (zip === undefined) return {};
  const pack = await readPack(zip);
  const { rows } = await judgePack(pack);
  const at = rows.findIndex(({ commitment }) => commitment === OWN);
  const page = await checkPack(
    zip,
    { logVkeys: [], anchorVkeys: [], tsaCerts: [], bitcoinBlocks: [] },
    new AbortController().signal,
    () => undefined,
  );
  const table = new TextDecoder().decode(unzipped(zip).get("report.csv")).split("\r\n");
  const told = table.find((line) => line.includes(OWN));
  const inTable = told && Object.entries(VERDICT_WORDS.en.headlines).find(([, text]) => told.includes(text));
  return { judge: rows[at]?.verdict, page: page.rows[at]?.verdict, table: inTable?.[0] };
}

/** The list of whole commitments in a report has the verdict beside each. */
function inReport(zip: Uint8Array | undefined): string | undefined {
  const report = zip && unzipped(zip).get("report.pdf");
  if (report === undefined) return undefined;
  const read = readingOf(readPdf(report).top).split("\n");
  const at = read.indexOf(OWN);
  return at === -1 ? undefined : read[at + 1];
}

async function onPage({ events, records, kept, keys }: Given): Promise<RecordVerdict | undefined> {
  const one = (id: number, kind: "events" | "records" | "proofs", { name, bytes }: GivenFile) =>
    ({ id, name, bytes, kind, sha256: "" }) as const;
  const files = [
    one(1, "events", events),
    one(2, "records", { name: "records.ndjson", bytes: lines(records) }),
    one(3, "proofs", { name: "proofs.ndjson", bytes: lines(kept) }),
  ];
  const trust = { ...keysOfPolicy(keys), tsaCerts: [], bitcoinBlocks: [] };
  const { rows } = await checkFiles(files, trust, new AbortController().signal, () => undefined);
  return rows[ROW]?.verdict;
}

/** `kedge verify event proof --opening record`. */
async function alone({ events, records, proofs, keys }: Given): Promise<RecordVerdict | undefined> {
  const proof = proofs.get(OWN)?.proof;
  const record: GivenRecord | undefined = records.find(({ commitment }) => commitment === OWN);
  if (proof === undefined || record === undefined) return undefined;
  const bytes = utf8(new TextDecoder().decode(events.bytes).split("\n")[ROW] ?? "");
  const verify = openVerifier(keysOfPolicy(keys));
  const claim = {
    source: { name: "event", bytes },
    verifyClaim: async (of: Parameters<typeof verify>[0]) => verify(of),
    derive: [],
  };
  return verdictOf(await verifySource({ ...claim, opening: record.opening }, utf8(proof)));
}

test.each(states)("a row that $row, whose record is $name: $verdict", async (state) => {
  const all = given(state);
  const { verdict } = state;
  const isPacked = state.log !== undefined && state.row !== "has no record";

  const seen = await inConsole(state);
  expect(seen.row).toBe(verdict);
  if (seen.headline !== undefined) expect(seen.headline).toBe(VERDICT_WORDS.en.headlines[verdict]);
  const others = state.keys === undefined ? { unchanged: 5 } : { untold: 5 };
  const counts = { unchanged: 0, changed: 0, untold: 0, ...others };
  expect(seen.counts).toEqual({ ...counts, [verdict]: counts[verdict] + 1 });

  const events = opened(all);
  const rows = [
    ...reconcile({ events, unused: [], proofs: all.proofs, verify: openVerifier(keysOfPolicy(all.keys)) }),
  ];
  expect(rows.find(({ event }) => event.line === ROW + 1)?.verdict).toBe(verdict);

  const made = await makePack(
    {
      ...{ events, proofs: all.proofs, policy: all.keys, page: utf8("<!doctype html>") },
      case: { kind: "access", language: "en", filter: {}, zone: "UTC" },
    },
    { makeReport: stubReport },
  ).catch(() => undefined);
  expect(made?.judged.rows.find(({ commitment }) => commitment === OWN)?.verdict).toBe(
    isPacked ? verdict : undefined,
  );
  const told = isPacked ? { judge: verdict, page: verdict, table: verdict } : {};
  expect(await inPack(made?.zip)).toEqual(told);
  expect(await inPack(seen.pack)).toEqual(told);
  expect(inReport(seen.pack)).toBe(isPacked ? VERDICT_WORDS.en.headlines[verdict] : undefined);

  expect(await onPage(all)).toBe(verdict);
  expect([undefined, verdict]).toContain(await alone(all));
});
