/** `kedge monitor` as a process, on the static files of a log whose operator does as it likes. */
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ClientError } from "@kedge/verify/error";
import type { LogFiles } from "@kedge/verify/net/files";
import { checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import { formatNote, formatVkey } from "@kedge/verify/tlog/note";
import { formatProof } from "@kedge/verify/tlog/proof";
import { bundlesChanged, parseTilePath, tilePath, tilesChanged } from "@kedge/verify/tlog/tile";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { kedge, type Result, type RunOptions } from "../../../cli/run.ts";
import { everyone, logFiles, tenantEntries, tenantEntry, tenantOrigin } from "../../../support/anchor-log.ts";
import {
  ANCHOR_ORIGIN,
  anchor,
  anchorProof,
  logSigner,
  makeProof,
  policyText,
  signedHead,
  witness1,
} from "../../../support/proofs.ts";

let cwd: string;
const closing: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "kedge-monitor-"));
  await writeFile(join(cwd, "policy"), policyText(2));
});
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  await rm(cwd, { recursive: true });
});

const read = (name: string): Promise<string> => readFile(join(cwd, name), "utf8");
async function writeInto(name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(join(cwd, name)), { recursive: true });
  await writeFile(join(cwd, name), bytes);
}
const write = (name: string, text: string): Promise<void> => writeFile(join(cwd, name), text);
const run = (args: readonly string[], more: Partial<RunOptions> = {}): Promise<Result> =>
  kedge(["monitor", ...args], { cwd, ...more });

async function listen(handler: RequestListener): Promise<string> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

/** A server of static files below /anchor; what they are may change between looks. */
async function startLog(entries: readonly Uint8Array[] = []) {
  const log = {
    files: logFiles(entries) satisfies LogFiles as LogFiles,
    requests: [] as string[],
    /** Instead of the files. */
    handler: undefined as RequestListener | undefined,
    url: "",
    show(shown: readonly Uint8Array[], options: Parameters<typeof logFiles>[1] = {}) {
      log.files = logFiles(shown, options);
    },
    monitor: (...args: string[]): Promise<Result> =>
      run([log.url, "--policy", "policy", "--state", "state", ...args]),
  };
  const origin = await listen((request, response) => {
    log.requests.push(request.url ?? "");
    if (log.handler !== undefined) log.handler(request, response);
    else void answer(log.files, request, response);
  });
  log.url = `${origin}/anchor`;
  return log;
}

async function answer(
  files: LogFiles,
  { url = "" }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = url.replace(/^\/anchor\//, "");
  try {
    response.end(path === "checkpoint" ? await files.checkpoint() : await files.tile(parseTilePath(path)));
  } catch (error) {
    response.writeHead(error instanceof ClientError ? 404 : 500).end();
  }
}

const reported = ({ out }: Result): Record<string, unknown> => JSON.parse(out);
const kindsIn = (result: Result): unknown => {
  const { findings } = reported(result);
  return Array.isArray(findings) ? findings.map(({ kind }: { kind: string }) => kind) : findings;
};

test("an honest log is good from look to look, and the answer says what was not checked", async () => {
  const log = await startLog(tenantEntries(0, 260));
  const first = await log.monitor();
  expect([first.code, first.err]).toEqual([0, ""]);
  expect(first.out).toMatch(/^GOOD {2}audit\.example\.org\/anchor, size 260, 260 new\n/);
  expect(first.out).toMatch(/this is the first look/);
  expect(first.out).toMatch(/An audit shows it/);
  log.show(tenantEntries(0, 300));
  log.requests.length = 0;
  const second = await log.monitor("--json");
  expect(second.code).toBe(0);
  expect(reported(second)).toMatchObject({ outcome: "good", size: "300", read: "40", findings: [] });
  expect(reported(second)["witnesses"]).toEqual(["w1", "w2"]);
  expect(log.requests).toEqual(["/anchor/checkpoint", "/anchor/tile/entries/001.p/44"]);
  expect(await readdir(cwd)).toEqual(["policy", "state"]);
});

test("a copy of the files in a folder is followed like a server", async () => {
  const copy = async (entries: readonly Uint8Array[]) => {
    const files = logFiles(entries);
    const size = BigInt(entries.length);
    await writeInto("copy/checkpoint", await files.checkpoint());
    for (const tile of [...bundlesChanged(0n, size), ...tilesChanged(0n, size)])
      await writeInto(`copy/${tilePath(tile)}`, await files.tile(tile));
  };
  const args = [pathToFileURL(join(cwd, "copy")).href, "--policy", "policy", "--state", "state"];
  expect(await run(args)).toMatchObject({ code: 3, out: expect.stringMatching(/^UNREACHABLE/) });
  await copy(tenantEntries(0, 300));
  expect(await run(args)).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^GOOD .* size 300, 300 new/),
  });
  await copy(tenantEntries(0, 40));
  const older = await run([...args, "--json"]);
  expect([older.code, kindsIn(older)]).toEqual([1, ["rollback"]]);
  expect(await run(["file://host/copy", ...args.slice(1)])).toMatchObject({ code: 2 });
});

