/** The first run: a hospital's day of access events, from commitment to a proof that is verified offline. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openClient } from "../client/api.ts";
import { withOpening } from "../client/extra.ts";
import { verifyEvent } from "../client/verify.ts";
import { commitEvent, type Opening, parseTenantKey } from "../events/commitment.ts";
import { hospitalDay } from "../examples/hospital-day/generate.ts";
import { parseVkey } from "../tlog/note.ts";
import { CliError, print } from "./output.ts";
import { recordLine } from "./records.ts";
import { awaitProofs } from "./wait.ts";

type Tenant = {
  readonly url: string;
  readonly log: string;
  readonly apiKey: string;
  readonly tenantKey: string;
  readonly logVkey: string;
  readonly anchorVkey: string;
  readonly anchorMldsaVkey?: string;
};

const DAY = { seed: 1, date: "2026-03-02", events: 500 };
const MEDIA_TYPE = "application/fhir+json";
const EVENTS_FILE = "hospital-day.ndjson";
/** The event that is proved; its proof is the last file to be written. */
export const SHOWN = "break-the-glass.json";

type Committed = { readonly text: string; readonly commitment: Uint8Array; readonly opening: Opening };

/** Shows each step in a line, and leaves the events, their openings and one proof in `folder`. */
export async function demonstrate(tenant: Tenant, folder: string): Promise<void> {
  print("Kedge: a demonstration with a made-up hospital.", "");
  const day = [...commitDay(parseTenantKey(tenant.tenantKey))];
  await writeDay(folder, day);
  print(`1 commit  ${day.length} FHIR AuditEvents of ${DAY.date}, each to 32 bytes that tell nothing of it`);

  const client = openClient({ url: tenant.url, apiKey: tenant.apiKey });
  const { accepted } = await client.post(
    tenant.log,
    day.map(({ commitment }) => commitment),
  );
  print(`2 post    ${accepted} commitments, accepted and durable; no event left this machine`);

  const shown = day.find(({ text }) => text.includes('"BTG"')) ?? day[0];
  if (shown === undefined) throw new CliError("failed", "the demonstration has no events");
  const proof = await download(tenant, shown);
  const { index, treeSize } = await client.entry(tenant.log, shown.commitment);
  print(`3 seal    into the hospital's log: index ${index} in a tree of ${treeSize}, its head signed`);
  print("4 anchor  that tree head into the public anchor log, signed in turn");

  const path = join(folder, SHOWN);
  await writeFile(path, shown.text);
  await writeFile(`${path}.tlog-proof`, proof, { mode: 0o600 });
  print(`5 proof   ${path}.tlog-proof: one break-the-glass access, its proof and its opening`);

  const vkeys = [
    tenant.anchorVkey,
    ...(tenant.anchorMldsaVkey === undefined ? [] : [tenant.anchorMldsaVkey]),
  ];
  const { proven, assurance, failure } = verifyEvent({
    event: new TextEncoder().encode(shown.text),
    proof,
    logVkeys: [parseVkey(tenant.logVkey)],
    anchorVkeys: vkeys.map(parseVkey),
  });
  if (!proven) throw new CliError("failed", `the demonstration's proof does not verify: ${failure?.message}`);
  print(`6 verify  offline, from the two files and the pinned keys: PROVEN, ${assurance}`);
}

function* commitDay(tenantKey: Uint8Array): Generator<Committed> {
  for (const { source, sequence, resource } of hospitalDay(DAY)) {
    const text = JSON.stringify(resource);
    const event = { bytes: new TextEncoder().encode(text), mediaType: MEDIA_TYPE, source, sequence };
    yield { text, ...commitEvent(event, { tenantKey }) };
  }
}

/** The records hold openings, which are secret until disclosed. */
async function writeDay(folder: string, day: readonly Committed[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const records = day.map(({ commitment, opening }, i) =>
    recordLine({
      event: EVENTS_FILE,
      line: i + 1,
      commitment: Buffer.from(commitment).toString("hex"),
      opening,
    }),
  );
  await writeFile(join(folder, EVENTS_FILE), day.map(({ text }) => `${text}\n`).join(""));
  await writeFile(join(folder, "records.ndjson"), records.join(""), { mode: 0o600 });
}

async function download(tenant: Tenant, { commitment, opening }: Committed): Promise<string> {
  const client = openClient({ url: tenant.url, apiKey: tenant.apiKey });
  const wait = { assurance: "anchored", timeout: 60_000 };
  for await (const answer of awaitProofs({ client, log: tenant.log }, [commitment], wait)) {
    if (answer.state === "proof") return withOpening(answer.proof, opening);
  }
  throw new CliError("failed", "the demonstration's event is not in the log");
}
