/** The CDK app: the service (`-c config=…`) or a witness (`-c witness=…`). */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { bundle } from "./bundle.ts";
import { readConfig } from "./config.ts";
import { SPECS } from "./service/specs.ts";
import { ConfigError } from "./settings.ts";
import { buildStacks, buildWitness } from "./stacks.ts";
import { readWitnessConfig } from "./witness/config.ts";
import { WITNESS } from "./witness/function.ts";

// CDK writes stack traces into its output: they hold this machine's paths and differ from run to run.
if (!process.env["CDK_DEBUG"]) Error.stackTraceLimit = 0;

// Else a slow synthesis also writes its timings into the output, which must not differ from run to run.
const app = new App({ performanceReporting: false });
try {
  const bundles = await mkdtemp(join(tmpdir(), "kedge-bundles-"));
  const witness = app.node.tryGetContext("witness");
  if (witness === undefined) {
    const config = readConfig(app.node.tryGetContext("config"));
    await Promise.all(Object.values(SPECS).map((spec) => bundle(spec, join(bundles, spec.name), config)));
    buildStacks(app, config, bundles);
  } else {
    const config = readWitnessConfig(witness);
    await bundle(WITNESS, bundles, config);
    buildWitness(app, config, bundles);
  }
  app.synth();
  await rm(bundles, { recursive: true });
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
