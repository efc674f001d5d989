/** One event, one commitment: whether a page commits to it, the command, or the agent's journal. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { runAgent } from "@kedge/cli/agent/agent";
import { configOfFlags } from "@kedge/cli/agent/config";
import { openReport } from "@kedge/cli/agent/report";
import { openJournal } from "@kedge/cli/journal/journal";
import { openCommitment, parseOpening } from "@kedge/verify/events/commitment";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { bytesToHex } from "@noble/hashes/utils.js";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { kedge } from "../../../cli/run.ts";
import { SAMPLES } from "../../../support/event-samples.ts";
import { API_KEY, LOG_ID, startServer } from "../../../support/fake-api.ts";

const verifyFolder = fileURLToPath(new URL("../../../../packages/verify/", import.meta.url));
const TENANT_KEY = "07".repeat(32);

type Event = { mediaType: string; bytes: Uint8Array };
/** Of each event of a source, numbered in their order. */
type Committed = { commitment: string; sequence?: string };

const utf8 = (text: string) => new TextEncoder().encode(text);
const EVENTS: readonly Event[] = [
  ...SAMPLES.map(({ mediaType, text }) => ({ mediaType, bytes: utf8(text) })),
  ...SAMPLES.slice(0, 1).map(({ mediaType, text }) => ({ mediaType, bytes: utf8(`${text}\r\n`) })),
  { mediaType: "application/octet-stream", bytes: Uint8Array.of(0, 255, 254, 13, 10, 0xef, 0xbb, 0xbf) },
];
const mediaTypes = [...new Set(EVENTS.map(({ mediaType }) => mediaType))];
const bySource = mediaTypes.map((mediaType) => ({
  mediaType,
  events: EVENTS.filter((event) => event.mediaType === mediaType),
}));
const isJson = ({ mediaType }: Event) => /json$/.test(mediaType);

let folder: string;
let browser: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "kedge-same-"));
  const { outputFiles } = await build({
    stdin: { contents: 'export * from "./events/commitment.ts";', resolveDir: verifyFolder, loader: "ts" },
    ...{ bundle: true, write: false, minify: true, logLevel: "silent" },
    ...{ platform: "browser", conditions: ["source"], format: "iife", globalName: "kedge" },
  });
  browser = outputFiles[0]?.text ?? "";
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const list = z.array(z.string());

/** As a page does it. */
function inBrowser(
  events: readonly Event[],
  canonicalisation: string,
  source: string,
  numbers: readonly string[],
) {
  const context = createContext({ TextEncoder, TextDecoder, atob, btoa, crypto, Uint8Array });
  const given = events.map(({ mediaType, bytes }) => ({ mediaType, base64: encodeBase64(bytes) }));
  const page = `JSON.stringify(${JSON.stringify(given)}.map(({ mediaType, base64 }, i) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const sequence = BigInt(${JSON.stringify(numbers)}[i]);
    const event = { bytes, mediaType, canonicalisation: "${canonicalisation}", source: ${JSON.stringify(source)}, sequence };
    const { commitment } = kedge.commitEvent(event, { tenantKey: new Uint8Array(32).fill(7) });
    return Array.from(commitment, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }))`;
  const said: unknown = runInContext(`${browser};${page}`, context);
  return list.parse(JSON.parse(z.string().parse(said)));
}

const recordSchema = z.object({ commitment: z.string(), opening: z.unknown() });

