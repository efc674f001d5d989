/** cdk-nag checks every stack against its rule pack AwsSolutions at synth; each exception states its reason. */
import { Validations } from "aws-cdk-lib";
import type { Construct } from "constructs";

/** Why a rule does not hold here. */
export const acknowledge = (construct: Construct, rule: string, reason: string): void =>
  Validations.of(construct).acknowledge({ id: `AwsSolutions::AwsSolutions-${rule}`, reason });
