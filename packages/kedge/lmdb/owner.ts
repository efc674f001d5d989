/** One owner of a source at a time, by what the kernel takes back when a process ends, however it ends. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { constants, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

/** open(2) of macOS and the BSDs: the file is locked until it is closed, and who comes second is told at once. */
const O_EXLOCK = 0x20;

/** Returns what gives it back; undefined while another process of this machine has it. The folder is there. */
export async function takeOwnership(
  folder: string,
  source: string,
): Promise<(() => Promise<void>) | undefined> {
  const { dev, ino } = statSync(folder, { bigint: true });
  const name = createHash("sha256").update(`${dev} ${ino}\0${source}`).digest("hex").slice(0, 40);
  switch (process.platform) {
    case "linux":
      return await listen(`\0kedge-source-${name}`);
    case "win32":
      return await listen(`\\\\.\\pipe\\kedge-source-${name}`);
    default:
      return await lock(join(folder, `${name}.lock`));
  }
}

/** An abstract socket or a named pipe: a name that has one listener, and is no file that could stay behind. */
async function listen(path: string): Promise<(() => Promise<void>) | undefined> {
  const server = createServer((socket) => socket.destroy());
  server.listen(path);
  try {
    await once(server, "listening");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return undefined;
    throw error;
  }
  server.unref();
  return async () => {
    server.close();
    await once(server, "close");
  };
}

async function lock(path: string): Promise<(() => Promise<void>) | undefined> {
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | O_EXLOCK;
    const file = await open(path, flags, 0o600);
    return () => file.close();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EAGAIN" || code === "EWOULDBLOCK") return undefined;
    throw error;
  }
}
