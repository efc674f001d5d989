/** The service's configuration: every setting's bounds, and the message for a wrong one. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { rootCertificates } from "node:tls";
import { formatVkey } from "@kedge/verify/tlog/note";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Config, HELP, parseConfig, readConfig } from "../../infra/config.ts";
import { ConfigError } from "../../infra/settings.ts";
import { ed25519Cosigner, ed25519Signer } from "../packages/verify/tlog/signers.ts";
import { refusal } from "./refused.ts";

const REQUIRED = { stage: "prod", region: "eu-central-1", domain: "audit.example.org" };
const TABLE = "arn:aws:dynamodb:eu-central-1:111122223333:table/kedge";
const CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/0123abcd-01ab-23cd";
const WEB_ACL = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/kedge/0123abcd-01ab-23cd";
const host = (name: unknown, certificateArn: unknown = CERTIFICATE) => ({ name, certificateArn });
const table = (arn: unknown, streamArn: unknown = `${arn}/stream/2026-01-01T00:00:00.000`) => ({
  arn,
  streamArn,
});

/** Files that stand beside the configuration. */
const FILES = {
  "good-policy.txt": "quorum none\n",
  "bad-policy.txt": "quorum several\n",
  "other-policy.txt": `log ${formatVkey(ed25519Signer("else.example/anchor").vkey)}\nquorum none\n`,
  "plain-policy.txt": `witness w ${formatVkey(ed25519Cosigner("w.example").vkey)} http://w.example\nquorum w\n`,
  "roots.pem": rootCertificates.slice(0, 2).join("\n"),
  "no-roots.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
};
const TSA = { tsaUrls: ["https://tsa.example.org/tsr"], tsaCerts: "roots.pem" };
const OTS = { otsCalendars: ["https://ots.example.org"], bitcoinUrl: "https://blocks.example.org/api" };

type Setting = Exclude<keyof Config, "policyPath"> | "policy";
type Cases = { readonly good: readonly unknown[]; readonly bad: readonly unknown[] };

const keys: Cases = {
  good: [{ a: "signs" }, { a: "signs", b: "signs" }, { a: "retired", b: "signs" }, { abcdefg8: "signs" }],
  bad: [
    ...[[], "a", { a: "sign" }, { a: true }, { A: "signs" }, { "1": "signs" }, { abcdefgh9: "signs" }],
    { a: "signs", b: "signs", c: "signs" },
  ],
};
const needsOne: Cases = { ...keys, bad: [...keys.bad, {}, { a: "retired" }] };
/** Whole numbers, at both bounds. */
const between = (least: number, most: number): Cases => ({
  good: [least, most],
  bad: [least - 1, most + 1, least + 0.5, `${least}`, Number.NaN],
});

