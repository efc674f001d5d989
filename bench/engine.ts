/**
 * The engine alone: what one process takes and seals, with the API's handler in place of a socket, on LMDB and folders.
 *
 *     node bench/engine.ts [--seconds 10] [--per-request 1000] [--at-once 4] [--json]
 *
 * With `--cpu-prof` before the file name, Node.js writes where the time goes.
 */
import { randomFillSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bytesToHex } from "@noble/hashes/utils.js";
import { createApp } from "../functions/http/app.ts";
import { lmdbStore } from "../platform/lmdb.ts";
import { readHead } from "../service/head.ts";
import { seal } from "../service/seal.ts";
import { createKey, createLog, createTenant } from "../service/tenants.ts";
import { openStack } from "./stack.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    "per-request": { type: "string", default: "1000" },
    "at-once": { type: "string", default: "4" },
    json: { type: "boolean", default: false },
  },
});
const [seconds, perRequest, atOnce] = [values.seconds, values["per-request"], values["at-once"]].map(Number);
if (!seconds || !perRequest || !atOnce)
  throw new RangeError("--seconds, --per-request and --at-once are numbers");

process.env["KEDGE_LOG_FILE"] = devNull;
const stack = await openStack();
const folder = await mkdtemp(join(tmpdir(), "kedge-engine-"));
const store = lmdbStore(folder);
try {
  const service = { ...stack.service, store };
  const app = createApp(service);
  const { id } = await createTenant(service, "bench");
  const log = await createLog(service, id, "bench");
  const { apiKey } = await createKey(service, id, { name: "bench", scopes: ["write"] });

  const body = () => {
    const octets = randomFillSync(new Uint8Array(32 * perRequest));
    if (!values.json) return octets;
    const hashes = Array.from({ length: perRequest }, (_, i) =>
      bytesToHex(octets.subarray(32 * i, 32 * (i + 1))),
    );
    return JSON.stringify({ hashes });
  };
  const headers = {
    Authorization: `Bearer ${apiKey}`,
    "Content-Type": values.json ? "application/json" : "application/octet-stream",
  };
  const took: number[] = [];
  const before = process.cpuUsage();
  const started = performance.now();
  const ends = started + seconds * 1_000;
  let accepted = 0;
  const post = async () => {
    while (performance.now() < ends) {
      const begun = performance.now();
      const request = { method: "POST", headers, body: body() };
      const answer = await app.request(`/v1/logs/${log.id}/entries`, request);
      if (answer.status !== 202) throw new Error(`answered ${answer.status}: ${await answer.text()}`);
      took.push(performance.now() - begun);
      accepted += perRequest;
    }
  };
  let posting = true;
  let seals = 0;
  const sealAll = async () => {
    for (;;) {
      const last = !posting;
      const sealed = await seal(service, { ...log, sign: service.signLog });
      seals++;
      if (last && !sealed.conflict && !sealed.more) return;
    }
  };
  const sealing = sealAll();
  await Promise.all(Array.from({ length: atOnce }, post));
  const posted = performance.now() - started;
  posting = false;
  await sealing;
  const all = performance.now() - started;
  const { user, system } = process.cpuUsage(before);
  const { published } = await readHead(store, log.id);
  if (published !== BigInt(accepted)) throw new Error(`accepted ${accepted}, published ${published}`);
  took.sort((a, b) => a - b);
  const at = (share: number) => (took[Math.floor(took.length * share)] ?? Number.NaN).toFixed(1);
  process.stdout.write(
    `${accepted} events: accepted ${Math.round((accepted / posted) * 1000)}/s, sealed ${Math.round((accepted / all) * 1000)}/s ` +
      `in ${seals} seals; a request took ${at(0.5)} ms (p99 ${at(0.99)}); ` +
      `${((user + system) / accepted).toFixed(1)} µs of processor an event\n`,
  );
} finally {
  await store.close();
  await rm(folder, { recursive: true });
  await stack.close();
}
