/**
 * The embedded DynamoDB: dynalite on LevelDB, in a thread of its own so that its work does not hold up requests.
 * Writes survive kill -9; LevelDB does not fsync them, so a power cut may take the last ones, unless `sync` is asked for.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { ServiceError } from "../error.ts";

/**
 * Serves DynamoDB on 127.0.0.1, from `<dataDir>/dynamodb` or, without one, from memory; without a port, on a free
 * one; to clients with this access key id or, without one, to every program on this machine. Throws ServiceError
 * "unavailable" when the data or the port cannot be opened, "corrupt" when the data is damaged: `repair` says what to do then.
 * `onFailure` is told when the thread fails later: a store that is gone cannot be waited for, so the process is to end, and
 * without it does. close() resolves once LevelDB has closed.
 */
export async function startDynamodb(
  options: {
    dataDir?: string;
    port?: number;
    accessKeyId?: string;
    sync?: boolean;
    repair?: string;
    onFailure?: (error: ServiceError) => void;
  } = {},
): Promise<{ url: string; close(): Promise<void> }> {
  const path = options.dataDir === undefined ? undefined : join(options.dataDir, "dynamodb");
  const worker = new Worker(new URL("./dynamodb-worker.mjs", import.meta.url), {
    workerData: {
      path,
      port: options.port ?? 0,
      accessKeyId: options.accessKeyId,
      sync: options.sync === true,
    },
    // The flags of the process (--input-type and the like) are not meant for this file.
    execArgv: [],
  });
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  const explained = (cause: unknown): ServiceError => {
    if (isDamage(cause)) {
      const message = `${path} is damaged: ${options.repair ?? "bring it back from a backup"}`;
      return new ServiceError("corrupt", message, { cause });
    }
    const isLocked = cause instanceof Error && "code" in cause && cause.code === "LEVEL_LOCKED";
    const message = isLocked
      ? `another process has ${path} open: it runs there already, or is just starting or stopping`
      : `the embedded DynamoDB cannot open ${path ?? "its port"}; check that no other process uses it, and the disk`;
    return new ServiceError("unavailable", message, { cause });
  };
  const url = await started(worker).catch(async (cause: unknown) => {
    await worker.terminate();
    throw explained(cause);
  });
  worker.once("error", (cause) => {
    const error = isDamage(cause)
      ? explained(cause)
      : new ServiceError(
          "unavailable",
          `the embedded DynamoDB failed (${cause}): check the disk, and start again`,
          { cause },
        );
    if (options.onFailure === undefined) throw error;
    options.onFailure(error);
  });

  const close = async () => {
    worker.postMessage("close");
    await exited;
  };
  return { url, close };
}

/** What LevelDB says of bytes that it did not write, and of files that it misses. */
const isDamage = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  (error.code === "LEVEL_CORRUPTION" ||
    (error.code === "LEVEL_IO_ERROR" && error.message.endsWith("No such file or directory")));

/** Resolves to the URL once the worker listens, rejects with what stopped it before. */
function started(worker: Worker): Promise<string> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (port: number) => {
      worker.off("error", reject);
      resolve(`http://127.0.0.1:${port}`);
    });
  });
}
