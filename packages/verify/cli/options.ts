/** Parsers of what options and arguments are given. Commander names the option, and quotes the text: no secret comes here. */
import { InvalidArgumentError } from "commander";
import { EventError } from "../events/error.ts";

/** For an option that may be repeated. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/** For an option that may be repeated, each time with one of these. Option.choices takes one, or eats what follows. */
export function choices(names: readonly string[]): typeof collect {
  return (text, previous) => {
    if (names.includes(text)) return collect(text, previous);
    throw new InvalidArgumentError(`Allowed choices are ${names.join(", ")}.`);
  };
}

export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    const end = max === Number.MAX_SAFE_INTEGER ? "on" : `to ${max}`;
    throw new InvalidArgumentError(`It is a number from ${min} ${end}.`);
  };
}

/** An index in a log, or a number of entries. */
export function entryNumber(text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError("It is a number from 0 on.");
}

/** Timers of Node go no further, in seconds. */
export const MAX_TIMER = 2_000_000;

/** Seconds as text to milliseconds. */
export function seconds(below = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (number > 0 && number < below) return number * 1000;
    const bound = below === Number.POSITIVE_INFINITY ? "" : `, and below ${below}`;
    throw new InvalidArgumentError(`It is a number of seconds above 0${bound}.`);
  };
}

const COMMITMENT = /^[0-9a-f]{64}$/;

export const isCommitment = (text: string): boolean => COMMITMENT.test(text);

/** Text that has to match, or `what` says what it should be. */
export function matching(pattern: RegExp, what: string): (text: string) => string {
  return (text) => {
    if (pattern.test(text)) return text;
    throw new InvalidArgumentError(`${what}.`);
  };
}

export const commitmentHex = matching(COMMITMENT, "A commitment is 64 lower-case hex digits");

/** A parser of `events/` as one of an option. */
export function ofEvents<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof EventError ? new InvalidArgumentError(error.message) : error;
    }
  };
}
