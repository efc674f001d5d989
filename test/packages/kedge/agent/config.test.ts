import { configOfFlags, parseConfig } from "@kedge/cli/agent/config";
import { EXAMPLES, initialConfig, UNIT } from "@kedge/cli/agent/init";
import { describeSource } from "@kedge/cli/agent/kinds";
import { expect, test } from "vitest";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const parse = (config: unknown) => parseConfig(bytesOf(JSON.stringify(config)));
const FOLLOW = { kind: "files", name: "ehr", path: "/var/log/ehr.ndjson" };
const withSources = (...sources: unknown[]) => ({ data: "d", sources });

test("what init writes is a configuration, its comments left out", () => {
  const config = parseConfig(bytesOf(initialConfig()));
  expect(JSON.stringify(config)).not.toContain('"//');
  expect(config.sources.length).toBeGreaterThan(0);
  const examples = parse({ data: "d", sources: EXAMPLES }).sources;
  const all = [...config.sources, ...examples];
  expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(["files", "syslog", "fhir", "poll", "stdin"]));
  for (const source of all) expect(describeSource(source).join("\n")).not.toMatch(/undefined|\[object/);
});

test("the unit runs the command that there is, and keeps what it writes to itself", () => {
  expect(UNIT).toMatch(/^ExecStart=.* kedge agent --config /m);
  expect(UNIT).toMatch(/^UMask=0077$/m);
});

test("a flag stands for each source, and may be repeated", () => {
  const { sources, health } = configOfFlags("d", {
    health: "off",
    sources: new Map([
      ["follow", ["ehr=/var/log/a=b.ndjson", "lab=/srv/lab"]],
      ["syslog", ["atna=tcp://127.0.0.1:6514"]],
      ["fhir", ["fhir=http://127.0.0.1:8090"]],
    ]),
  });
  expect(health).toBe(false);
  expect(sources.map(({ name }) => name).sort()).toEqual(["atna", "ehr", "fhir", "lab"]);
  expect(sources).toContainEqual(expect.objectContaining({ kind: "files", path: "/var/log/a=b.ndjson" }));
  expect(sources).toContainEqual(
    expect.objectContaining({ kind: "syslog", listen: { address: "tcp://127.0.0.1:6514" } }),
  );
});

test("an upstream is of the source that it names", () => {
  const syslog = new Map([["syslog", ["atna=tcp://127.0.0.1:6514"]]]);
  const { sources } = configOfFlags("d", { sources: syslog, upstreams: ["atna=tls://arr.example.org:6514"] });
  expect(sources).toMatchObject([{ name: "atna", upstream: { url: "tls://arr.example.org:6514" } }]);
  expect(() => configOfFlags("d", { sources: syslog, upstreams: ["lab=tls://a:1"] })).toThrow(/"lab"/);
  const files = new Map([["follow", ["ehr=/a"]]]);
  expect(() => configOfFlags("d", { sources: files, upstreams: ["ehr=tls://a:1"] })).toThrow(/upstream/);
});

test("a search asks who comes, and no URL has a password", () => {
  const listen = { address: "http://127.0.0.1:8090" };
  const fhir = { kind: "fhir", name: "fhir", search: true };
  expect(() => parse(withSources({ ...fhir, listen }))).toThrow(/tokenFile/);
  expect(parse(withSources({ ...fhir, listen: { ...listen, tokenFile: "token" } })).sources).toHaveLength(1);
  const url = "https://user:Qzx-secret@ehr.example.org/fhir";
  for (const source of [
    { kind: "poll", name: "poll", url },
    { kind: "fhir", name: "fhir", listen, upstream: { url } },
  ]) {
    expect(() => parse(withSources(source))).toThrow(/password/);
    expect(() => parse(withSources(source))).not.toThrow(/Qzx/);
  }
});

