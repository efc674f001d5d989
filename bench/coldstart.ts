/** How fast a function starts: its bundle, as it is deployed, in a new process, beside a bare Hono handler's. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { bundle, bundleEntry, ENTRY_FILE } from "../infra/bundle.ts";
import { readConfig } from "../infra/config.ts";
import { FUNCTIONS } from "../infra/names.ts";
import { SPECS } from "../infra/service/specs.ts";
import { figure, median, type Section, spread } from "./report.ts";

const RUNS = 21;
const BARE = "bare Hono";
const NAMES = [BARE, ...FUNCTIONS] as const;
type Name = (typeof NAMES)[number];

/** Milliseconds: from the start of the process to the loaded handler, loading it alone, and from the start to an answer. */
const startSchema = z.object({ ready: z.number(), loading: z.number(), answered: z.number().optional() });
type Start = z.infer<typeof startSchema>;

export async function coldstart(): Promise<Section> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-coldstart-"));
  const folderOf = (name: Name) => join(folder, name.replace(" ", "-"));
  await bundleEntry(join(import.meta.dirname, "bare"), folderOf(BARE));
  const config = readConfig("config/prod.json");
  await Promise.all(FUNCTIONS.map((name) => bundle(SPECS[name], folderOf(name), config)));

  const starts = new Map<Name, Start[]>(NAMES.map((name) => [name, []]));
  for (let run = 0; run <= RUNS; run++) {
    for (const name of NAMES) {
      const start = await startOnce(folderOf(name), name === "api" || name === BARE);
      // The first reads the disk; Lambda has the asset at hand.
      if (run > 0) starts.get(name)?.push(start);
    }
  }
  const sizes = new Map<Name, Sizes>();
  for (const name of NAMES) sizes.set(name, await sizesOf(folderOf(name)));
  await rm(folder, { recursive: true });
  return report(starts, sizes);
}

function report(starts: ReadonlyMap<Name, Start[]>, sizes: ReadonlyMap<Name, Sizes>): Section {
  const of = (name: Name, what: keyof Start): number[] =>
    (starts.get(name) ?? []).map((start) => start[what]).filter((ms) => ms !== undefined);
  const times = (name: Name, what: keyof Start): number => median(of(name, what)) / median(of(BARE, what));
  const cell = (name: Name, what: keyof Start): string =>
    of(name, what).length === 0 ? "" : `${spread(of(name, what))}, ${figure(times(name, what))}×`;
  return {
    title: "Cold start",
    head: ["", "KB at a start", "KB in all", "ms until ready", "of it loading", "ms until the first answer"],
    rows: NAMES.map((name) => {
      const { parsed = 0, all = 0 } = sizes.get(name) ?? {};
      const kb = [parsed, all].map((bytes) => figure(bytes / 1000));
      return [name, ...kb, cell(name, "ready"), cell(name, "loading"), cell(name, "answered")];
    }),
    values: {
      apiKilobytes: (sizes.get("api")?.parsed ?? Number.NaN) / 1000,
      apiReadyOverBare: times("api", "ready"),
      apiLoadingOverBare: times("api", "loading"),
      apiAnsweredOverBare: times("api", "answered"),
    },
  };
}

/** In the new process: times since `SPAWNED`, by the clock that both processes share. */
const SCRIPT = `
const now = () => performance.timeOrigin + performance.now() - Number(process.env.SPAWNED);
const started = now();
const { handler } = await import(process.env.ENTRY);
const ready = now();
let answered;
if (process.env.EVENT) {
  const { statusCode } = await handler(JSON.parse(process.env.EVENT));
  if (statusCode !== 200) throw new Error("answered with " + statusCode);
  answered = now();
}
process.stdout.write("\\n" + JSON.stringify({ ready, loading: ready - started, answered }) + "\\n");
`;

/** A configuration that is never used: GET /healthz asks for nothing. */
const ENVIRONMENT = {
  AWS_REGION: "eu-central-1",
  AWS_ACCESS_KEY_ID: "test",
  AWS_SECRET_ACCESS_KEY: "test",
  // The AWS SDK announces its end of support for Node 20 on every start.
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  KEDGE_STORE: "dynamodb:kedge",
  KEDGE_INDEX: "s3://kedge-index",
  KEDGE_DOMAIN: "audit.example.org",
  KEDGE_LOG_KEY: "a",
  KEDGE_ANCHOR_KEY: "b",
};

const HEALTH = {
  version: "2.0",
  routeKey: "$default",
  rawPath: "/healthz",
  rawQueryString: "",
  headers: { host: "api.example.org" },
  requestContext: {
    domainName: "api.example.org",
    http: { method: "GET", path: "/healthz" },
    requestId: "1",
    stage: "$default",
  },
  isBase64Encoded: false,
};

async function startOnce(folder: string, asks: boolean): Promise<Start> {
  const env = {
    ...ENVIRONMENT,
    ENTRY: pathToFileURL(join(folder, ENTRY_FILE)).href,
    ...(asks && { EVENT: JSON.stringify(HEALTH) }),
    SPAWNED: String(performance.timeOrigin + performance.now()),
  };
  const child = spawn(process.execPath, ["--input-type=module", "--eval", SCRIPT], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [written, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (code !== 0) throw new Error(`a function did not start: ${folder}`);
  return startSchema.parse(JSON.parse(written.trimEnd().split("\n").at(-1) ?? ""));
}

/** Bytes that a start parses: the entry and what it imports before it runs. And bytes of the whole asset. */
type Sizes = { readonly parsed: number; readonly all: number };

async function sizesOf(folder: string): Promise<Sizes> {
  const seen = new Set<string>();
  let parsed = 0;
  const visit = async (file: string): Promise<void> => {
    if (seen.has(file)) return;
    seen.add(file);
    const code = await readFile(join(folder, file), "utf8");
    parsed += Buffer.byteLength(code);
    // `import"…"` and `… from"…"`; what is loaded on demand has a parenthesis: `import("…")`.
    for (const [, imported = ""] of code.matchAll(/\b(?:from|import)\s*"\.\/([^"]+\.mjs)"/g))
      await visit(imported);
  };
  await visit(ENTRY_FILE);

  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const bytes = await Promise.all(
    files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size),
  );
  return { parsed, all: bytes.reduce((sum, size) => sum + size, 0) };
}
