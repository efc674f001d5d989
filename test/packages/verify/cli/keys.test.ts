/** Keys as they are handed out: literally, in files, in one policy, and which of them count. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { evidenceKeys, keepLogVkeys, pinnedKeys } from "@kedge/verify/cli/credentials";
import { readPolicy, readVkeys } from "@kedge/verify/cli/keys";
import { formatVkey } from "@kedge/verify/tlog/note";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { anchor, anchorMldsa, log, logSigner, policyText } from "../../../support/proofs.ts";

const [LOG, ANCHOR, MLDSA] = [log, anchor, anchorMldsa].map(({ vkey }) => formatVkey(vkey)) as [
  string,
  string,
  string,
];
const OTHER = formatVkey(logSigner("audit.example.org/log/aaaaaaaaaaaaaaaaaaa", 9).vkey);
const misuse = (message: RegExp) =>
  expect.objectContaining({ code: "misuse", message: expect.stringMatching(message) });

let folder: string;
const write = async (name: string, text: string | Uint8Array): Promise<string> => {
  await writeFile(join(folder, name), text);
  return join(folder, name);
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-keys-"));
  // What is not given is looked for in ./.kedge, and `npm start` leaves credentials there.
  vi.stubEnv("KEDGE_DATA", join(folder, "none"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  return rm(folder, { recursive: true });
});

const labels = (text: string): string[] => readVkeys(text).map(formatVkey);

describe("what an option for keys is given", () => {
  test("is one vkey or several, or a file with one on each line, however an editor wrote it", async () => {
    expect(labels(` ${ANCHOR}\n${MLDSA} `)).toEqual([ANCHOR, MLDSA]);
    const path = await write("anchor keys.txt", `\ufeff# of the operator\r\n\r\n${ANCHOR}\r\n  ${MLDSA}`);
    expect(labels(path)).toEqual([ANCHOR, MLDSA]);
  });

  test("is a key where it looks like one, whatever files there are", async () => {
    const cwd = process.cwd();
    await write("k+00000001+AQ==", `${ANCHOR}\n`);
    process.chdir(folder);
    try {
      expect(() => readVkeys("k+00000001+AQ==")).toThrow(misuse(/malformed/));
    } finally {
      process.chdir(cwd);
    }
  });

  test("that is neither, or a file of something else, is said to be so", async () => {
    expect(() => readVkeys(join(folder, "none"))).toThrow(misuse(/neither a key.*nor a file of keys/));
    expect(() => readVkeys(LOG.replace(/\+[0-9a-f]{8}\+/, "+abc+"))).toThrow(misuse(/neither a key/));
    for (const [name, text, reason] of [
      ["empty", "# nothing\n", /has no key/],
      ["policy", policyText(2), /is a policy: give it with --policy/],
      ["cut", LOG.slice(0, -5), /not a file of keys/],
      ["utf16", Buffer.from(LOG, "utf16le"), /not a file of keys/],
      ["large", Buffer.alloc((1 << 20) + 1, "#"), /too large/],
    ] as const) {
      const path = await write(name, text);
      expect(() => readVkeys(path), name).toThrow(misuse(reason));
    }
    expect(() => readVkeys(folder)).toThrow(misuse(/is a folder/));
  });
});

describe("a policy that lists the log's key as well", () => {
  const handedOut = (quorum = 2) => `log ${LOG}\nlog ${MLDSA}\n${policyText(quorum)}`;

  test("is all that is needed, and its quorum is of the anchor log alone", async () => {
    const policy = await write("policy", handedOut());
    const keys = pinnedKeys({ policy });
    expect(keys.logVkeys.map(formatVkey)).toEqual([LOG]);
    expect(keys.anchorVkeys.map(formatVkey)).toEqual([MLDSA, ANCHOR]);
    expect(keys.policy?.logs.map(({ vkey }) => formatVkey(vkey))).toEqual([MLDSA, ANCHOR]);
    expect(keys).toMatchObject({ sources: ["--policy"], areFound: false });
    expect(readPolicy(policy).logVkeys.map(formatVkey)).toEqual([LOG]);
  });

  test("comes after flags, and before credentials", async () => {
    const policy = await write("policy", handedOut());
    const credentials = await write(
      "credentials.json",
      JSON.stringify({ logVkey: OTHER, anchorVkey: ANCHOR }),
    );
    const of = (flags: object) => pinnedKeys({ credentials, ...flags }).logVkeys.map(formatVkey);
    expect(of({})).toEqual([OTHER]);
    expect(of({ policy })).toEqual([LOG]);
    expect(of({ policy, logVkey: [OTHER] })).toEqual([OTHER]);
    // One that lists no log's key leaves those of the credentials.
    expect(of({ policy: await write("anchor-policy", policyText(1)) })).toEqual([OTHER]);
  });
});

test("a key of the other kind of log is refused with what to do, wherever it stands", async () => {
  const stored = (members: object) => write("credentials.json", JSON.stringify(members));
  expect(() => pinnedKeys({ logVkey: [ANCHOR] })).toThrow(misuse(/is a key of an anchor log.*--anchor-vkey/));
  expect(() => pinnedKeys({ logVkey: [LOG], anchorVkey: [ANCHOR, OTHER] })).toThrow(
    misuse(/aaaaa\+[0-9a-f]{8} is a key of a tenant's log.*--log-vkey/),
  );
  const swapped = await stored({ logVkey: ANCHOR, anchorVkey: LOG });
  expect(() => pinnedKeys({ credentials: swapped })).toThrow(misuse(/credentials\.json: .*anchor log/));
  // Evidence may be against either kind.
  expect(evidenceKeys({ logVkey: [ANCHOR, LOG] }).logVkeys.map(formatVkey)).toEqual([ANCHOR, LOG]);
});

test("a second log's keys are kept beside the first one's, once, and for the owner alone", async () => {
  const members = { url: "https://audit.example.org", logVkey: LOG, anchorVkey: ANCHOR };
  const credentials = await write("credentials.json", JSON.stringify(members));
  for (let i = 0; i < 2; i++) expect(await keepLogVkeys({ credentials }, [OTHER])).toBe(credentials);
  expect(JSON.parse(await readFile(credentials, "utf8"))).toEqual({ ...members, logVkey: `${LOG} ${OTHER}` });
  if (process.platform !== "win32") expect((await stat(credentials)).mode & 0o077).toBe(0);
  expect(pinnedKeys({ credentials }).logVkeys.map(formatVkey)).toEqual([LOG, OTHER]);
});