/** Adding or removing a setting is a type error here. */
const SETTINGS: Record<Setting, Cases> = {
  stage: { good: ["dev", "prod"], bad: ["Prod", "test", "", 1] },
  region: {
    good: ["eu-central-1", "us-east-1", "ap-southeast-4", "us-gov-west-1"],
    bad: [
      "eu-central",
      "EU-central-1",
      "eu-central-1a",
      "*",
      " us-east-1",
      "",
      "eu-centrall-1",
      "eu-central-9",
    ],
  },
  newRegion: { good: [true, false], bad: ["true", "yes", 1] },
  account: { good: ["111122223333"], bad: ["11112222333", "1111222233334", 111122223333, "11112222333a"] },
  domain: {
    good: ["audit.example.org", "example.org/kedge", "a", `${"a".repeat(200)}`],
    bad: ["", "https://example.org", "Example.org", "a b", "a+b", "a/", "/a", "a".repeat(201), "a\n"],
  },
  sealSeconds: { good: [1, 60], bad: between(1, 300).bad },
  anchorMinutes: between(1, 60),
  sweepMinutes: between(1, 60),
  retentionDays: { good: [365, 36_500], bad: [0, 36_501, 364, 365.5, "2192"] },
  trailDays: between(1, 36_500),
  sessionHours: between(1, 8),
  signIn: { good: [{ cognito: true }], bad: [{}, { cognito: false }, { cognito: true, auth0: true }, true] },
  logRetentionDays: { good: [7, 365, 3_653], bad: [0, 8, 366, 3_654, "365"] },
  logKeys: needsOne,
  anchorKeys: needsOne,
  anchorMldsaKeys: { good: [...keys.good, {}, { a: "retired" }], bad: keys.bad },
  throttle: {
    good: [
      { rate: 1, burst: 1 },
      { rate: 10_000, burst: 5_000 },
    ],
    bad: [
      { rate: 1 },
      { burst: 1 },
      { rate: 0, burst: 1 },
      { rate: 10_001, burst: 1 },
      { rate: 1, burst: 5_001 },
    ],
  },
  alarmEmail: { good: ["on-call@example.org"], bad: ["on-call", "", "a@b@c.org"] },
  runbooks: {
    good: ["https://example.org/docs/operations.md"],
    bad: ["http://example.org", "docs/operations.md", "javascript:alert(1)"],
  },
  policy: { good: ["good-policy.txt"], bad: ["", "bad-policy.txt", "no-such-policy.txt", 1] },
  timestamps: {
    good: [
      ...[TSA, OTS, { ...TSA, ...OTS, everyMinutes: 1_440 }, { ...OTS, everyMinutes: 1 }],
      {
        ...OTS,
        otsCalendars: Array.from({ length: 8 }, (_, i) => `https://ots${i}.example.org:8443/a/b?c=d`),
      },
      { ...OTS, bitcoinUrl: `https://a.example.org/${"x".repeat(106)}` },
    ],
    bad: [
      ...[{}, [], "https://tsa.example.org", { everyMinutes: 60 }],
      ...[{ tsaUrls: TSA.tsaUrls }, { tsaCerts: TSA.tsaCerts }, { ...TSA, tsaUrls: [] }],
      ...["no-roots.pem", "good-policy.txt", "no-such-file.pem", "", 1].map((tsaCerts) => ({
        ...TSA,
        tsaCerts,
      })),
      ...[{ otsCalendars: OTS.otsCalendars }, { bitcoinUrl: OTS.bitcoinUrl }],
      ...[
        { ...TSA, ...OTS, bitcoinUrl: undefined },
        { ...TSA, ...OTS, tsaCerts: undefined },
      ],
      ...[0, 1_441, 1.5, "60"].map((everyMinutes) => ({ ...TSA, everyMinutes })),
      ...[
        ...[
          "http://tsa.example.org",
          "tsa.example.org",
          "https://",
          "https://a b",
          "https://a.example.org/a b",
        ],
        ...[
          "https://u:p@a.example.org",
          "https://a.example.org/#b",
          "https://ä.example.org",
          "https://a.org\u0000",
        ],
        ...[`https://a.example.org/${"x".repeat(107)}`, "file:///etc/passwd", "", 1],
      ].flatMap((url) => [
        { ...TSA, tsaUrls: [...TSA.tsaUrls, url] },
        { ...OTS, otsCalendars: [url] },
        { ...OTS, bitcoinUrl: url },
      ]),
      { ...TSA, tsaUrls: [...TSA.tsaUrls, ...TSA.tsaUrls] },
      { ...TSA, tsaUrls: Array.from({ length: 9 }, (_, i) => `https://tsa${i}.example.org`) },
      { ...TSA, everyHours: 1 },
    ],
  },
  host: {
    good: [host("audit.example.org")],
    bad: [
      ...[host("example"), host("https://example.org"), host("*.example.org"), { name: "audit.example.org" }],
      host("audit.example.org", CERTIFICATE.replace("us-east-1", "eu-central-1")),
    ],
  },
  webAcl: {
    good: [WEB_ACL],
    bad: ["kedge", "", WEB_ACL.replace("global", "regional"), WEB_ACL.replace("us-east-1", "eu-central-1")],
  },
  table: {
    good: [table(TABLE)],
    bad: [
      ...[{ arn: TABLE }, table("kedge"), table(`${TABLE}/index/x`), table(TABLE.replace("eu", "us"))],
      ...[table(TABLE, TABLE), table(TABLE, `${TABLE}-2/stream/2026`)],
    ],
  },
};
const ALL = Object.entries(SETTINGS);
const NAMES = ALL.map(([name]) => name);

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-config-"));
  path = join(folder, "config.json");
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(folder, name), text);
});
afterAll(() => rm(folder, { recursive: true }));

