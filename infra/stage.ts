/** What depends on the stage: in prod, tables, keys, buckets and logs outlive their stack. */
import { RemovalPolicy } from "aws-cdk-lib";
import type { Deployed } from "./settings.ts";

export const isDurable = ({ stage }: Pick<Deployed, "stage">): boolean => stage === "prod";

export const removalPolicyOf = (config: Pick<Deployed, "stage">): RemovalPolicy =>
  isDurable(config) ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
