/** `kedge commit` and `kedge verify` as processes, without a network. */
import { existsSync } from "node:fs";
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCommitment, parseOpening } from "@kedge/verify/events/commitment";
import { formatVkey } from "@kedge/verify/tlog/note";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { kedge, type Result } from "../../../cli/run.ts";
import {
  anchor,
  anchorMldsa,
  EVENT,
  log,
  makeProof,
  policyText,
  TENANT_KEY,
  witness1,
  witness2,
} from "../../../support/proofs.ts";

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "kedge-cli-"));
});
afterEach(() => rm(cwd, { recursive: true }));

const tenantKey = Buffer.from(TENANT_KEY).toString("hex");
const env = {
  KEDGE_TENANT_KEY: tenantKey,
  KEDGE_LOG_VKEY: formatVkey(log.vkey),
  KEDGE_ANCHOR_VKEY: `${formatVkey(anchor.vkey)} ${formatVkey(anchorMldsa.vkey)}`,
};
const run = (args: string[], more: { env?: Record<string, string>; input?: string } = {}): Promise<Result> =>
  kedge(args, { cwd, env, ...more });
const write = (name: string, content: string | Uint8Array): Promise<void> =>
  writeFile(join(cwd, name), content);
const read = (name: string): Promise<string> => readFile(join(cwd, name), "utf8");
const lines = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line));

const everyone = [anchor, anchorMldsa, witness1, witness2];

describe("commit", () => {
  test("every record opens to its event, from files, folders and lines alike, and holds nothing of it", async () => {
    await mkdir(join(cwd, "day/ward"), { recursive: true });
    await write("day/a.json", EVENT.bytes);
    await write("day/ward/b.ndjson", '{"n":1}\n\n{"n":2}');
    const { code, out } = await run(["commit", "day"]);
    expect(code).toBe(0);
    const records = lines(out);
    expect(records.map(({ event, line }) => [event, line])).toEqual([
      ["day/a.json", undefined],
      ["day/ward/b.ndjson", 1],
      ["day/ward/b.ndjson", 3],
    ]);
    const bytes = [EVENT.bytes, Buffer.from('{"n":1}'), Buffer.from('{"n":2}')];
    for (const [i, { opening, commitment }] of records.entries()) {
      const opened = openCommitment(parseOpening(opening), new Uint8Array(bytes[i] ?? []));
      expect(Buffer.from(opened).toString("hex")).toBe(commitment);
    }
    expect(out).not.toContain("AuditEvent");
  });

  test("the same event gives the same commitment, and with --random-nonce another each time", async () => {
    await write("a.json", EVENT.bytes);
    const [first, again, random] = await Promise.all([
      run(["commit", "a.json"]),
      run(["commit", "a.json"]),
      run(["commit", "a.json", "--random-nonce"], { env: {} }),
    ]);
    expect(again.out).toBe(first.out);
    expect(lines(random.out)[0]?.["commitment"]).not.toBe(lines(first.out)[0]?.["commitment"]);
  });

  test("records are for their owner alone, and never written over", async () => {
    await write("a.json", EVENT.bytes);
    expect((await run(["commit", "a.json", "--out", "records.ndjson"])).code).toBe(0);
    expect((await stat(join(cwd, "records.ndjson"))).mode & 0o077).toBe(0);
    const before = await read("records.ndjson");
    expect((await run(["commit", "a.json", "--random-nonce", "--out", "records.ndjson"])).code).toBe(2);
    expect(await read("records.ndjson")).toBe(before);
  });

  test("every line of a large NDJSON on standard input has its record", async () => {
    const input = '{"resourceType":"AuditEvent"}\n'.repeat(20_000);
    const { code, out } = await run(["commit", "-", "--ndjson"], { input });
    expect(code).toBe(0);
    expect(lines(out)).toHaveLength(20_000);
  });

  test("standard input has an event a line, and nothing on it is an idle source", async () => {
    const { out } = await run(["commit", "-"], { input: '{"n":1}\n{"n":2}\n' });
    expect(lines(out).map(({ line }) => line)).toEqual([1, 2]);
    expect(await run(["commit", "-"])).toMatchObject({ code: 0, out: "" });
  });

  test("records are not committed to again", async () => {
    await write("a.json", EVENT.bytes);
    const { out } = await run(["commit", "a.json"]);
    await write("records.txt", out);
    expect(await run(["commit", "records.txt"])).toMatchObject({ code: 1, out: "" });
    expect(await run(["commit", "-"], { input: out })).toMatchObject({ code: 1, out: "" });
  });

  test("a file that is not there is named, and no misuse of the others", async () => {
    expect(await run(["commit", "b.json"])).toMatchObject({ code: 1, err: expect.stringMatching(/b\.json/) });
  });

  test("no event is misuse, and leaves no records behind", async () => {
    await mkdir(join(cwd, "empty"));
    expect((await run(["commit", "empty", "--out", "records.ndjson"])).code).toBe(2);
    await expect(stat(join(cwd, "records.ndjson"))).rejects.toThrow();
  });

  test.each<[string, string[], Record<string, string>, RegExp]>([
    ["no tenant key", ["commit", "a.json"], {}, /KEDGE_TENANT_KEY/],
    ["a malformed tenant key", ["commit", "a.json"], { KEDGE_TENANT_KEY: "secret77" }, /tenant key/],
    [
      "an unknown canonicalisation",
      ["commit", "a.json", "--canonicalisation", "c14n"],
      env,
      /canonicalisation/,
    ],
    ["a media type that is none", ["commit", "a.json", "--media-type", "FHIR"], env, /media type/],
    ["an unknown flag", ["commit", "a.json", "--nope"], env, /--nope/],
  ])("%s is misuse", async (_, args, env, message) => {
    await write("a.json", EVENT.bytes);
    const { code, err, out } = await run(args, { env });
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(out).toBe("");
    expect(err).not.toContain("secret77");
  });
});