const configured = (settings: Readonly<Record<string, unknown>>): Config =>
  parseConfig({ ...REQUIRED, ...settings }, path);

describe("the committed examples", async () => {
  const examples = join(import.meta.dirname, "../../config");
  // A witness's is of another kind: infra/witness/config.ts.
  const names = (await readdir(examples)).filter((name) => name !== "witness.json");

  test.each(names)("%s can be deployed, as the stage in its name", (name) => {
    expect(`${readConfig(join(examples, name)).stage}.json`).toBe(name);
  });

  test("there is one for each stage", () => {
    expect(names.sort()).toEqual(["dev.json", "prod.json"]);
  });
});

describe("a setting", () => {
  test.each(ALL)("%s is accepted up to its bounds", (name, { good }) => {
    for (const value of good) {
      const config = configured({ [name]: value });
      // Of these the file's name does not stay as it was.
      if (name === "policy" || name === "timestamps") continue;
      expect(config).toMatchObject({ [name]: value });
    }
  });

  test.each(ALL)("%s is refused by name beyond its bounds", (name, { bad }) => {
    for (const value of bad) {
      const message = refusal(() => configured({ [name]: value }));
      expect(message, JSON.stringify(value)).toMatch(new RegExp(`^ *${name}\\b`, "m"));
    }
  });

  test.each(NAMES)("%s is refused when it is null or of another type", (name) => {
    for (const value of [null, name === "newRegion" ? [] : true, -1]) {
      expect(refusal(() => configured({ [name]: value }))).toMatch(new RegExp(`^ *${name}\\b`, "m"));
    }
  });

  test("is required only if it has no default", () => {
    expect(configured({})).toMatchObject(REQUIRED);
    for (const name of Object.keys(REQUIRED)) {
      const message = refusal(() => parseConfig({ ...REQUIRED, [name]: undefined }, path));
      expect(message).toContain(`\n  ${name}: is required\n`);
    }
  });

  test("that is wrong hides no other: all are named at once", () => {
    const message = refusal(() => configured({ stage: "test", sealSeconds: 0, colour: "red" }));
    for (const name of ["stage", "sealSeconds", "colour"])
      expect(message).toMatch(new RegExp(`^ *${name}`, "m"));
  });
});

describe("a typo", () => {
  const typos = (name: string): string[] => [
    name.toUpperCase(),
    name.toLowerCase(),
    `${name}s`,
    name.slice(0, -1),
  ];

  test.each(NAMES)("in %s is refused, and the setting suggested", (name) => {
    for (const typo of typos(name).filter((typo) => typo !== name && typo.length >= 3)) {
      expect(refusal(() => configured({ [typo]: 1 }))).toContain(`${typo} is no setting: is it ${name}?`);
    }
  });

  test("that resembles no setting: the message says to remove it, and where all are listed", () => {
    const message = refusal(() => configured({ colour: "red" }));
    expect(message).toContain("colour is no setting: remove it");
    expect(message).toMatch(/\nAll settings: npx cdk synth$/);
  });

  test("within a nested setting is named by its path", () => {
    const message = refusal(() => configured({ throttle: { rate: 1, burst: 1, rates: 2 } }));
    expect(message).toContain("throttle.rates is no setting: is it rate?");
    const host = { nam: "a.example.org", certificateArn: CERTIFICATE };
    expect(refusal(() => configured({ host }))).toContain("host.nam is no setting: is it name?");
    expect(refusal(() => configured({ logKeys: { a: "signs", B: "signs" } }))).not.toContain("is it");
  });
});

