/** Configuration comes from environment variables, and each is checked before anything starts. */
import type * as z from "zod";
import { ServiceError } from "./error.ts";
import { inWords } from "./words.ts";

/** On Lambda a folder is forgotten. @throws ServiceError `invalid` for a place that is one there. */
export function refuseFolders(env: NodeJS.ProcessEnv, names: readonly string[]): void {
  if (env["AWS_LAMBDA_FUNCTION_NAME"] === undefined) return;
  const wrong = names.find((name) => /^(file|lmdb):/.test(env[name] ?? ""));
  if (wrong === undefined) return;
  const right = wrong === "KEDGE_STORE" ? "dynamodb:<table>" : "s3://<bucket>";
  throw new ServiceError("invalid", `${wrong}: a function's folder is forgotten; set ${right}`);
}

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export function parseEnvironment<T>(schema: z.ZodType<T>, env: NodeJS.ProcessEnv): T {
  const parsed = schema.safeParse(env, { error: inWords });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new ServiceError("invalid", `the configuration is wrong; set ${problems.join("; ")}`);
}
