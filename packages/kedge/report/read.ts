/** Reads a file that lies beside the code: on disk. */
import { readFile } from "node:fs/promises";

export const readBeside = async (url: URL): Promise<Uint8Array> => await readFile(url);
