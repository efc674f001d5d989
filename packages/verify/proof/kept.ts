/** What was read from a text, and verified, kept for the next proof that carries the same text. */
import { utf8Decode, utf8Encode } from "../tlog/bytes.ts";

const MAX_KEPT = 16;
/** Characters. A checkpoint with sixteen ML-DSA-44 cosignatures has 54,000. */
const MAX_TEXT = 1 << 16;

/**
 * `read`, with what it gave for the last `MAX_KEPT` texts kept by the whole text, so that no proof can fill the memory.
 * What throws is not kept, nor is what is longer than `MAX_TEXT`. Throws `malformed` for text that is not valid Unicode.
 */
export function kept<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, { value: T }>();
  return (text) => {
    if (text.length > MAX_TEXT) return read(text);
    const found = known.get(text);
    if (found !== undefined) {
      known.delete(text);
      known.set(text, found);
      return found.value;
    }
    // A copy, the same to the character: a slice of a file would keep the whole file in memory.
    const own = utf8Decode(utf8Encode(text, "The text"), "The text");
    const value = read(own);
    known.set(own, { value });
    const [oldest] = known.keys();
    if (known.size > MAX_KEPT && oldest !== undefined) known.delete(oldest);
    return value;
  };
}
