import type { Checkpoint } from "@kedge/verify/tlog/checkpoint";
import { ED25519, formatVkey, makeVkey, signatureLine } from "@kedge/verify/tlog/note";
import {
  checkPolicyLog,
  evaluateQuorum,
  formatPolicy,
  type Policy,
  parsePolicy,
  verifyPolicy,
} from "@kedge/verify/tlog/policy";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { verdict } from "./reference.ts";
import {
  cosignedBy,
  ecdsaSigner,
  ed25519Cosigner,
  ed25519Signer,
  lineBy,
  mldsaCosigner,
  signed,
} from "./signers.ts";

const origin = "log.example/anchor";
const checkpoint: Checkpoint = { origin, size: 42n, root: new Uint8Array(32).fill(7) };
const log = ed25519Signer(origin);
const logKey = formatVkey(log.vkey);

const X1 = ed25519Cosigner("witness.example/x1");
const X2 = mldsaCosigner("witness.example/x2");
const X3 = ed25519Cosigner("witness.example/x3");
const Y1 = ed25519Cosigner("witness.example/y1");
const witnessLine = (name: string, { vkey }: { vkey: typeof log.vkey }) =>
  `witness ${name} ${formatVkey(vkey)}`;

// The shape of the example policy of c2sp.org/tlog-policy
const EXAMPLE = [
  `log ${logKey}`,
  "",
  witnessLine("X1", X1),
  witnessLine("X2", X2),
  witnessLine("X3", X3),
  "group X-witnesses 2 X1 X2 X3",
  "",
  `${witnessLine("Y1", Y1)} https://witness.example/y1/`,
  "group Y-witnesses any Y1",
  "",
  "group X-and-Y all X-witnesses Y-witnesses",
  "quorum X-and-Y",
  "",
].join("\n");

/** A policy of made-up witnesses W0, W1… with the given lines after them. */
function withWitnesses(count: number, ...lines: string[]): string {
  const witnesses = Array.from({ length: count }, (_, i) => witnessLine(`W${i}`, ed25519Cosigner(`w${i}`)));
  return `${[...witnesses, ...lines].join("\n")}\n`;
}

test("what is written is read back, and by its names", () => {
  const more = [ed25519Signer("b.example/anchor"), ecdsaSigner("c.example/anchor")];
  const lines = more.map(({ vkey }, i) => `log ${formatVkey(vkey)} https://b.example/${i}\n`).join("");
  for (const text of [
    EXAMPLE,
    lines + EXAMPLE,
    "quorum none\n",
    withWitnesses(3, "group g all W0 W2", "quorum g"),
  ]) {
    const policy = parsePolicy(text);
    expect(parsePolicy(formatPolicy(policy))).toEqual(policy);
  }
});

test("a policy is of a log that it lists, or of any when it lists none", () => {
  const policy = parsePolicy(EXAMPLE);
  expect(verdict(() => checkPolicyLog(policy, origin))).toBe("accepted");
  expect(verdict(() => checkPolicyLog(policy, "log.example/other"))).toBe("unknown_key");
  expect(verdict(() => checkPolicyLog(parsePolicy("quorum none\n"), "log.example/other"))).toBe("accepted");
});

