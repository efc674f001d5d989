/** A witness's configuration: its bounds, and the message for a wrong setting. */
import { join } from "node:path";
import { formatVkey } from "@kedge/verify/tlog/note";
import { describe, expect, test } from "vitest";
import { parseWitnessConfig, readWitnessConfig, WITNESS_HELP } from "../../infra/witness/config.ts";
import { NAME, VKEYS } from "../support/witness-cases.ts";
import { refusal } from "./refused.ts";

const REQUIRED = { stage: "prod", region: "eu-central-1", name: NAME, logs: VKEYS.map(formatVkey) };

const configured = (settings: Readonly<Record<string, unknown>> = {}) =>
  parseWitnessConfig({ ...REQUIRED, ...settings }, "a test");

test("the example can be deployed", () => {
  expect(() => readWitnessConfig(join(import.meta.dirname, "../../config/witness.json"))).not.toThrow();
});

test.each([
  ["no log", { logs: [] }, "logs: no log is named: give the vkey of at least one"],
  ["a vkey that is none", { logs: ["log.example"] }, "logs: the vkey log.example cannot be used"],
  ["a vkey twice", { logs: [...REQUIRED.logs, ...REQUIRED.logs] }, "is given twice: leave one out"],
  ["a name with a space", { name: "a b" }, "name: must be a schema-less URL"],
  ["a region that is none", { region: "eu-centrall-1" }, "is it eu-central-1?"],
  ["no name", { name: undefined }, "name: is required"],
  ["a typo", { log: [] }, "log is no setting: is it logs?"],
  ["a typo within", { throttle: { rate: 1, bursts: 1 } }, "throttle.bursts is no setting: is it burst?"],
  ["a setting of the anchoring service", { domain: "a.example" }, "domain is no setting: remove it"],
])("%s fails at synth, with what to do and where all settings are listed", (_, settings, told) => {
  const message = refusal(() => configured(settings));
  expect(message).toMatch(/^a test cannot be deployed:\n {2}/);
  expect(message).toContain(told);
  expect(message).toMatch(/\nAll settings: npx cdk synth -c witness=$/);
});

test("all problems are named at once", () => {
  const message = refusal(() => configured({ stage: "test", mldsa: "yes", colour: "red" }));
  for (const name of ["stage: ", "mldsa: ", "colour is"]) expect(message).toContain(`\n  ${name}`);
});

describe("the help", () => {
  const listed = [...WITNESS_HELP.matchAll(/^ {2}(\w+) {2,}(.+)$/gm)].map(([, name = "", text = ""]) => ({
    name,
    text,
  }));

  test("is what a deployment without a configuration gets", () => {
    for (const path of [undefined, "", null, 1])
      expect(refusal(() => readWitnessConfig(path))).toContain(WITNESS_HELP);
  });

  test("names every setting, which are required, and no other", () => {
    const known = listed.map(({ name }) => name);
    for (const name of known)
      expect([name, refusal(() => configured({ [name]: null }))]).toEqual([
        name,
        expect.not.stringContaining("is no setting"),
      ]);
    for (const name of Object.keys(configured())) expect(known).toContain(name);
    const required = listed.filter(({ text }) => text.includes("Required.")).map(({ name }) => name);
    expect(required.sort()).toEqual(Object.keys(REQUIRED).sort());
  });
});
