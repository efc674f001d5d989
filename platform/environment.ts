/** Configuration comes from environment variables, and each is checked before anything starts. */
import type * as z from "zod";
import { ServiceError } from "./error.ts";
import { inWords } from "./words.ts";

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export function parseEnvironment<T>(schema: z.ZodType<T>, env: NodeJS.ProcessEnv): T {
  const parsed = schema.safeParse(env, { error: inWords });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new ServiceError("invalid", `the configuration is wrong; set ${problems.join("; ")}`);
}
