// The thread in which dynalite runs. Plain JavaScript, so that it starts under node and vitest alike.
import { EventEmitter } from "node:events";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import dynalite from "dynalite";
import { refusalOf } from "./access.mjs";

/** How long a close lets requests under way finish before it cuts their connections. */
const CLOSE_GRACE_MS = 2_000;
/** That of DynamoDB's largest request, BatchWriteItem. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** Attribute values nest 32 levels deep in DynamoDB, a type and a value each. */
const MAX_DEPTH = 100;
/** DynamoDB's own limit. */
const MAX_EXPRESSION = 4096;
/** dynalite's parser takes ten times as long with every further parenthesis that is open. */
const NESTED = /(\([^()]*){5}/;

/** The copies of these packages that dynalite itself uses. */
const ofDynalite = createRequire(createRequire(import.meta.url).resolve("dynalite"));
const ofLevel = createRequire(ofDynalite.resolve("level"));
const { Level } = ofDynalite("level");

const { path, port, accessKeyId, sync } = workerData;
closeIterators();
if (sync) syncWrites();
if (path !== undefined) await prepare(path);

const server = dynalite({
  ...(path === undefined ? {} : { path }),
  createTableMs: 0,
  updateTableMs: 0,
  deleteTableMs: 0,
});
const [handle] = server.listeners("request");

server.removeAllListeners("request");
server.on("request", (request, response) => {
  answer(request, response).catch(() => response.destroy());
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

/** dynalite throws at much that is not a DynamoDB client's request, so it sees nothing else. */
async function answer(request, response) {
  const refusal = refusalOf(request.headers, accessKeyId);
  if (refusal !== undefined) return fail(request, response, 403, "AccessDeniedException", refusal);
  if (request.method !== "POST" || request.url !== "/") {
    return fail(request, response, 404, "UnknownOperationException", "Send POST /");
  }
  const body = await readBody(request);
  if (body === undefined) {
    const message = `A body has at most ${MAX_BODY_BYTES} bytes`;
    return fail(request, response, 413, "RequestEntityTooLargeException", message);
  }
  if (!isPlainRequest(body)) {
    const message = "The body is not a JSON object, or nests too deep";
    return fail(request, response, 400, "SerializationException", message);
  }
  const { headers } = request;
  // What dynalite uses of a request. The body is there already, so all that it throws at once is caught here.
  const whole = Object.assign(new EventEmitter(), { method: "POST", url: "/", headers });
  try {
    handle(whole, response);
    whole.emit("data", body);
    whole.emit("end");
  } catch {
    fail(request, response, 500, "InternalServerError", "The embedded DynamoDB failed at this request");
  }
}

/** @returns undefined when it is too large; the rest is then left unread. */
async function readBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isPlainRequest(body) {
  try {
    const value = JSON.parse(body.toString());
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    return isFlat(value, MAX_DEPTH) && Object.entries(value).every(isSimple);
  } catch {
    return false;
  }
}

function isFlat(value, depth) {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((member) => isFlat(member, depth - 1));
}

function isSimple([name, text]) {
  return !name.endsWith("Expression") || (text.length <= MAX_EXPRESSION && !NESTED.test(text));
}

function fail(request, response, status, type, message) {
  // The rest of a refused body is read and dropped, or it would block the connection.
  request.resume();
  if (response.headersSent) return response.destroy();
  const payload = JSON.stringify({ __type: `com.amazon.coral.service#${type}`, message });
  response.writeHead(status, {
    "content-type": "application/x-amz-json-1.0",
    "content-length": Buffer.byteLength(payload),
  });
  response.end(payload);
}

/**
 * Opens the store once before dynalite does, which would do so behind its first request and hide why that failed; and
 * ends what kill -9 cut short: dynalite goes from CREATING to ACTIVE, and from DELETING to nothing, by a timer.
 */
async function prepare(path) {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const store = new Level(path, { valueEncoding: "json" });
  try {
    await store.open();
  } catch (error) {
    throw error.cause ?? error;
  }
  for await (const [key, table] of store.iterator({ gte: "table~", lt: "table\x7f" })) {
    if (table.TableStatus === "CREATING") await store.put(key, { ...table, TableStatus: "ACTIVE" });
    if (table.TableStatus !== "DELETING") continue;
    const items = `item-${table.TableName}`;
    await store.clear({ gte: `${items}~`, lt: `${items}\x7f` });
    await store.del(key);
  }
  await store.close();
}

/**
 * dynalite 4.0.0 calls `return` on an iterator that it is done with, but level's iterators have `close` instead. Each
 * query would leave one open, and LevelDB deletes no file that an open iterator could still read.
 */
function closeIterators() {
  const { AbstractKeyIterator, AbstractValueIterator } = ofLevel("abstract-level");
  AbstractKeyIterator.prototype.return = AbstractKeyIterator.prototype.close;
  AbstractValueIterator.prototype.return = AbstractValueIterator.prototype.close;
}

/** LevelDB says that a write is done before the disk has it, unless it is told to wait; dynalite never tells it. */
function syncWrites() {
  const { prototype } = Level;
  const { put, batch } = prototype;
  prototype.put = function (key, value, options) {
    return put.call(this, key, value, { ...options, sync: true });
  };
  prototype.batch = function (operations, options) {
    return batch.call(this, operations, { ...options, sync: true });
  };
}
