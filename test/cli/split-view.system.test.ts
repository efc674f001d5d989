/**
 * An operator with the real anchor key shows two histories. The operator, its witnesses, the monitor and the verifiers
 * are processes of the real command; the other history is a copy of the operator's data folder that goes on by itself.
 */
import type { ChildProcess } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Checkpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { parseVkey } from "@kedge/verify/tlog/note";
import { originHash } from "@kedge/verify/tlog/witness";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { addressIn, serve, serveWitness, stop } from "../support/serve.ts";
import { kedge, type Result } from "./run.ts";

// Dozens of processes in a test, one after the other.
vi.setConfig({ testTimeout: 900_000 });

type Witness = Awaited<ReturnType<typeof serveWitness>> & { readonly name: string };

let folder: string;
let keys: { logVkey: string; anchorVkeys: string[] };
let origin: string;
let witnesses: Witness[];
/** The operator's one address, and what answers there now. */
let url = "";
let operator: ChildProcess | undefined;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-split-view-"));
  await operate("one");
  keys = await readKeys();
  origin = parseVkey(keys.anchorVkeys[0] ?? "").name;
  witnesses = await Promise.all(["anna", "barbara", "clemens"].map((name) => startWitness(name)));
  await write("policy", policy(2));
  await operate("one", "policy");
  await postAndProve("shared", "witnessed");
  await endOperator();
  await cp(at("one"), at("two"), { recursive: true });
  await rm(at("two/kedge.log"));
});
afterAll(async () => {
  for (const child of running) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string): string => join(folder, name);
const write = (name: string, text: string): Promise<void> => writeFile(at(name), text);

/** The operator serves this data folder, at the address where it served another before. */
async function operate(data: string, policyFile?: string): Promise<void> {
  await endOperator();
  const port = url === "" ? "0" : new URL(url).port;
  const env = { KEDGE_PORT: port, ...(policyFile !== undefined && { KEDGE_POLICY: at(policyFile) }) };
  const { child, output } = await serve({ cwd: folder, data: at(data), env });
  running.add(child);
  operator = child;
  url = addressIn(output);
}

async function endOperator(): Promise<void> {
  if (operator === undefined) return;
  await stop(operator, "SIGTERM");
  running.delete(operator);
  operator = undefined;
}

async function readKeys(): Promise<typeof keys> {
  const members = z.object({ logVkey: z.string(), anchorVkey: z.string(), anchorMldsaVkey: z.string() });
  const found = members.parse(JSON.parse(await readFile(at("one/credentials.json"), "utf8")));
  return { logVkey: found.logVkey, anchorVkeys: [found.anchorVkey, found.anchorMldsaVkey] };
}

/** @param data another folder than its own: a copy of its record. */
async function startWitness(name: string, { data = name, port = 0 } = {}): Promise<Witness> {
  const options = { cwd: folder, data: at(data), name: `witness.${name}.example`, port };
  const witness = await serveWitness({ ...options, logs: keys.anchorVkeys });
  running.add(witness.child);
  return { ...witness, name };
}

/** One of the three that everybody has agreed on. @param asked where the operator asks each of them; absent: nowhere. */
function policy(quorum: number, asked?: Readonly<Record<string, string>>): string {
  const lines = witnesses.map(({ name, vkeys, url }) =>
    `witness ${name} ${vkeys[0]} ${asked === undefined ? url : (asked[name] ?? "")}`.trim(),
  );
  const group = `group hospitals ${quorum} ${witnesses.map(({ name }) => name).join(" ")}`;
  return `${[...keys.anchorVkeys.map((vkey) => `log ${vkey}`), ...lines, group, "quorum hospitals"].join("\n")}\n`;
}

const run = (...args: string[]): Promise<Result> => kedge(args, { cwd: folder });
const asTenant = (...args: string[]): Promise<Result> =>
  kedge([...args, "--credentials", "one/credentials.json"], { cwd: folder, env: { KEDGE_URL: url } });

/** An event of this name, and its proof once it has come so far. */
async function postAndProve(name: string, assurance: string): Promise<void> {
  await write(`${name}.json`, JSON.stringify({ resourceType: "AuditEvent", id: name }));
  const event = [`${name}.json`, "--wait", assurance];
  expect(await asTenant("post", ...event)).toMatchObject({ code: 0 });
  expect(await asTenant("proof", ...event, "--out", `${name}.tlog-proof`)).toMatchObject({ code: 0 });
}

const verify = (name: string, ...more: string[]): Promise<Result> =>
  run("verify", `${name}.json`, `${name}.tlog-proof`, "--log-vkey", keys.logVkey, ...more);
const verifyWitnessed = (name: string, policyFile = "policy"): Promise<Result> =>
  verify(name, "--policy", policyFile, "--require", "witnessed");
const monitor = (state: string, ...more: string[]): Promise<Result> =>
  run("monitor", `${url}/anchor`, "--policy", "policy", "--state", state, ...more);

const read = async (from: string): Promise<string> => {
  const response = await fetch(from);
  expect(response.status).toBe(200);
  return await response.text();
};
const publicCheckpoint = async (): Promise<Checkpoint> =>
  parseCheckpoint(await read(`${url}/anchor/checkpoint`)).checkpoint;
/** What a witness serves to monitors, in a file of its name. */
async function fetchCosigned({ name, url }: Witness): Promise<Checkpoint> {
  const note = await read(`${url}/${originHash(origin)}/checkpoint`);
  await write(`${name}.checkpoint`, note);
  return parseCheckpoint(note).checkpoint;
}

/** What the anchorer on this folder says of its witnesses. */
async function toldOfWitnesses(data: string): Promise<unknown[]> {
  const lines = (await readFile(at(`${data}/kedge.log`), "utf8")).split("\n").filter((line) => line !== "");
  return lines
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === "witness")
    .map(({ witness, outcome, status }) => ({ witness, outcome, status }));
}

