/** Times on the command line. */
import { InvalidArgumentError } from "commander";
import { z } from "zod";

const schema = z.iso.datetime({ offset: true });

/** RFC 3339 §5.6, in capitals, to ms since the epoch. */
export function time(text: string): number {
  if (schema.safeParse(text).success) return Date.parse(text);
  throw new InvalidArgumentError("It is a time in RFC 3339, such as 2030-01-01T00:00:00Z.");
}
