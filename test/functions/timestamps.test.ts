import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { timestampPublic } from "../../service/stamp.ts";
import { parseCheckpoint } from "../../tlog/checkpoint.ts";
import { parseProof } from "../../tlog/proof.ts";
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
  const token = Uint8Array.of(1, 2, 3);
  const stamp = async () => ({ token, genTime: service.clock() });
  const authorities = [{ kind: "rfc3161" as const, url: "https://tsa.example/", stamp }];
  expect(await timestampPublic({ ...service, authorities, every: 1 })).toMatchObject({ size, stored: 1 });

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
