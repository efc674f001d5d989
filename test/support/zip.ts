/** What packs read in steps, read at once: a test has nothing else to do. */
import { readingZip, type ZipFile } from "@kedge/verify/pack/zip";

export function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

export const readZip = (zip: Uint8Array): Map<string, ZipFile> => atOnce(readingZip(zip));