describe("a region that the CDK does not know", () => {
  test("is refused, and the one that is meant is named", () => {
    const message = refusal(() => configured({ region: "eu-centrall-1" }));
    expect(message).toMatch(/^ {2}region: eu-centrall-1 is no AWS region .*: is it eu-central-1\?/m);
    expect(message).toContain('"newRegion": true');
  });

  test("is taken when the configuration says that it is new", () => {
    expect(configured({ region: "eu-central-9", newRegion: true }).region).toBe("eu-central-9");
  });
});

describe("a wrong value", () => {
  // What the schema's library says of itself: nobody who deploys knows these words.
  const RAW = /Invalid|expected|received|Too (small|big)|E[A-Z]{4,}:/;

  test.each(ALL)("of %s is told without a word of a library", (name, { bad }) => {
    for (const value of [...bad, null])
      expect(
        refusal(() => configured({ [name]: value })),
        JSON.stringify(value),
      ).not.toMatch(RAW);
  });

  test.each([
    ["another type", { sealSeconds: "5" }, "sealSeconds: must be a number, without quotes"],
    ["a number beyond its bounds", { sealSeconds: 301 }, "sealSeconds: must be at most 300"],
    ["a part of a number", { sealSeconds: 1.5 }, "sealSeconds: must be a whole number"],
    ["another word", { stage: "test" }, 'stage: must be one of "dev", "prod"'],
    ["nothing", { policy: "" }, "policy: must not be empty"],
    [
      "no address",
      { alarmEmail: "on-call" },
      "alarmEmail: must be an e-mail address such as on-call@example.org",
    ],
  ])("%s", (_, settings, told) => {
    expect(refusal(() => configured(settings))).toContain(`\n  ${told}\n`);
  });

  test.each([
    ["that is absent", "no-such.json", "cannot be read: there is no such file"],
    ["that is a folder", ".", "cannot be read: it is a folder"],
    ["that is not JSON", "good-policy.txt", "is not JSON: "],
  ])("a file %s is refused by its path", (_, name, told) => {
    const message = refusal(() => readConfig(join(folder, name)));
    expect(message).toContain(`${join(folder, name)} ${told}`);
    expect(message).not.toMatch(/E[A-Z]{4,}:/);
  });
});

describe("what cannot be", () => {
  test.each([
    ["a production stage that forgets within a year", { retentionDays: 364 }, "set 2192"],
    [
      "anchoring more often than sealing",
      { sealSeconds: 61, anchorMinutes: 1 },
      "no more than anchorMinutes",
    ],
    ["a table in another region", { table: table(TABLE.replace("eu-central-1", "us-east-1")) }, "restore it"],
    ["another table's stream", { table: table(TABLE, `${TABLE}x/stream/2026`) }, "set that of table.arn"],
    ["three keys that sign", { logKeys: { a: "signs", b: "signs", c: "signs" } }, "retire one"],
    ["no key that signs", { anchorKeys: { a: "retired" } }, "at least one key must sign"],
    ["a name of a key that is more than a short word", { logKeys: { "Key 1": "signs" } }, "a-z and 0-9"],
    ["timestamps by nobody", { timestamps: {} }, "set tsaUrls or otsCalendars, or leave it out"],
    [
      "tokens that nothing is checked against",
      { timestamps: { tsaUrls: TSA.tsaUrls } },
      "set it with tsaUrls",
    ],
    ["blocks that nobody looks up", { timestamps: { otsCalendars: OTS.otsCalendars } }, "an Esplora API"],
    [
      "timestamping more often than anchoring",
      { anchorMinutes: 5, timestamps: { ...TSA, everyMinutes: 4 } },
      "no less than anchorMinutes",
    ],
    ["a typo in timestamps", { timestamps: { ...TSA, tsaUrl: "" } }, "is it tsaUrls?"],
    [
      "a certificate that CloudFront does not see",
      { host: host("a.example.org", "arn:x") },
      "us-east-1 only",
    ],
  ])("%s is refused, with what to do", (_, settings, fix) => {
    expect(refusal(() => configured(settings))).toContain(fix);
  });

  test("a development stage may forget within a day", () => {
    expect(configured({ stage: "dev", retentionDays: 1 }).retentionDays).toBe(1);
  });

  test("sealSeconds may equal anchorMinutes", () => {
    expect(configured({ sealSeconds: 300, anchorMinutes: 5 }).sealSeconds).toBe(300);
  });
});

