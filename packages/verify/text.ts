/** Text of others, and names of keys, as they stand in our own sentences. */
import type { KeyId } from "./tlog/note.ts";

const UNSEEN = /(?! )[\p{C}\p{White_Space}\p{Default_Ignorable_Code_Point}\u2800]/gu;
/** Marks on one character beyond what any script has: thousands would cover what stands above and below them. */
const PILED = /(\p{M}{8})\p{M}+/gu;

/** As a JSON string on one line, cut at `max` characters, with U+FFFD for what a reader would not see as a character. */
export function quoted(text: string, max = 100): string {
  return JSON.stringify(visible(text, max));
}

/** Cut at `max` characters, with U+FFFD for what a reader would not see as a character: it stays on its line and in its cell. */
export function visible(text: string, max: number): string {
  const start = text.slice(0, 2 * max + 2).replace(UNSEEN, "\u{fffd}");
  const shown = [...start.replace(PILED, "$1\u{fffd}")];
  return (shown.length > max ? [...shown.slice(0, max), "…"] : shown).join("");
}

/** Of a file that some program saved: UTF-16 by its byte order mark, else UTF-8. The mark is left out; what is neither is U+FFFD. */
export const decodedText = (bytes: Uint8Array): string =>
  new TextDecoder(utf16Of(bytes) ?? "utf-8").decode(bytes);

/** Which UTF-16 it is by its byte order mark; undefined where it has none. */
export function utf16Of([first, second]: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : undefined;
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
