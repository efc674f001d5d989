import { ClientError } from "@kedge/verify/error";
import { checkEvidence, type Evidence } from "@kedge/verify/evidence/evidence";
import { parseEvidence } from "@kedge/verify/evidence/evidencefile";
import { type MonitorState, monitorTrust } from "@kedge/verify/monitor/monitor";
import { formatState, parseState } from "@kedge/verify/monitor/state";
import { type Look, type WatchOptions, watch } from "@kedge/verify/monitor/watch";
import { tellMonitorFinding } from "@kedge/verify/monitor/words";
import type { LogFiles } from "@kedge/verify/net/files";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { TlogError } from "@kedge/verify/tlog/error";
import { formatVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { formatProof } from "@kedge/verify/tlog/proof";
import { encodeBundle } from "@kedge/verify/tlog/tile";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { everyone, logFiles, tenantEntries, tenantEntry, tenantOrigin } from "../../../support/anchor-log.ts";
import {
  ANCHOR_ORIGIN,
  anchor,
  anchorMldsa,
  inclusion,
  logSigner,
  OPERATOR_TIME,
  policyText,
  signedHead,
  WITNESS_TIME,
  witness1,
} from "../../../support/proofs.ts";

const trust = monitorTrust(parsePolicy(policyText(2)), []);
const NOW = Number(WITNESS_TIME) * 1000 + 60_000;
const options: WatchOptions = { now: NOW, maxEntries: 10_000n };

const look = (files: LogFiles, state?: MonitorState, more: Partial<WatchOptions> = {}): Promise<Look> =>
  watch(files, state, trust, { ...options, ...more });

/** What is known after looks at these logs, one after the other, all of them good. */
async function known(...logs: readonly (readonly Uint8Array[])[]): Promise<MonitorState> {
  let state: MonitorState | undefined;
  for (const entries of logs) {
    const { findings, state: next } = await look(logFiles(entries), state);
    expect(findings).toEqual([]);
    state = next;
  }
  if (state === undefined) throw new Error("no look");
  return state;
}

const kinds = ({ findings }: Look): string[] => findings.map(({ kind }) => kind);
const isConvincing = (evidence: Evidence): boolean => checkEvidence(evidence, trust.vkeys).convincing;

/** Two logs that have `common` entries in common and then differ. */
const fork = (common: number, a: number, b: number): [Uint8Array[], Uint8Array[]] => [
  tenantEntries(0, a),
  [...tenantEntries(0, common), ...tenantEntries(common, b, { history: "other" })],
];

describe("an honest log", () => {
  test("is good however it grows between looks, and what is kept comes back from its file", async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(sizes, async (unsorted) => {
        const grown = unsorted.toSorted((a, b) => a - b).map((size) => tenantEntries(0, size));
        const state = await known(...grown);
        const again = parseState(formatState(state), ANCHOR_ORIGIN);
        expect(again).toEqual(state);
        expect(await known(grown.at(-1) ?? [])).toEqual({ ...state, seenAt: NOW });
        const heads = [...state.tenants.values()].map(({ size }) => Number(size));
        expect(Math.max(0, ...heads)).toBe(Math.ceil(Number(state.checkpoint.size) / 3));
      }),
      { numRuns: 15 },
    );
  });

  test("may repeat a tenant's checkpoint, signed again", async () => {
    const signer = logSigner(tenantOrigin("a"), 9);
    await known([tenantEntry("a", 1), tenantEntry("a", 4), tenantEntry("a", 4, { signer })]);
  });

  test("is read from full bundles where partial ones are gone", async () => {
    const entries = tenantEntries(0, 300);
    const older = logFiles(entries.slice(0, 200));
    const full: LogFiles = {
      ...older,
      tile: ({ level, index }) => logFiles(entries).tile({ level, index, width: 256 }),
    };
    expect(kinds(await look(full))).toEqual([]);
  });

  test("is followed from now on where that is asked for, and what is below is said not to be read", async () => {
    const first = await look(logFiles(tenantEntries(0, 600)), undefined, { fromNow: true, maxEntries: 10n });
    expect([kinds(first), first.read, first.state?.from]).toEqual([[], 0n, 600n]);
    const next = await look(logFiles(tenantEntries(0, 605)), first.state, { maxEntries: 10n });
    expect([kinds(next), next.read, next.state?.from]).toEqual([[], 5n, 600n]);
  });

  test("of more new entries than are to be read is refused before any is fetched", async () => {
    const huge = signedHead(ANCHOR_ORIGIN, [], everyone).replace("\n0\n", `\n${1n << 60n}\n`);
    const files: LogFiles = { ...logFiles([]), checkpoint: async () => utf8Encode(huge, "") };
    expect(kinds(await look(files))).toEqual(["bad_checkpoint"]);
    const asked: unknown[] = [];
    const counted: LogFiles = {
      ...logFiles(tenantEntries(0, 30)),
      tile: async (tile) => {
        asked.push(tile);
        throw new Error("not to be asked");
      },
    };
    const refused = await look(counted, undefined, { maxEntries: 29n });
    expect(refused).toMatchObject({ state: undefined, failure: { code: "protocol" } });
    expect(asked).toEqual([]);
  });
});

