/** Text of others, and names of keys, as they stand in our own sentences. */
import type { KeyId } from "./tlog/note.ts";

const UNSEEN = /(?! )[\p{C}\p{White_Space}\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** As a JSON string on one line, cut at `max` characters, with U+FFFD for what a reader would not see as a character. */
export function quoted(text: string, max = 100): string {
  return JSON.stringify(visible(text, max));
}

/** Cut at `max` characters, with U+FFFD for what a reader would not see as a character: it stays on its line and in its cell. */
export function visible(text: string, max: number): string {
  const shown = [...text.slice(0, 2 * max + 2).replace(UNSEEN, "\u{fffd}")];
  return (shown.length > max ? [...shown.slice(0, max), "…"] : shown).join("");
}

/** `<name>+<key ID in hex>`: how a vkey begins. */
export function keyLabel(key: KeyId): string {
  return `${key.name}+${keyId(key)}`;
}

/** 8 hex digits, as in a vkey. */
export function keyId({ id }: KeyId): string {
  return id.toString(16).padStart(8, "0");
}

/** Why no pinned key may have signed a checkpoint of the log that it is pinned for. */
export const MAYBE_ROTATED = "The log may have rotated its key: get the new vkey from a source you trust.";
