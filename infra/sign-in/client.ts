/** The console as a client of the user pool: public, code with PKCE, and nothing else. */
import { Duration, Fn, type Stack } from "aws-cdk-lib";
import * as cognito from "aws-cdk-lib/aws-cognito";

/** @param publicUrl where people open the console. @returns outputs: what `kedge tenant sign-in` is told. */
export function makeConsoleClient(
  stack: Stack,
  userPoolArn: string,
  publicUrl: string,
): { SignInIssuer: string; SignInClientId: string } {
  const client = cognito.UserPool.fromUserPoolArn(stack, "People", userPoolArn).addClient("Console", {
    generateSecret: false,
    authFlows: { user: false, userSrp: false, userPassword: false, adminUserPassword: false, custom: false },
    oAuth: {
      flows: { authorizationCodeGrant: true },
      scopes: [cognito.OAuthScope.OPENID, cognito.OAuthScope.PROFILE],
      callbackUrls: [`${publicUrl}/`],
    },
    supportedIdentityProviders: [cognito.UserPoolClientIdentityProvider.COGNITO],
    preventUserExistenceErrors: true,
    // The tokens are read once and not kept: sessions are Kedge's own.
    idTokenValidity: Duration.minutes(5),
    accessTokenValidity: Duration.minutes(5),
    refreshTokenValidity: Duration.hours(1),
  });
  const poolId = Fn.select(1, Fn.split("/", userPoolArn));
  return {
    SignInIssuer: `https://cognito-idp.${stack.region}.amazonaws.com/${poolId}`,
    SignInClientId: client.userPoolClientId,
  };
}