describe("a policy file", () => {
  test("is looked for beside the configuration, wherever the command is run", () => {
    const config = configured({ policy: "good-policy.txt" });
    expect(config.policyPath).toBe(join(folder, "good-policy.txt"));
    expect(config).not.toHaveProperty("policy");
  });

  test("may be named by an absolute path", () => {
    const absolute = join(folder, "good-policy.txt");
    expect(isAbsolute(absolute)).toBe(true);
    expect(configured({ policy: absolute }).policyPath).toBe(absolute);
  });

  test("that is absent, or no C2SP policy, is refused by its path and the reason", () => {
    for (const name of ["bad-policy.txt", "no-such-policy.txt"]) {
      expect(refusal(() => configured({ policy: name }))).toMatch(
        new RegExp(`^policy: .*${name} cannot be used as a C2SP policy: .+`),
      );
    }
  });

  test("of another log, or in prod of witnesses that are asked in plain HTTP, is refused", () => {
    expect(refusal(() => configured({ policy: "other-policy.txt" }))).toMatch(
      /^policy: .* It is the policy of else\.example\/anchor, and this log is audit\.example\.org\/anchor/,
    );
    const plain = { policy: "plain-policy.txt" };
    expect(refusal(() => configured({ ...plain, stage: "prod" }))).toMatch(/the witness w has no https/);
    expect(configured({ ...plain, stage: "dev" }).policyPath).toBe(join(folder, "plain-policy.txt"));
  });

  test("without one, none is named", () => {
    expect(configured({})).not.toHaveProperty("policyPath");
  });
});

describe("timestamps", () => {
  test("the certificates are looked for beside the configuration, or by an absolute path", () => {
    const path = join(folder, "roots.pem");
    for (const tsaCerts of ["roots.pem", path])
      expect(configured({ timestamps: { ...TSA, tsaCerts } }).timestamps).toEqual({
        ...TSA,
        tsaCerts: path,
        everyMinutes: 60,
      });
  });

  test("a file that is absent or has no certificate is refused by its path, with what it must hold and why", () => {
    for (const name of ["no-roots.pem", "good-policy.txt", "no-such-file.pem"]) {
      expect(refusal(() => configured({ timestamps: { ...TSA, tsaCerts: name } }))).toMatch(
        new RegExp(
          `^timestamps\\.tsaCerts: .*/${name} must hold the authorities' root certificates.*, in PEM: .+`,
        ),
      );
    }
  });

  test("a URL that is not https is refused for that alone", () => {
    const timestamps = { ...OTS, bitcoinUrl: "http://blocks.example.org" };
    const message = refusal(() => configured({ timestamps }));
    expect(message).toMatch(/:\n {2}timestamps\.bitcoinUrl: must be an https URL\nAll settings/);
  });

  test("may be as frequent as anchoring", () => {
    const timestamps = { ...OTS, everyMinutes: 60 };
    expect(configured({ anchorMinutes: 60, timestamps }).timestamps?.everyMinutes).toBe(60);
  });
});

