/**
 * The audit of a large log: `kedge audit` in a process of its own, against a server on loopback that has nothing to do but
 * to serve; and what the audit makes of entries, beside the bare hashes.
 */
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, type Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { decodeCommitments, startAudit } from "@kedge/verify/audit/audit";
import { parseHead } from "@kedge/verify/audit/heads";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { extendFrontier, frontierRoot, HASH_SIZE, leafHash } from "@kedge/verify/tlog/merkle";
import { ED25519, formatNote, formatVkey, makeVkey } from "@kedge/verify/tlog/note";
import { encodeBundle, parseTilePath, TILE_WIDTH, type Tile } from "@kedge/verify/tlog/tile";
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { figure, median, type Section, spread } from "./report.ts";
import { COMMAND } from "./served.ts";
import { randomCommitments } from "./stack.ts";

const ENTRIES = 1_000_000;
/** Bundles from one checkpoint of the history to the next. */
const BUNDLES_PER_CHECKPOINT = 4;
const PAGE = 1_000;
const LOG = "bench";
const ORIGIN = `localhost/log/${LOG}`;
/** Passes over so many bundles, in turn with the bare hashes of as many entries. */
const PASSES = 7;
const BUNDLES_PER_PASS = 200;

export async function audit(): Promise<Section> {
  const log = madeUpLog(ENTRIES);
  const folder = await mkdtemp(join(tmpdir(), "kedge-bench-"));
  const server = await serveLog(log);
  try {
    const records = join(folder, "records.ndjson");
    await pipeline(Readable.from(recordsOf(log)), createWriteStream(records));
    const audited = { url: server.url, apiKey: "kedge_bench_secret", log: LOG, logVkey: log.vkey };
    const alone = await runAudit(audited, [], "CONSISTENT");
    const reconciled = await runAudit(audited, ["--records", records], "RECONCILED");
    const { share, perSecond, barePerSecond } = hashing(log);
    const row = (what: string, { seconds, cpuSeconds, megabytes }: Run) => [
      what,
      figure(seconds),
      figure(cpuSeconds),
      figure(megabytes),
      figure(ENTRIES / seconds),
    ];
    return {
      title: `Audit of a log of ${figure(ENTRIES)} entries`,
      head: ["", "s", "CPU, s", "peak RSS, MB", "entries/s"],
      rows: [
        row(`the log, with ${log.history.length} checkpoints`, alone),
        row("and reconciled with as many records", reconciled),
        ["in memory, one core: decoded, hashed and compared", "", "", "", spread(perSecond)],
        ["the bare hashes of as many leaves and nodes", "", "", "", spread(barePerSecond)],
      ],
      values: {
        seconds: alone.seconds,
        megabytes: alone.megabytes,
        reconciledSeconds: reconciled.seconds,
        reconciledMegabytes: reconciled.megabytes,
        hashShare: share,
      },
    };
  } finally {
    await server.close();
    await rm(folder, { recursive: true });
  }
}

type MadeUp = {
  readonly vkey: string;
  readonly bundles: readonly Uint8Array[];
  /** The last one is of the whole log. */
  readonly history: readonly { readonly size: number; readonly note: string }[];
};

function madeUpLog(size: number): MadeUp {
  const { secretKey, publicKey } = ed25519.keygen();
  const vkey = makeVkey(ORIGIN, ED25519, publicKey);
  const bundles: Uint8Array[] = [];
  const history: { size: number; note: string }[] = [];
  let frontier: Uint8Array[] = [];
  for (let at = 0; at < size; at += TILE_WIDTH) {
    const entries = randomCommitments(Math.min(TILE_WIDTH, size - at));
    bundles.push(encodeBundle(entries));
    frontier = extendFrontier(BigInt(at), frontier, entries.map(leafHash));
    const end = at + entries.length;
    if (end < size && bundles.length % BUNDLES_PER_CHECKPOINT !== 0) continue;
    const body = checkpointBody({ origin: ORIGIN, size: BigInt(end), root: frontierRoot(frontier) });
    const signature = ed25519.sign(new TextEncoder().encode(body), secretKey);
    history.push({ size: end, note: formatNote({ text: body, signatures: [{ ...vkey, signature }] }) });
  }
  return { vkey: formatVkey(vkey), bundles, history };
}

const tileOf = (index: number): Tile => ({
  level: "entries",
  index: BigInt(index),
  width: Math.min(TILE_WIDTH, ENTRIES - index * TILE_WIDTH),
});

