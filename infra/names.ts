/** Names that are fixed here because they are used before their owner exists: a key's policy names the role that signs. */
import type { Config } from "./config.ts";

export const FUNCTIONS = ["api", "sealer", "anchorer"] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** IAM is global, so the region is part of the name. */
export const roleName = ({ stage, region }: Config, name: FunctionName): string =>
  `kedge-${stage}-${region}-${name}`;

export const metricNamespace = ({ stage }: Config): string => `Kedge/${stage}`;
