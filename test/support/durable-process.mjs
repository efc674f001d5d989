// A process on a data folder, for tests that kill it, race several, or take the disk or the files from it. Of the compiled
// code, for it starts without vitest. It says what it has done on standard output, a line each, at once.
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { folderPublication } from "../../dist/platform/folder.js";
import { folderIndex } from "../../dist/platform/index-folder.js";
import { lmdbStore } from "../../dist/platform/lmdb.js";
import { holdLock } from "../../dist/platform/lock.js";
import { changeFile, createFile } from "../../dist/platform/publication.js";
import { putIf } from "../../dist/platform/store.js";

const [command, folder, count] = process.argv.slice(2);
const say = (text) => writeSync(1, `${text}\n`);
const url = (name) => pathToFileURL(`${join(folder, name)}/`);
const bytes = (n, length) => new Uint8Array(length).fill(n);

const store = () => lmdbStore(join(folder, "store"));
const publication = folderPublication(url("published"));
const index = folderIndex(url("index"));
const item = (n) => ({ pk: "pending", sk: String(n).padStart(6, "0"), data: bytes(n, 3000) });

/** What each round writes; all of it is there once the round is said. */
async function writeRound(open, n) {
  await open.put(item(n));
  await putIf(
    open,
    { pk: "log", sk: "head", version: BigInt(n) },
    { kind: "absentOrBelow", attribute: "version", value: BigInt(n) },
  );
  await createFile(publication, `logs/a/batch/${n}`, bytes(n, 500));
  await changeFile(publication, "logs/a/head", () => new TextEncoder().encode(String(n)));
  await index.write(`a/0/${n}`, bytes(n, 5000));
  if (n % 4 === 3) await open.write([], [item(n - 2)]);
}

const COMMANDS = {
  /** Rounds until it is killed, or as many as it is told. */
  async rounds() {
    const open = store();
    for (let n = 0; count === undefined || n < Number(count); n++) {
      await writeRound(open, n);
      say(n);
    }
    await open.close();
  },

  /** Adds to one number in the store and one in the publication, by compare-and-swap, in a race with others. */
  async add() {
    const open = store();
    const key = { pk: "log", sk: "sum" };
    for (let added = 0; added < Number(count); ) {
      const [now] = await open.get([key]);
      const version = now?.version ?? 0n;
      const condition =
        now === undefined ? { kind: "absent" } : { kind: "equals", attribute: "version", value: version };
      if (await putIf(open, { ...key, version: version + 1n }, condition)) added++;
    }
    for (let added = 0; added < Number(count); ) {
      const now = await publication.read("logs/sum");
      const sum = now === undefined ? 0 : Number(new TextDecoder().decode(now.bytes));
      const next = new TextEncoder().encode(String(sum + 1));
      if (await publication.replace("logs/sum", next, now?.tag)) added++;
    }
    await open.close();
    say("added");
  },

  /** Holds the lock of the publication, or of the folder named by `count`, until it is killed. */
  hold() {
    holdLock(join(folder, count ?? "published/.lock"), () => {
      say("holds");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });
  },

  /** Puts one item. */
  async put() {
    const open = store();
    await open.put({ pk: "other", sk: count });
    await open.close();
    say("put");
  },

  /** Uses up what files a process may open, and sees what goes on; then gives them back. */
  async files() {
    const open = store();
    await writeRound(open, 0);
    const held = [];
    try {
      for (;;) held.push(openSync("/dev/null", "r"));
    } catch (error) {
      say(error.code);
    }
    const outcome = (run) =>
      run().then(
        () => "done",
        (error) => error.code,
      );
    say(await outcome(() => open.put(item(1))));
    say(await outcome(() => open.get([item(0), item(1)])));
    say(await outcome(() => publication.replace("logs/a/head", bytes(1, 1), undefined)));
    say(await outcome(() => publication.replace("logs/a/new", bytes(1, 1), undefined)));
    say(await outcome(() => index.write("a/0/1", bytes(1, 1))));
    say(await outcome(() => index.read("a/0/0")));
    for (const file of held) closeSync(file);
    await writeRound(open, 1);
    say("done");
    await open.close();
  },

  /** Says whether each put was made; goes on after one that was not. */
  async outcomes() {
    const open = store();
    for (let n = 0; n < Number(count); n++) {
      const made = await open.put(item(n)).then(
        () => "put",
        (error) => error.code,
      );
      const [there] = await open.get([item(n)]);
      say(`${made} ${there === undefined ? "absent" : "there"}`);
    }
    await open.close();
  },

  async open() {
    try {
      await store().close();
      say("opened");
    } catch (error) {
      say(error.code);
    }
  },
};

await COMMANDS[command]();
