/** Timestamps as the anchorer gets them and the API serves them, and what is told of those that do not come. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { timelineSchema } from "@kedge/cli/contract/wire";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { parseProof } from "@kedge/verify/tlog/proof";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import * as z from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { timestampPublic } from "../../service/stamp.ts";
import { hasOpenssl, opensslTsa } from "../support/tsa.ts";
import { bearer, type Harness, json, startHarness } from "./harness.ts";

let kedge: Harness;
beforeAll(async () => {
  kedge = await startHarness();
});
afterAll(() => kedge.close());

test("a public checkpoint's timestamps are served, and stand in the proofs that use it", async () => {
  const { app, a, service } = kedge;
  const path = `/v1/logs/${a.log.id}/entries`;
  const hash = bytesToHex(randomBytes(32));
  await app.request(path, json(a.write, { hashes: [hash] }));
  await sealer({ source: "aws.scheduler" });
  await anchorer();
  const { size } = parseCheckpoint(await (await app.request("/anchor/checkpoint")).text()).checkpoint;

  const before = await app.request(`/anchor/timestamps/${size}`);
  expect(await before.json()).toEqual({ timestamps: [] });
  const timeline = async () => {
    const answer = await app.request(`/v1/logs/${a.log.id}/timeline`, { headers: bearer(a.read) });
    return timelineSchema.parse(await answer.json());
  };
  const point = { size: 1, cosignatures: [], timestamps: [] };
  expect(await timeline()).toMatchObject({ checkpoints: [point], isSampled: false });
  const token = Uint8Array.of(1, 2, 3);
  const genTime = service.clock();
  const stamp = async () => ({ token, genTime });
  const authorities = [{ kind: "rfc3161" as const, url: "https://tsa.example/", stamp }];
  expect(await timestampPublic({ ...service, authorities, every: 1 })).toMatchObject({ size, stored: 1 });

  const stamped = { ...point, timestamps: [{ type: "rfc3161", at: new Date(genTime).toISOString() }] };
  expect((await timeline()).checkpoints).toMatchObject([stamped]);

  const timestamps = [{ type: "rfc3161", token: "AQID" }];
  const after = await app.request(`/anchor/timestamps/${size}`);
  expect(await after.json()).toEqual({ timestamps });
  expect(after.headers.get("access-control-allow-origin")).toBe("*");
  expect(after.headers.get("cache-control")).not.toContain("immutable");
  const proof = parseProof(
    await (await app.request(`${path}/${hash}/proof`, { headers: bearer(a.read) })).text(),
  );
  expect(JSON.parse(new TextDecoder().decode(proof.extra))).toMatchObject({ timestamps });
});

test("of a size that is not public there are none to serve", async () => {
  for (const size of ["0", "999", "01", "-1", "x", "9".repeat(30)]) {
    expect((await kedge.app.request(`/anchor/timestamps/${size}`)).status).toBe(404);
  }
});

test.skipIf(!hasOpenssl)(
  "an authority that is down fails no run: its lines say why, the metric how long none has come",
  async () => {
    const openssl = opensslTsa();
    const root = openssl.root("p256");
    const authority = openssl.issue(root, "tsa");
    let isUp = false;
    const server = createServer(async (request, response) => {
      const asked = new Uint8Array(await buffer(request));
      if (isUp) response.end(openssl.reply(authority, asked));
      else response.writeHead(503).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = z.custom<AddressInfo>((value) => value !== null).parse(server.address());
    const folder = await mkdtemp(join(tmpdir(), "kedge-roots-"));
    await writeFile(join(folder, "roots.pem"), root.pem);
    const variables = {
      KEDGE_TSA_URLS: `http://127.0.0.1:${port}/hard-to-guess`,
      KEDGE_TSA_CERTS: join(folder, "roots.pem"),
      KEDGE_TSA_EVERY: "0.0001",
      KEDGE_METRICS: "Kedge/test",
    };
    Object.assign(process.env, variables);
    vi.resetModules();
    const { handler } = await import("../../functions/anchorer.ts");
    const { app, a, logged } = kedge;
    /** Anchors something new. @returns the lines of timestamps, and the bounds of what has passed since `start`. */
    const run = async (start: number) => {
      await app.request(
        `/v1/logs/${a.log.id}/entries`,
        json(a.write, { hashes: [bytesToHex(randomBytes(32))] }),
      );
      await sealer({});
      logged.length = 0;
      const least = Date.now() - start;
      await handler();
      const lines = logged.map((line) => lineSchema.parse(JSON.parse(line)));
      expect(lines.find(({ event }) => event === "anchor")).toMatchObject({ level: "info", quorum: true });
      return { lines: lines.filter(({ event }) => event === "timestamp"), least, most: Date.now() - start };
    };
    try {
      const start = Date.now();
      const first = await run(start);
      expect(first.lines).toMatchObject([
        { level: "error", authority: `127.0.0.1:${port}`, code: "unavailable" },
        { level: "info", stored: 0, TimestampAge: expect.any(Number) },
      ]);
      const second = await run(start);
      const [before = 0, now = 0] = [first, second].map(({ lines }) => lines.at(-1)?.TimestampAge);
      // Both since the first of the checkpoints, though the second run asked for another.
      expect(now - before).toBeGreaterThanOrEqual(second.least - first.most);
      expect(now).toBeLessThanOrEqual(second.most);

      isUp = true;
      expect((await run(start)).lines).toMatchObject([{ level: "info", stored: 1, TimestampAge: 0 }]);
      expect(logged.join("")).not.toContain("hard-to-guess");
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name];
      server.closeAllConnections();
      server.close();
      openssl.close();
      await rm(folder, { recursive: true });
    }
  },
);

const lineSchema = z.looseObject({ event: z.string().optional(), TimestampAge: z.number().optional() });
