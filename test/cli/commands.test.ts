/** Which program has whose commands, and what help shows. */
import { execFileSync, spawnSync } from "node:child_process";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { tenantCommands } from "@kedge/cli/cli/commands";
import { auditorCommands } from "@kedge/verify/cli/commands";
import { layOut } from "@kedge/verify/cli/program";
import { Command } from "commander";
import { afterEach, expect, test, vi } from "vitest";
import { operatorCommands } from "../../cli/commands.ts";

afterEach(() => vi.unstubAllEnvs());

test.each([
  ["packages/verify/dist/cli/kedge-verify.js", ["auditors"]],
  ["packages/kedge/dist/cli/kedge.js", ["tenants", "auditors"]],
  ["dist/cli/kedge.js", ["tenants", "auditors", "operators"]],
])("%s has the commands for %j", (path, users) => {
  const program = fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const help = execFileSync(process.execPath, [program, "--help"], { encoding: "utf8" });
  expect(help.match(/(?<=^For )\w+(?=:$)/gm)).toEqual(users);
  const { stderr } = spawnSync(process.execPath, [program, "nope"], { encoding: "utf8" });
  expect(stderr).toMatch(new RegExp(`^${basename(path, ".js")}: `));
});

const everyCommand = [tenantCommands, auditorCommands, operatorCommands].flatMap(({ commands }) =>
  Object.entries(commands),
);

test.each(everyCommand)(
  "the help of %s names variables, and nothing that they hold",
  async (name, { load }) => {
    for (const variable of ["KEDGE_API_KEY", "KEDGE_TENANT_KEY"]) vi.stubEnv(variable, "secret77");
    const command = (await load())(new Command(name));
    const help = [command, ...command.commands].map((each) => each.helpInformation()).join();
    expect(help).not.toContain("secret77");
    for (const [flag, variable] of [
      ["--api-key", "KEDGE_API_KEY"],
      ["--tenant-key", "KEDGE_TENANT_KEY"],
      ["--anchor-vkey", "KEDGE_ANCHOR_VKEY"],
    ] as const) {
      expect(help.includes(flag)).toBe(help.replace(/\s+/g, " ").includes(`(env: ${variable})`));
    }
  },
);

test.each(
  everyCommand.flatMap(([name, { load }]) => [40, 60, 72, 80].map((columns) => ({ name, load, columns }))),
)("the help of $name is whole on a terminal of $columns columns", async ({ name, load, columns }) => {
  let help = "";
  const collect = (text: string) => {
    help += text;
  };
  const command = (await load())(layOut(new Command(name), columns, collect));
  for (const each of [command, ...command.commands]) {
    help = "";
    each.outputHelp();
    expect(help.split("\n").filter((line) => line.length > columns)).toEqual([]);
    const words = (text: string) => text.replace(/\s+/g, " ");
    for (const { description } of each.options) expect(words(help)).toContain(words(description));
  }
});