/** As `kedge commit` writes them, each with a nonce of its own. */
function* recordsOf({ bundles }: MadeUp): Generator<string> {
  let line = 0;
  for (const [i, bundle] of bundles.entries()) {
    const lines = decodeCommitments(tileOf(i), bundle).map((entry) => {
      line += 1;
      const nonce = encodeBase64(randomBytes(32));
      const opening = { v: "kedge/v1", canonicalisation: "raw", mediaType: "application/fhir+json" };
      const numbered = { ...opening, source: `ehr-${line % 5}`, sequence: `${Math.floor(line / 5)}`, nonce };
      const record = { event: "export.ndjson", line, commitment: bytesToHex(entry), opening: numbered };
      return `${JSON.stringify(record)}\n`;
    });
    yield lines.join("");
  }
}

async function serveLog({ bundles, history }: MadeUp) {
  const publishedAt = "2026-03-02T08:00:00.000Z";
  const pageAfter = (after: number): string => {
    const from = history.findIndex(({ size }) => size > after);
    const page = from === -1 ? [] : history.slice(from, from + PAGE);
    const last = page.at(-1)?.size;
    const checkpoints = page.map(({ size, note }) => ({ size, publishedAt, checkpoint: note }));
    return JSON.stringify({ checkpoints, ...(last !== history.at(-1)?.size && { next: last }) });
  };
  const server = createServer(({ url = "" }, response) => {
    const { pathname, searchParams } = new URL(url, "http://localhost");
    const path = pathname.slice(`/v1/logs/${LOG}/`.length);
    if (path === "checkpoint") response.end(history.at(-1)?.note);
    else if (path === "checkpoints") response.end(pageAfter(Number(searchParams.get("after"))));
    else response.end(bundles[Number(parseTilePath(path).index)]);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () => new Promise((resolve) => void server.close(resolve)),
  };
}

type Run = { readonly seconds: number; readonly cpuSeconds: number; readonly megabytes: number };

/** What the command itself says of its use of the machine when it ends: maxRSS is in KiB, times in µs. */
const usageSchema = z.object({ maxRSS: z.number(), userCPUTime: z.number(), systemCPUTime: z.number() });
const TELL_USAGE = `data:text/javascript,${encodeURIComponent(
  'import { writeSync } from "node:fs"; process.on("exit", () => writeSync(3, JSON.stringify(process.resourceUsage())));',
)}`;

/** The log that is audited, and the key of whom. */
type Audited = {
  readonly url: string;
  readonly apiKey: string;
  readonly log: string;
  readonly logVkey: string;
};

/** @throws when it comes to another verdict: the figures would be of something else. */
export async function runAudit(
  { url, apiKey, log, logVkey }: Audited,
  args: readonly string[],
  verdict: string,
): Promise<Run> {
  const started = performance.now();
  const child = spawn(process.execPath, ["--import", TELL_USAGE, COMMAND, "audit", log, ...args], {
    env: { PATH: process.env["PATH"], KEDGE_URL: url, KEDGE_API_KEY: apiKey, KEDGE_LOG_VKEY: logVkey },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const [out, err, usage] = await Promise.all([child.stdout, child.stderr, child.stdio[3]].map(readAll));
  const seconds = (performance.now() - started) / 1000;
  if (!out?.startsWith(`${verdict} `)) throw new Error(`the audit came to another verdict: ${out}${err}`);
  const { maxRSS, userCPUTime, systemCPUTime } = usageSchema.parse(JSON.parse(usage ?? ""));
  return { seconds, cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, megabytes: (maxRSS * 1024) / 1e6 };
}

async function readAll(stream: Readable | Writable | null | undefined): Promise<string> {
  return stream instanceof Readable ? await text(stream) : "";
}

/** Entries a second through the audit, and the bare hashes that their tree takes, by CPU time. */
function hashing({ bundles, history }: MadeUp) {
  const log = { origin: ORIGIN, vkeys: [] };
  const head = parseHead(history.at(-1)?.note ?? "", log);
  const some = bundles.slice(0, BUNDLES_PER_PASS);
  const entries = some.length * TILE_WIDTH;
  const [leaf, node] = [new Uint8Array(1 + HASH_SIZE), new Uint8Array(1 + 2 * HASH_SIZE)];
  const audited = () => {
    const audit = startAudit({ log, head, kept: [], period: { start: 0n, end: head.size } });
    for (const [i, bundle] of some.entries()) {
      audit.add({ entries: decodeCommitments(tileOf(i), bundle), history: [] });
    }
  };
  const bare = () => {
    for (let i = 0; i < entries; i++) {
      sha256(leaf);
      sha256(node);
    }
  };
  audited();
  bare();
  const passes = Array.from({ length: PASSES }, () => [entries / cpu(audited), entries / cpu(bare)] as const);
  return {
    share: median(passes.map(([audited, bare]) => audited / bare)),
    perSecond: passes.map(([audited]) => audited),
    barePerSecond: passes.map(([, bare]) => bare),
  };
}

/** Seconds of CPU time: others may have the cores meanwhile. */
function cpu(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