/** As `kedge commit` does it: every opening opens its event. */
async function byCommand(
  events: readonly Event[],
  canonicalisation: string,
  source: string,
): Promise<Committed[]> {
  const cwd = mkdtempSync(join(folder, "command-"));
  const names = events.map((_, i) => `${String(i).padStart(3, "0")}.bin`);
  for (const [i, name] of names.entries()) writeFileSync(join(cwd, name), events[i]?.bytes ?? "");
  const options = ["--as-bytes", "--media-type", events[0]?.mediaType ?? "", "--source", source];
  const args = [...options, "--canonicalisation", canonicalisation, "--tenant-key", TENANT_KEY];
  const { out, err } = await kedge(["commit", ...names, ...args], { cwd, env: { HOME: cwd } });
  const lines = out.trimEnd().split("\n");
  expect(lines.length, err).toBe(events.length);
  return lines.map((line, i) => {
    const record = recordSchema.parse(JSON.parse(line));
    const opening = parseOpening(record.opening);
    const { commitment } = record;
    expect(bytesToHex(openCommitment(opening, events[i]?.bytes ?? new Uint8Array()))).toBe(commitment);
    return { commitment, ...(opening.sequence === undefined ? {} : { sequence: opening.sequence }) };
  });
}

/** As the agent does it, when a source hands it over. */
async function byJournal(events: readonly Event[], source: string): Promise<Committed[]> {
  const place = mkdtempSync(join(folder, "journal-"));
  const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(7) };
  const journal = await openJournal({ folder: place, keys: { current: () => key, of: () => key } });
  try {
    const intake = await journal.intake(source);
    await intake.take({ arrivals: events });
    return [...journal.entries(source)].map(({ commitment, number }) => ({
      commitment: bytesToHex(commitment),
      sequence: `${number}`,
    }));
  } finally {
    await journal.close();
  }
}

describe.each(bySource)("events of $mediaType", ({ mediaType, events }) => {
  const source = `the source of ${mediaType}, é`;
  test("have the same 32 bytes in a page, by the command and in the agent's journal", async () => {
    const command = await byCommand(events, "raw", source);
    const numbers = command.map(({ sequence }) => sequence ?? "");
    expect(numbers).toEqual(events.map((_, i) => `${i + 1}`));
    expect(inBrowser(events, "raw", source, numbers)).toEqual(command.map(({ commitment }) => commitment));
    expect(await byJournal(events, source)).toEqual(command);
  });

  test.runIf(events.every(isJson))(
    "have the same 32 bytes in a page and by the command, canonicalised too",
    async () => {
      const command = await byCommand(events.slice(0, 2), "jcs", source);
      const numbers = command.map(({ sequence }) => sequence ?? "");
      const commitments = command.map(({ commitment }) => commitment);
      expect(inBrowser(events.slice(0, 2), "jcs", source, numbers)).toEqual(commitments);
      expect(inBrowser(events.slice(0, 2), "raw", source, numbers)).not.toEqual(commitments);
    },
  );
});

test("a file that the agent follows has the commitments that the command makes of it", async () => {
  const cwd = mkdtempSync(join(folder, "agent-"));
  const file = join(cwd, "ehr.ndjson");
  writeFileSync(file, [1, 2, 3].map((n) => `{"resourceType":"AuditEvent","id":"${n}"}\n`).join(""));
  const args = ["commit", file, "--source", "ehr", "--tenant-key", TENANT_KEY];
  const { out } = await kedge(args, { cwd, env: { HOME: cwd } });
  const records = out
    .trimEnd()
    .split("\n")
    .map((line) => recordSchema.parse(JSON.parse(line)));

  const server = await startServer();
  const stop = new AbortController();
  const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(7) };
  const agent = runAgent(
    {
      config: configOfFlags(join(cwd, "data"), {
        health: "off",
        sources: new Map([["follow", [`ehr=${file}`]]]),
      }),
      ...{ log: LOG_ID, keys: { current: () => key, of: () => key } },
      connection: { url: server.url, apiKey: API_KEY },
      report: openReport(() => undefined),
    },
    stop.signal,
    { sources: 10_000, posting: 500 },
  );
  try {
    const sealed = async () => {
      await server.seal();
      return server.sealed().slice(0, 3);
    };
    await expect.poll(sealed, { timeout: 60_000 }).toEqual(records.map(({ commitment }) => commitment));
  } finally {
    stop.abort();
    await agent;
    await server.stop();
  }
});
