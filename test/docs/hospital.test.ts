/** The page for a hospital's engineer, held against what there is: configurations are taken, commands and flags exist. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseConfig } from "@kedge/cli/agent/config";
import { auditingCommands, tenantCommands } from "@kedge/cli/cli/commands";
import { Command } from "commander";
import { expect, test } from "vitest";
import { codeOf } from "../support/readme.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const PAGE = "docs/hospital.md";

const blocks = (language: string): string[] =>
  [...read(PAGE).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, code = ""]) => code,
  );

test.each(blocks("json"))("the configuration is taken: %s", (text) => {
  const value: object = JSON.parse(text);
  const config = "sources" in value ? { data: "agent", ...value } : { data: "agent", sources: [value] };
  expect(() => parseConfig(Buffer.from(JSON.stringify(config)))).not.toThrow();
});

test("every command of the page exists, and has the flags that it is given", async () => {
  const text = `${await codeOf(PAGE, "sh")}\n${[...read(PAGE).matchAll(/`(kedge [^`]+)`/g)].map(([, code]) => code).join("\n")}`;
  const used = [
    ...text.replaceAll("\\\n", " ").matchAll(/^\s*(?:sudo )?kedge ([a-z]+)(?: ([a-z]+))?(.*)$/gm),
  ];
  expect(used.length).toBeGreaterThan(20);
  for (const [, name = "", second = "", rest = ""] of used) {
    const known = { ...tenantCommands.commands, ...auditingCommands.commands }[name];
    expect(known, `kedge ${name}`).toBeDefined();
    const command = (await known?.load())?.(new Command(name));
    const sub = command?.commands.find((one) => one.name() === second);
    const flags = [command, sub].flatMap((one) => one?.options.map(({ long }) => long) ?? []);
    const given = (rest.split(/[#|<]/)[0]?.match(/--[a-z-]+/g) ?? []).filter((flag) => flag !== "--help");
    expect(
      given.filter((flag) => !flags.includes(flag)),
      `kedge ${name} ${second}`,
    ).toEqual([]);
  }
});

/** As GitHub names a heading. */
const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");

test.each([PAGE, "docs/operations.md"])("what %s links to is there", (page) => {
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)];
  expect(links.length).toBeGreaterThan(10);
  for (const [link, path = "", anchor] of links) {
    const target = path === "" ? page : join(dirname(page), path);
    expect(existsSync(join(root, target)), link).toBe(true);
    if (anchor === undefined) continue;
    const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => slug(heading));
    expect(headings, link).toContain(anchor);
  }
});
