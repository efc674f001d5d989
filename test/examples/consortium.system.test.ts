/** The policy of examples/consortium, run by the anchorer and by real witnesses; and the arithmetic of quorums in its page. */
import { readFileSync } from "node:fs";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { ED25519, ED25519_COSIGNATURE, formatVkey, makeVkey } from "@kedge/verify/tlog/note";
import { evaluateQuorum, type Policy, parsePolicy } from "@kedge/verify/tlog/policy";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { anchor } from "../../service/anchor.ts";
import { append } from "../../service/append.ts";
import { prove } from "../../service/prove.ts";
import { seal } from "../../service/seal.ts";
import type { Exchange } from "../../service/witness-http.ts";
import { createWitness } from "../../witness/http.ts";
import {
  ed25519Cosigner,
  ed25519Key,
  ed25519Signer,
  inKms,
  lineBy,
  signed,
} from "../packages/verify/tlog/signers.ts";
import { memoryStore } from "../support/memory-store.ts";
import { type Actor, LOG, newWorld, ORIGIN } from "../support/world.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const TEXT = read("examples/consortium/policy");
const PAGE = read("docs/consortium.md");
const POLICY = parsePolicy(TEXT);
const HOSPITALS = POLICY.witnesses.map(({ name }) => name);
const [LOG_LINE] = POLICY.logs;
const ANCHOR_ORIGIN = LOG_LINE?.vkey.name ?? "";

/** The policy with another line for its group: a threshold, and who is in it. */
const regrouped = (threshold: number, members: readonly string[] = HOSPITALS): Policy =>
  parsePolicy(TEXT.replace(/^group .*$/m, `group hospitals ${threshold} ${members.join(" ")}`));

/** Every subset of these names. */
const subsets = (names: readonly string[]): string[][] =>
  Array.from({ length: 2 ** names.length }, (_, bits) => names.filter((_, i) => (bits >> i) & 1));

describe("the file", () => {
  test("is shown on the page as it is", () => expect(PAGE).toContain(`\`\`\`\n${TEXT}\`\`\`\n`));

  test("is of three in five, and of the keys that it says", () => {
    expect(POLICY.groups).toEqual([{ name: POLICY.quorum, threshold: 3, members: HOSPITALS }]);
    expect(HOSPITALS).toHaveLength(5);
    // Each is made of its own name, so that nobody may use it.
    for (const [type, { vkey }] of [
      ...POLICY.logs.map((log) => [ED25519, log] as const),
      ...POLICY.witnesses.map((witness) => [ED25519_COSIGNATURE, witness] as const),
    ]) {
      expect(vkey).toEqual(makeVkey(vkey.name, type, ed25519Key(vkey.name).publicKey));
    }
  });
});

/** The hospitals' witnesses, and an anchorer that asks them; all in memory. @param policy what the anchorer goes by. */
function consortium(policy = POLICY) {
  const world = newWorld();
  const log = ed25519Signer(ANCHOR_ORIGIN);
  const witnesses = policy.witnesses.map(({ name, vkey, url = "" }) => {
    const witness = { name: vkey.name, ed25519: inKms(ed25519Key(vkey.name)) };
    const logs = new Map([[ANCHOR_ORIGIN, [log.vkey]]]);
    return { name, url, app: createWitness({ store: memoryStore(), clock: world.tick, witness, logs }) };
  });
  const reach =
    (up: readonly string[]): Exchange =>
    async ({ url, body }) => {
      const found = witnesses.find((one) => up.includes(one.name) && url.startsWith(`${one.url}/`));
      if (found === undefined) throw new Error("ECONNREFUSED");
      const path = url.slice(found.url.length);
      const response = await found.app.request(path, body === undefined ? {} : { method: "POST", body });
      const bytes = new Uint8Array(await response.arrayBuffer());
      return { status: response.status, retryAfter: null, body: bytes };
    };
  /** @param up the hospitals that answer. */
  const anchorer = (up: readonly string[]): Actor => ({
    ...world.actor(),
    // As the service does: the log is its own, whatever the file says.
    policy: { ...policy, logs: [] },
    anchorOrigin: ANCHOR_ORIGIN,
    anchorVkeys: async () => [log.vkey],
    signAnchor: async (checkpoint) => signed(checkpoint, lineBy(log, checkpoint)),
    witnessing: { firstPauseMs: 0, exchange: reach(up) },
  });
  return {
    async seal(n: number) {
      const actor = world.actor();
      await append(actor, LOG, [entry(n)]);
      await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
    },
    anchor: (up: readonly string[]) => anchor(anchorer(up)),
    /** What somebody who goes by this policy finds of an entry's proof. */
    async verify(n: number, by: Policy) {
      const [proof] = await prove({ ...world.reading, policy }, LOG, [entry(n)]);
      if (proof === undefined || proof === "pending") throw new Error("no proof");
      const anchorVkeys = by.logs.map(({ vkey }) => vkey);
      const trust = { logVkeys: [world.vkeys.log], anchorVkeys, policy: by, require: "witnessed" as const };
      const claim = { proof: proof.proof, commitment: entry(n) };
      const { proven, statements, failure } = tellReport(verifyEvent({ ...trust, ...claim }));
      return { proven, text: failure?.message ?? statements.join("\n") };
    },
  };
}

