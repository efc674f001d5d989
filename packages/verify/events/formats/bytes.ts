/**
 * Plain bytes: whatever no other format recognises, such as a line of a log file, or a picture.
 *
 * The hash covers the bytes as they came, all of them. There are no columns, and nothing is refused.
 */
import type { Format } from "./format.ts";

export const plainBytes: Format = {
  name: "bytes",
  mediaTypes: [],
  recognises: () => true,
  read: () => ({}),
};
