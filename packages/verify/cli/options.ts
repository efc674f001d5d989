/** Parsers of what options and arguments are given. Commander names the option and quotes the text: secrets are not parsed here. */
import { InvalidArgumentError } from "commander";
import { COMMITMENT_HEX } from "../events/commitment.ts";

/** For an option or an argument that may be repeated. */
export const repeated =
  <T>(parse: (text: string) => T) =>
  (text: string, before: readonly T[] = []): T[] => [...before, parse(text)];

export const collect = repeated((text) => text);

/** Text that has to match; `what` says how it looks. */
export const matching = (pattern: RegExp, what: string) => (text: string) => {
  if (pattern.test(text)) return text;
  throw new InvalidArgumentError(`${what}.`);
};

export const isCommitment = (text: string): boolean => COMMITMENT_HEX.test(text);
export const commitmentHex = matching(COMMITMENT_HEX, "A commitment is 64 lower-case hex digits");

export const wholeNumber = (min: number, max?: number) => (text: string) => {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= (max ?? number)) return number;
  throw new InvalidArgumentError(`It is a number from ${min} ${max === undefined ? "on" : `to ${max}`}.`);
};

/** An index in a log. */
export function entryNumber(text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError("It is a number from 0 on.");
}

/** More entries than anybody reads at one go: at a hundred thousand a second they take a day. */
const MAX_COUNT = 10_000_000_000n;

/** A number of entries to read. */
export function entryCount(text: string): bigint {
  const count = entryNumber(text);
  if (count <= MAX_COUNT) return count;
  throw new InvalidArgumentError(`It is a number from 0 to ${MAX_COUNT}.`);
}

/** What a timer of Node can wait for, in seconds. */
export const MAX_TIMER = 2_000_000;

/** Seconds as text to milliseconds. */
export const seconds = (below?: number) => (text: string) => {
  const number = Number(text);
  if (number > 0 && number < (below ?? Number.POSITIVE_INFINITY)) return number * 1000;
  const bound = below === undefined ? "" : `, and below ${below}`;
  throw new InvalidArgumentError(`It is a number of seconds above 0${bound}.`);
};
