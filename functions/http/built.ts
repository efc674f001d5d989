/** Where the pages lie that `npm run build` makes: beside a function's bundle, or in the repository, of which this may be in dist/. */
import { existsSync } from "node:fs";
import { join } from "node:path";

export const CONSOLE_PAGE = "console/dist/index.html";
export const VERIFIER_PAGE = "packages/verify/dist/verify.html";

/** @returns the path of the file; undefined while it is not built. */
export const built = (page: typeof CONSOLE_PAGE | typeof VERIFIER_PAGE): string | undefined =>
  ["", "../..", "../../.."]
    .map((above) => join(import.meta.dirname, above, page))
    .find((path) => existsSync(path));