const entry = (n: number): Uint8Array => sha256(utf8ToBytes(`entry ${n}`));

describe("run by real witnesses", () => {
  beforeAll(() => {
    // A witness tells of each request on standard output.
    vi.spyOn(process.stdout, "write").mockReturnValue(true);
  });
  afterAll(() => vi.restoreAllMocks());

  test.each(subsets(HOSPITALS).map((up) => [up.length > 2 ? "moves" : "stands still", up] as const))(
    "what is public %s with %j up, and verify says who cosigned",
    async (_, up) => {
      const five = consortium();
      await five.seal(1);
      expect(await five.anchor(HOSPITALS)).toMatchObject({ quorum: true, publicSize: 1n });
      await five.seal(2);
      const isEnough = up.length >= 3;
      expect(await five.anchor(up)).toMatchObject({ quorum: isEnough, publicSize: isEnough ? 2n : 1n });
      const { proven, text } = await five.verify(2, POLICY);
      expect(proven).toBe(isEnough);
      expect(text).toContain(
        isEnough ? `${up.length} of the 5 witnesses in it (${up.join(", ")})` : "quorum is not shown",
      );

      // Whoever is back makes up for it: with what was kept, all who were asked by then have cosigned.
      await five.seal(3);
      expect(await five.anchor(HOSPITALS)).toMatchObject({ quorum: true, publicSize: 3n });
      expect((await five.verify(3, POLICY)).text).toContain(
        `5 of the 5 witnesses in it (${HOSPITALS.join(", ")})`,
      );
    },
  );

  test("those who ask for four get it whenever four cosigned in time, and are told who did", async () => {
    const five = consortium();
    const four = regrouped(4);
    const [first, ...others] = HOSPITALS;
    for (const [n, up] of [HOSPITALS, others, others.slice(1)].entries()) {
      await five.seal(n);
      await five.anchor(up);
      const { proven, text } = await five.verify(n, four);
      expect([proven, text]).toEqual([
        up.length >= 4,
        expect.stringContaining(`${up.length} of the 5 witnesses`),
      ]);
      expect(text.includes(`${first}`)).toBe(up.includes(`${first}`));
    }
  });

  test("one that is listed and not yet in the group is asked, and does not count", async () => {
    const [newcomer, ...members] = [...HOSPITALS].reverse();
    const joining = consortium(regrouped(3, members));
    await joining.seal(1);
    const some = [`${newcomer}`, ...members.slice(0, 2)];
    expect(await joining.anchor(some)).toMatchObject({ quorum: false, publicSize: 0n });
    expect(await joining.anchor([...some, ...members])).toMatchObject({ quorum: true });
    const { text } = await joining.verify(1, regrouped(3, members));
    expect(text).toContain("5 of the 5");
  });
});

/** `quorum` of so many made-up witnesses. */
function quorumOf(quorum: number, names: readonly string[]): Policy {
  const lines = names.map((name) => `witness ${name} ${formatVkey(ed25519Cosigner(name).vkey)}`);
  return parsePolicy(`${lines.join("\n")}\ngroup all ${quorum} ${names.join(" ")}\nquorum all\n`);
}
const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `w${i + 1}`);
const namesIn = (policy: Policy): string[] => policy.witnesses.map(({ name }) => name);

/**
 * Every way to deal out two histories: an honest witness cosigns the one that it was shown first, or none; a liar both.
 * @param liars exactly so many of them, in every choice.
 */
function* dealt(names: readonly string[], liars: number) {
  for (const lying of subsets(names).filter(({ length }) => length === liars)) {
    const honest = names.filter((name) => !lying.includes(name));
    for (const first of subsets(honest)) {
      for (const second of subsets(honest.filter((name) => !first.includes(name)))) {
        yield { honest, first: new Set([...lying, ...first]), second: new Set([...lying, ...second]) };
      }
    }
  }
}

