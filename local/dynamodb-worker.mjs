// The thread in which dynalite runs. Plain JavaScript, so that it starts under node, tsx and vitest alike.
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import dynalite from "dynalite";

/** How long a close lets requests under way finish before it cuts their connections. */
const CLOSE_GRACE_MS = 2_000;

const { path, port } = workerData;
if (path !== undefined) await checkOpens(path);

const server = dynalite({
  ...(path === undefined ? {} : { path }),
  createTableMs: 0,
  updateTableMs: 0,
  deleteTableMs: 0,
});
const [handle] = server.listeners("request");

server.removeAllListeners("request");
server.on("request", (request, response) => {
  // dynalite answers CORS for every origin; an AWS client has none, so a web page is who asks.
  if (request.headers.origin !== undefined) {
    response.writeHead(403).end();
    return;
  }
  handle(request, response);
  // dynalite throws when a client goes away in the middle of a body; nothing was done for it yet.
  request.removeAllListeners("error");
  request.on("error", () => {});
});

server.listen(port, "127.0.0.1", () => {
  parentPort.postMessage(server.address().port);
});

parentPort.once("message", () => {
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  // dynalite calls back once LevelDB has closed.
  server.close((error) => {
    if (error) throw error;
    clearTimeout(cut);
    parentPort.close();
  });
});

/** dynalite opens its store behind the first request and hides why that failed, so it is opened once before. */
async function checkOpens(path) {
  const requireFromDynalite = createRequire(createRequire(import.meta.url).resolve("dynalite"));
  const { Level } = requireFromDynalite("level");
  await mkdir(path, { recursive: true, mode: 0o700 });
  const store = new Level(path);
  try {
    await store.open();
  } catch (error) {
    throw error.cause ?? error;
  }
  await store.close();
}
