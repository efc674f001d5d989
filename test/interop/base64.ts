// Their base64 does not look at the bits of the last character that stand for no byte; ours wants them zero.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The same bytes for them, nothing for us: one of those bits is set in a text that ends in padded base64. */
export function setUnusedBit(text: string): string {
  return text.replace(
    /(.)(=+\n?)$/,
    (_, last, padding) => `${ALPHABET[ALPHABET.indexOf(last) + 1]}${padding}`,
  );
}

/** Whether a byte is the character before the padding, where a flipped bit may be no change for them. */
export function holdsUnusedBits(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 1] === 0x3d && bytes[at] !== 0x3d;
}