test("honest witnesses cosign one history; who sees both has evidence; only one is proven as witnessed", async () => {
  // The one that a verifier and a monitor are shown.
  await operate("one", "policy");
  await postAndProve("mine", "witnessed");
  expect((await monitor("state")).code).toBe(0);
  const shown = await publicCheckpoint();
  const proven = await verifyWitnessed("mine");
  expect([proven.code, proven.out]).toEqual([
    0,
    expect.stringMatching(
      /^PROVEN {2}at assurance witnessed.*\n.*quorum has cosigned.*3 of the 3 witnesses in it/s,
    ),
  ]);

  // (a) The other, from the same address and under the same keys: every witness refuses it.
  await operate("two", "policy");
  const before = await publicCheckpoint();
  await postAndProve("theirs", "anchored");
  const refusals = witnesses.map(({ name }) => ({ witness: name, outcome: "inconsistent", status: 422 }));
  await vi.waitFor(
    async () => expect(await toldOfWitnesses("two")).toEqual(expect.arrayContaining(refusals)),
    { timeout: 120_000, interval: 200 },
  );
  for (const witness of witnesses) expect(await fetchCosigned(witness)).toEqual(shown);
  expect(await publicCheckpoint()).toEqual(before);
  expect(before.size).toBeLessThan(shown.size);

  // (c) Its proof says no more than that the operator signed it.
  expect(await verify("theirs", "--policy", "policy")).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^PROVEN {2}at assurance anchored \(.*\)\n/),
  });
  const refused = await verifyWitnessed("theirs");
  expect([refused.code, refused.out]).toEqual([
    1,
    expect.stringMatching(
      /^NOT PROVEN\n.*only at assurance anchored.*quorum is not shown: 0 of the 3 witnesses in it/,
    ),
  ]);

  // (b) It is made public all the same, without witnesses: the monitor that has seen the first is shown the second.
  await write("none", "quorum none\n");
  await operate("two", "none");
  await vi.waitFor(async () => expect((await publicCheckpoint()).size).toBe(shown.size), {
    timeout: 120_000,
    interval: 200,
  });
  expect(await publicCheckpoint()).not.toEqual(shown);
  const caught = await monitor("state");
  expect([caught.code, caught.out]).toEqual([1, expect.stringMatching(/fork: .*two roots.*no_quorum: /s)]);
  // A third party has the policy and the evidence, and nothing else.
  await mkdir(at("third"));
  await cp(at("state.evidence"), at("third/evidence"));
  await cp(at("policy"), at("third/policy"));
  const judged = await kedge(["monitor", "--check-evidence", "evidence", "--policy", "policy"], {
    cwd: at("third"),
  });
  expect([judged.code, judged.out]).toEqual([0, expect.stringMatching(/^CONVINCING {2}/)]);

  // And who was given the proof finds out by comparing it with what others are shown.
  await operate("one", "policy");
  expect((await monitor("other", "--compare", "mine.tlog-proof")).code).toBe(0);
  const compared = await monitor("other", "--compare", "theirs.tlog-proof");
  expect([compared.code, compared.out]).toEqual([1, expect.stringMatching(/^FINDINGS.*fork: /s)]);
});

test("with one lying witness, two of three accept both histories; all three do not, and comparing shows it", async () => {
  const [anna, barbara, clemens] = witnesses;
  if (anna === undefined || barbara === undefined || clemens === undefined) throw new Error("no witnesses");
  await endOperator();
  await cp(at("one"), at("three"), { recursive: true });
  // Clemens signs for both: its record was copied, as from a backup, and each copy knows one of them.
  await stop(clemens.child, "SIGTERM");
  running.delete(clemens.child);
  await cp(at("clemens"), at("clemens-again"), { recursive: true });
  await startWitness("clemens", { port: Number(new URL(clemens.url).port) });
  const liar = await startWitness("clemens", { data: "clemens-again" });
  expect(liar.vkeys).toEqual(clemens.vkeys);

  await write("asked-three", policy(2, { barbara: barbara.url, clemens: liar.url }));
  await operate("three", "asked-three");
  await postAndProve("forked", "witnessed");
  await write("asked-one", policy(2, { anna: anna.url, clemens: clemens.url }));
  await operate("one", "asked-one");
  await postAndProve("honest", "witnessed");

  await write("policy-3", policy(3));
  for (const name of ["forked", "honest"]) {
    expect(await verifyWitnessed(name)).toMatchObject({ code: 0 });
    expect(await verifyWitnessed(name, "policy-3")).toMatchObject({
      code: 1,
      out: expect.stringMatching(/2 of the 3 witnesses in it/),
    });
  }

  const heads = await Promise.all([anna, barbara, clemens].map(fetchCosigned));
  expect(new Set(heads.map(({ size }) => size)).size).toBe(1);
  const agreed = await monitor("compare", "--compare", "anna.checkpoint", "--compare", "clemens.checkpoint");
  expect(agreed.code).toBe(0);
  const compared = await monitor("compare", "--compare", "barbara.checkpoint");
  expect([compared.code, compared.out]).toEqual([1, expect.stringMatching(/^FINDINGS.*fork: /s)]);
  const judged = await run("monitor", "--check-evidence", "compare.evidence", "--policy", "policy");
  expect([judged.code, judged.out]).toEqual([0, expect.stringMatching(/^CONVINCING {2}/)]);
});