describe("parsing", () => {
  test("the example of c2sp.org/tlog-policy has its log, witnesses, groups and quorum", () => {
    const policy = parsePolicy(EXAMPLE);
    expect(policy.logs).toEqual([{ vkey: log.vkey }]);
    expect(policy.witnesses).toEqual([
      { name: "X1", vkey: X1.vkey },
      { name: "X2", vkey: X2.vkey },
      { name: "X3", vkey: X3.vkey },
      { name: "Y1", vkey: Y1.vkey, url: "https://witness.example/y1/" },
    ]);
    expect(policy.groups).toEqual([
      { name: "X-witnesses", threshold: 2, members: ["X1", "X2", "X3"] },
      { name: "Y-witnesses", threshold: 1, members: ["Y1"] },
      { name: "X-and-Y", threshold: 2, members: ["X-witnesses", "Y-witnesses"] },
    ]);
    expect(policy.quorum).toBe("X-and-Y");
  });

  test("spaces, tabs, comments, empty lines and words of any script are allowed where the text says so", () => {
    const padded = `# Kommentar: ärztlich, \u{1f3e5}\n\t #quorum\n \t\n\tlog\t ${logKey} \t https://log.example/ \n  quorum \t none  \n`;
    expect(parsePolicy(padded)).toEqual({
      logs: [{ vkey: log.vkey, url: "https://log.example/" }],
      witnesses: [],
      groups: [],
      quorum: "none",
    });
    const kelvin = `${witnessLine("K", X1)}\n${witnessLine("\u212a", X2)}\nquorum \u212a\n`;
    expect(parsePolicy(kelvin).quorum).not.toBe("K");
  });

  test("a log may sign with any type that signs checkpoints, a witness only with cosignatures", () => {
    const pqLog = mldsaCosigner(origin);
    const logs = [logKey, formatVkey(ecdsaSigner(origin).vkey), formatVkey(pqLog.vkey)];
    expect(parsePolicy(`${logs.map((key) => `log ${key}\n`).join("")}quorum none\n`).logs).toHaveLength(3);
    for (const signer of [log, ecdsaSigner(origin)]) {
      expect(verdict(() => parsePolicy(`${witnessLine("W", signer)}\nquorum W\n`))).toBe("unsupported");
    }
  });

  test("any one key is listed once as a log and once as a witness, whatever its name and type", () => {
    const renamed = formatVkey(makeVkey("other.example", ED25519, log.vkey.publicKey));
    const retyped = formatVkey(ed25519Cosigner("third.example", origin).vkey);
    for (const again of [logKey, renamed, retyped]) {
      expect(verdict(() => parsePolicy(`log ${logKey}\nlog ${again}\nquorum none\n`))).toBe("malformed");
    }
    const twin = ed25519Cosigner("twin.example", "witness.example/x1");
    expect(
      verdict(() => parsePolicy(`${witnessLine("A", X1)}\n${witnessLine("B", twin)}\nquorum none\n`)),
    ).toBe("malformed");
  });

  test.each([
    ["", "empty"],
    ["quorum none", "last line without newline"],
    ["# nothing\n", "no quorum"],
    ["quorum none\nquorum none\n", "two quorums"],
    ["quorum\n", "quorum without a name"],
    ["quorum none none\n", "quorum with two names"],
    ["quorum W\n", "quorum that is not defined"],
    [`quorum W\n${witnessLine("W", X1)}\n`, "quorum defined after its use"],
    ["Quorum none\n", "upper-case keyword"],
    ["wibble\nquorum none\n", "unknown keyword"],
    ["quorum none # comment\n", "comment at the end of a line"],
    ["quorum none\r\n", "Windows line end"],
    ["# \0\nquorum none\n", "NUL in a comment"],
    ["# \x7f\nquorum none\n", "DEL in a comment"],
    ["\vquorum none\n", "vertical tab"],
    ["\u00a0quorum none\n", "no-break space, which is no whitespace here"],
    ["\ufeffquorum none\n", "byte order mark"],
    ["# \ud800\nquorum none\n", "lone surrogate"],
    ["log\nquorum none\n", "log without a key"],
    ["log x\nquorum none\n", "log with a key that is none"],
    [`log ${logKey} https://a b\nquorum none\n`, "log with a fourth word"],
    [`log ${logKey.replace(origin, "log.example/other")}\nquorum none\n`, "log key with another name"],
    ["witness W\nquorum none\n", "witness without a key"],
    [`${witnessLine("W", X1)} url more\nquorum W\n`, "witness with a fifth word"],
    [`${witnessLine("none", X1)}\nquorum none\n`, "witness named none"],
    [`${witnessLine("W", X1)}\n${witnessLine("W", X2)}\nquorum W\n`, "two witnesses of one name"],
    [withWitnesses(1, "group W0 any W0", "quorum W0"), "group with the name of a witness"],
    [withWitnesses(2, "group G any W0", "group G any W1", "quorum G"), "two groups of one name"],
    [withWitnesses(1, "group none any W0", "quorum none"), "group named none"],
    [withWitnesses(1, "group G any none", "quorum G"), "none as a member"],
    [withWitnesses(1, "group G any", "quorum G"), "group without members"],
    [withWitnesses(1, "group G", "quorum G"), "group without a rule"],
    [withWitnesses(1, "group G 0 W0", "quorum G"), "threshold 0"],
    [withWitnesses(1, "group G 2 W0", "quorum G"), "threshold above the members"],
    [withWitnesses(1, "group G 01 W0", "quorum G"), "threshold with a leading zero"],
    [withWitnesses(1, "group G -1 W0", "quorum G"), "negative threshold"],
    [withWitnesses(1, "group G 1.0 W0", "quorum G"), "threshold with a fraction"],
    [withWitnesses(1, "group G most W0", "quorum G"), "unknown rule"],
    [withWitnesses(1, "group G ALL W0", "quorum G"), "upper-case rule"],
    [withWitnesses(1, "group G any W0 W0", "quorum G"), "a member twice in a group"],
    [withWitnesses(1, "group G any W0", "group H any W0", "quorum H"), "a member in two groups"],
    [withWitnesses(1, "group G any G", "quorum G"), "a group within itself"],
    [withWitnesses(1, "group G any H", "group H any W0", "quorum G"), "a member defined later"],
  ])("policy %# is refused: %s", (text) => {
    expect(verdict(() => parsePolicy(text))).toBe("malformed");
  });

  test("an error names the line", () => {
    expect(() => parsePolicy(`log ${logKey}\n\nwibble\nquorum none\n`)).toThrow(/line 3/);
  });

  test("128 logs, witnesses and groups fit, one more of any does not", () => {
    const keys = Array.from({ length: 129 }, (_, i) => ed25519Cosigner(`k${i}`));
    const logs = keys.map(({ vkey }) => `log ${formatVkey(vkey)}\n`);
    const witnesses = keys.map((key, i) => `${witnessLine(`W${i}`, key)}\n`);
    const groups = keys.map((_, i) => `group G${i} any ${i === 0 ? "W0" : `G${i - 1}`}\n`);
    const build = (l: number, w: number, g: number) =>
      [...logs.slice(0, l), ...witnesses.slice(0, w), ...groups.slice(0, g), "quorum none\n"].join("");
    expect(verdict(() => parsePolicy(build(128, 128, 128)))).toBe("accepted");
    expect(verdict(() => parsePolicy(build(129, 1, 0)))).toBe("malformed");
    expect(verdict(() => parsePolicy(build(0, 129, 0)))).toBe("malformed");
    expect(verdict(() => parsePolicy(build(0, 1, 129)))).toBe("malformed");
    expect(verdict(() => parsePolicy(`#${"x".repeat(1 << 20)}\nquorum none\n`))).toBe("malformed");
  });
});

