/** `kedge agent` as a process that is killed, over and over, under load, in front of a service that comes and goes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openClient } from "@kedge/cli/client/api";
import { readJournal } from "@kedge/cli/journal/journal";
import type { Entry, JournalReader } from "@kedge/cli/journal/types";
import { epochKey } from "@kedge/cli/keys/epoch-key";
import { commitEvent } from "@kedge/verify/events/commitment";
import { manifestSource, parseManifest } from "@kedge/verify/events/manifest";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { afterAll, expect, test } from "vitest";
import { serve, stop } from "../../../support/serve.ts";

const AGENT = fileURLToPath(new URL("../../../support/agent-process.mjs", import.meta.url));
const KILLS = Number(process.env["KEDGE_KILLS"] ?? 20);

const folder = mkdtempSync(join(tmpdir(), "kedge-agent-system-"));
const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

type Running = { child: ChildProcess; urls: Map<string, string> };

/** Resolves once all its sources are ready. */
async function startAgent(config: string, began: number): Promise<Running> {
  const child = spawn(process.execPath, [AGENT, config, `${began}`], {
    cwd: folder,
    env: { PATH: process.env["PATH"] },
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.add(child);
  const urls = new Map<string, string>();
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (!line.startsWith("{")) continue;
    const { event, source, url }: Record<string, string> = JSON.parse(line);
    if (event === "source" && source !== undefined && url !== undefined) urls.set(source, url);
    if (event !== "started") continue;
    child.stderr.resume();
    return { child, urls };
  }
  throw new Error(`it ended before it had started: ${said.join("\n")}`);
}

async function kill({ child }: Running): Promise<void> {
  await stop(child, "SIGKILL");
  children.delete(child);
}

const hexOf = (bytes: Uint8Array | undefined) => bytes && bytesToHex(bytes);

/** The last number that a manifest has. */
function lastCovered(journal: JournalReader, source: string): bigint {
  let last = 0n;
  for (const { bytes = new Uint8Array() } of journal.entries(manifestSource(source))) {
    last = parseManifest(bytes).numbers?.last ?? last;
  }
  return last;
}

test("killed twenty times under load, the service coming and going, its file rotated: every event is once in the log, numbers unbroken, manifests right", async () => {
  const port = await freePort();
  const service = { cwd: folder, data: join(folder, "service"), env: { KEDGE_PORT: `${port}` } };
  let { child: running } = await serve(service);
  children.add(running);
  const credentials = join(folder, "service/credentials.json");
  const file = join(folder, "ehr.ndjson");
  writeFileSync(file, "");
  const config = join(folder, "agent.json");
  const data = join(folder, "data");
  const sources = [
    { kind: "files", name: "ehr", path: file, poll: 0.1 },
    { kind: "fhir", name: "fhir", listen: { address: "http://127.0.0.1:0" } },
    { kind: "syslog", name: "atna", listen: { address: "tcp://127.0.0.1:0" }, foreign: "lines" },
  ];
  writeFileSync(config, JSON.stringify({ data, credentials, health: false, sources }));
  const began = Date.now();

  // What was sent, by the text that is only in it.
  const sent = { ehr: 0, atna: 0 };
  const acknowledged = new Set<string>();
  const offered = new Set<string>();
  const load = async (urls: Map<string, string>, until: number) => {
    const syslog = new URL(urls.get("atna") ?? "");
    const socket = connect(Number(syslog.port), syslog.hostname);
    socket.on("error", () => undefined);
    const posting = async () => {
      while (Date.now() < until) {
        const id = `fhir-${offered.size}`;
        offered.add(id);
        try {
          const { status } = await fetch(`${urls.get("fhir")}/AuditEvent`, {
            method: "POST",
            headers: { "Content-Type": "application/fhir+json" },
            body: JSON.stringify({ resourceType: "AuditEvent", id }),
          });
          if (status === 201) acknowledged.add(id);
        } catch {
          return; // It was killed.
        }
      }
    };
    const writing = async () => {
      while (Date.now() < until) {
        appendFileSync(file, Array.from({ length: 50 }, () => `{"ehr":${sent.ehr++}}\n`).join(""));
        const message = `<85>1 2026-03-01T08:00:00Z h a - - - atna-${sent.atna++}`;
        socket.write(`${message.length} ${message}`);
        await sleep(20);
      }
    };
    await Promise.all([posting(), posting(), posting(), posting(), writing()]);
    socket.destroy();
  };

  const rotations = new Map(
    (["rename", "copy", "rename", "copy"] as const).map((kind, i) => [
      Math.ceil(((i + 1) * KILLS) / 5),
      kind,
    ]),
  );
  let isUp = true;
  for (let round = 1; round <= KILLS; round++) {
    const agent = await startAgent(config, began);
    const until = Date.now() + 1_500;
    const loading = load(agent.urls, until + 300);
    if (round % 3 === 0) {
      if (isUp) await stop(running, round % 2 === 0 ? "SIGKILL" : "SIGTERM");
      else running = (await serve(service)).child;
      children.add(running);
      isUp = !isUp;
    }
    await sleep((until - Date.now()) * (0.3 + 0.7 * Math.random()));
    await kill(agent);
    await loading;
    // Twice by name and twice by copy, as logrotate does.
    const kind = rotations.get(round);
    if (kind !== undefined) {
      for (let n = 3; n > 0; n--)
        if (existsSync(`${file}.${n}`)) renameSync(`${file}.${n}`, `${file}.${n + 1}`);
      if (kind === "rename") renameSync(file, `${file}.1`);
      else copyFileSync(file, `${file}.1`);
      writeFileSync(file, "");
    }
  }
  if (!isUp) {
    running = (await serve(service)).child;
    children.add(running);
  }

  const agent = await startAgent(config, began);
  const read = <T>(run: (journal: JournalReader) => T): T => {
    const journal = readJournal({ folder: data, keys });
    if (journal === undefined) throw new Error("there is no journal");
    try {
      return run(journal);
    } finally {
      void journal.close();
    }
  };
  const { tenantKey, apiKey, log }: Record<string, string> = JSON.parse(readFileSync(credentials, "utf8"));
  const key = epochKey(0, hexToBytes(tenantKey ?? ""));
  const keys = { current: () => key, of: (epoch: number) => (epoch === 0 ? key : undefined) };
  const state = (name: string) => read((journal) => journal.sources().find((source) => source.name === name));
  const long = { timeout: 120_000, interval: 500 };
  await expect.poll(() => Number(state("ehr")?.journalled), long).toBe(sent.ehr);
  await expect
    .poll(
      () =>
        read((journal) => journal.sources().filter(({ sealed, journalled }) => sealed !== journalled).length),
      long,
    )
    .toBe(0);
  for (const source of ["ehr", "fhir", "atna"]) {
    await expect.poll(() => read((journal) => lastCovered(journal, source)), long).toBe(state(source)?.last);
  }
  expect(await stop(agent.child, "SIGTERM")).toBe(0);

  const entries = read(
    (journal) => new Map(journal.sources().map(({ name }) => [name, [...journal.entries(name)]])),
  );
  const textsOf = (name: string) =>
    (entries.get(name) ?? []).map(({ bytes }) => new TextDecoder().decode(bytes));
  console.info(
    `${KILLS} kills: ${[...entries].map(([name, some]) => `${name} ${some.length}`).join(", ")}; ${acknowledged.size} of ${offered.size} POSTs acknowledged, ${sent.atna} syslog messages sent`,
  );

  // Each line of the file once, in order; each POST that was acknowledged; nothing that nobody sent.
  expect(textsOf("ehr")).toEqual(Array.from({ length: sent.ehr }, (_, i) => `{"ehr":${i}}`));
  const posted = textsOf("fhir").map((text): string => JSON.parse(text).id);
  expect(posted.length).toBe(new Set(posted).size);
  expect([...acknowledged].filter((id) => !posted.includes(id))).toEqual([]);
  expect(posted.filter((id) => !offered.has(id))).toEqual([]);
  const messages = textsOf("atna");
  expect(messages.length).toBe(new Set(messages).size);

  // Numbers are unbroken, commitments are of their events, and each is in the log at a place of its own.
  const indices = new Set<bigint>();
  for (const [source, some] of entries) {
    expect(some.map(({ number }) => number)).toEqual(some.map((_, i) => BigInt(i + 1)));
    for (const { bytes = new Uint8Array(), mediaType, number, commitment, index } of some) {
      const made = commitEvent({ bytes, mediaType, source, sequence: number }, key);
      if (!equalBytes(made.commitment, commitment)) expect.fail(`number ${number} of ${source}`);
      if (index !== undefined) indices.add(index);
    }
  }
  const all: Entry[] = [...entries.values()].flat();
  const client = openClient({ url: `http://127.0.0.1:${port}`, apiKey: apiKey ?? "" });
  // It ended while the manifests of its last seconds were in no tree yet: where these stand, the service says.
  const late = all.filter(({ index }) => index === undefined).map(({ commitment }) => commitment);
  for await (const answer of client.follow(log ?? "", late, { to: "sealed", patience: 120_000 })) {
    if (answer.state === "sealed") indices.add(BigInt(answer.index));
  }
  expect(indices.size).toBe(all.length);
  const { size } = await client.log(log ?? "");
  const demonstration = existsSync(join(folder, "service/demo")) ? 500 : 0;
  expect(size).toBe(all.length + demonstration);

  // Each hour once, one after the other; each number in one of them, up to the last hour that was over.
  for (const source of ["ehr", "fhir", "atna"]) {
    const chain = entries.get(manifestSource(source)) ?? [];
    const events = entries.get(source) ?? [];
    expect(chain.length).toBeGreaterThan(KILLS / 2);
    let last = 0n;
    let end: number | undefined;
    for (const [i, { bytes = new Uint8Array() }] of chain.entries()) {
      const manifest = parseManifest(bytes);
      expect(hexOf(manifest.previous)).toBe(hexOf(chain[i - 1]?.commitment));
      expect(manifest.from).toBe(end ?? manifest.from);
      expect(manifest.numbers?.first ?? last + 1n).toBe(last + 1n);
      const covered = events.slice(Number(last), Number(manifest.numbers?.last ?? last));
      expect(hexOf(manifest.root)).toBe(hexOf(rootOf(covered.map(({ commitment }) => leafHash(commitment)))));
      last = manifest.numbers?.last ?? last;
      end = manifest.to;
    }
    expect(last).toBe(BigInt(events.length));
  }
  await stop(running, "SIGTERM");
}, 1_800_000);