describe("a split view", () => {
  const mine = tenantEntries(0, 40);
  const theirs = [...tenantEntries(0, 30), ...tenantEntries(30, 50, { history: "other" })];

  test("is caught by the monitor that sees both, and the evidence convinces with the policy alone", async () => {
    const log = await startLog(mine);
    expect((await log.monitor()).code).toBe(0);
    const before = JSON.parse(await read("state"));
    log.show(theirs);
    const caught = await log.monitor();
    expect([caught.code, caught.out]).toEqual([
      1,
      expect.stringMatching(/^FINDINGS.*fork: .*state\.evidence/s),
    ]);
    expect(JSON.parse(await read("state"))).toMatchObject({
      checkpoint: before.checkpoint,
      tiles: before.tiles,
    });

    // A third party has the evidence and the policy, and no connection.
    const [, command = ""] = /npx kedge monitor (--check-evidence .*)/.exec(caught.out) ?? [];
    const judged = await run(command.split(" "));
    expect([judged.code, judged.out]).toEqual([0, expect.stringMatching(/^CONVINCING {2}.*two histories/)]);

    const evidence = await read("state.evidence");
    const piece = JSON.parse(evidence);
    for (const [name, altered] of [
      ["size", { ...piece, size: "39" }],
      ["root", { ...piece, roots: [piece.roots[1], piece.roots[0]] }],
      ["history", { ...piece, checkpoints: [piece.checkpoints[0], piece.checkpoints[0]] }],
      [
        "note",
        { ...piece, checkpoints: [piece.checkpoints[0].replace("\n40\n", "\n41\n"), piece.checkpoints[1]] },
      ],
      ["format", { ...piece, note: "trust me" }],
    ] as const) {
      await write(name, `${JSON.stringify(altered)}\n`);
      const refused = await run(["--check-evidence", name, "--policy", "policy"]);
      expect([name, refused.code, refused.out]).toEqual([name, 1, expect.stringMatching(/^NOT CONVINCING/)]);
    }
    const stranger = formatVkey(logSigner(ANCHOR_ORIGIN, 99).vkey);
    await write("other-policy", `log ${stranger}\nquorum none\n`);
    expect((await run(["--check-evidence", "state.evidence", "--policy", "other-policy"])).code).toBe(1);
    for (const [vkey, code] of [
      [formatVkey(anchor.vkey), 0],
      [stranger, 1],
    ] as const) {
      const byAudit = ["audit", "--check-evidence", "state.evidence", "--log-vkey", vkey];
      expect((await kedge(byAudit, { cwd })).code).toBe(code);
    }

    // Back to the first history: what was seen stays true, until somebody has dealt with it.
    log.show(tenantEntries(0, 45));
    const after = await log.monitor("--json");
    expect([after.code, kindsIn(after)]).toEqual([1, []]);
    expect(reported(after)).toMatchObject({
      size: "45",
      earlier: [{ kind: "fork" }],
      evidence: "state.evidence",
    });
    expect((await log.monitor("--acknowledge")).code).toBe(0);
    expect((await log.monitor()).code).toBe(0);
    expect(await read("state.evidence")).toBe(evidence);
  });

  test("is caught by comparing with what another party was given, a checkpoint or a proof", async () => {
    const log = await startLog(mine);
    await write("same", logFiles(mine.slice(0, 20)).note);
    await write("theirs", logFiles(theirs.slice(0, 35)).note);
    await write("proof", anchorProof("an entry", [anchor]));
    const anchored = (checkpoint: string) => formatProof({ index: 0n, hashes: [], checkpoint });
    const { note } = logFiles(theirs.slice(0, 35));
    const renewed = () => ({
      anchor: anchored(logFiles(mine.slice(0, 20)).note),
      timestamps: [],
      earlier: [{ anchor: anchored(note), timestamps: [] }],
    });
    await write("renewed", makeProof({ extra: renewed }).proof);
    expect((await log.monitor("--compare", "same")).code).toBe(0);
    for (const other of ["theirs", "proof", "renewed"]) {
      const found = await log.monitor(
        "--compare",
        other,
        "--json",
        "--evidence",
        `${other}.evidence`,
        "--acknowledge",
      );
      expect([found.code, kindsIn(found)]).toEqual([1, ["fork"]]);
      expect((await run(["--check-evidence", `${other}.evidence`, "--policy", "policy"])).code).toBe(0);
    }
    await write(
      "foreign",
      signedHead("elsewhere.example/anchor", mine, [logSigner("elsewhere.example/anchor", 3)]),
    );
    expect((await log.monitor("--compare", "foreign")).code).toBe(2);
  });
});

