/** The real API on loopback, over a store in memory, and faults on demand in the place of its answers. */
import type { AddressInfo } from "node:net";
import { devNull } from "node:os";
import { type HttpBindings, serve } from "@hono/node-server";
import { checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { formatNote } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { decodeBundle } from "@kedge/verify/tlog/tile";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, randomBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { type Context, Hono } from "hono";
import * as z from "zod";
import { createApp } from "../../functions/http/app.ts";
import { anchor } from "../../service/anchor.ts";
import { newFilters } from "../../service/index/filters.ts";
import { logsKey } from "../../service/logs.ts";
import { seal } from "../../service/seal.ts";
import type { CheckpointSigner, LogKeys } from "../../service/sign.ts";
import { oldApiKeyKey, tenantKey, tenantLogKey } from "../../service/tenants.ts";
import type { HeadSigner } from "../packages/verify/tlog/signers.ts";
import { memoryIndex } from "./memory-index.ts";
import { memoryStore } from "./memory-store.ts";
import { ANCHOR_ORIGIN, anchor as anchorKey, LOG_ID, LOG_ORIGIN, log } from "./proofs.ts";
import { memoryPublication } from "./world.ts";

export { LOG_ID };

const TENANT = "t".repeat(16);
const KEY_ID = "k".repeat(9);
const SECRET = "secret".repeat(9).slice(0, 52);
/** Of every scope. */
export const API_KEY = `kedge_${TENANT}${KEY_ID}_${SECRET}`;

const createdAt = BigInt(Date.UTC(2026, 2, 2, 8));
const TENANT_ITEMS = [
  { ...tenantKey(TENANT), name: "a hospital", createdAt },
  { ...logsKey(LOG_ID), origin: LOG_ORIGIN, tenant: TENANT },
  { ...tenantLogKey(TENANT, LOG_ID), origin: LOG_ORIGIN, name: "ward 7", createdAt },
  {
    ...oldApiKeyKey(TENANT, KEY_ID),
    ...{ name: "all", scopes: "write read admin", createdAt, hash: sha256(utf8ToBytes(SECRET)) },
  },
];

const signBy =
  (signers: readonly HeadSigner[]): CheckpointSigner =>
  async (head) =>
    formatNote({ text: checkpointBody(head), signatures: signers.map(({ sign }) => sign(head)) });
/** Of keys that only their public halves are asked of. */
const keysOf = (signers: readonly HeadSigner[]): LogKeys => ({
  ed25519: signers.map(({ vkey }) => ({
    publicKey: async () => vkey.publicKey,
    sign: () => Promise.reject(new Error("the API does not sign")),
  })),
  mldsa44: [],
});

type Env = { Bindings: HttpBindings };
type Fault = (c: Context<Env>) => Response | Promise<Response>;

/** Entries are sealed and anchored when `seal` and `anchor` say so. Each fault answers one request in place of the API. */
export async function startServer() {
  // A line for each request would hide what the tests say.
  process.env["KEDGE_LOG_FILE"] ??= devNull;
  const store = memoryStore(TENANT_ITEMS);
  const service = {
    store,
    index: memoryIndex(),
    filters: newFilters(1_000_000),
    clock: Date.now,
    domain: "audit.example.org",
    anchorOrigin: ANCHOR_ORIGIN,
    policy: parsePolicy("quorum none\n"),
    sessionMs: 3_600_000,
    every: { sealer: 60_000, anchorer: 60_000 },
    anchorKeys: keysOf([anchorKey]),
    publication: memoryPublication(),
    signAnchor: signBy([anchorKey]),
    anchorVkeys: async () => [anchorKey.vkey],
    close: async () => undefined,
  };
  let signers: readonly HeadSigner[] = [log];
  const api = createApp({
    ...service,
    get logKeys() {
      return keysOf(signers);
    },
  });
  const faults: Fault[] = [];
  const requests: { method: string; path: string; body: string; status: number }[] = [];
  /** Proofs in one answer, beyond which the answer is full. */
  const limits = { proofs: 1_000 };

  const app = new Hono<Env>();
  app.all("*", async (c) => {
    const seen = { method: c.req.method, path: c.req.path, body: await c.req.raw.clone().text(), status: 0 };
    requests.push(seen);
    const fault = faults.shift();
    const answer = fault === undefined ? await api.fetch(c.req.raw) : await fault(c);
    seen.status = answer.status;
    return fault === undefined && seen.path.endsWith("/proofs") ? full(answer, limits.proofs) : answer;
  });
  const add = async (commitments: readonly Uint8Array[]) => {
    const body = JSON.stringify({ hashes: commitments.map(bytesToHex) });
    const headers = { Authorization: `Bearer ${API_KEY}`, "Content-Type": "application/json" };
    const { status } = await api.request(`/v1/logs/${LOG_ID}/entries`, { method: "POST", body, headers });
    if (status !== 202) throw new Error(`the API answers ${status}`);
  };
  const sealPending = () => seal(service, { id: LOG_ID, origin: LOG_ORIGIN, sign: signBy(signers) });

  const { server, port } = await new Promise<{ server: ReturnType<typeof serve>; port: number }>(
    (resolve) => {
      const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, (info: AddressInfo) =>
        resolve({ server, port: info.port }),
      );
    },
  );
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    faults,
    limits,
    problem,
    /** Commitments in the order of the log, of fewer than 256. */
    sealed(): string[] {
      const bundle = store.items().find(({ pk }) => pk === `tile/${LOG_ID}/entries/0`);
      const { data, width } = bundleSchema.parse(bundle ?? { data: new Uint8Array(), width: 0n });
      return decodeBundle(data, Number(width)).map(bytesToHex);
    },
    add,
    seal: sealPending,
    anchor: () => anchor(service),
    /** From now on these keys sign the log: its next checkpoint, of one more entry, is there at once. */
    async rotate(...keys: readonly HeadSigner[]) {
      signers = keys;
      await add([randomBytes(32)]);
      await sealPending();
    },
    stop: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

const bundleSchema = z.object({ data: z.instanceof(Uint8Array), width: z.bigint() });

const problemOf = (code: string, status: number) => ({
  ...{ type: `urn:kedge:problem:${code}`, title: code, status, detail: `it is ${code}` },
});

/** What the API answers where it cannot, as it would. */
const problem = (status: 400 | 401 | 403 | 404 | 413 | 429 | 503, code: string, headers = {}): Response =>
  Response.json(problemOf(code, status), {
    ...{ status, headers: { "Content-Type": "application/problem+json", ...headers } },
  });

/** The same answer, if no more than so many proofs had fitted into it. */
async function full(answer: Response, proofs: number): Promise<Response> {
  const lines = (await answer.text()).split("\n").filter((line) => line !== "");
  const cut = lines.map((line, i) =>
    i < proofs
      ? line
      : JSON.stringify({
          ...z.object({ hash: z.string() }).parse(JSON.parse(line)),
          problem: problemOf("response_full", 413),
        }),
  );
  return new Response(cut.map((line) => `${line}\n`).join(""), answer);
}

/** The answer never comes: the connection is cut. */
export const reset: Fault = (c) => {
  c.env.incoming.socket.destroy();
  return new Response(null);
};