test("standard input is a dash", () => {
  const { sources } = configOfFlags("d", { sources: new Map([["follow", ["in=-"]]]) });
  expect(sources).toMatchObject([{ kind: "stdin", name: "in" }]);
});

test.each([
  ["no name", "follow", "/var/log/ehr.ndjson", /--follow takes <name>=<path>/],
  ["no value", "follow", "ehr=", /--follow takes/],
  ["a listener for others in the clear", "syslog", "atna=tcp://0.0.0.0:6514", /not encrypted/],
  ["a name of the agent's own", "follow", "kedge.manifest/x=/a", /agent's own/],
])("a flag is refused with %s", (_, flag, text, why) => {
  expect(() => configOfFlags("d", { sources: new Map([[flag, [text]]]) })).toThrow(
    expect.objectContaining({ code: "config", message: expect.stringMatching(why) }),
  );
});

test("without any source there is nothing to run", () => {
  expect(() => configOfFlags("d", { sources: new Map() })).toThrow(/There is no source/);
});

test.each([
  ["no source", { data: "d", sources: [] }, /sources: /],
  ["no data", { sources: [FOLLOW] }, /data: /],
  ["an unknown member", { ...withSources(FOLLOW), sauces: [] }, /sauces/],
  ["an unknown kind", withSources({ kind: "pigeon", name: "p" }), /sources\[0\]\.kind: /],
  ["an unknown member of a source", withSources({ ...FOLLOW, pth: "/" }), /sources\[0\]: .*pth/],
  ["two of one name", withSources(FOLLOW, FOLLOW), /two sources are called "ehr"/],
  ["a name of the agent's own", withSources({ ...FOLLOW, name: "kedge.x" }), /agent's own/],
  ["an empty name", withSources({ ...FOLLOW, name: "" }), /name/],
  [
    "a listener for others in the clear",
    withSources({ kind: "fhir", name: "f", listen: { address: "http://0.0.0.0:80" } }),
    /not encrypted/,
  ],
  [
    "a listener that takes events from anyone",
    withSources({
      ...{ kind: "syslog", name: "s" },
      listen: { address: "tls://0.0.0.0:6514", tls: { cert: "c", key: "k" } },
    }),
    /from anyone/,
  ],
  [
    "health for others in the clear",
    { ...withSources(FOLLOW), health: { listen: { address: "http://0.0.0.0:1" } } },
    /not encrypted/,
  ],
  [
    "a retention of no source",
    { ...withSources(FOLLOW), keepDays: { lab: 30 } },
    /"lab", which is no source/,
  ],
  ["an alert after no time", { ...withSources(FOLLOW), alertAfter: 0 }, /alertAfter/],
])("refused: %s", (_, config, why) => {
  expect(() => parse(config)).toThrow(
    expect.objectContaining({ code: "config", message: expect.stringMatching(why) }),
  );
});

test.each([
  ["no JSON", "data: d"],
  ["a member that is there twice", '{"data":"d","data":"e","sources":[]}'],
  ["an empty file", ""],
  ["another encoding", "\u{feff}{}"],
])("refused: %s", (_, text) => {
  expect(() => parseConfig(bytesOf(text))).toThrow(expect.objectContaining({ code: "config" }));
});

test("a refusal quotes nothing of what a member holds", () => {
  const secret = "canary-7f3a";
  const config = {
    ...withSources({ ...FOLLOW, poll: secret }),
    credentials: { apiKey: secret },
    data: [secret],
  };
  expect(() => parse(config)).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining(secret) }),
  );
});

test("no source gives its events a media type that is Kedge's own", () => {
  const of = (mediaType: string) => parse(withSources({ ...FOLLOW, mediaType })).sources.length;
  expect(of("application/vnd.hospital.gap+json")).toBe(1);
  for (const own of ["gap+json", "manifest+json", "shred"]) {
    expect(() => of(`application/vnd.kedge.${own}`)).toThrow(/Kedge's own/);
  }
});