test("every other misbehaviour is exit 1, and named", async () => {
  const log = await startLog(tenantEntries(0, 20));
  expect((await log.monitor()).code).toBe(0);
  const tenant = (size: number, history = "") => tenantEntry("a", size, { history });
  const grown = [...tenantEntries(0, 20), tenant(5)];
  const shown: [string, () => void][] = [
    ["rollback", () => log.show(tenantEntries(0, 19))],
    ["bad_checkpoint", () => log.show(grown, { signers: [witness1] })],
    ["no_quorum", () => log.show(tenantEntries(0, 20), { signers: [anchor, witness1] })],
    ["tenant_shrinks", () => log.show([...grown, tenant(4)])],
    ["tenant_two_roots", () => log.show([...grown, tenant(4), tenant(5, "other")])],
  ];
  for (const [kind, show] of shown) {
    show();
    const found = await log.monitor("--json", "--acknowledge");
    expect([kindsIn(found), found.code]).toEqual([[kind], 1]);
  }
  const judged = await run(["--check-evidence", "state.evidence", "--policy", "policy"]);
  expect([judged.code, judged.out.split("\n").length]).toEqual([0, 3]);
  log.show([...grown, tenant(4), tenant(5, "other")]);
  const stale = await log.monitor("--json", "--acknowledge", "--max-age", "3600");
  expect([kindsIn(stale), stale.code]).toEqual([["stale"], 1]);
});

test("tenants' entries are held to --log-vkey", async () => {
  const signer = logSigner(tenantOrigin("a"), 9);
  const log = await startLog([tenantEntry("a", 1, { signer }), tenantEntry("a", 2)]);
  const found = await log.monitor("--json", "--log-vkey", formatVkey(signer.vkey));
  expect([found.code, kindsIn(found)]).toEqual([1, ["tenant_signature"]]);
});

describe("a log that cannot be read is exit 3, and nothing is forgotten:", () => {
  const cases: [string, RequestListener][] = [
    ["absent", (_, response) => void response.writeHead(404).end()],
    ["failing", (_, response) => void response.writeHead(503).end()],
    ["elsewhere", (_, response) => void response.writeHead(302, { Location: "/other" }).end()],
    ["cut", (request) => void request.socket.destroy()],
    ["silent", () => undefined],
    ["endless", (_, response) => void pour(response)],
  ];
  test.each(cases)("%s", async (name, handler) => {
    const log = await startLog(tenantEntries(0, 20));
    expect((await log.monitor()).code).toBe(0);
    const before = await read("state");
    log.handler = handler;
    const result = await log.monitor(...(name === "silent" ? ["--timeout", "1"] : []));
    expect([result.code, result.out]).toEqual([3, expect.stringMatching(/^UNREACHABLE.*stays as it is/s)]);
    expect(await read("state")).toBe(before);
    expect(log.requests).not.toContain("/other");
  });

  function pour(response: ServerResponse): void {
    const chunk = Buffer.alloc(65_536, "a");
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on("drain", more);
    more();
  }

  test("of a size that nobody can read, refused before any entry is asked for", async () => {
    const log = await startLog();
    const head = { origin: ANCHOR_ORIGIN, size: 1n << 60n, root: EMPTY_ROOT };
    const note = formatNote({
      text: checkpointBody(head),
      signatures: everyone.map(({ sign }) => sign(head)),
    });
    log.show([], { note });
    const result = await log.monitor();
    expect([result.code, result.out]).toEqual([3, expect.stringMatching(/--max-entries/)]);
    expect(log.requests).toEqual(["/anchor/checkpoint"]);
    expect(await readdir(cwd)).toEqual(["policy"]);
  });
});

