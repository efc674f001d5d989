/** `kedge verify` as a process, with timestamps from outside. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseExtra } from "@kedge/verify/proof/extra";
import { displayHash, formatOts } from "@kedge/verify/time/ots";
import { timestampRequest } from "@kedge/verify/time/rfc3161";
import { ots, rfc3161, type Timestamp } from "@kedge/verify/time/timestampform";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { formatVkey } from "@kedge/verify/tlog/note";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import { sha256 } from "@noble/hashes/sha2.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kedge } from "../../../cli/run.ts";
import { HELLO_WORLD } from "../../../support/hello-world.ts";
import { anchor, EVENT, log, makeProof, policyText, witness1, witness2 } from "../../../support/proofs.ts";
import { hasOpenssl, opensslTsa } from "../../../support/tsa.ts";

const env = { KEDGE_LOG_VKEY: formatVkey(log.vkey), KEDGE_ANCHOR_VKEY: formatVkey(anchor.vkey) };
const base = parseProof(makeProof({ anchorSigners: [anchor, witness1, witness2] }).proof);
const extra = parseExtra(base.extra ?? new Uint8Array());
const note = utf8Encode(parseProof(extra.anchor ?? "").checkpoint, "");
const proofWith = (...timestamps: Timestamp[]): string =>
  formatProof({ ...base, extra: utf8Encode(JSON.stringify({ ...extra, timestamps }), "") });

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "kedge-cli-"));
  await writeFile(join(cwd, "event.json"), EVENT.bytes);
  await writeFile(join(cwd, "policy"), policyText(2));
});
afterAll(() => rm(cwd, { recursive: true }));
const verify = (proof: string, args: string[], more: Record<string, string> = {}) =>
  kedge(["verify", "event.json", proof, ...args], { cwd, env: { ...env, ...more } });

describe.skipIf(!hasOpenssl)("kedge verify of a proof with an RFC 3161 timestamp", () => {
  beforeAll(async () => {
    const tsa = opensslTsa();
    const root = tsa.root("p256");
    const signer = tsa.issue(root, "tsa", { subject: "/CN=A TSA" });
    const { der } = await timestampRequest(note);
    await writeFile(join(cwd, "stamped"), proofWith(rfc3161(tsa.token(tsa.reply(signer, der)))));
    await writeFile(join(cwd, "root.pem"), root.pem);
    await writeFile(join(cwd, "other.pem"), tsa.root("p256").pem);
    tsa.close();
  });

  test("says by whom and when, by flag and by variable, beside witnesses and without", async () => {
    const witnessed = await verify("stamped", [
      ..."--tsa-cert root.pem --policy policy --require timestamped".split(" "),
    ]);
    expect(witnessed.out).toMatch(/^PROVEN {2}at assurance timestamped/);
    expect(witnessed.out).toMatch(/timestamped by "CN=A TSA" at 2\d{3}-.*\(RFC 3161\)/);
    expect(witnessed.code).toBe(0);
    const alone = await verify("stamped", ["--require-timestamp"], { KEDGE_TSA_CERT: "other.pem root.pem" });
    expect(alone.out).toMatch(/^PROVEN {2}at assurance anchored/);
    expect(alone.code).toBe(0);
  });

  test("of an authority that is not named: it does not count, and exit 1 where it is required", async () => {
    const told = await verify("stamped", ["--tsa-cert", "other.pem"]);
    expect(told.out).toContain("did not count");
    expect(told.code).toBe(0);
    expect((await verify("stamped", ["--tsa-cert", "other.pem", "--require-timestamp"])).code).toBe(1);
  });

  test("without a certificate to check it against, that is said", async () => {
    expect((await verify("stamped", [])).out).toContain("--tsa-cert");
  });
});

describe("kedge verify of a proof with an OpenTimestamps proof", () => {
  const height = 900_000;
  const root = sha256(sha256(note));
  beforeAll(async () => {
    const attested = { attestations: [{ kind: "bitcoin" as const, height }], branches: [] };
    const tree = { attestations: [], branches: [{ op: { kind: "sha256" as const }, tree: attested }] };
    await writeFile(join(cwd, "attested"), proofWith(ots(formatOts({ hash: sha256(note), tree }))));
  });

  test("holds with the block's root, and names it otherwise", async () => {
    const shown = displayHash(root);
    const given = await verify("attested", [
      "--btc-root",
      `${height}:${shown}`,
      "--require-timestamp",
      "--json",
    ]);
    expect(JSON.parse(given.out)).toMatchObject({ proven: true, timestamps: [{ type: "ots", height }] });
    const { height: other, header } = HELLO_WORLD;
    const unrelated = await verify("attested", ["--btc-header", `${other}:${header}`]);
    expect(unrelated.out).toContain(`Bitcoin block ${height} has the merkle root ${shown}`);
    const wrong = await verify("attested", [
      "--btc-root",
      `${height}:${"0".repeat(64)}`,
      "--require-timestamp",
    ]);
    expect(wrong.code).toBe(1);
  });
});

describe("flags that cannot be meant", () => {
  beforeAll(() => writeFile(join(cwd, "plain"), proofWith()));
  test.each([
    [["--require", "timestamped"], /--policy.*--require-timestamp/],
    [["--require", "timestamped", "--policy", "policy"], /--tsa-cert/],
    [["--require-timestamp"], /--tsa-cert/],
    [["--tsa-cert", "absent.pem"], /absent\.pem/],
    [["--tsa-cert", "event.json"], /event\.json: .*PEM/],
    [["--btc-root", "1:00"], /64 hex digits/],
    [["--btc-header", `1:${"0".repeat(160)}`], /work/],
  ] as const)("%s", async (args, message) => {
    const { code, err } = await verify("plain", [...args]);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });
});