describe("verify", () => {
  const { proof, opening, commitment } = makeProof({ anchorSigners: everyone });
  beforeEach(async () => {
    await write("event.json", EVENT.bytes);
    await write("event.json.tlog-proof", proof);
    await write("policy", policyText(2));
  });
  const verify = (args: string[] = [], more: { env?: Record<string, string> } = {}): Promise<Result> =>
    run(["verify", "event.json", "event.json.tlog-proof", ...args], more);

  test("with keys in flags and no credentials it says what is proven and what is not", async () => {
    const flags = ["--log-vkey", formatVkey(log.vkey), "--anchor-vkey", formatVkey(anchor.vkey)];
    const { code, out, err } = await verify(flags, { env: {} });
    expect(out).toMatch(/^PROVEN {2}at assurance anchored \(witnesses not checked\)\n/);
    expect(out).toMatch(/No witness is shown/);
    expect([code, err]).toEqual([0, ""]);
  });

  test("with the policy it is witnessed, in JSON too", async () => {
    const { code, out } = await verify(["--policy", "policy", "--require", "witnessed", "--json"]);
    expect(JSON.parse(out)).toMatchObject({ proven: true, assurance: "witnessed" });
    expect(code).toBe(0);
  });

  test("one file, made by one command, is all that others need: keys, witnesses and quorum", async () => {
    const made = await run(["policy", "--policy", "policy", "--out", "kedge-policy.txt"]);
    expect([made.code, made.err]).toEqual([0, ""]);
    const args = ["--policy", "kedge-policy.txt"];
    const whole = await verify([...args, "--require", "witnessed"], { env: {} });
    expect([whole.code, whole.err]).toEqual([0, ""]);
    expect(whole.out).toMatch(/^PROVEN {2}at assurance witnessed\n.*Keys {2}--policy: log .*anchor /s);

    expect((await run(["policy", "--out", "kedge-policy.txt"])).code).toBe(0);
    const over = await run(["policy", "--out", "event.json"]);
    expect([over.code, over.err]).toEqual([2, expect.stringMatching(/something else than a policy/)]);
    expect(await read("event.json")).toBe(new TextDecoder().decode(EVENT.bytes));

    const bare = await run(["policy"], { env: { ...env, KEDGE_ANCHOR_VKEY: "" } });
    expect([bare.code, bare.err]).toEqual([0, expect.stringMatching(/no proof is more than sealed/)]);
    expect(bare.out).toMatch(/^log .*\nquorum none\n$/ms);
    await write("sealed-policy", bare.out);
    const sealed = await verify(["--policy", "sealed-policy"], { env: {} });
    expect([sealed.code, sealed.out]).toEqual([
      0,
      expect.stringMatching(/^PROVEN {2}at assurance sealed \(anchor log/),
    ]);
  });

  test("a device or a pipe in place of a proof is refused, and nothing is waited for", async () => {
    const { code, err } = await run(["verify", "event.json", "/dev/zero"]);
    expect([code, err]).toEqual([2, expect.stringMatching(/\/dev\/zero is a pipe or a device, not a file/)]);
  });

  test("a commitment alone, or an opening from a file or derived, will do", async () => {
    await write("bare.tlog-proof", makeProof({ withOpening: false }).proof);
    await write("opening.json", JSON.stringify(opening));
    const hex = Buffer.from(commitment).toString("hex");
    const noKey = { env: { KEDGE_LOG_VKEY: env.KEDGE_LOG_VKEY } };
    const results = await Promise.all([
      run(["verify", "--commitment", hex, "bare.tlog-proof"], noKey),
      run(["verify", "event.json", "bare.tlog-proof", "--opening", "opening.json"], noKey),
      run(["verify", "event.json", "bare.tlog-proof"]),
      run(["verify", "event.json", "bare.tlog-proof"], noKey),
    ]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 3]);
    expect(results[3]?.out).toMatch(/opening/);
  });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      "the event",
      () =>
        write(
          "event.json",
          EVENT.bytes.map((byte, i) => (i === 9 ? byte ^ 1 : byte)),
        ),
      /altered/,
    ],
    ["the proof", () => write("event.json.tlog-proof", proof.replace("index 3", "index 2")), /altered/],
    ["the checkpoint", () => write("event.json.tlog-proof", proof.replace("\n7\n", "\n8\n")), /signed/],
    [
      "the file's end",
      () => write("event.json.tlog-proof", proof.slice(0, -1)),
      /with a newline \(LF\) at its end/,
    ],
  ])("with %s changed it says no, and why", async (_, change, why) => {
    await change();
    const { code, out } = await verify();
    expect(code).toBe(1);
    expect(out).toMatch(/^NOT PROVEN\n/);
    expect(out).toMatch(why);
  });

  test("a proof that cannot be read, or whose opening is missing, tells nothing: exit 3", async () => {
    await write("event.json.tlog-proof", "");
    const { code, out } = await verify();
    expect([code, out]).toEqual([3, expect.stringMatching(/^CANNOT TELL\n.*altered or cut/)]);
  });

  test("event and proof in the other order are told apart from altered ones", async () => {
    const { code, err } = await run(["verify", "event.json.tlog-proof", "event.json"]);
    expect([code, err]).toEqual([2, expect.stringMatching(/is a proof: give the event first/)]);
  });

  test("a device, or a pipe that nobody writes to, is no proof and keeps nobody waiting", async () => {
    const { code, err } = await run(["verify", "event.json", "/dev/zero"]);
    expect([code, err]).toEqual([2, expect.stringMatching(/a pipe or a device/)]);
  });

  test.each<[string, string[], Record<string, string>, RegExp]>([
    ["a changed key", [], { KEDGE_LOG_VKEY: formatVkey(log.vkey).replace(/.$/, "x") }, /key/],
    ["no key", [], {}, /--log-vkey/],
    ["an unknown assurance", ["--require", "certain"], env, /--require/],
    ["witnessed without a policy", ["--require", "witnessed"], env, /--policy/],
    ["a policy that is none", ["--policy", "event.json"], env, /policy/],
    ["a missing policy", ["--policy", "none"], env, /none/],
    ["too many files", ["event.json"], env, /one event|an event/i],
    ["a line of a file with lines to come", ["--line", "0"], env, /--line/],
    ["credentials that are not there", ["--credentials", "nowhere.json"], env, /nowhere/],
  ])("%s is misuse", async (_, args, env, message) => {
    const { code, err, out } = await verify(args, { env });
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
  });

  test("a missing event or proof is misuse", async () => {
    expect((await run(["verify", "nothing.json", "event.json.tlog-proof"])).code).toBe(2);
    expect((await run(["verify", "event.json", "nothing.tlog-proof"])).code).toBe(2);
  });

  test("the keys come from the credentials, which others should not read", async () => {
    await mkdir(join(cwd, ".kedge"));
    const credentials = JSON.stringify({
      logVkey: formatVkey(log.vkey),
      anchorVkey: formatVkey(anchor.vkey),
      anchorMldsaVkey: formatVkey(anchorMldsa.vkey),
    });
    await write(".kedge/credentials.json", credentials);
    await chmod(join(cwd, ".kedge/credentials.json"), 0o644);
    const open = await verify([], { env: {} });
    expect([open.code, open.err]).toEqual([0, expect.stringMatching(/chmod 600/)]);
    await chmod(join(cwd, ".kedge/credentials.json"), 0o600);
    expect(await verify([], { env: {} })).toMatchObject({ code: 0, err: "" });
    for (const [from, to, why] of [
      ["logVkey", "logKey", /"logKey"/],
      ["{", "secret77{", /credentials/],
      ['"logVkey":"', '"logVkey":"secret77', /key is malformed/],
      ['"logVkey":', '"tenantKey":["secret77"],"logVkey":', /tenantKey/],
    ] as const) {
      await write(".kedge/credentials.json", credentials.replace(from, to));
      const broken = await verify([], { env: {} });
      expect([broken.code, broken.err]).toEqual([2, expect.stringMatching(why)]);
      expect(broken.err).not.toContain("secret77");
    }
  });

  test("it says whose keys it used, and when nobody had named them", async () => {
    await mkdir(join(cwd, ".kedge"));
    const path = join(await realpath(cwd), ".kedge/credentials.json");
    const keys = { logVkey: formatVkey(log.vkey), anchorVkey: formatVkey(anchor.vkey) };
    await writeFile(path, `\ufeff${JSON.stringify(keys)}`, { mode: 0o600 });
    const [logKey, anchorKey] = [log, anchor].map(({ vkey }) => formatVkey(vkey).split("+", 2).join("+"));
    const line = `Keys  ${path}: log ${logKey}, anchor ${anchorKey}\n`;
    const found = await verify([], { env: {} });
    expect([found.code, found.out]).toEqual([0, expect.stringMatching(/found in the current folder/)]);
    expect(found.out).toContain(line);
    expect(JSON.parse((await verify(["--json"], { env: {} })).out)).toMatchObject({
      keys: { source: path, log: [logKey], anchor: [anchorKey] },
      caveats: expect.arrayContaining([expect.stringMatching(/found in the current folder/)]),
    });
    for (const env of [{ KEDGE_CREDENTIALS: path }, { KEDGE_DATA: join(cwd, ".kedge") }]) {
      const named = await verify([], { env });
      expect(named.out).toContain(line);
      expect(named.out).not.toMatch(/found in/);
    }
    const byFlag = await verify(["--log-vkey", `${keys.logVkey}\r\n`], { env: {} });
    expect(byFlag.out).toContain(`Keys  --log-vkey, ${path}: log ${logKey}, anchor ${anchorKey}\n`);
    await write("event.json", "{}");
    const refused = await verify([], { env: {} });
    expect([refused.code, refused.out]).toEqual([1, expect.stringContaining(line)]);
  });

  test("--require-all-keys refuses a checkpoint that one of them did not sign", async () => {
    expect((await verify(["--require-all-keys"])).code).toBe(0);
    await write("event.json.tlog-proof", makeProof({ anchorSigners: [anchor] }).proof);
    expect((await verify()).out).toMatch(/^PROVEN.*ML-DSA-44.* did not sign/s);
    const { code, out } = await verify(["--require-all-keys"]);
    expect([code, out]).toEqual([1, expect.stringMatching(/no signature by .*ML-DSA-44/)]);
  });

  test("nobody to read the answer, or no room to write it, is no proof", async () => {
    const args = ["verify", "event.json", "event.json.tlog-proof", "--log-vkey", "x"];
    expect((await kedge(args, { cwd, env, stdout: "closed" })).code).toBe(2);
    await write("event.json", "{}");
    expect((await kedge(args.slice(0, 3), { cwd, env, stdout: "closed" })).code).toBe(1);
  });

  test.skipIf(!existsSync("/dev/full"))("a full disk is said in a line, and is no verdict", async () => {
    const full = await open("/dev/full", "w");
    const args = ["verify", "event.json", "event.json.tlog-proof"];
    const { code, err } = await kedge(args, { cwd, env, stdout: full.fd });
    await full.close();
    expect([code, err.split("\n")]).toEqual([2, [expect.stringMatching(/cannot be written/), ""]]);
  });

  test("a policy with the line endings of Windows is told so", async () => {
    await write("policy", policyText(2).replaceAll("\n", "\r\n"));
    const { code, err } = await verify(["--policy", "policy"]);
    expect([code, err]).toEqual([2, expect.stringMatching(/Windows/)]);
  });

  test("a record in place of the event is told from an event that was altered", async () => {
    await write("records.ndjson", (await run(["commit", "event.json"])).out);
    const { code, err } = await run(["verify", "records.ndjson", "event.json.tlog-proof", "--line", "1"]);
    expect([code, err]).toEqual([2, expect.stringMatching(/record of kedge commit/)]);
  });

  test("a terminal is not at the mercy of what the proof says", async () => {
    const event = { ...EVENT, source: "\u001b[2J\u202eehr" };
    await write("event.json.tlog-proof", makeProof({ event }).proof);
    const { code, out } = await verify();
    expect(code).toBe(0);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what must not be there
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  });

  test("nor in JSON, which still says the same", async () => {
    const source = "\u001b[2J\u007f\u009b1m\u202eehr\u{e0041}";
    await write("event.json.tlog-proof", makeProof({ event: { ...EVENT, source } }).proof);
    await mkdir(join(cwd, "events"));
    await write(`events/${source}`, "{}");
    const records = await run(["commit", "events"]);
    const { out } = await run(["verify", "events", ".", "--json"]);
    expect(lines(records.out)[0]?.["event"]).toBe(`events/${source}`);
    expect(lines(out)[0]?.["event"]).toBe(`events/${source}`);
    expect(records.out + out).toMatch(/^[\n -~]*$/);
  });

  test("an event of an NDJSON file is verified by its line", async () => {
    const line = new TextDecoder().decode(EVENT.bytes);
    await write("day.ndjson", `{"other":1}\n${line}\n`);
    expect((await run(["verify", "day.ndjson", "event.json.tlog-proof", "--line", "2"])).code).toBe(0);
    const other = await run(["verify", "day.ndjson", "event.json.tlog-proof", "--line", "1"]);
    expect([other.code, other.out]).toEqual([
      1,
      expect.stringMatching(/The proof is of line 2 of that file/),
    ]);
    expect((await run(["verify", "day.ndjson", "event.json.tlog-proof", "--line", "3"])).code).toBe(2);
    expect((await run(["verify", "day.ndjson", "event.json.tlog-proof"])).code).toBe(2);
  });
});

