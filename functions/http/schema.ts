/** What several routes share: the shapes of hashes, sizes, times and names. */

import type { ZodError } from "zod";
import * as z from "zod";
import { Problem } from "./problem.ts";

export const HASH_HEX = /^[0-9a-f]{64}$/;

const EXAMPLE_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
export const EXAMPLE_LOG = "k3v7q2m5xj4t6n2hbya";

export const hashSchema = z
  .string()
  .regex(HASH_HEX, "64 lower-case hexadecimal digits")
  .openapi("Hash", { description: "A commitment: 32 bytes as lower-case hex.", example: EXAMPLE_HASH });

/** Which logs exist is for the lookup to say, so that a malformed id is answered as an absent one. */
export const logParams = z.object({
  log: z.string().openapi({ description: "Id of the log.", example: EXAMPLE_LOG }),
});

/** 15 digits stay below 2^53, where JSON numbers are exact. */
const SIZE = /^(?:0|[1-9][0-9]{0,14})$/;
export const sizeText = z
  .string()
  .regex(SIZE, "a decimal number without leading zeroes, of at most 15 digits");

export const sizeSchema = z
  .int()
  .nonnegative()
  .openapi({ description: "Entries in the tree.", example: 4096 });

export const timeSchema = z.iso.datetime().openapi({ example: "2026-03-01T08:30:00.000Z" });

/** RFC 3339 of a time in ms since the epoch. */
export const timeText = (ms: bigint | number): string => new Date(Number(ms)).toISOString();

export const nameSchema = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, "text without control characters")
  .openapi({ example: "EHR access, ward 7" });

const MAX_DETAIL = 300;

/** The first issue of a refused input: where, and what is expected there. */
export function invalidInput(error: ZodError): Problem {
  const [issue] = error.issues;
  const where = issue?.path.join(".");
  const detail = `${where ? `${where}: ` : ""}${issue?.message ?? "malformed"}`;
  return new Problem("invalid", detail.slice(0, MAX_DETAIL));
}
