/** Times on the command line. */
import { InvalidArgumentError } from "commander";
import { z } from "zod";
import { isSayable } from "../rfc3339.ts";

const schema = z.iso.datetime({ offset: true });

/** RFC 3339 §5.6, in capitals, to ms since the epoch. */
export function time(text: string): number {
  const ms = schema.safeParse(text).success ? Date.parse(text) : Number.NaN;
  if (isSayable(ms)) return ms;
  throw new InvalidArgumentError("It is a time in RFC 3339, such as 2030-01-01T00:00:00Z.");
}
