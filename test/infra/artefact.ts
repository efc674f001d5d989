/** What `cdk synth` makes of a configuration: its templates and assets, as they would be deployed. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";

const resourceSchema = z.object({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  Metadata: z.object({ "aws:cdk:path": z.string() }),
});
const templateSchema = z.object({
  Resources: z.record(z.string(), resourceSchema),
  Outputs: z
    .record(z.string(), z.object({ Value: z.unknown(), Export: z.object({ Name: z.unknown() }).optional() }))
    .default({}),
});
const assetsSchema = z.object({
  files: z.record(
    z.string(),
    z.object({
      source: z.object({ path: z.string() }),
      destinations: z.record(z.string(), z.object({ objectKey: z.string() })),
    }),
  ),
});

export type Resource = z.infer<typeof resourceSchema> & {
  readonly stack: Stack;
  readonly id: string;
  /** Its name in the construct tree, `api` of `Kedge-dev-Service/api/Resource`. */
  readonly construct: string;
};
export type Stack = {
  readonly name: string;
  readonly resources: ReadonlyMap<string, Resource>;
  readonly exports: ReadonlyMap<string, unknown>;
};

export type Artefact = {
  readonly stacks: readonly Stack[];
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
  const stacks = names
    .filter((name) => name.endsWith(".template.json"))
    .map((name) => name.split(".")[0] ?? "");
  const assets = new Map<string, string>();
  for (const name of names.filter((name) => name.endsWith(".assets.json"))) {
    const { files } = assetsSchema.parse(await readJson(join(out, name)));
    for (const { source, destinations } of Object.values(files))
      for (const { objectKey } of Object.values(destinations)) assets.set(objectKey, join(out, source.path));
  }
  return {
    stacks: await Promise.all(stacks.map((name) => readStack(name, join(out, `${name}.template.json`)))),
    assets,
    remove: () => rm(folder, { recursive: true }),
  };
}

/** What `npx cdk` runs, without npx, and without whatever credentials this machine has. */
async function cdk(...args: readonly string[]): Promise<void> {
  const script = createRequire(import.meta.url).resolve("aws-cdk/bin/cdk");
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("AWS_")));
  const cwd = join(import.meta.dirname, "../..");
  await promisify(execFile)(process.execPath, [script, ...args], { cwd, env });
}

const readJson = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, "utf8"));

async function readStack(name: string, path: string): Promise<Stack> {
  const { Resources, Outputs } = templateSchema.parse(await readJson(path));
  const resources = new Map<string, Resource>();
  const exports = new Map<string, unknown>();
  const stack = { name, resources, exports };
  for (const [id, resource] of Object.entries(Resources)) {
    const construct = resource.Metadata["aws:cdk:path"].split("/")[1] ?? "";
    resources.set(id, { ...resource, stack, id, construct });
  }
  for (const { Value, Export } of Object.values(Outputs)) {
    if (typeof Export?.Name === "string") exports.set(Export.Name, Value);
  }
  return stack;
}

/** What CloudFormation would put in the place of a reference: `Ref`, or an attribute's name. */
export type Attribute = (resource: Resource, attribute: string) => string;

const PSEUDO_PARAMETERS: Readonly<Record<string, string>> = {
  "AWS::Partition": "aws",
  "AWS::URLSuffix": "amazonaws.com",
};

/** The templates with their intrinsic functions done. */
export type Resolved = {
  all(type: string): Resource[];
  /** The resource of this type under this construct. @throws unless there is exactly one. */
  one(type: string, construct: string): Resource;
  properties(resource: Resource): unknown;
  readonly attribute: Attribute;
};

export function resolved({ stacks }: Artefact, attribute: Attribute): Resolved {
  const all = (type: string) =>
    stacks.flatMap(({ resources }) => [...resources.values()].filter(({ Type }) => Type === type));
  return {
    all,
    one(type, construct) {
      const [found, ...more] = all(type).filter((resource) => resource.construct === construct);
      if (found === undefined || more.length > 0) throw new Error(`not one ${type} of ${construct}`);
      return found;
    },
    properties: ({ stack, Properties }) => resolve(stacks, stack, Properties, attribute),
    attribute,
  };
}

/** @throws for a function that no template of ours uses. */
function resolve(stacks: readonly Stack[], stack: Stack, value: unknown, attribute: Attribute): unknown {
  const inStack =
    (stack: Stack) =>
    (value: unknown): unknown => {
      const done = inStack(stack);
      if (Array.isArray(value)) return value.map(done);
      if (typeof value !== "object" || value === null) return value;
      const [[name, argument] = ["", undefined], ...more] = Object.entries(value);
      if (more.length > 0 || !/^(Ref|Fn::.*)$/.test(name)) {
        return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, done(member)]));
      }
      return intrinsic(stack, name, argument, done);
    };

  const intrinsic = (stack: Stack, name: string, argument: unknown, done: (value: unknown) => unknown) => {
    switch (name) {
      case "Ref": {
        const id = z.string().parse(argument);
        return PSEUDO_PARAMETERS[id] ?? attribute(find(stack, id), "Ref");
      }
      case "Fn::GetAtt": {
        const [id, of] = z.tuple([z.string(), z.string()]).parse(argument);
        return attribute(find(stack, id), of);
      }
      case "Fn::ImportValue": {
        const exporter = stacks.find(({ exports }) => exports.has(z.string().parse(argument)));
        if (exporter === undefined) throw new Error(`nothing exports ${argument}`);
        return inStack(exporter)(exporter.exports.get(z.string().parse(argument)));
      }
      case "Fn::Join": {
        const [separator, parts] = z.tuple([z.string(), z.array(z.string())]).parse(done(argument));
        return parts.join(separator);
      }
      case "Fn::Split": {
        const [separator, whole] = z.tuple([z.string(), z.string()]).parse(done(argument));
        return whole.split(separator);
      }
      case "Fn::Select": {
        const [index, parts] = z.tuple([z.coerce.number(), z.array(z.string())]).parse(done(argument));
        return parts[index];
      }
      default:
        throw new Error(`${stack.name} uses ${name}, which this test cannot do`);
    }
  };
  return inStack(stack)(value);
}

function find({ name, resources }: Stack, id: string): Resource {
  const resource = resources.get(id);
  if (resource === undefined) throw new Error(`${name} has no resource ${id}`);
  return resource;
}
