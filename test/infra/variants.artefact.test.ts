/** Configurations other than the plain one, on their synthesised artefacts: witnesses, timestamps, and a rotation. */
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { formatOts } from "@kedge/verify/time/ots";
import { timestampVerifier } from "@kedge/verify/time/timestamps";
import { parsePemCertificates } from "@kedge/verify/time/x509";
import { openCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import {
  ED25519_COSIGNATURE,
  formatVkey,
  MLDSA44_COSIGNATURE,
  makeVkey,
  parseVkey,
} from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { FUNCTIONS } from "../../infra/names.ts";
import { createKey, createLog, createTenant } from "../../service/tenants.ts";
import { hasOpenssl, opensslTsa } from "../support/tsa.ts";
import { almighty, unneeded } from "./access.ts";
import { synthesise } from "./artefact.ts";
import { type Client, clientOf, newHashes } from "./client.ts";
import { ACCOUNT, type Deployment, deploy } from "./deployment.ts";

const CONFIG = { stage: "prod", region: "us-east-1", account: ACCOUNT, domain: "audit.example.org" } as const;

type World = {
  readonly kedge: Deployment;
  readonly client: Client;
  readonly log: string;
  readonly origin: string;
  readonly apiKey: string;
  readonly hash: string;
};

/** Runs with one entry posted, sealed and anchored; then holds every call against the roles. */
async function withEntry(
  config: object,
  files: Record<string, string>,
  run: (world: World) => Promise<void>,
  machine: Record<string, string> = {},
) {
  const artefact = await synthesise({ ...CONFIG, ...config }, files);
  const kedge = await deploy(artefact, CONFIG.region, machine);
  try {
    const client = clientOf(kedge.request);
    const { id } = await createTenant(kedge.operator, "a hospital");
    const { id: log, origin } = await createLog(kedge.operator, id, "ward 7");
    const { apiKey } = await createKey(kedge.operator, id, { name: "all", scopes: ["write", "read"] });
    const [hash = ""] = newHashes(1);
    await client.bytes(`POST /v1/logs/${log}/entries`, { apiKey, json: { hashes: [hash] } });
    expect(await kedge.deliver(kedge.takeChanges())).toBe(1);
    await kedge.runSchedule("anchorSchedule");
    await run({ kedge, client, log, origin, apiKey, hash });
    const { may, roleOf } = kedge.access;
    for (const name of FUNCTIONS) {
      for (const call of kedge.callsOf(name))
        expect([name, call, await may(roleOf(name), call)]).toEqual([name, call, true]);
    }
    const written = await kedge.stop();
    for (const { stderr, crashes } of Object.values(written)) expect([stderr, crashes]).toEqual([[], []]);
  } finally {
    await kedge.close();
    await artefact.remove();
  }
}

const logSchema = z.object({ vkeys: z.array(z.string()) });

describe("with a policy of witnesses", () => {
  const witness = makeVkey("witness.example", ED25519_COSIGNATURE, randomBytes(32));
  const policy = `witness w ${formatVkey(witness)}\nquorum w\n`;

  test("entries are anchored, and nothing is public before the quorum is met", async () => {
    await withEntry({ policy: "witnesses.txt" }, { "witnesses.txt": policy }, async (world) => {
      const { kedge, client, log, apiKey, hash } = world;
      const served = parsePolicy(await client.text("GET /anchor/policy"));
      expect(served.witnesses.map(({ vkey }) => vkey)).toEqual([witness]);
      expect(served.quorum).toBe("w");
      expect((await client.ask("GET /anchor/checkpoint")).status).toBe(404);

      const proof = await client.text(`GET /v1/logs/${log}/entries/${hash}/proof`, { apiKey });
      const { vkeys } = await client.json(logSchema, `GET /v1/logs/${log}`, { apiKey });
      const pinned = { logVkeys: vkeys.map(parseVkey), anchorVkeys: served.logs.map(({ vkey }) => vkey) };
      const verified = (policy: ReturnType<typeof parsePolicy>) =>
        verifyEvent({ proof, commitment: hexToBytes(hash), ...pinned, policy }).assurance;
      expect(verified(served)).toBe("anchored");
      // Only who shows the policy, and who holds to it, has its file.
      const having = FUNCTIONS.filter((name) => "KEDGE_POLICY" in kedge.settings[name].Environment.Variables);
      expect(having).toEqual(["api", "anchorer"]);
    });
  });
});

describe.skipIf(!hasOpenssl)("with an authority and a calendar for timestamps", () => {
  /** What a calendar answers to a digest: a promise, as a tree alone, without the 65 bytes of a file's head. */
  const PROMISE = formatOts({
    hash: new Uint8Array(32),
    tree: { attestations: [{ kind: "pending", uri: "https://calendar.example.org" }], branches: [] },
  }).slice(65);

  test("the anchorer asks both by HTTPS, stores what they give, and a proof carries the token", async () => {
    const openssl = opensslTsa();
    const root = openssl.root("p256");
    const authority = openssl.issue(root, "tsa", { subject: "/CN=A TSA" });
    const { cert, key } = openssl.paths(openssl.issue(root, "https"));
    const asked: string[] = [];
    const server = createServer(
      { cert: readFileSync(cert), key: readFileSync(key) },
      async (request, response) => {
        const body = new Uint8Array(await buffer(request));
        asked.push(`${request.method} ${request.url}`);
        response.end(request.url === "/tsr" ? openssl.reply(authority, body) : PROMISE);
      },
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = z.custom<AddressInfo>((value) => value !== null).parse(server.address());
    const url = `https://127.0.0.1:${port}`;
    const timestamps = {
      ...{ tsaUrls: [`${url}/tsr`], tsaCerts: "roots.pem" },
      ...{ otsCalendars: [`${url}/ots`], bitcoinUrl: `${url}/blocks` },
    };
    try {
      const machine = { NODE_EXTRA_CA_CERTS: openssl.paths(root).cert };
      await withEntry({ timestamps }, { "roots.pem": root.pem }, stamped, machine);
    } finally {
      server.closeAllConnections();
      server.close();
      openssl.close();
    }

    async function stamped({ kedge, client, log, apiKey, hash }: World) {
      expect(asked.toSorted()).toEqual(["POST /ots/digest", "POST /tsr"]);
      const having = FUNCTIONS.filter((name) =>
        Object.keys(kedge.settings[name].Environment.Variables).some((variable) =>
          /TSA|OTS|BITCOIN/.test(variable),
        ),
      );
      expect(having).toEqual(["anchorer"]);
      const kept = kedge.keys().filter(({ pk, sk }) => pk === "log/anchor" && /^(timestamp|ots)\//.test(sk));
      expect(kept.map(({ sk }) => sk.split("/")[0]).sort()).toEqual(["ots", "timestamp"]);

      const { size } = parseCheckpoint(await client.text("GET /anchor/timestamped")).checkpoint;
      expect(await client.text(`GET /anchor/timestamps/${size}`)).toContain("rfc3161");
      const served = parsePolicy(await client.text("GET /anchor/policy"));
      const { vkeys } = await client.json(logSchema, `GET /v1/logs/${log}`, { apiKey });
      const proof = await client.text(`GET /v1/logs/${log}/entries/${hash}/proof`, { apiKey });
      const report = await timestampVerifier(
        { tsaCerts: parsePemCertificates(root.pem), bitcoinBlocks: [] },
        verifyEvent,
      )({
        proof,
        commitment: hexToBytes(hash),
        logVkeys: vkeys.map(parseVkey),
        anchorVkeys: served.logs.map(({ vkey }) => vkey),
        requireTimestamp: true,
      });
      expect(report).toMatchObject({ proven: true, timestamps: [{ type: "rfc3161", by: "CN=A TSA" }] });
    }
  });
});

describe("while one key takes over from another", () => {
  const config = {
    logKeys: { a: "signs", b: "signs" },
    anchorKeys: { a: "retired", b: "signs" },
    anchorMldsaKeys: { a: "signs", b: "signs" },
  };

  test("both sign, either verifies, and the retired one signs for nobody", async () => {
    await withEntry(config, {}, async ({ kedge, client, log, origin, apiKey, hash }) => {
      const { vkeys } = await client.json(logSchema, `GET /v1/logs/${log}`, { apiKey });
      const logVkeys = vkeys.map(parseVkey);
      const note = await client.text(`GET /v1/logs/${log}/checkpoint`, { apiKey });
      const { verified } = openCheckpoint(note, { origin, vkeys: logVkeys });
      expect(verified.map(({ vkey }) => vkey)).toEqual(logVkeys);
      expect(logVkeys).toHaveLength(2);

      const policy = parsePolicy(await client.text("GET /anchor/policy"));
      const anchorVkeys = policy.logs.map(({ vkey }) => vkey);
      expect(anchorVkeys.filter(({ type }) => type === MLDSA44_COSIGNATURE)).toHaveLength(2);
      expect(anchorVkeys).toHaveLength(3);
      const proof = await client.text(`GET /v1/logs/${log}/entries/${hash}/proof`, { apiKey });
      for (const vkey of logVkeys) {
        const report = verifyEvent({ proof, commitment: hexToBytes(hash), logVkeys: [vkey], anchorVkeys });
        expect(report).toMatchObject({ proven: true, assurance: "anchored" });
      }

      const { may, roleOf, sign } = kedge.access;
      const anchorer = roleOf("anchorer");
      // Not even a policy that lets it: the key's own does not.
      for (const asking of [anchorer, almighty(anchorer.name)]) {
        expect(await may(asking, sign("AnchorKey-b"))).toBe(true);
        expect(await may(asking, sign("AnchorKey-a"))).toBe(false);
      }

      for (const name of FUNCTIONS) {
        const left = await unneeded(may, roleOf(name), kedge.callsOf(name));
        expect([name, left.filter(({ action }) => action.startsWith("kms:"))]).toEqual([name, []]);
      }
    });
  });
});
