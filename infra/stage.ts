/** What the stage decides: whether what is stateful outlives its stack. */
import { RemovalPolicy } from "aws-cdk-lib";
import type { Deployed } from "./settings.ts";

export const isDurable = ({ stage }: Pick<Deployed, "stage">): boolean => stage === "prod";

export const removalPolicyOf = (config: Pick<Deployed, "stage">): RemovalPolicy =>
  isDurable(config) ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