describe("a webhook", () => {
  test("is told what is wrong and nothing else; until it took that, the next look says it again", async () => {
    const told: string[] = [];
    let status = 500;
    const webhook = await listen((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      request.on("end", () => {
        told.push(body);
        response.writeHead(status).end("x".repeat(100_000));
      });
    });
    const log = await startLog(tenantEntries(0, 5));
    const look = () => log.monitor("--webhook", `${webhook}/secret`);
    expect((await look()).code).toBe(0);
    expect(told).toEqual([]);

    const before = await read("state");
    log.show([...tenantEntries(0, 5), tenantEntry("a", 2), tenantEntry("a", 1)]);
    const untold = await look();
    expect([untold.code, untold.err]).toEqual([1, expect.stringMatching(/webhook did not take/)]);
    expect(untold.err).not.toContain("secret");
    expect(await read("state")).toBe(before);

    status = 204;
    told.length = 0;
    expect((await look()).code).toBe(1);
    expect(told.map((body): unknown => JSON.parse(body))).toMatchObject([
      { outcome: "findings", findings: [{ kind: "tenant_shrinks" }], size: "7" },
    ]);
    const again = await look();
    expect([again.code, told.length]).toEqual([1, 1]);
  });
});

test("--follow looks until it is interrupted, tells what changes, and ends with the worst it saw", async () => {
  const log = await startLog(tenantEntries(0, 5));
  let stop: () => void = () => undefined;
  const interrupt = new Promise<void>((resolve) => {
    stop = resolve;
  });
  let looks = 0;
  log.handler = (request, response) => {
    if (request.url === "/anchor/checkpoint") looks += 1;
    if (looks === 3) log.show(tenantEntries(0, 9));
    if (looks === 5) log.show(tenantEntries(0, 7));
    if (looks === 6) log.show(tenantEntries(0, 9));
    if (looks === 8) stop();
    void answer(log.files, request, response);
  };
  const args = [log.url, "--policy", "policy", "--state", "state", "--follow", "0.05"];
  const result = await run(args, { interrupt });
  expect(
    result.out.match(/^(GOOD|FINDINGS).*/gm)?.map((line) => line.split(/, size |[ ,]+/).slice(0, 3)),
  ).toEqual([
    ["GOOD", ANCHOR_ORIGIN, "5"],
    ["GOOD", ANCHOR_ORIGIN, "5"],
    ["GOOD", ANCHOR_ORIGIN, "9"],
    ["FINDINGS", ANCHOR_ORIGIN, "9"],
    ["GOOD", ANCHOR_ORIGIN, "9"],
  ]);
  expect(result.code).toBe(1);
  expect(JSON.parse(await read("state")).checkpoint).toContain("\n9\n");
});

describe("used wrongly is exit 2:", () => {
  test("a state that is damaged, or of another log, is neither used nor replaced", async () => {
    const log = await startLog(tenantEntries(0, 5));
    expect((await log.monitor()).code).toBe(0);
    const good = await read("state");
    for (const wrong of ["", good.slice(0, -20), good.replace("\\n5\\n", "\\n6\\n"), "{}"]) {
      await write("state", wrong);
      const result = await log.monitor();
      expect([result.code, result.err]).toEqual([2, expect.stringMatching(/state in state cannot be used/)]);
      expect(await read("state")).toBe(wrong);
    }
  });

  test.each([
    [["http://127.0.0.1:1/anchor", "--state", "state"], /--policy/],
    [["http://127.0.0.1:1/anchor", "--policy", "policy"], /--state/],
    [["--policy", "policy", "--state", "state"], /URL/],
    [["http://example.org/anchor", "--policy", "policy", "--state", "state"], /https/],
    [["https://example.org/anchor?x=1", "--policy", "policy", "--state", "state"], /query/],
    [
      ["http://127.0.0.1:1", "--policy", "policy", "--state", "s", "--webhook", "http://example.org"],
      /https/,
    ],
    [["http://127.0.0.1:1", "--policy", "policy", "--state", "s", "--follow", "0"], /--follow/],
    [["http://127.0.0.1:1", "--policy", "nowhere", "--state", "s"], /cannot be read/],
    [["--check-evidence", "nowhere", "--policy", "policy"], /cannot be read/],
  ])("%j", async (args, message) => {
    const result = await run(args);
    expect([result.code, result.err]).toEqual([2, expect.stringMatching(message)]);
  });
});