describe("quorum", () => {
  const names = ["X1", "X2", "X3", "Y1"];
  const subsets = Array.from({ length: 16 }, (_, bits) => names.filter((_, i) => bits & (1 << i)));

  test("the example's quorum is met by every set with two of X and Y1, and by no other", () => {
    const policy = parsePolicy(EXAMPLE);
    for (const subset of subsets) {
      const met = subset.filter((name) => name.startsWith("X")).length >= 2 && subset.includes("Y1");
      expect(evaluateQuorum(policy, new Set(subset))).toBe(met);
    }
  });

  test("any is 1 of n, all is n of n, and k is k of n", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(), fc.nat(255), (members, k, chosen) => {
        const all = Array.from({ length: members }, (_, i) => `W${i}`);
        const cosigned = new Set(all.filter((_, i) => chosen & (1 << i)));
        const threshold = 1 + (k % members);
        for (const [rule, needed] of [
          ["any", 1],
          ["all", members],
          [`${threshold}`, threshold],
        ] as const) {
          const policy = parsePolicy(withWitnesses(members, `group G ${rule} ${all.join(" ")}`, "quorum G"));
          expect(evaluateQuorum(policy, cosigned)).toBe(cosigned.size >= needed);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("a quorum of one witness needs that witness; none needs nobody", () => {
    const one = parsePolicy(withWitnesses(2, "quorum W1"));
    expect(evaluateQuorum(one, new Set(["W0"]))).toBe(false);
    expect(evaluateQuorum(one, new Set(["W1"]))).toBe(true);
    expect(evaluateQuorum(parsePolicy("quorum none\n"), new Set())).toBe(true);
  });

  test("names that are no witness do not count: not a group's, not none, not a stranger's", () => {
    const policy = parsePolicy(EXAMPLE);
    expect(evaluateQuorum(policy, new Set(["X-and-Y", "X-witnesses", "Y-witnesses", "none", "Z"]))).toBe(
      false,
    );
  });

  test("one more cosignature never undoes a quorum", () => {
    const policy = parsePolicy(EXAMPLE);
    for (const subset of subsets) {
      for (const name of names) {
        const before = evaluateQuorum(policy, new Set(subset));
        expect(evaluateQuorum(policy, new Set([...subset, name])) || !before).toBe(true);
      }
    }
  });
});

describe("verification", () => {
  const policy = parsePolicy(EXAMPLE);
  const logLine = lineBy(log, checkpoint);
  const check = (...lines: string[]) => verifyPolicy({ policy, checkpoint: signed(checkpoint, ...lines) });

  test("valid cosignatures of enough witnesses meet the policy, each with its time", () => {
    const result = check(
      logLine,
      cosignedBy(Y1, checkpoint, 30n),
      cosignedBy(X2, checkpoint, 20n),
      cosignedBy(X1, checkpoint, 10n),
    );
    expect(result).toEqual({
      met: true,
      cosigned: [
        { name: "X1", vkey: X1.vkey, timestamp: 10n },
        { name: "X2", vkey: X2.vkey, timestamp: 20n },
        { name: "Y1", vkey: Y1.vkey, timestamp: 30n },
      ],
      invalid: [],
    });
  });

  test("a witness that cosigns twice is one witness, at its earliest time", () => {
    const result = check(
      logLine,
      cosignedBy(X1, checkpoint, 12n),
      cosignedBy(X1, checkpoint, 9n),
      cosignedBy(X1, checkpoint, 100n),
      cosignedBy(Y1, checkpoint, 30n),
    );
    expect(result.met).toBe(false);
    expect(result.cosigned.map(({ name, timestamp }) => [name, timestamp])).toEqual([
      ["X1", 9n],
      ["Y1", 30n],
    ]);
  });

  test("an invalid cosignature does not count, is reported, and does not undo a valid one", () => {
    const stale = cosignedBy(X2, { ...checkpoint, size: 41n }, 20n);
    const withoutTime = cosignedBy(X3, checkpoint, 0n);
    const lines = [logLine, cosignedBy(X1, checkpoint, 10n), cosignedBy(Y1, checkpoint, 30n)];
    const unmet = check(...lines, stale, withoutTime, signatureLine(X1.vkey, new Uint8Array(72)));
    expect(unmet.met).toBe(false);
    expect(unmet.cosigned.map(({ name }) => name)).toEqual(["X1", "Y1"]);
    expect(unmet.invalid.map(({ name }) => name)).toEqual(["X1", "X2", "X3"]);
    const met = check(...lines, stale, cosignedBy(X2, checkpoint, 20n));
    expect(met.met).toBe(true);
    expect(met.invalid.map(({ name }) => name)).toEqual(["X2"]);
  });

  test("cosignatures of strangers are ignored", () => {
    const stranger = ed25519Cosigner("witness.example/x1", "another seed");
    const result = check(logLine, cosignedBy(stranger, checkpoint, 5n));
    expect(result).toEqual({ met: false, cosigned: [], invalid: [] });
  });

  test("a policy with logs refuses a checkpoint that none of them signed", () => {
    const cosigned = [X1, X2, Y1].map((cosigner) => cosignedBy(cosigner, checkpoint, 1n));
    const other = ed25519Signer("log.example/other");
    expect(verdict(() => check(...cosigned))).toBe("unknown_key");
    expect(verdict(() => check(...cosigned, lineBy(other, checkpoint)))).toBe("unknown_key");
    expect(verdict(() => check(...cosigned, lineBy(log, { ...checkpoint, size: 1n })))).toBe("bad_signature");
  });

  test("a log of the policy vouches only for the origin that is its name", () => {
    const foreign = { ...checkpoint, origin: "log.example/other" };
    const text = signed(foreign, lineBy(log, foreign));
    const open: Policy = parsePolicy(`log ${logKey}\nquorum none\n`);
    expect(verdict(() => verifyPolicy({ policy: open, checkpoint: text }))).toBe("unknown_key");
    expect(verifyPolicy({ policy: open, checkpoint: signed(checkpoint, logLine) }).met).toBe(true);
  });

  test("a policy without logs judges the witnesses alone", () => {
    const witnessesOnly = parsePolicy(`${witnessLine("X1", X1)}\nquorum X1\n`);
    const text = signed(checkpoint, cosignedBy(X1, checkpoint, 7n));
    expect(verifyPolicy({ policy: witnessesOnly, checkpoint: text }).met).toBe(true);
  });

  test("a checkpoint that is malformed is refused before anything is counted", () => {
    expect(verdict(() => verifyPolicy({ policy, checkpoint: "" }))).toBe("malformed");
  });
});
