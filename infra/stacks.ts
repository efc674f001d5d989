/** The stacks: Data and Service for the service, one for a witness. */
import { type App, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import type { Config } from "./config.ts";
import { DataStack } from "./data/stack.ts";
import { ServiceStack } from "./service/stack.ts";
import type { Deployed } from "./settings.ts";
import { isDurable } from "./stage.ts";
import type { WitnessConfig } from "./witness/config.ts";
import { WitnessStack } from "./witness/stack.ts";

/** @param bundles a folder that holds each function's bundle under the function's name. */
export function buildStacks(app: App, config: Config, bundles: string): void {
  const { stage } = config;
  const data = new DataStack(app, `Kedge-${stage}-Data`, {
    config,
    ...propsOf(config),
    description: "Kedge: the table, the signing keys, the published bucket and the index",
  });
  const service = new ServiceStack(app, `Kedge-${stage}-Service`, {
    config,
    ...propsOf(config),
    data: data.data,
    bundles,
    description: "Kedge: the functions, the API, the schedules and what watches them",
  });
  service.addStackDependency(data);
  tagAndCheck(app, "kedge", config);
}

/** @param folder the function's bundle, as `bundle` writes it. */
export function buildWitness(app: App, config: WitnessConfig, folder: string): void {
  new WitnessStack(app, `KedgeWitness-${config.stage}`, {
    config,
    ...propsOf(config),
    folder,
    description: "Kedge: a witness of transparency logs",
  });
  tagAndCheck(app, "kedge-witness", config);
}

const propsOf = (config: Deployed) => ({
  env: { region: config.region, ...(config.account !== undefined && { account: config.account }) },
  terminationProtection: isDurable(config),
});

function tagAndCheck(app: App, service: string, { stage }: Deployed): void {
  Tags.of(app).add("service", service);
  Tags.of(app).add("stage", stage);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
}
