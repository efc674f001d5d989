/**
 * JSON lines on stdout, which CloudWatch reads as they are, or in the file that KEDGE_LOG_FILE names. Never a body, an
 * API key, a hash or a URL.
 */
import { appendFileSync } from "node:fs";

export type LogFields = { readonly [name: string]: string | number | boolean | undefined };

export function logLine(level: "info" | "error", fields: LogFields): void {
  const line = JSON.stringify({ level, time: new Date().toISOString(), ...fields });
  const file = process.env["KEDGE_LOG_FILE"];
  if (!file) process.stdout.write(`${line}\n`);
  else appendFileSync(file, `${line}\n`, { mode: 0o600 });
}

/** What an operator needs of an error: its code, message and the name and message of what caused it. */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: "not an Error" };
  const { cause } = error;
  return {
    ...("code" in error && typeof error.code === "string" && { code: error.code }),
    error: `${error.name}: ${error.message}`,
    ...(cause instanceof Error && { cause: `${cause.name}: ${cause.message}` }),
  };
}
