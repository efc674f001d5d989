/** What is wrong with a setting or its file, said to whoever wrote it: without the words of a schema or a system call. */
import type * as z from "zod";

/** Of a schema's own messages, what they mean; a message that a schema was given stands. */
export const inWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === "invalid_type") {
    return issue.input === undefined
      ? "it is missing"
      : `it must be ${TYPES[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === "too_small" || issue.code === "too_big") return bound(issue);
  return undefined;
};

const TYPES: Readonly<Record<string, string>> = { string: "a text", number: "a number" };
const UNITS: Readonly<Record<string, string>> = { string: "characters", array: "entries" };

function bound(issue: z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig>): string {
  const isLow = issue.code === "too_small";
  const limit = isLow ? issue.minimum : issue.maximum;
  if (isLow && issue.origin === "string" && limit === 1) return "it is empty";
  const unit = UNITS[issue.origin ?? ""];
  const most = isLow ? "at least" : "at most";
  if (unit !== undefined) return `it must have ${most} ${limit} ${unit}`;
  if (issue.inclusive === false) return `it must be ${isLow ? "more" : "less"} than ${limit}`;
  return `it must be ${most} ${limit}`;
}

const FILE_TROUBLE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
};

/** Why a file could not be read, or could not be used. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return "unknown reason";
  const code = "code" in cause && typeof cause.code === "string" ? FILE_TROUBLE[cause.code] : undefined;
  if (code !== undefined) return code;
  return cause instanceof SyntaxError ? `it is no JSON: ${cause.message}` : cause.message;
}
