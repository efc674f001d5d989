/** What one tenant's requests for proofs by the thousand cost another tenant, who asks for one at a time. */
import { devNull } from "node:os";
import { bytesToHex } from "@noble/hashes/utils.js";
import { createApp } from "../functions/http/app.ts";
import { append } from "../service/append.ts";
import { seal } from "../service/seal.ts";
import { createKey, createLog, createTenant } from "../service/tenants.ts";
import { figure, median, type Section, spread } from "./report.ts";
import { openStack, randomCommitments, type Stack } from "./stack.ts";

const BATCH = 1_000;
/** Requests that the busy tenant has under way. */
const BUSY = 4;
const ASKED = 40;

export async function fairness(): Promise<Section> {
  process.env["KEDGE_LOG_FILE"] = devNull;
  const stack = await openStack();
  try {
    const app = createApp(stack.service);
    const [busy, other] = [await tenantWith(stack, BATCH), await tenantWith(stack, 1)];
    const askAll = async () => {
      const headers = { ...busy.headers, "Content-Type": "application/json" };
      const body = JSON.stringify({ hashes: busy.hashes });
      const answer = await app.request(`/v1/logs/${busy.log}/proofs`, { method: "POST", headers, body });
      return (await answer.text()).length;
    };
    const askOne = async () => {
      const started = performance.now();
      const path = `/v1/logs/${other.log}/entries/${other.hashes[0]}/proof`;
      await (await app.request(path, { headers: other.headers })).text();
      return performance.now() - started;
    };
    const askSome = async () => {
      const times: number[] = [];
      for (let i = 0; i < ASKED; i++) times.push(await askOne());
      return times;
    };

    await askSome();
    const alone = await askSome();
    let ended = false;
    const lanes = Array.from({ length: BUSY }, async () => {
      while (!ended) await askAll();
    });
    const beside = await askSome();
    ended = true;
    await Promise.all(lanes);
    const ratio = median(beside) / median(alone);
    return {
      title: `Fairness: one tenant's proof, beside another's ${BUSY} requests for ${figure(BATCH)}`,
      head: ["", "alone", "beside"],
      rows: [["ms", spread(alone), spread(beside)]],
      values: { ratio, aloneMs: median(alone), besideMs: median(beside) },
    };
  } finally {
    await stack.close();
  }
}

async function tenantWith({ service }: Stack, entries: number) {
  const { id } = await createTenant(service, "bench");
  const log = await createLog(service, id, "bench");
  const { apiKey } = await createKey(service, id, { name: "bench", scopes: ["read"] });
  const commitments = randomCommitments(entries);
  await append(service, log.id, commitments);
  await seal(service, { ...log, sign: service.signLog });
  const headers = { Authorization: `Bearer ${apiKey}` };
  return { log: log.id, hashes: commitments.map(bytesToHex), headers };
}