/** The deals in which a lying operator gets both histories past those who go by `one` and those who go by `other`. */
function* splits(liars: number, one: Policy, other = one) {
  for (const deal of dealt([...new Set([...namesIn(one), ...namesIn(other)])], liars)) {
    if (evaluateQuorum(one, deal.first) && evaluateQuorum(other, deal.second)) yield deal;
  }
}
const canSplit = (liars: number, one: Policy, other = one): boolean => !splits(liars, one, other).next().done;

describe("a lying operator and so many lying witnesses, in every choice and every deal", () => {
  const ROWS = [...PAGE.matchAll(/^\| (\d) \| (\d) \| (\d) \| (\d) \| (\d) \|$/gm)].map(([, ...cells]) =>
    cells.map(Number),
  );
  test("the page's table has the rows that it speaks of", () => {
    const shapes = ROWS.map(([n, q]) => `${q} of ${n}`);
    expect(shapes).toEqual(expect.arrayContaining(["3 of 4", "3 of 5", "4 of 5"]));
  });

  test.each(ROWS)(
    "%i witnesses, %i must cosign: %i may be down, %i may lie, %i are still caught",
    (n, q, down, lie, caught) => {
      const policy = quorumOf(q, numbered(n));
      for (const up of subsets(namesIn(policy))) {
        expect(evaluateQuorum(policy, new Set(up))).toBe(up.length >= n - down);
      }
      for (let liars = 0; liars < n; liars++) {
        expect(canSplit(liars, policy), `${liars} lie`).toBe(liars > lie);
        expect(canSplit(liars, policy)).toBe(!(2 * q - n > liars));
        // Each history is served by an honest witness, so whoever compares what all of them serve sees both.
        const areShown = [...splits(liars, policy)].every(({ honest, first, second }) =>
          [first, second].every((cosigned) => honest.some((name) => cosigned.has(name))),
        );
        expect(areShown, `${liars} lie, and both are shown`).toBe(liars <= caught);
      }
    },
  );

  test("three of five: any two quorums share a witness, so it takes one liar to split the view", () => {
    const quorums = subsets(HOSPITALS).filter((some) => evaluateQuorum(POLICY, new Set(some)));
    for (const one of quorums) {
      for (const other of quorums)
        expect(one.filter((name) => other.includes(name)).length).toBeGreaterThan(0);
    }
    expect([0, 1].map((liars) => canSplit(liars, POLICY))).toEqual([false, true]);
  });

  test("four of five, asked for by those who verify: two liars do not, three do", () => {
    expect([0, 1, 2, 3].map((liars) => canSplit(liars, regrouped(4)))).toEqual([false, false, false, true]);
  });

  test("an operator's own witness lies when it does: alone, if it counts; left out, it takes two more", () => {
    const [own = "", ...others] = HOSPITALS;
    expect([...splits(1, POLICY)].some(({ honest }) => !honest.includes(own))).toBe(true);
    expect([0, 1, 2].map((liars) => canSplit(liars, regrouped(3, others)))).toEqual([false, false, true]);
  });
});

describe("from one policy to the next, while some still go by the old one", () => {
  const A = numbered(5);
  const replaced = [...A.slice(0, 4), "w6"];

  test("it takes more liars than both quorums together, less the different witnesses in both", () => {
    for (const members of [A, replaced, A.slice(0, 4), [...A, "w6"], ["w4", "w5", "w6"]]) {
      for (const [before, after] of [
        [3, 3],
        [3, 2],
        [4, 3],
        [4, 4],
        [5, 3],
      ] as const) {
        if (after > members.length) continue;
        const union = new Set([...A, ...members]).size;
        for (const liars of [0, 1, 2]) {
          const expected = before + after - union <= liars;
          expect(canSplit(liars, quorumOf(before, A), quorumOf(after, members))).toBe(expected);
        }
      }
    }
  });

  test("three of five with one replaced by another at once: nobody need lie", () => {
    expect(canSplit(0, quorumOf(3, A), quorumOf(3, replaced))).toBe(true);
  });

  test("first one leaves, then another joins: nobody splits the view alone, at either step", () => {
    const [five, four, joined] = [quorumOf(3, A), quorumOf(3, A.slice(0, 4)), quorumOf(3, replaced)];
    expect([canSplit(0, five, four), canSplit(0, four, joined)]).toEqual([false, false]);
    // Who still goes by the oldest is safe with the newest too, once the witness that left is silent.
    expect([...splits(0, five, joined)].every(({ first }) => first.has("w5"))).toBe(true);
  });
});
