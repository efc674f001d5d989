/** cdk-nag's rule pack AwsSolutions checks every stack when it is synthesised; what it is to pass over has a reason. */
import { Validations } from "aws-cdk-lib";
import type { Construct } from "constructs";

/** Why a rule does not hold here. */
export const acknowledge = (construct: Construct, rule: string, reason: string): void =>
  Validations.of(construct).acknowledge({ id: `AwsSolutions::AwsSolutions-${rule}`, reason });
