// A process on a journal, for tests that kill it, cut its power, or fill its disk. Of the compiled code, for it starts without
// vitest. It says what was acknowledged on standard output, a line each, at once.
import { readdirSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openJournal } from "@kedge/cli/journal/journal";

const [command, folder, run, count] = process.argv.slice(2);
const say = (text) => writeSync(1, `${text}\n`);

const key = {
  epoch: 0,
  tenantKey: new Uint8Array(32).fill(1),
  bodyKey: new Uint8Array(32).fill(101),
};
const keys = { current: () => key, of: (epoch) => (epoch === 0 ? key : undefined) };
const event = (content, length = content.length) => ({
  bytes: new TextEncoder().encode(content.padEnd(length)),
  mediaType: "text/plain",
});

const COMMANDS = {
  /** Eight senders at a time, of one to three events a take, until it is killed or each has made as many takes as it is told. */
  async takes() {
    const journal = await openJournal({ folder, keys });
    const intakes = await Promise.all(["a", "b"].map((name) => journal.intake(name)));
    const sender = async (n) => {
      const intake = intakes[n % 2];
      for (let i = 1; count === undefined || i <= Number(count); i++) {
        const contents = Array.from({ length: 1 + (i % 3) }, (_, k) => `${run}.${n}.${i}.${k}`);
        const numbers = await intake.take({
          arrivals: contents.map((content) => event(content, i % 5 === 0 ? 5_000 : undefined)),
          cursors: new Map([[`${run}.${n}`, `${i}`]]),
          forward: [event(`${run}.${n}.${i}`).bytes],
        });
        for (const [k, content] of contents.entries()) say(`${intake.source} ${numbers[k]} ${content}`);
        if (i % 4 === 0) await intake.forwarded(intake.forwards(1)[0]?.id ?? 0n);
      }
    };
    await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(sender));
    await journal.close();
  },

  /** Says whether each take was acknowledged, and how many events there are then; goes on after one that was not. */
  async outcomes() {
    const journal = await openJournal({ folder, keys });
    const intake = await journal.intake("a");
    for (let n = 0; n < Number(count); n++) {
      const outcome = await intake.take({ arrivals: [event(`${n}`)] }).then(
        () => "taken",
        (error) => error.code,
      );
      say(`${outcome} ${[...journal.entries("a")].length}`);
    }
    await journal.close();
  },

  /** Batches of 1,000 until there are so many, each posted, sealed and its body dropped; says what it has open and in use. */
  async load() {
    let now = 0;
    const journal = await openJournal({ folder, keys, now: () => now });
    const intake = await journal.intake("a");
    const arrivals = Array.from({ length: 1_000 }, (_, n) => event(`${n}`, 1_000));
    const receipt = { receivedAt: "2026-11-28T09:00:00Z", log: "log", accepted: 1_000 };
    for (let n = 1; n <= Number(count); n++) {
      now += 1_000;
      await intake.take({ arrivals, forward: [arrivals[0].bytes], cursors: new Map([["at", `${n}`]]) });
      await journal.posted(journal.outbox(1_000), { postedAt: now, ...receipt });
      await journal.sealed(journal.unsealed(1_000).map((place) => ({ ...place, index: place.number })));
      await intake.forwarded(intake.forwards(1)[0].id);
      await journal.dropBodies("a", now - 5_000);
      globalThis.gc();
      const [, anonymous] = /RssAnon:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
      say(
        `${anonymous} ${readdirSync("/proc/self/fd").length} ${statSync(join(folder, "journal.mdb")).size}`,
      );
    }
    await journal.close();
  },

  /** Takes as large as may be, and larger. */
  async large() {
    const journal = await openJournal({ folder, keys });
    const intake = await journal.intake("a");
    const bytes = new Uint8Array(64 << 20).fill(7);
    const [number] = await intake.take({ arrivals: [{ bytes, mediaType: "text/plain" }], forward: [bytes] });
    const [entry] = journal.entries("a", { from: number, to: number });
    say(
      Buffer.compare(entry.bytes, bytes) === 0 && Buffer.compare(intake.forwards(1)[0].message, bytes) === 0,
    );
    const larger = { bytes: new Uint8Array((64 << 20) + 1), mediaType: "text/plain" };
    await intake.take({ arrivals: [larger] }).catch((error) => say(error.name));
    await journal.close();
  },

  async open() {
    try {
      const journal = await openJournal({ folder, keys });
      await (await journal.intake("a")).take({ arrivals: [event("one more")] });
      await journal.close();
      say("taken");
    } catch (error) {
      say(error.code);
    }
  },
};

await COMMANDS[command]();
