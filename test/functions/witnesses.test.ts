/** The anchorer as it is deployed, with witnesses on the network: its metric, its log lines, the public checkpoint. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { formatVkey, type Vkey } from "@kedge/verify/tlog/note";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openService } from "../../service/config-sealing.ts";
import { logVkeys } from "../../service/sign.ts";
import { ed25519Signer } from "../packages/verify/tlog/signers.ts";
import { type FakeWitness, fakeWitness, policyOf } from "../support/witness.ts";
import { bearer, type Harness, startHarness } from "./harness.ts";

let kedge: Harness;
let handlers: { anchorer: () => Promise<unknown>; sealer: (event: object) => Promise<unknown> };
const witnesses: FakeWitness[] = [];
const [DOWN, SECRET] = ["a word of its answer", "/hard-to-guess"];

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const witness = witnesses.find(({ name }) => request.url === `/${name}${SECRET}/add-checkpoint`);
  const answer = await witness?.answer({ post: Buffer.concat(chunks).toString() });
  response.writeHead(answer?.status ?? 404, answer?.headers).end(answer?.body);
});

beforeAll(async () => {
  kedge = await startHarness();
  const [vkey] = await logVkeys(kedge.service.anchorKeys, kedge.service.anchorOrigin);
  witnesses.push(
    fakeWitness("a", () => vkey as Vkey),
    fakeWitness("b", () => vkey as Vkey),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const urls = witnesses.map(({ name }) => `http://127.0.0.1:${port}/${name}${SECRET}`);
  process.env["KEDGE_POLICY"] = await policyFile(policyOf(witnesses, 2, urls));
  process.env["KEDGE_METRICS"] = "Kedge";
  vi.resetModules();
  handlers = {
    anchorer: (await import("../../functions/anchorer.ts")).handler,
    sealer: (await import("../../functions/sealer.ts")).handler,
  };
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await kedge.close();
});

async function policyFile(text: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), "kedge-policy-")), "policy");
  await writeFile(path, text);
  return path;
}

async function run(): Promise<Record<string, unknown>[]> {
  kedge.logged.length = 0;
  await handlers.anchorer();
  return kedge.logged.map((line) => JSON.parse(line));
}

async function sealOne(): Promise<void> {
  const response = await kedge.app.request(`/v1/logs/${kedge.a.log.id}/entries`, {
    method: "POST",
    headers: { ...bearer(kedge.a.write), "Content-Type": "application/octet-stream" },
    body: crypto.getRandomValues(new Uint8Array(32)),
  });
  expect(response.status).toBe(202);
  await handlers.sealer({});
}

const publicCheckpoint = async () => {
  const response = await kedge.app.request("/anchor/checkpoint");
  return response.status === 200 ? parseCheckpoint(await response.text()) : undefined;
};

test("with every witness at hand the metric is 1, nothing is logged of them, and both cosign what is public", async () => {
  await sealOne();
  const lines = await run();
  expect(lines).toMatchObject([
    { event: "policy", changed: true },
    { event: "vkeys", changed: true },
    { event: "anchor", WitnessQuorum: 1, quorum: true },
  ]);
  const checkpoint = await publicCheckpoint();
  expect(checkpoint?.checkpoint.size).toBe(1n);
  expect(checkpoint?.note.signatures).toHaveLength(3);
});

test("without a quorum the metric is 0, the log names the witness and what it did, and nothing else of it", async () => {
  const b = witnesses[1] as FakeWitness;
  b.manner = () => ({ status: 403, body: DOWN });
  await sealOne();
  const lines = await run();
  expect(lines).toMatchObject([
    { level: "error", event: "witness", witness: "b-0", outcome: "refused", status: 403 },
    { level: "error", event: "anchor", quorum: false, WitnessQuorum: 0, size: 2, publicSize: 1 },
  ]);
  const text = kedge.logged.join("");
  for (const word of [DOWN, SECRET, "127.0.0.1"]) expect(text).not.toContain(word);
  expect((await publicCheckpoint())?.checkpoint.size).toBe(1n);

  b.manner = undefined;
  expect(await run()).toMatchObject([{ event: "anchor", WitnessQuorum: 1, size: 2, publicSize: 2 }]);
  expect((await publicCheckpoint())?.checkpoint.size).toBe(2n);
});

test("KEDGE_POLICY needs no log line, and a witness's URL that is none is refused at the start", async () => {
  const open = async (text: string) => openService({ ...process.env, KEDGE_POLICY: await policyFile(text) });
  const policy = policyOf(witnesses, 1);
  expect((await open(policy)).policy.logs).toEqual([]);
  const logLine = (origin: string) => `log ${formatVkey(ed25519Signer(origin).vkey)}\n${policy}`;
  expect((await open(logLine("kedge.example/anchor"))).policy.logs).toEqual([]);
  await expect(open(logLine("else.example/anchor"))).rejects.toMatchObject({
    code: "invalid",
    message: expect.stringContaining("It is the policy of else.example/anchor"),
  });
  await expect(open(policy.replaceAll("https:", "ftp:"))).rejects.toThrow(
    expect.objectContaining({
      code: "invalid",
      cause: expect.objectContaining({ message: expect.stringContaining("a-0") }),
    }),
  );
});
