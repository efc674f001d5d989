/** The metered backend, from the side of the process that runs the handlers. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Taken, takenSchema } from "./calls.ts";

export type Backend = {
  /** The variables that handlers find it by. */
  readonly environment: Readonly<Record<string, string>>;
  /** The calls since it was last asked, and all that is stored. */
  take(): Promise<Taken>;
  close(): Promise<void>;
};

export async function startBackend(): Promise<Backend> {
  const child = fork(fileURLToPath(new URL("backend.js", import.meta.url)));
  const message = async () => (await once(child, "message"))[0];
  const environment = z.record(z.string(), z.string()).parse(await message());
  return {
    environment,
    async take() {
      child.send("take");
      return takenSchema.parse(await message());
    },
    async close() {
      child.send("close");
      await once(child, "exit");
    },
  };
}
