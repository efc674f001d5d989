/** A log that version 0.1.0 kept on one machine, carried on by this one: docs/operations.md, "Upgrade". */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { awaitProofs } from "@kedge/cli/cli/wait";
import { type Client, openClient, type ProofAnswer } from "@kedge/cli/client/api";
import { openFiles } from "@kedge/verify/cli/copy";
import { pinnedKeys } from "@kedge/verify/cli/credentials";
import { readRecords } from "@kedge/verify/cli/records";
import { openRenewer } from "@kedge/verify/proof/renew";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { parseProof } from "@kedge/verify/tlog/proof";
import { hexToBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { migrate } from "../../local/migrate.ts";
import { type Local, startLocal } from "../../local/start.ts";

let folder: string;
let local: Local;
let client: Client;
let log: string;
let keys: ReturnType<typeof pinnedKeys>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-upgrade-"));
  execFileSync("tar", ["xzf", new URL("./0.1.0/folder.tgz", import.meta.url).pathname, "-C", folder]);
  const credentials = at("cred.json");
  const members = z.object({ apiKey: z.string(), log: z.string() });
  const { apiKey, log: id } = members.parse(JSON.parse(await readFile(credentials, "utf8")));
  keys = pinnedKeys({ credentials });
  const start = () => startLocal({ data: at("data"), host: "127.0.0.1", port: 0 });
  await expect(start()).rejects.toMatchObject({
    message: expect.stringMatching(/kedge migrate --data .*data/),
  });
  // What a call that was killed leaves is no store.
  await mkdir(at("data/store.partial"));
  await writeFile(at("data/store.partial/data.mdb"), "cut short");
  expect(await migrate(at("data"))).toMatchObject({ logs: 3 });
  await expect(migrate(at("data"))).rejects.toMatchObject({ code: "invalid" });
  local = await start();
  client = openClient({ url: local.url, apiKey });
  log = id;
});
afterAll(async () => {
  await local.close();
  await rm(folder, { recursive: true });
});

const at = (...path: string[]) => join(folder, ...path);
const EVENTS = ["e1.json", "e2.json", "e3.json"];

async function anchored(commitments: Uint8Array[]): Promise<ProofAnswer[]> {
  const answers: ProofAnswer[] = [];
  const wait = { wait: "anchored" as const, timeout: 60_000 };
  for await (const answer of awaitProofs({ client, log }, commitments, wait)) answers.push(answer);
  return answers;
}

async function committed(path: string): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const { commitment } of readRecords([path], { credentials: at("cred.json") }))
    all.push(hexToBytes(commitment));
  return all;
}

test("its proofs verify, offline", async () => {
  for (const name of EVENTS) {
    const event = await readFile(at("events", name));
    const proof = await readFile(at("proofs", `${name}.tlog-proof`));
    expect(verifyEvent({ event, proof, ...keys })).toMatchObject({ proven: true, assurance: "anchored" });
  }
});

test("its records say the same commitments as its events do", async () => {
  expect(await committed(at("records.ndjson"))).toEqual(await committed(at("events")));
});

test("what it had acknowledged and not sealed is sealed and anchored", async () => {
  const [pending] = await committed(at("pending.json"));
  const [answer] = await anchored([pending ?? new Uint8Array()]);
  if (answer?.state !== "proof") throw new Error(answer?.state);
  const event = await readFile(at("pending.json"));
  const commitment = pending ?? new Uint8Array();
  expect(event.length).toBeGreaterThan(0);
  expect(verifyEvent({ commitment, proof: answer.proof, ...keys })).toMatchObject({
    proven: true,
    assurance: "anchored",
  });
});

test("its entries keep their places: posted again, they are not new", async () => {
  const commitments = await committed(at("records.ndjson"));
  await client.post(log, commitments);
  const answers = await anchored(commitments);
  for (const name of EVENTS) {
    const before = parseProof(await readFile(at("proofs", `${name}.tlog-proof`), "utf8"));
    const places = answers.map((answer) =>
      answer.state === "proof" ? parseProof(answer.proof).index : undefined,
    );
    expect(places).toContain(before.index);
  }
  expect(
    new Set(
      answers.map((answer) => (answer.state === "proof" ? parseProof(answer.proof).index : answer.state)),
    ).size,
  ).toBe(commitments.length);
});

test("its proofs are renewed by the anchor log that goes on", async () => {
  await anchored(await committed(at("pending.json")));
  const renew = await openRenewer(openFiles(new URL("/anchor", local.url).href), keys.anchorVkeys);
  const event = await readFile(at("events", "e1.json"));
  const renewal = await renew(await readFile(at("proofs", "e1.json.tlog-proof")));
  if (renewal.kind !== "renewed") throw new Error(renewal.kind);
  const report = verifyEvent({ event, proof: renewal.proof, ...keys });
  expect(report).toMatchObject({ proven: true, assurance: "anchored", others: [{ assurance: "anchored" }] });
});
