/** Times on the command line. */
import { InvalidArgumentError } from "commander";
import { parseTime } from "../rfc3339.ts";

/** RFC 3339 §5.6, in capitals, to ms since the epoch. */
export function time(text: string): number {
  const ms = parseTime(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError("It is a time in RFC 3339, such as 2030-01-01T00:00:00Z.");
}