describe("a split view", () => {
  test("is caught whatever the two histories are, and proven wherever the tiles allow", async () => {
    const size = fc.integer({ min: 1, max: 600 });
    await fc.assert(
      fc.asyncProperty(size, size, size, async (first, second, third) => {
        const [common = 0, a = 0, b = 0] = [first, second, third].toSorted((x, y) => x - y);
        const [one, other] = fork(common - 1, a, b);
        const state = await known(one);
        const found = await look(logFiles(other), state);
        expect(kinds(found)).toEqual(["fork"]);
        expect(found.evidence.map(isConvincing)).toEqual([true]);
        expect(found.state).toEqual({ ...state, findings: found.findings.map(tellMonitorFinding) });
        expect((await look(logFiles(other), found.state)).state).toEqual(found.state);
        // Evidence survives its file, and is as good for somebody who saw the other history first.
        const [evidence] = found.evidence;
        expect(isConvincing(parseEvidence(JSON.stringify(evidence)))).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test("is caught when the second history is the shorter one, with proof while the known end is recent", async () => {
    const [long, short] = fork(290, 310, 300);
    const found = await look(logFiles(short), await known(long));
    expect(kinds(found)).toEqual(["fork"]);
    expect(found.evidence.map(isConvincing)).toEqual([true]);
    // Only the other's tiles and whole subtrees of the known tree: enough for a fork that is old.
    const old = fork(100, 900, 700);
    const far = await look(logFiles(old[1]), await known(old[0]));
    expect(kinds(far)).toEqual(["fork"]);
    expect(far.evidence.map(isConvincing)).toEqual([true]);
  });

  test("that cannot be proven is a finding all the same, and both notes are kept", async () => {
    const [one, other] = fork(20, 30, 40);
    const mixed: LogFiles = { ...logFiles(other), tile: logFiles(tenantEntries(0, 40)).tile };
    const found = await look(mixed, await known(one));
    expect(kinds(found)).toEqual(["bad_entries"]);
    expect(found.state?.open).toEqual([logFiles(other).note]);
    expect(found.evidence).toEqual([
      { kind: "unproven", checkpoints: [logFiles(one).note, logFiles(other).note] },
    ]);
    expect(found.evidence.map(isConvincing)).toEqual([false]);
  });

  test("of which only the checkpoint is shown is proven as soon as the first history goes on", async () => {
    const [one, other] = fork(20, 30, 40);
    const withheld: LogFiles = { ...logFiles(other), tile: logFiles([]).tile };
    const mixed: LogFiles = { ...logFiles(other), tile: logFiles(tenantEntries(0, 40)).tile };
    for (const files of [withheld, mixed]) {
      const seen = await look(files, await known(one));
      const still = await look(logFiles(one), seen.state);
      expect([kinds(still), still.caveats.length]).toEqual([[], 1]);
      const found = await look(logFiles(tenantEntries(0, 45)), still.state);
      expect([kinds(found), found.state?.open]).toEqual([["fork"], []]);
      expect(found.evidence.map(isConvincing)).toEqual([true]);
    }
  });

  test("is caught by comparing with a checkpoint that another party was given", async () => {
    const [one, other] = fork(50, 80, 70);
    const state = await known(one);
    const same = await look(logFiles(one), state, { others: [logFiles(one.slice(0, 60)).note] });
    expect(kinds(same)).toEqual([]);
    const found = await look(logFiles(one), state, { others: [logFiles(other).note] });
    expect(kinds(found)).toEqual(["fork"]);
    expect(found.evidence.map(isConvincing)).toEqual([true]);
    const ahead = await look(logFiles(one), state, { others: [logFiles(tenantEntries(0, 99)).note] });
    expect([kinds(ahead), ahead.caveats.length]).toEqual([[], 1]);
  });
});

describe("a server that is slow or away accuses nobody:", () => {
  const long = tenantEntries(0, 900);
  const away = (code: "throttled" | "server" | "network") => ({
    tile: async () => {
      throw new ClientError(code, "not now");
    },
  });

  test.each(["throttled", "server", "network"] as const)("%s", async (code) => {
    const state = await known(long);
    const others = [logFiles(long.slice(0, 600)).note];
    const compared = await look({ ...logFiles(long), ...away(code) }, state, { others });
    expect([kinds(compared), compared.failure?.code]).toEqual([[], code]);
    // That an older checkpoint is served is seen without any tile.
    const older = await look({ ...logFiles(long.slice(0, 600)), ...away(code) }, state);
    expect([kinds(older), older.failure?.code]).toEqual([["rollback"], code]);
  });

  test("but entries that are there, and do not lead to the root, are found", async () => {
    const state = await known(long.slice(0, 300));
    const { checkpoint } = logFiles(long);
    const changed = logFiles([...long.slice(0, 400), ...tenantEntries(400, 900, { history: "other" })]);
    const tile: LogFiles["tile"] = (wanted) =>
      wanted.level === "entries" ? changed.tile(wanted) : away("throttled").tile();
    const found = await look({ checkpoint, tile }, state);
    expect([kinds(found), found.failure?.code]).toEqual([["bad_entries"], "throttled"]);
  });
});

describe("a checkpoint", () => {
  const entries = tenantEntries(0, 12);

  test("that the log did not sign is found, and changes nothing", async () => {
    const state = await known(entries.slice(0, 5));
    const stranger = logSigner(ANCHOR_ORIGIN, 66);
    const elsewhere = logSigner("elsewhere.example/anchor", 2);
    for (const note of [
      signedHead(ANCHOR_ORIGIN, entries, [stranger]),
      signedHead("elsewhere.example/anchor", entries, [elsewhere]),
      logFiles(entries).note.replace("\n12\n", "\n13\n"),
      "not a note",
      "",
    ]) {
      const found = await look(logFiles(entries, { note }), state);
      expect([kinds(found), found.state]).toEqual([["bad_checkpoint"], state]);
    }
  });

  test("smaller than one seen before is a rollback, and what was seen stays", async () => {
    const long = tenantEntries(0, 900);
    const state = await known(long);
    for (const size of [0, 1, 300, 899]) {
      const older = logFiles(long.slice(0, size));
      const found = await look({ ...older, tile: logFiles(long).tile }, state);
      expect([kinds(found), found.state, found.evidence]).toEqual([["rollback"], state, []]);
      expect(found.findings.map(tellMonitorFinding)[0]?.message).toMatch(/older one of the same log/);
    }
  });

  test("without the quorum is found; the log's own signature binds it all the same", async () => {
    const found = await look(logFiles(entries, { signers: [anchor, witness1] }));
    expect([kinds(found), found.state?.checkpoint.size]).toEqual([["no_quorum"], 12n]);
    expect(found.head?.witnesses).toEqual(["w1"]);
  });

  test("is stale by the witnesses' time, else the log's own, else since it was first seen", async () => {
    const maxAge = 1_000_000;
    const stale = async (signers: readonly (typeof anchor)[], at: number, state?: MonitorState) => {
      const { findings, state: next } = await watch(logFiles(entries, { signers }), state, unwitnessed, {
        ...options,
        now: at,
        maxAge,
      });
      return { isStale: findings.some(({ kind }) => kind === "stale"), next };
    };
    const witnessTime = Number(WITNESS_TIME + 5n) * 1000;
    expect((await stale(everyone, witnessTime + maxAge)).isStale).toBe(false);
    expect((await stale(everyone, witnessTime + maxAge + 1)).isStale).toBe(true);
    const ownTime = Number(OPERATOR_TIME) * 1000;
    expect((await stale([anchor, anchorMldsa], ownTime + maxAge)).isStale).toBe(false);
    expect((await stale([anchor, anchorMldsa], ownTime + maxAge + 1)).isStale).toBe(true);
    // A time from the future is none.
    const early = ownTime - 3 * maxAge;
    const { isStale, next } = await stale([anchor, anchorMldsa], early);
    expect(isStale).toBe(false);
    for (const signers of [[anchor], [anchor, anchorMldsa]]) {
      expect((await stale(signers, early + maxAge, next)).isStale).toBe(false);
      expect((await stale(signers, early + maxAge + 1, next)).isStale).toBe(true);
    }
  });
  test("signed in the future is found when its age matters, and not for a few minutes", async () => {
    const maxAge = 1_000_000;
    const [witnessTime, ownTime] = [WITNESS_TIME + 5n, OPERATOR_TIME].map(
      (seconds) => Number(seconds) * 1000,
    );
    const found = async (now: number, signers: readonly (typeof anchor)[], ages: { maxAge?: number }) =>
      kinds(
        await watch(logFiles(entries, { signers }), undefined, unwitnessed, { ...options, now, ...ages }),
      );
    const first = Math.min(Number(WITNESS_TIME) * 1000, ownTime ?? 0);
    for (const signers of [everyone, [anchor, anchorMldsa]]) {
      expect(await found(first - 300_001, signers, { maxAge })).toEqual(["future"]);
      expect(await found(first - 300_001, signers, {})).toEqual([]);
    }
    // One that is right beside others that are wrong says how old it is.
    expect(await found((witnessTime ?? 0) - 300_000, everyone, { maxAge })).toEqual([]);
    expect(await found((ownTime ?? 0) - 300_000, [anchor, anchorMldsa], { maxAge })).toEqual([]);
  });

  test("that was first seen by a clock that was ahead is stale in time, counted from the next look", async () => {
    const maxAge = 1_000_000;
    const now = 1_800_000_000_000;
    const files = logFiles(entries, { signers: [anchor] });
    const look = (at: number, state?: MonitorState) =>
      watch(files, state, unwitnessed, { ...options, now: at, maxAge });
    const { state: ahead } = await look(now + 365 * 24 * 3_600_000);
    const { state, findings } = await look(now, ahead);
    expect([findings, state?.seenAt]).toEqual([[], now]);
    expect(kinds(await look(now + maxAge + 1, state))).toEqual(["stale"]);
  });
  const unwitnessed = monitorTrust(
    parsePolicy(
      `${policyText(2).replace(/quorum .*\n/, "quorum none\n")}log ${formatVkey(anchorMldsa.vkey)}\n`,
    ),
    [],
  );

  test("whose entries do not lead to its root is found, on the first look and later", async () => {
    const changed = entries.with(7, tenantEntry("log1", 99));
    const served: LogFiles = { ...logFiles(entries), tile: logFiles(changed).tile };
    expect(kinds(await look(served))).toEqual(["bad_entries"]);
    expect(kinds(await look(served, await known(entries.slice(0, 6))))).toEqual(["bad_entries"]);
    // Entries that are cut short, or go on, are no entries of a bundle.
    for (const bundle of [encodeBundle(entries).slice(0, -1), encodeBundle([...entries, ...entries])]) {
      const files: LogFiles = { ...logFiles(entries), tile: async () => bundle };
      const found = await look(files);
      expect([kinds(found), found.state]).toEqual([["bad_entries"], undefined]);
    }
  });

  test("whose entries are withheld cannot be read: no finding, nothing is forgotten, and it is kept in mind", async () => {
    const files: LogFiles = { ...logFiles(entries), tile: logFiles([]).tile };
    expect(await look(files)).toMatchObject({
      failure: { code: "not_found" },
      findings: [],
      state: undefined,
    });
    const state = await known(entries.slice(0, 5));
    const found = await look(files, state);
    expect(found).toMatchObject({ failure: { code: "not_found" }, findings: [] });
    expect(found.state).toEqual({ ...state, open: [logFiles(entries).note] });
    for (const size of [12, 40]) {
      const later = await look(logFiles(tenantEntries(0, size)), found.state);
      expect([kinds(later), later.state?.open, later.caveats]).toEqual([[], [], []]);
    }
  });
});

describe("an entry", () => {
  const signer = logSigner(tenantOrigin("a"), 9);
  const cases: [string, Uint8Array, string][] = [
    ["two roots at one size", tenantEntry("a", 5, { history: "other" }), "tenant_two_roots"],
    ["a size that shrinks", tenantEntry("a", 4), "tenant_shrinks"],
    ["another operator's log", tenantEntry("a", 6, { origin: "elsewhere.example/log/a" }), "foreign_entry"],
    ["the anchor log itself", tenantEntry("a", 6, { origin: ANCHOR_ORIGIN }), "foreign_entry"],
    ["an origin below a log's", tenantEntry("a", 6, { origin: `${tenantOrigin("a")}/b` }), "foreign_entry"],
    ["no checkpoint", utf8Encode("kedge", ""), "bad_entry"],
    ["not text", Uint8Array.of(0xff, 0xfe), "bad_entry"],
    ["more than a checkpoint", new Uint8Array(65_535).fill(65), "bad_entry"],
  ];

  test.each(cases)(
    "that shows %s is found, in one look or in two, and is told for ever",
    async (_, entry, kind) => {
      const entries = [...tenantEntries(0, 300), tenantEntry("a", 5), tenantEntry("b", 1), entry];
      const atOnce = await look(logFiles(entries));
      expect(kinds(atOnce)).toEqual([kind]);
      const later = await look(logFiles(entries), await known(entries.slice(0, 301)));
      expect(later.findings).toEqual(atOnce.findings);
      expect(later.state).toEqual(atOnce.state);
      const next = await look(logFiles([...entries, tenantEntry("b", 2)]), later.state);
      expect([kinds(next), next.state?.findings]).toEqual([[], later.findings.map(tellMonitorFinding)]);
    },
  );

  test.each(cases.slice(0, 2))("that shows %s is evidence for whoever has the policy", async (_, entry) => {
    const entries = [...tenantEntries(0, 300), tenantEntry("a", 5), entry, ...tenantEntries(300, 310)];
    const { evidence } = await look(logFiles(entries));
    expect(evidence.map(isConvincing)).toEqual([true]);
    const [piece] = evidence;
    if (piece?.kind !== "entries") throw new Error("no entries");
    const [first, second] = piece.entries;
    const [of1 = "", of2 = ""] = piece.proofs ?? [];
    expect(isConvincing({ ...piece, entries: [second, first], proofs: [of2, of1] })).toBe(kindOf(entry));
    expect(isConvincing({ ...piece, entries: [second, first] })).toBe(false);
    expect(isConvincing({ ...piece, proofs: [of1, of1] })).toBe(false);
    expect(isConvincing({ ...piece, entries: [first, first], proofs: [of1, of1] })).toBe(false);
    expect(isConvincing({ kind: "entries", entries: piece.entries })).toBe(false);
  });
  test("and a later one that do not contradict each other are no evidence, in whatever order", async () => {
    const entries = [tenantEntry("a", 4), tenantEntry("a", 5), tenantEntry("b", 3), tenantEntry("a", 1)];
    const { evidence } = await look(logFiles(entries));
    expect(evidence.map(isConvincing)).toEqual([true]); // 5, then 1
    const text = (i: number): string => new TextDecoder().decode(entries[i]);
    const proof = (i: number): string => {
      const hashes = inclusion(entries, i);
      return formatProof({ index: BigInt(i), hashes, checkpoint: logFiles(entries).note });
    };
    const pair = (i: number, j: number): Extract<Evidence, { kind: "entries" }> => ({
      kind: "entries",
      entries: [text(i), text(j)],
      proofs: [proof(i), proof(j)],
    });
    expect(isConvincing(pair(1, 3))).toBe(true);
    for (const [i, j] of [
      [0, 1],
      [1, 0],
      [3, 1],
      [1, 2],
      [1, 1],
    ] as const) {
      expect([i, j, isConvincing(pair(i, j))]).toEqual([i, j, false]);
    }
    // Indexes of two trees are in no order.
    const longer = [...entries, tenantEntry("b", 9)];
    const hashes = inclusion(longer, 3);
    const elsewhere = formatProof({ index: 3n, hashes, checkpoint: logFiles(longer).note });
    expect(isConvincing({ ...pair(1, 3), proofs: [proof(1), elsewhere] })).toBe(false);
    // An entry that is not in the log, beside one that is.
    const forged = new TextDecoder().decode(tenantEntry("a", 5, { history: "forged" }));
    expect(isConvincing({ ...pair(1, 1), entries: [forged, text(1)] })).toBe(false);
  });

  /** Two roots are a contradiction in any order. */
  const kindOf = (entry: Uint8Array): boolean => new TextDecoder().decode(entry).includes("\n5\n");

  test("without proofs convinces whoever has the tenant's key that signed both", async () => {
    const [one, two] = ["x", "y"].map((history) => tenantEntry("a", 5, { history, signer }));
    const files = logFiles([one ?? new Uint8Array(), two ?? new Uint8Array()]);
    const withheld: LogFiles = {
      ...files,
      tile: (tile) => (tile.level === "entries" ? files : logFiles([])).tile(tile),
    };
    const { findings, evidence } = await look(withheld);
    expect(findings).toMatchObject([{ kind: "tenant_two_roots" }]);
    expect(evidence.map(isConvincing)).toEqual([false]);
    expect(evidence.map((piece) => checkEvidence(piece, [signer.vkey]).convincing)).toEqual([true]);
  });

  test("is held to the key that is pinned for its log", async () => {
    const pinned = { ...trust, logVkeys: [signer.vkey] };
    const entries = [tenantEntry("b", 1), tenantEntry("a", 1, { signer }), tenantEntry("a", 2)];
    const { findings } = await watch(logFiles(entries), undefined, pinned, options);
    expect(findings.map(tellMonitorFinding)).toMatchObject([
      { kind: "tenant_signature", message: expect.stringContaining("Entry 2 ") },
    ]);
  });

  test("cannot make a report endless, nor speak in it", async () => {
    const forged = tenantEntry("a", 1, { origin: "x\u3000\u202eGOOD" });
    const { findings, omitted } = await look(logFiles(Array.from({ length: 300 }, () => forged)));
    expect([findings.length, omitted]).toEqual([100, 200]);
    for (const { message } of findings.map(tellMonitorFinding))
      expect(message).not.toMatch(/(?! )[\p{C}\p{White_Space}]/u);
  });
});

describe("the state", () => {
  test("that is not as it was written is refused", async () => {
    const text = formatState(await known(tenantEntries(0, 300)));
    const value = JSON.parse(text);
    const [first = ""] = value.tiles;
    for (const wrong of [
      "",
      text.slice(0, -3),
      JSON.stringify({ ...value, version: 2 }),
      JSON.stringify({ ...value, more: 1 }),
      JSON.stringify({ ...value, tiles: value.tiles.slice(1) }),
      JSON.stringify({ ...value, tiles: [...value.tiles, first] }),
      JSON.stringify({ ...value, tiles: [`A${first.slice(1)}`, ...value.tiles.slice(1)] }),
      JSON.stringify({ ...value, checkpoint: value.checkpoint.replace("\n300\n", "\n301\n") }),
      JSON.stringify({ ...value, seenAt: "yesterday" }),
      JSON.stringify({ ...value, open: undefined }),
    ]) {
      expect(() => parseState(wrong, ANCHOR_ORIGIN)).toThrow(TlogError);
    }
    expect(() => parseState(text, "elsewhere.example/anchor")).toThrow(TlogError);
  });

  test("a policy of no log, or of two, is none for a monitor", () => {
    const other = formatVkey(logSigner("elsewhere.example/anchor", 8).vkey);
    expect(() => monitorTrust(parsePolicy("quorum none\n"), [])).toThrow(TlogError);
    expect(() => monitorTrust(parsePolicy(`log ${other}\n${policyText(1)}`), [])).toThrow(TlogError);
  });
});
