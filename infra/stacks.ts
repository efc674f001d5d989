import { type App, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { type Config, isDurable } from "./config.ts";
import { DataStack } from "./data.ts";
import { ServiceStack } from "./service.ts";

/**
 * Everything that a deployment is made of, checked by cdk-nag when it is synthesised.
 * @param bundles a folder with a folder for each function, as `bundle` writes it.
 */
export function buildStacks(app: App, config: Config, bundles: string): void {
  const { stage, region, account } = config;
  const props = {
    config,
    env: { region, ...(account !== undefined && { account }) },
    terminationProtection: isDurable(config),
  };
  const stack = new DataStack(app, `Kedge-${stage}-Data`, {
    ...props,
    description: "Kedge: the table, the signing keys and the published bucket",
  });
  const service = new ServiceStack(app, `Kedge-${stage}-Service`, {
    ...props,
    data: stack.data,
    bundles,
    description: "Kedge: the functions, the API, the schedules and what watches them",
  });
  service.addStackDependency(stack);
  Tags.of(app).add("service", "kedge");
  Tags.of(app).add("stage", stage);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
}
