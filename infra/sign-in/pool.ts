/** A Cognito user pool, for tenants who have no identity provider of their own: people, their second factors and their groups. */
import { Aws, Fn, type Stack } from "aws-cdk-lib";
import * as cognito from "aws-cdk-lib/aws-cognito";
import type { Config } from "../config.ts";
import { acknowledge } from "../nag.ts";
import { isDurable, removalPolicyOf } from "../stage.ts";

/** Nobody signs up: the operator makes people, and puts them into groups that name tenant and role. */
export function makeUserPool(stack: Stack, config: Config): cognito.UserPool {
  const pool = new cognito.UserPool(stack, "People", {
    selfSignUpEnabled: false,
    signInAliases: { email: true },
    signInCaseSensitive: false,
    autoVerify: { email: true },
    keepOriginal: { email: true },
    standardAttributes: { email: { required: true }, fullname: { required: true } },
    mfa: cognito.Mfa.REQUIRED,
    mfaSecondFactor: { otp: true, sms: false },
    passwordPolicy: {
      minLength: 14,
      ...{ requireDigits: true, requireLowercase: true, requireUppercase: true, requireSymbols: true },
    },
    accountRecovery: cognito.AccountRecovery.EMAIL_ONLY,
    deletionProtection: isDurable(config),
    removalPolicy: removalPolicyOf(config),
  });
  acknowledge(
    pool,
    "COG3",
    "Threat protection is of the plan Plus, with its own price: an operator turns it on who wants it.",
  );
  acknowledge(pool, "COG8", "The plan Essentials has what is used here.");
  // One for all accounts of the region: the account's number makes it the operator's own.
  const domainPrefix = Fn.join("-", ["kedge", config.stage, Aws.ACCOUNT_ID]);
  pool.addDomain("Domain", { cognitoDomain: { domainPrefix } }).applyRemovalPolicy(removalPolicyOf(config));
  return pool;
}
