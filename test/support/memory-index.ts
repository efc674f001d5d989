/** The index's place in memory, which passes its contract suite. */
import { checkRange, type IndexPlace } from "../../platform/index-place.ts";

export type MemoryIndex = IndexPlace & { readonly files: Map<string, Uint8Array> };

export function memoryIndex(files = new Map<string, Uint8Array>()): MemoryIndex {
  return {
    files,
    async read(path, from = 0, to) {
      checkRange(from, to);
      return files.get(path)?.slice(from, to);
    },
    async write(path, bytes) {
      files.set(path, bytes.slice());
    },
    async *list(folder) {
      for (const path of [...files.keys()]) if (path.startsWith(folder)) yield path;
    },
    async remove(path) {
      files.delete(path);
    },
  };
}
