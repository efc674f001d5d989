/** Whether the store that this process has open is still the one in the data folder. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { ServiceError } from "../platform/error.ts";
import { STORE } from "./state.ts";

const EVERY_MS = 1_000;

/**
 * A file that was removed takes writes until it is closed, and loses them then; without its lock file, a second process
 * would write beside this one. So `onLost` is told, once, within a second: this process is to end.
 */
export function watchStore(
  folder: string,
  onLost: (error: ServiceError) => void,
): { close(): Promise<void> } {
  const paths = ["data.mdb", "lock.mdb"].map((name) => join(folder, STORE, name));
  const before = paths.map(identityOf);
  const timer = setInterval(() => {
    const lost = paths.find((path, i) => identityOf(path) !== before[i]);
    if (lost === undefined) return;
    clearInterval(timer);
    onLost(
      new ServiceError("unavailable", `${lost} was removed or replaced under the server, which has stopped`),
    );
  }, EVERY_MS);
  timer.unref();
  return { close: async () => clearInterval(timer) };
}

function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.dev} ${found.ino}`;
}