describe("the help", () => {
  /** Settings as the help lists them, each with what it says. */
  const listed = new Map(
    [...HELP.matchAll(/^ {2}(\w+) {2,}(.+)$/gm)].map(([, name = "", text = ""]) => [name, text]),
  );

  test("names every setting and no other", () => {
    expect([...listed.keys()].sort()).toEqual([...NAMES].sort());
  });

  test.each([undefined, "", null, 1, {}])(
    "is what a deployment without a configuration gets: %j",
    (value) => {
      const message = refusal(() => readConfig(value));
      expect(message).toContain(HELP);
      expect(message).toContain("cdk deploy");
    },
  );

  test("says which settings are required", () => {
    const required = [...listed].filter(([, text]) => text.includes("Required.")).map(([name]) => name);
    expect(required.sort()).toEqual(Object.keys(REQUIRED).sort());
  });

  test("says every default", () => {
    const config: Readonly<Record<string, unknown>> = { ...configured({}) };
    for (const [name, text] of listed) {
      const [, number] = /Default (\d+)\b/.exec(text) ?? [];
      const [, keys] = /Default (\{.*\})\./.exec(text) ?? [];
      if (name === "throttle") expect(`${text}`).toContain("Default 500 and 1000.");
      else if (number !== undefined) expect([name, config[name]]).toEqual([name, Number(number)]);
      else if (keys !== undefined) expect([name, config[name]]).toEqual([name, JSON.parse(keys)]);
      else if (text.includes("Default: ")) expect(config).not.toHaveProperty(name);
    }
    expect(config["throttle"]).toEqual({ rate: 500, burst: 1_000 });
  });

  test("says every bound", () => {
    const bounded = [...listed].flatMap(([name, text]) => {
      const [, least, most] = /\b(\d+) to (\d+)\b/.exec(text) ?? [];
      return least === undefined || most === undefined
        ? []
        : [{ name, least: Number(least), most: Number(most) }];
    });
    expect(bounded.length).toBeGreaterThan(3);
    // With a stage and an anchorMinutes that narrow no bound.
    const parsed = (name: string, value: number) =>
      parseConfig(
        {
          ...REQUIRED,
          stage: "dev",
          anchorMinutes: 60,
          [name]: value,
          sealSeconds: 1,
          ...(name === "sealSeconds" && { sealSeconds: value }),
        },
        path,
      );
    for (const { name, least, most } of bounded) {
      for (const value of [least, most]) expect(parsed(name, value)).toMatchObject({ [name]: value });
      for (const value of [least - 1, most + 1]) expect(refusal(() => parsed(name, value))).toContain(name);
    }
  });
});

describe("a file", () => {
  test("is read as it stands", async () => {
    await writeFile(path, JSON.stringify(REQUIRED));
    expect(readConfig(path)).toEqual(configured({}));
  });
});

describe("whatever comes in", () => {
  /** A Config, which is one again, or a ConfigError: nothing else. */
  const decided = (value: unknown): void => {
    try {
      const { policyPath: _, ...config } = parseConfig(value, path);
      expect(parseConfig(JSON.parse(JSON.stringify(config)), path)).toEqual(config);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      expect(String(error)).not.toMatch(/undefined is not|Cannot read prop|\[object Object\]/);
    }
  };

  test("any JSON is a Config or a ConfigError", () => {
    fc.assert(fc.property(fc.json(), (text) => decided(JSON.parse(text))));
  });

  test("so is a configuration with any one setting, or another name, set to anything", () => {
    const name = fc.oneof(
      fc.constantFrom(...NAMES),
      fc.constantFrom("__proto__", "constructor", ""),
      fc.string(),
    );
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(...ALL.flatMap(([, { good, bad }]) => [...good, ...bad])),
      fc.dictionary(fc.string(), fc.constantFrom("signs", "retired", 1)),
    );
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 3 }), (settings) => {
        decided({ ...REQUIRED, ...settings });
      }),
      { numRuns: 1_000 },
    );
  });

  test("a setting called __proto__ is no setting", () => {
    const settings: unknown = JSON.parse(`{"__proto__": ${JSON.stringify(REQUIRED)}}`);
    expect(refusal(() => parseConfig(settings, path))).toContain("__proto__ is no setting: remove it");
  });

  test.each([[3], ["prod"], [null], [[]]])("%j says that a configuration was expected", (value) => {
    expect(refusal(() => parseConfig(value, path))).toContain("  the configuration: ");
  });
});
