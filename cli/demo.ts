/** A hospital's day of access events, from commitment to a proof that is verified offline: the first run shows it. */
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openLog } from "@kedge/cli/cli/service";
import { awaitProofs, withTimeout } from "@kedge/cli/cli/wait";
import type { Client } from "@kedge/cli/client/api";
import {
  needTenantKey,
  pinnedKeys,
  type SettingFlags,
  withLog,
  withTenantKey,
  withVkeys,
} from "@kedge/verify/cli/credentials";
import { makeFolder } from "@kedge/verify/cli/files";
import { CliError, misuse, print, waiting } from "@kedge/verify/cli/output";
import { recordLine } from "@kedge/verify/cli/records";
import { commitEvent, type Opening } from "@kedge/verify/events/commitment";
import { withOpening } from "@kedge/verify/proof/extra";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { sayFailure } from "@kedge/verify/proof/words";
import type { Vkey } from "@kedge/verify/tlog/note";
import type { Command } from "commander";
import { hospitalDay } from "../examples/hospital-day/generate.ts";

type DemoTenant = {
  readonly client: Client;
  readonly log: string;
  readonly tenantKey: Uint8Array;
  readonly logVkeys: readonly Vkey[];
  /** At least one. */
  readonly anchorVkeys: readonly Vkey[];
};

const DAY = { seed: 1, date: "2026-03-02", events: 500 };
const MEDIA_TYPE = "application/fhir+json";
const EVENTS_FILE = "hospital-day.ndjson";
const RECORDS_FILE = "records.ndjson";
/** The event that is proved; its proof is the last file to be written. */
export const SHOWN = "break-the-glass.json";

type Committed = { readonly text: string; readonly commitment: Uint8Array; readonly opening: Opening };

export function demoCommand(command: Command): Command {
  return withTimeout(
    withVkeys(withTenantKey(withLog(command))),
    "how long to wait for the seal and the anchor",
  )
    .option("--folder <dir>", "where the events, their openings and the proof go", "kedge-demo")
    .action(demo);
}

async function demo(flags: SettingFlags & { folder: string; timeout: number }): Promise<void> {
  const { logVkeys, anchorVkeys } = pinnedKeys(flags);
  if (anchorVkeys.length === 0) {
    throw misuse("No key of the anchor log: give --anchor-vkey, KEDGE_ANCHOR_VKEY or the credentials");
  }
  const tenantKey = needTenantKey(flags);
  const tenant = { ...(await openLog(flags)), tenantKey, logVkeys, anchorVkeys };
  checkFolder(flags.folder, [...commitDay(tenantKey)]);
  await demonstrate(tenant, flags.folder, flags.timeout);
  const event = join(flags.folder, SHOWN);
  const named = flags.credentials === undefined ? "" : ` --credentials ${flags.credentials}`;
  print("", "Again, and without a network:", `  npx kedge verify ${event} ${event}.tlog-proof${named}`);
}

/** Records are never written over: others than these may hold the only openings of somebody's events. */
function checkFolder(folder: string, day: readonly Committed[]): void {
  const path = join(folder, RECORDS_FILE);
  if (!existsSync(path) || readFileSync(path, "utf8") === recordsOf(day)) return;
  throw misuse(`${path} holds the records of other events: name another folder with --folder`);
}

/**
 * Shows each step in a line, and leaves the events, their openings and one proof in `folder`, which may hold those of
 * an earlier run. `timeout` is in ms, for the seal and the anchor together. Throws CliError `failed`, and ClientError.
 */
export async function demonstrate(tenant: DemoTenant, folder: string, timeout: number): Promise<void> {
  const { client, log, logVkeys, anchorVkeys } = tenant;
  print("Kedge: a demonstration with a made-up hospital.", "");
  const day = [...commitDay(tenant.tenantKey)];
  await writeDay(folder, day);
  print(`1 commit  ${day.length} FHIR AuditEvents of ${DAY.date}, each to 32 bytes that tell nothing of it`);

  const { accepted } = await client.post(
    log,
    day.map(({ commitment }) => commitment),
  );
  print(`2 post    ${accepted} commitments, accepted and durable; no event left this machine`);

  const shown = day.find(({ text }) => text.includes('"BTG"')) ?? day[0];
  if (shown === undefined) throw new CliError("failed", "the demonstration has no events");
  const deadline = performance.now() + timeout;
  await reach(tenant, shown, "sealed", deadline);
  const { index, treeSize } = await client.entry(log, shown.commitment);
  print(`3 seal    into the hospital's log: index ${index} in a tree of ${treeSize}, its head signed`);
  const proof = await reach(tenant, shown, "anchored", deadline);
  print("4 anchor  that tree head into the public anchor log, signed in turn");

  const path = join(folder, SHOWN);
  await writeFile(path, shown.text);
  await writeFile(`${path}.tlog-proof`, proof, { mode: 0o600 });
  print(`5 proof   ${path}.tlog-proof: one break-the-glass access, its proof and its opening`);

  const event = new TextEncoder().encode(shown.text);
  const { proven, assurance, failure } = verifyEvent({ event, proof, logVkeys, anchorVkeys });
  if (!proven)
    throw new CliError(
      "failed",
      `the demonstration's proof does not verify: ${failure && sayFailure(failure)}`,
    );
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
  await makeFolder(folder, 0o700);
  await writeFile(join(folder, EVENTS_FILE), day.map(({ text }) => `${text}\n`).join(""));
  await writeFile(join(folder, RECORDS_FILE), recordsOf(day), { mode: 0o600 });
}

function recordsOf(day: readonly Committed[]): string {
  const records = day.map(({ commitment, opening }, i) =>
    recordLine({
      event: EVENTS_FILE,
      line: i + 1,
      commitment: Buffer.from(commitment).toString("hex"),
      opening,
    }),
  );
  return records.join("");
}

/** The event's proof, with its opening, once it has come so far. */
async function reach(
  { client, log }: DemoTenant,
  { commitment, opening }: Committed,
  assurance: "sealed" | "anchored",
  deadline: number,
): Promise<string> {
  const done = waiting(`waiting until it is ${assurance}`);
  try {
    const wait = { wait: assurance, timeout: deadline - performance.now() };
    for await (const answer of awaitProofs({ client, log }, [commitment], wait)) {
      if (answer.state === "proof") return withOpening(answer.proof, opening);
    }
  } finally {
    done();
  }
  throw new CliError("failed", "the demonstration's event is not in the log");
}
