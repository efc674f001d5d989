/** What `cdk synth` makes of a configuration: its templates and assets, as they would be deployed. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";
import { readTemplate, type Stacks, type StackTemplate } from "./cloudformation.ts";

const assetsSchema = z.object({
  files: z.record(
    z.string(),
    z.object({
      source: z.object({ path: z.string() }),
      destinations: z.record(z.string(), z.object({ objectKey: z.string() })),
    }),
  ),
});

export type Artefact = {
  readonly stacks: Stacks;
  /** Folders of unpacked assets, by the key of the object that each is uploaded to. */
  readonly assets: ReadonlyMap<string, string>;
  remove(): Promise<void>;
};

/** @param files written beside the configuration, such as a policy. */
export async function synthesise(
  config: object,
  files: Readonly<Record<string, string>> = {},
): Promise<Artefact> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-artefact-"));
  const [configPath, out] = [join(folder, "config.json"), join(folder, "out")];
  await writeFile(configPath, JSON.stringify(config));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  await cdk("synth", "--quiet", "--context", `config=${configPath}`, "--output", out);

  const names = await readdir(out);
  const stacks: Record<string, StackTemplate> = {};
  for (const name of names.filter((name) => name.endsWith(".template.json")))
    stacks[name.split(".")[0] ?? ""] = readTemplate(await readJson(join(out, name)));
  const assets = new Map<string, string>();
  for (const name of names.filter((name) => name.endsWith(".assets.json"))) {
    const { files } = assetsSchema.parse(await readJson(join(out, name)));
    for (const { source, destinations } of Object.values(files))
      for (const { objectKey } of Object.values(destinations)) assets.set(objectKey, join(out, source.path));
  }
  return { stacks, assets, remove: () => rm(folder, { recursive: true }) };
}

/** What `npx cdk` runs, without npx, and without whatever credentials this machine has. */
async function cdk(...args: readonly string[]): Promise<void> {
  const script = createRequire(import.meta.url).resolve("aws-cdk/bin/cdk");
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("AWS_")));
  const cwd = join(import.meta.dirname, "../..");
  await promisify(execFile)(process.execPath, [script, ...args], { cwd, env });
}

const readJson = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, "utf8"));
