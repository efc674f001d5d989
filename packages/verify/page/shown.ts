/** Text of others as it stands in the page: nothing in it is unseen, turns what is beside it around, or covers it. Pure. */
import { visible } from "@kedge/verify/text";

/** Characters, of what a file is called and of what a case says. */
const MAX_NAME = 255;
const MAX_TEXT = 4_096;

export const shownName = (name: string): string => visible(name, MAX_NAME);

/** Its lines are one. */
export const shownText = (text: string): string =>
  visible(
    text
      .slice(0, 4 * MAX_TEXT)
      .replace(/\s+/g, " ")
      .trim(),
    MAX_TEXT,
  );