describe("verify, folder against folder", () => {
  const other = { ...EVENT, bytes: new TextEncoder().encode('{"resourceType":"AuditEvent","action":"U"}') };
  beforeEach(async () => {
    await mkdir(join(cwd, "events/ward"), { recursive: true });
    await mkdir(join(cwd, "proofs/ward"), { recursive: true });
    await write("events/a.json", EVENT.bytes);
    await write("events/ward/b.json", other.bytes);
    await write("proofs/a.json.tlog-proof", makeProof({ anchorSigners: everyone }).proof);
    await write("proofs/ward/b.json.tlog-proof", makeProof({ event: other }).proof);
  });
  const verify = (...args: string[]): Promise<Result> => run(["verify", "events", "proofs", ...args]);

  test("all proven: a count for each assurance", async () => {
    const { code, out } = await verify();
    expect(out).toMatch(/^PROVEN {2}2 of 2 events: 1 anchored, 1 sealed\n/);
    expect(code).toBe(0);
  });

  test("an event without a proof, changed, or below what is required is named, and the answer is no", async () => {
    const low = await verify("--require", "anchored");
    expect([low.code, low.out]).toEqual([1, expect.stringMatching(/NOT PROVEN {2}events\/ward\/b\.json/)]);
    await write("events/a.json", "{}");
    await write("events/new.json", "{}");
    const { code, out } = await verify("--json");
    expect(code).toBe(1);
    const results = lines(out);
    expect(results.slice(0, -1)).toMatchObject([
      { event: "events/a.json", report: { proven: false } },
      { event: "events/new.json" },
      { event: "events/ward/b.json", report: { proven: true } },
    ]);
    expect(results.at(-1)).toMatchObject({ proven: false, total: 3 });
  });

  test("a proof whose event is gone is named", async () => {
    await rm(join(cwd, "events/a.json"));
    expect((await verify()).out).toMatch(/Proofs without an event: 1, such as "proofs\/a\.json/);
  });

  test("copies of one event are one entry, and said to be", async () => {
    for (const name of ["b.json", "c.json"]) {
      await write(`events/${name}`, EVENT.bytes);
      await write(`proofs/${name}.tlog-proof`, await read("proofs/a.json.tlog-proof"));
    }
    const { out } = await verify();
    expect(out).toMatch(
      /4 of 4 events.*entries of the log: 2, for 4.*"events\/a\.json" and "events\/b\.json"/s,
    );
    expect(lines((await verify("--json")).out).at(-1)).toMatchObject({ total: 4, entries: 2 });
  });

  test("what is left out is named at the end too", async () => {
    await symlink("a.json", join(cwd, "events/link.json"));
    await writeFile(Buffer.concat([Buffer.from(join(cwd, "events/")), Buffer.of(0x62, 0xff)]), "{}").catch(
      () => {
        // Not every file system has such names.
      },
    );
    const { code, out, err } = await verify();
    expect([code, err]).toEqual([3, expect.stringMatching(/link\.json is left out: it is a symbolic link/)]);
    expect(out).toMatch(
      /^PROVEN {2}2 of 2 events.*; [12] left out, and not checked\n.*Left out, and not checked: [12]/s,
    );
    const { leftOut } = lines((await verify("--json")).out).at(-1) ?? {};
    expect(leftOut).toContain("events/link.json");
  });

  const keyless = { env: { KEDGE_LOG_VKEY: env.KEDGE_LOG_VKEY } };
  const line = (event: typeof EVENT, more: object = {}): string => {
    const { proof, commitment } = makeProof({ event });
    return `${JSON.stringify({ ...more, commitment: Buffer.from(commitment).toString("hex"), proof })}\n`;
  };

  test("an event that cannot be read is told of, and the others are judged", async () => {
    await write("events/0.json", "");
    await truncate(join(cwd, "events/0.json"), 65 << 20);
    const { code, out } = await run(["verify", "events", "proofs"]);
    expect([code, out]).toEqual([
      3,
      expect.stringMatching(/^CANNOT TELL {2}.*0\.json.*\nCANNOT TELL {2}2 of 3 events/),
    ]);
  });

  test("many proofs in one file serve as a folder of them does, by name or by commitment", async () => {
    await write(
      "proofs.ndjson",
      line(EVENT, { event: "day/a.json" }) + line(other, { event: "day/ward/b.json" }),
    );
    const byName = await run(["verify", "events", "proofs.ndjson"], keyless);
    expect([byName.code, byName.out]).toEqual([
      0,
      expect.stringMatching(/^PROVEN {2}2 of 2 events: 2 sealed/),
    ]);
    await write("proofs.ndjson", line(EVENT) + line(other));
    expect((await run(["verify", "events", "proofs.ndjson"])).code).toBe(0);
    expect((await run(["verify", "events/a.json", "proofs.ndjson"])).out).toMatch(/^PROVEN {2}at assurance/);
    const hex = Buffer.from(makeProof({}).commitment).toString("hex");
    expect((await run(["verify", "--commitment", hex, "proofs.ndjson"])).code).toBe(0);
    expect((await run(["verify", "--commitment", hex.replace(/./g, "0"), "proofs.ndjson"])).code).toBe(3);
  });

  test("a line that a crash cut short is named, and the others serve", async () => {
    const whole = line(EVENT, { event: "a.json" });
    await write("proofs.ndjson", `${line(other, { event: "ward/b.json" })}${whole.slice(0, 99)}\n${whole}`);
    const { code, err } = await run(["verify", "events", "proofs.ndjson"], keyless);
    expect([code, err]).toEqual([0, expect.stringMatching(/1 of its lines, first line 2, were cut/)]);
  });

  test("re-ordered lines and renamed files are proven by content, and that is said", async () => {
    const events = [1, 2, 3, 4].map((n) => ({ ...EVENT, bytes: new TextEncoder().encode(`{"n":${n}}`) }));
    const texts = events.map(({ bytes }) => new TextDecoder().decode(bytes));
    await write("day.ndjson", `${texts.toReversed().join("\n")}\n`);
    await write(
      "proofs.ndjson",
      events.map((event, i) => line(event, { event: "day.ndjson", line: i + 1 })).join(""),
    );
    const { code, out } = await run(["verify", "day.ndjson", "proofs.ndjson"], keyless);
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(/^PROVEN {2}4 of 4.*Proven by a proof of another name: 4/s),
    ]);
    await write("day.ndjson", `${texts.with(2, '{"n":"3"}').join("\n")}\n`);
    const changed = await run(["verify", "day.ndjson", "proofs.ndjson"], keyless);
    expect([changed.code, changed.out]).toEqual([
      1,
      expect.stringMatching(/NOT PROVEN {2}day\.ndjson\.3: .*altered, or/),
    ]);
  });

  test("100,000 proofs in one file are searched by commitment in seconds, and a bounded memory", async () => {
    const filler = JSON.stringify({
      event: "x.ndjson",
      line: 1,
      commitment: "0".repeat(64),
      proof: "y".repeat(1500),
    });
    const lines = Array.from({ length: 100_000 }, (_, i) =>
      filler.replace('"line":1', `"line":${i + 1}`).replace("0".repeat(64), String(i).padStart(64, "0")),
    );
    await write("proofs.ndjson", `${lines.join("\n")}\n${line(EVENT)}`);
    const { code, out } = await run(["verify", "events/a.json", "proofs.ndjson"], {
      env: { ...env, NODE_OPTIONS: "--max-old-space-size=160" },
    });
    expect([code, out]).toEqual([0, expect.stringMatching(/^PROVEN/)]);
  });

  test("a reader that goes away before the verdict leaves no proof behind", async () => {
    const all = await kedge(["verify", "events", "proofs", "--json"], { cwd, env, stdout: "closed" });
    await write("events/a.json", "{}");
    const some = await kedge(["verify", "events", "proofs"], { cwd, env, stdout: "closed" });
    expect([all.code, some.code]).toEqual([1, 1]);
  });

  test("a record among the events is not taken for one", async () => {
    await write("events/records.txt", (await run(["commit", "events/a.json"])).out);
    const { code, out } = await verify();
    expect([code, out]).toEqual([
      1,
      expect.stringMatching(/records\.txt\.1: it is a record of kedge commit/),
    ]);
  });

  test("the proof of one event does not serve for another", async () => {
    await write("proofs/ward/b.json.tlog-proof", await read("proofs/a.json.tlog-proof"));
    expect((await verify()).code).toBe(1);
  });

  test("no event at all is misuse, not proof", async () => {
    await mkdir(join(cwd, "empty"));
    expect((await run(["verify", "empty", "proofs"])).code).toBe(2);
  });
});
