/** A stand-in for the service on loopback: the routes of the API over a log in memory, and faults on demand. */
import type { AddressInfo } from "node:net";
import { type HttpBindings, serve } from "@hono/node-server";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { formatVkey } from "@kedge/verify/tlog/note";
import { formatProof } from "@kedge/verify/tlog/proof";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { type Context, Hono } from "hono";
import { anchor, anchorProof, inclusion, LOG_ORIGIN, log, type Signer, signedHead } from "./proofs.ts";

export const LOG_ID = "6xq2m4";
export const API_KEY = "kedge_test_secretsecretsecret";

type Env = { Bindings: HttpBindings };
type Fault = (c: Context<Env>) => Response | Promise<Response>;

/** Entries are sealed and anchored when `seal` and `anchor` say so. Each fault answers one request in place of the API. */
export async function startServer() {
  const sealed: string[] = [];
  let pending: string[] = [];
  let anchored = false;
  let signers: readonly Signer[] = [log];
  const faults: Fault[] = [];
  const requests: { method: string; path: string; body: string; status: number }[] = [];
  /** Proofs in one answer, beyond which the answer is full. */
  const limits = { proofs: 1_000 };
  const keys: Record<string, unknown>[] = [];
  const app = new Hono<Env>();

  const problem = (status: 400 | 401 | 403 | 404 | 413 | 429 | 503, code: string, headers = {}): Response =>
    Response.json(
      { type: `urn:kedge:problem:${code}`, title: code, status, detail: `it is ${code}` },
      { status, headers: { "Content-Type": "application/problem+json", ...headers } },
    );

  app.use(async (c, next) => {
    const body = await c.req.raw.clone().text();
    const seen = { method: c.req.method, path: c.req.path, body, status: 0 };
    requests.push(seen);
    const fault = faults.shift();
    if (fault !== undefined) c.res = await fault(c);
    else if (c.req.header("authorization") !== `Bearer ${API_KEY}`) c.res = problem(401, "unauthorized");
    else if (c.req.path.startsWith("/v1/logs/") && !c.req.path.startsWith(`/v1/logs/${LOG_ID}`)) {
      c.res = problem(404, "not_found");
    } else await next();
    seen.status = c.res.status;
  });

  const entries = (): Uint8Array[] => sealed.map(hexToBytes);
  const checkpoint = (): string => signedHead(LOG_ORIGIN, entries(), signers);
  function proofOf(hash: string): { assurance: string; proof: string } {
    const index = sealed.indexOf(hash);
    const note = checkpoint();
    const extra = utf8Encode(JSON.stringify({ anchor: anchorProof(note, [anchor]), timestamps: [] }), "");
    const proof = { index: BigInt(index), hashes: inclusion(entries(), index), checkpoint: note };
    return {
      assurance: anchored ? "anchored" : "sealed",
      proof: formatProof(anchored ? { ...proof, extra } : proof),
    };
  }

  app.post("/v1/logs/:log/entries", async (c) => {
    const { hashes }: { hashes: string[] } = await c.req.json();
    pending.push(...hashes);
    return c.json({ accepted: hashes.length, receivedAt: "2026-03-02T08:00:00.000Z" }, 202);
  });
  app.get("/v1/logs/:log/entries/:hash", (c) => {
    const hash = c.req.param("hash");
    if (pending.includes(hash)) return c.json({ hash, assurance: "pending" });
    if (!sealed.includes(hash)) return problem(404, "not_found");
    const sealedAt = "2026-03-02T08:00:01.000Z";
    return c.json({
      hash,
      assurance: "sealed",
      index: sealed.indexOf(hash),
      treeSize: sealed.length,
      sealedAt,
    });
  });
  app.post("/v1/logs/:log/proofs", async (c) => {
    const { hashes }: { hashes: string[] } = await c.req.json();
    const lines = hashes.map((hash, i) => {
      const refuse = (code: string) => ({
        type: `urn:kedge:problem:${code}`,
        title: code,
        status: 404,
        detail: code,
      });
      if (i >= limits.proofs) return { hash, problem: refuse("response_full") };
      if (sealed.includes(hash)) return { hash, ...proofOf(hash) };
      return { hash, problem: refuse(pending.includes(hash) ? "pending" : "not_found") };
    });
    return c.body(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), 200, {
      "Content-Type": "application/x-ndjson",
    });
  });
  app.get("/v1/logs/:log/checkpoint", () =>
    sealed.length === 0 ? problem(404, "not_found") : new Response(checkpoint()),
  );
  const state = () => {
    const vkeys = signers.map(({ vkey }) => formatVkey(vkey));
    return {
      id: LOG_ID,
      origin: LOG_ORIGIN,
      name: "ward 7",
      vkey: vkeys[0],
      vkeys,
      createdAt: "2026-03-02T08:00:00.000Z",
    };
  };
  app.get("/v1/logs", (c) => c.json({ logs: [{ ...state(), createdAt: "2026-03-02T08:00:00.000Z" }] }));
  app.post("/v1/logs", async (c) => c.json({ ...state(), ...(await c.req.json()) }, 201));
  app.get("/v1/logs/:log", (c) => c.json({ ...state(), size: sealed.length }));
  app.get("/v1/keys", (c) => c.json({ keys }));
  app.post("/v1/keys", async (c) => {
    keys.push({ id: `key${keys.length}`, createdAt: "2026-03-02T08:00:00.000Z", ...(await c.req.json()) });
    return c.json({ ...keys.at(-1), apiKey: "kedge_new_secret" }, 201);
  });
  app.delete("/v1/keys/:id", (c) => {
    const key = keys.find(({ id }) => id === c.req.param("id"));
    if (key === undefined) return problem(404, "not_found");
    key["revokedAt"] = "2026-03-03T08:00:00.000Z";
    return c.body(null, 204);
  });

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
    sealed: (): readonly string[] => sealed,
    add: (commitments: readonly Uint8Array[]) => void pending.push(...commitments.map(bytesToHex)),
    seal() {
      sealed.push(...new Set(pending.filter((hash) => !sealed.includes(hash))));
      pending = [];
    },
    anchor() {
      anchored = true;
    },
    /** From now on these keys sign the log. */
    rotate(...keys: readonly Signer[]) {
      signers = keys;
    },
    stop: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

/** The answer never comes: the connection is cut. */
export const reset: Fault = (c) => {
  c.env.incoming.socket.destroy();
  return new Response(null);
};
