/** Configurations other than the plain one, on their synthesised artefacts: a policy of witnesses, and a rotation. */
import { hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import { describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { verifyEvent } from "../../client/verify.ts";
import { createKey, createLog, createTenant } from "../../service/tenants.ts";
import { openCheckpoint } from "../../tlog/checkpoint.ts";
import {
  ED25519_COSIGNATURE,
  formatVkey,
  MLDSA44_COSIGNATURE,
  makeVkey,
  parseVkey,
} from "../../tlog/note.ts";
import { parsePolicy } from "../../tlog/policy.ts";
import { grantsOf, judgeOf, kindsOf, principalOf, unneeded } from "./access.ts";
import { synthesise } from "./artefact.ts";
import { type Client, clientOf, newHashes } from "./client.ts";
import { ACCOUNT, type Deployment, deploy, FUNCTIONS, type FunctionName } from "./deployment.ts";
import { type ArnOf, almighty, sign } from "./refusals.ts";

// A synthesis and a dozen processes: more than other suites on a machine that is busy.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

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
) {
  const artefact = await synthesise({ ...CONFIG, ...config }, files);
  const kedge = await deploy(artefact, CONFIG.region);
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
    const judge = judgeOf(kedge.resolved);
    for (const name of FUNCTIONS) {
      for (const call of callsOf(kedge, name))
        expect([name, call, await judge(principal(kedge, name), call)]).toEqual([name, call, true]);
    }
    const written = await kedge.stop();
    for (const { stderr, crashes } of Object.values(written)) expect([stderr, crashes]).toEqual([[], []]);
  } finally {
    await kedge.close();
    await artefact.remove();
  }
}

const principal = (kedge: Deployment, name: FunctionName) =>
  principalOf(kedge.resolved, ACCOUNT, kedge.settings[name].Role);
const callsOf = ({ calls }: Deployment, name: FunctionName) =>
  kindsOf(calls.filter(({ accessKeyId }) => accessKeyId === name));
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

      const judge = judgeOf(kedge.resolved);
      const arn: ArnOf = (type, construct) =>
        kedge.resolved.attribute(kedge.resolved.one(type, construct), "Arn");
      const anchorer = principal(kedge, "anchorer");
      expect(await judge(anchorer, sign("AnchorKey-b")(arn))).toBe(true);
      expect(await judge(anchorer, sign("AnchorKey-a")(arn))).toBe(false);
      // Not even a policy that lets it: the key's own does not.
      expect(await judge(almighty(anchorer.role), sign("AnchorKey-b")(arn))).toBe(true);
      expect(await judge(almighty(anchorer.role), sign("AnchorKey-a")(arn))).toBe(false);

      for (const name of FUNCTIONS) {
        const keys = grantsOf(principal(kedge, name)).filter(({ action }) => action.startsWith("kms:"));
        expect([name, unneeded(keys, callsOf(kedge, name))]).toEqual([name, []]);
      }
    });
  });
});
