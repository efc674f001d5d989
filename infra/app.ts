/** The CDK app: two stacks, of what must outlive a deployment and of what need not; or, with `-c witness=…`, a witness. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { bundle } from "./bundle.ts";
import { readConfig } from "./config.ts";
import { FUNCTIONS } from "./names.ts";
import { ConfigError } from "./settings.ts";
import { buildStacks } from "./stacks.ts";
import { buildWitness, bundleWitness } from "./witness.ts";
import { readWitnessConfig } from "./witness-config.ts";

// CDK writes stack traces into its output: of this machine's paths, and not the same ones in every run.
if (!process.env["CDK_DEBUG"]) Error.stackTraceLimit = 0;

const app = new App();
try {
  const bundles = await mkdtemp(join(tmpdir(), "kedge-bundles-"));
  const witness = app.node.tryGetContext("witness");
  if (witness === undefined) {
    const config = readConfig(app.node.tryGetContext("config"));
    await Promise.all(FUNCTIONS.map((name) => bundle(name, join(bundles, name), config)));
    buildStacks(app, config, bundles);
  } else {
    const config = readWitnessConfig(witness);
    await bundleWitness(bundles, config);
    buildWitness(app, config, bundles);
  }
  app.synth();
  await rm(bundles, { recursive: true });
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
