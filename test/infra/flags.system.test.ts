/** The CDK's feature flags in cdk.json: each is set, and none that was unset at the first deployments changes a template. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { expect, test } from "vitest";
import { z } from "zod";
import { ENTRY_FILE } from "../../infra/bundle.ts";
import { parseConfig } from "../../infra/config.ts";
import { FUNCTIONS } from "../../infra/names.ts";
import { buildStacks, buildWitness } from "../../infra/stacks.ts";
import { readWitnessConfig } from "../../infra/witness/config.ts";

const json = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));
const flagsSchema = z.record(z.string(), z.unknown());
const recommended = flagsSchema.parse(
  json(createRequire(import.meta.url).resolve("aws-cdk-lib/recommended-feature-flags.json")),
);
const { context } = z
  .object({ context: flagsSchema })
  .parse(json(join(import.meta.dirname, "../../cdk.json")));

/** Set otherwise than the CDK recommends: docs/decisions/0010-infrastructure.md says why. */
const OTHERWISE = [
  "@aws-cdk/core:defaultCrossStackReferences",
  "@aws-cdk/core:enableAdditionalMetadataCollection",
  "@aws-cdk/core:enablePartitionLiterals",
  "@aws-cdk/core:explicitStackTags",
  "@aws-cdk/core:target-partitions",
];
/** All that was set when the first tables and keys were deployed. */
const FIRST = [
  "@aws-cdk/aws-apigateway:disableCloudWatchRole",
  "@aws-cdk/aws-iam:minimizePolicies",
  "@aws-cdk/core:defaultCrossStackReferences",
  "@aws-cdk/core:target-partitions",
];

test("every flag that the CDK recommends is set, as it recommends but for a few", () => {
  const differs = Object.entries(recommended).filter(
    ([flag, value]) => JSON.stringify(context[flag]) !== JSON.stringify(value),
  );
  expect(differs.map(([flag]) => flag).sort()).toEqual(OTHERWISE);
  for (const flag of OTHERWISE) expect(context, flag).toHaveProperty([flag]);
});

test("with them the stacks are what they were: nothing is renamed or replaced", () => {
  const folder = mkdtempSync(join(tmpdir(), "kedge-flags-"));
  const bundles = join(folder, "bundles");
  for (const name of [...FUNCTIONS, "witness"]) {
    mkdirSync(join(bundles, name), { recursive: true });
    writeFileSync(join(bundles, name, ENTRY_FILE), `// ${name}\n`);
  }
  const witness = readWitnessConfig(join(import.meta.dirname, "../../config/witness.json"));
  const stacks = (name: string, flags: Readonly<Record<string, unknown>>) => {
    const [service, alone] = ["service", "witness"].map(
      (kind) => new App({ outdir: join(folder, name, kind), context: flags }),
    );
    if (service === undefined || alone === undefined) throw new Error("unreachable");
    buildStacks(
      service,
      parseConfig({ stage: "prod", region: "eu-central-1", domain: "audit.example.org" }, "a test"),
      bundles,
    );
    buildWitness(alone, witness, join(bundles, "witness"));
    return [service, alone].flatMap((app) =>
      app.synth().stacks.map(({ stackName, tags, template }) => ({ stackName, tags, template })),
    );
  };
  const first = Object.fromEntries(FIRST.map((flag) => [flag, context[flag]]));
  const now = stacks("now", context);
  expect(now).toHaveLength(3);
  expect(now).toEqual(stacks("first", first));
  rmSync(folder, { recursive: true });
});
