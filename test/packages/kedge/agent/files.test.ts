/** Each line of a file is an event once, whatever its writer, its rotation and the agent do, and in whatever order. */
import {
  appendFile,
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type FilesOptions, type FilesSource, filesSchema, openFiles } from "@kedge/cli/agent/files";
import { GAP_MEDIA_TYPE } from "@kedge/verify/events/gap";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type MemoryIntake, memoryIntake } from "../../../support/memory-intake.ts";

let folder: string;
let log: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-files-"));
  log = join(folder, "ehr.ndjson");
});
afterEach(() => rm(folder, { recursive: true }));

/** A source over an intake that outlives it, and a clock that stands until it is moved. */
function agent(options: Partial<FilesOptions> = {}, intake = memoryIntake()) {
  const troubles = new Map<string, string>();
  let time = Date.now();
  const counts = new Map<string, number>();
  const start = (): FilesSource =>
    openFiles(
      filesSchema.parse({ kind: "files", name: "ehr", path: log, ...options }),
      {
        intake,
        signal: new AbortController().signal,
        trouble: (key, what) => {
          if (what === undefined) troubles.delete(key);
          else troubles.set(key, what);
        },
        count: (counter, by = 1) => counts.set(counter, (counts.get(counter) ?? 0) + by),
      },
      () => time,
    );
  let source = start();
  const running = {
    intake,
    troubles,
    counts,
    pass: () => source.pass(),
    later: (seconds: number) => {
      time += 1_000 * seconds;
    },
    /** The process dies, and another takes its place. */
    async restart() {
      await source.close();
      source = start();
    },
    /** Until there is nothing new, and all that waits has waited. */
    async settle() {
      for (let i = 0; i < 4; i++) {
        while (await source.pass()) {}
        running.later(61);
      }
    },
    close: () => source.close(),
  };
  return running;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const events = ({ arrivals }: MemoryIntake): string[] => arrivals.map(({ bytes }) => text(bytes));
const gaps = ({ arrivals }: MemoryIntake): unknown[] =>
  arrivals
    .filter(({ mediaType }) => mediaType === GAP_MEDIA_TYPE)
    .map(({ bytes }) => JSON.parse(text(bytes)));

async function through<T>(
  running: ReturnType<typeof agent>,
  run: (running: ReturnType<typeof agent>) => Promise<T>,
): Promise<T> {
  try {
    return await run(running);
  } finally {
    await running.close();
  }
}

describe("lines", () => {
  test("a line is an event once it ends, and blank ones are none; a carriage return belongs to it, as with kedge post", async () => {
    await through(agent({ content: "lines" }), async ({ pass, intake }) => {
      await writeFile(log, "one\r\n\n \r\ntwo\nthr");
      await pass();
      expect(events(intake)).toEqual(["one\r", "two"]);
      await appendFile(log, "ee\n");
      await pass();
      expect(events(intake)).toEqual(["one\r", "two", "three"]);
      expect(await pass()).toBe(false);
    });
  });

  test("a last line without its end waits in the file that is written to, and is an event of one that is not", async () => {
    await writeFile(log, "one\ntwo");
    await through(agent(), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual(["one"]);
      await rename(log, `${log}.1`);
      await settle();
      expect(events(intake)).toEqual(["one", "two"]);
    });
    await through(agent({ closedAfter: 5, path: `${log}.1` }), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual(["one", "two"]);
    });
  });

  test("bytes are bytes: ISO-8859-1 stays as it is", async () => {
    await writeFile(log, Buffer.from("M\xfcller\n", "latin1"));
    await through(agent({ content: "lines" }), async ({ pass, intake }) => {
      await pass();
      expect(events(intake)).toEqual(["M\xfcller"]);
      expect(intake.arrivals[0]?.mediaType).toBe("text/plain");
    });
  });

  test("a byte order mark is no part of the first event, and is noted; so are NULs that a truncation left", async () => {
    await writeFile(log, '\ufeff{"a":1}\n');
    await writeFile(`${log}.1`, '\0\0\0{"b":1}\n');
    await utimes(`${log}.1`, 1, 1);
    await through(agent(), async ({ pass, intake }) => {
      await pass();
      expect(events(intake)).toEqual(['{"b":1}', '{"a":1}']);
      expect(intake.arrivals.map(({ notes }) => notes)).toEqual([
        ["NULs before it taken away"],
        ["byte order mark taken away"],
      ]);
    });
  });

  test("a line of five megabytes is an event; one above the limit is a gap, and those after it are there", async () => {
    const long = "x".repeat(5_000_000);
    await writeFile(log, `${long}\nafter\n`);
    await through(agent(), async ({ pass, intake }) => {
      await pass();
      expect(events(intake)).toEqual([long, "after"]);
    });
    await through(agent({ limit: 1_000_000 }), async ({ pass, intake }) => {
      await pass();
      expect(gaps(intake)).toEqual([{ kind: "overlong", octets: 5_000_000 }]);
      expect(events(intake)[1]).toBe("after");
    });
  });

  test("a line without end is not read over and over, and is a gap once it ends", async () => {
    await writeFile(log, "x".repeat(5_000));
    await through(agent({ limit: 1_000 }), async ({ pass, later, intake }) => {
      await pass();
      for (let i = 0; i < 5; i++) {
        await appendFile(log, "x".repeat(10));
        expect(await pass()).toBe(false);
      }
      await appendFile(log, "\nafter\n");
      await pass();
      expect(intake.arrivals.length).toBe(0);
      later(6);
      await pass();
      expect(gaps(intake)).toEqual([{ kind: "overlong", octets: 5_050 }]);
      expect(events(intake)[1]).toBe("after");
    });
  });

  test("the text before the JSON is taken away where that is configured, and a line without JSON stays whole", async () => {
    await writeFile(log, '2026-11-28 INFO {"resourceType":"AuditEvent"}\nstarted\n');
    await through(agent({ prefix: true }), async ({ pass, intake }) => {
      await pass();
      expect(intake.arrivals.map(({ bytes, mediaType }) => [text(bytes), mediaType])).toEqual([
        ['{"resourceType":"AuditEvent"}', "application/fhir+json"],
        ["started", "application/json"],
      ]);
    });
  });

  test("a line that is not JSON is taken all the same, and is a gap where it is to be refused", async () => {
    await writeFile(log, '{"a":1}\n{"a":\n');
    await through(agent(), async ({ pass, intake }) => {
      await pass();
      expect(events(intake)).toEqual(['{"a":1}', '{"a":']);
    });
    await through(agent({ refuse: true }), async ({ pass, intake }) => {
      await pass();
      expect(gaps(intake)).toEqual([{ kind: "unreadable", octets: 5, detail: "a line that is not JSON" }]);
    });
  });

  test.each([
    ["UTF-16", Buffer.from('\ufeff{"a":1}\n', "utf16le"), 1],
    ["a proof", "c2sp.org/tlog-proof@v1\n", 0],
    ["credentials", `{"apiKey":"kedge_a_b","tenantKey":"${"0".repeat(64)}"}\n`, 0],
  ])("%s is passed by, with a gap where events may be in it", async (_, content, expected) => {
    await writeFile(log, content);
    await through(agent(), async ({ settle, restart, intake, troubles }) => {
      await settle();
      await restart();
      await settle();
      expect(intake.arrivals.length).toBe(expected);
      expect(gaps(intake).length).toBe(expected);
      expect([...troubles.keys()]).toEqual(["refused"]);
    });
    await through(agent({ asBytes: true, closedAfter: 1 }), async ({ settle, intake }) => {
      await settle();
      expect(gaps(intake)).toEqual([]);
      expect(intake.arrivals.length).toBeGreaterThan(0);
    });
  });
});

describe("rotations", () => {
  test("what is written to a file after its rename is read before what its successor has", async () => {
    await through(agent(), async ({ pass, settle, intake }) => {
      await writeFile(log, "1\n");
      await pass();
      await appendFile(log, "2\n");
      await rename(log, `${log}.1`);
      await appendFile(`${log}.1`, "3\n");
      await writeFile(log, "4\n");
      await settle();
      expect(events(intake)).toEqual(["1", "2", "3", "4"]);
    });
  });

  test("what was not read of a file that is taken away is read, for it is open", async () => {
    await through(agent(), async ({ pass, settle, intake }) => {
      await writeFile(log, "1\n");
      await pass();
      await appendFile(log, "2\n3");
      await unlink(log);
      await settle();
      expect(events(intake)).toEqual(["1", "2", "3"]);
      expect(gaps(intake)).toEqual([]);
    });
  });

  test("what a truncation took away unread is a gap when no copy has it", async () => {
    await through(agent(), async ({ pass, settle, intake }) => {
      await writeFile(log, "1\n2");
      await pass();
      await truncate(log);
      await appendFile(log, "3\n");
      await settle();
      expect(events(intake).slice(0, 2)).toEqual(["1", "3"]);
      expect(gaps(intake)).toMatchObject([{ kind: "lost", octets: 1 }]);
    });
  });

  test("a truncated file that is longer than before is not taken for the same", async () => {
    await through(agent(), async ({ pass, settle, intake }) => {
      await writeFile(log, "1\n");
      await pass();
      await writeFile(log, "22\n33\n");
      await settle();
      expect(events(intake)).toEqual(["1", "22", "33"]);
    });
  });

  test("a copy that is shorter than what was read has nothing new", async () => {
    const line = (i: number) => `line ${i} ${"x".repeat(100)}\n`;
    await through(agent(), async ({ pass, settle, intake }) => {
      for (let i = 0; i < 30; i++) await appendFile(log, line(i));
      await pass();
      await copyFile(log, `${log}.1`);
      await appendFile(log, line(30));
      await pass();
      await truncate(log);
      await pass();
      await appendFile(log, line(31));
      await settle();
      expect(events(intake)).toEqual(Array.from({ length: 32 }, (_, i) => line(i).trim()));
    });
  });

  test("a compressed file whose content is known is not read again, and one that is not known is read", async () => {
    await through(agent(), async ({ pass, settle, restart, intake }) => {
      await writeFile(log, "1\n2\n");
      await pass();
      await appendFile(log, "3\n");
      await writeFile(`${log}.1.gz`, gzipSync(await readFile(log)));
      await unlink(log);
      await writeFile(`${log}.2.gz`, gzipSync("0\n"));
      await restart();
      await settle();
      expect(events(intake).sort()).toEqual(["0", "1", "2", "3"]);
    });
  });

  test("a short file that may be the beginning of another is read, after a while", async () => {
    await through(agent(), async ({ pass, settle, intake }) => {
      await writeFile(log, '{"resourceType":"AuditEvent","id":"1"}\n');
      await pass();
      await writeFile(`${log}.1`, '{"resourceType":\n');
      await settle();
      await unlink(log);
      await settle();
      expect(events(intake)).toEqual(['{"resourceType":"AuditEvent","id":"1"}', '{"resourceType":']);
    });
  });

  test("a compressed file that is cut is read as far as it goes, and the rest is a gap", async () => {
    const zipped = gzipSync(Array.from({ length: 5_000 }, (_, i) => `${i * 7919}\n`).join(""));
    await writeFile(`${log}.1.gz`, zipped.subarray(0, zipped.length - 9));
    await through(agent(), async ({ settle, intake }) => {
      await settle();
      expect(gaps(intake)).toMatchObject([{ kind: "unreadable" }]);
      await writeFile(`${log}.1.gz`, zipped);
    });
  });

  test("files of a backup have other inodes, and are those that they were", async () => {
    const content = Array.from({ length: 60 }, (_, i) => `an event with the number ${i}\n`).join("");
    await writeFile(log, content);
    await through(agent(), async ({ settle, restart, intake }) => {
      await settle();
      const before = await stat(log);
      await copyFile(log, join(folder, "backup"));
      await unlink(log);
      await settle();
      await restart();
      await copyFile(join(folder, "backup"), log);
      expect((await stat(log)).ino).not.toBe(undefined);
      await appendFile(log, "one more\n");
      await settle();
      expect(before.size).toBe(content.length);
      expect(events(intake)).toEqual([...content.trim().split("\n"), "one more"]);
    });
  });
});

describe("a folder", () => {
  test("has files below it read, litter, proofs and symbolic links passed by, and names by their pattern", async () => {
    await mkdir(join(folder, "in", "deep"), { recursive: true });
    await writeFile(join(folder, "in", "a.log"), "a\n");
    await writeFile(join(folder, "in", "deep", "b.log"), "b\n");
    for (const name of [".DS_Store", "c.log~", "d.tlog-proof", "e.part", "f.txt"])
      await writeFile(join(folder, "in", name), "litter\n");
    await writeFile(join(folder, "other"), "linked\n");
    await symlink(join(folder, "other"), join(folder, "in", "g.log"));
    const options: Partial<FilesOptions> = { path: join(folder, "in"), pattern: "*.log" };
    await through(agent(options), async ({ settle, intake }) => {
      await settle();
      expect(events(intake).sort()).toEqual(["a", "b"]);
    });
  });

  test("JSON over several lines, followed as lines, is a trouble; XML is a document", async () => {
    await writeFile(log, '{\n  "a": 1\n}\n');
    await through(agent(), async ({ settle, troubles }) => {
      await settle();
      expect([...troubles.keys()]).toEqual(["content"]);
    });
    const xml = "<AuditMessage>\n</AuditMessage>\n";
    await writeFile(join(folder, "one.xml"), xml);
    await through(agent({ path: join(folder, "one.xml") }), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual([xml]);
    });
  });

  test("a symbolic link that the path names is followed", async () => {
    await writeFile(join(folder, "real.ndjson"), "1\n");
    await symlink(join(folder, "real.ndjson"), log);
    await through(agent(), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual(["1"]);
    });
  });

  test("a file that is an event is taken when it is settled, once, also from a restored backup", async () => {
    const path = join(folder, "in");
    await mkdir(path);
    const event = '{"resourceType":"AuditEvent","id":"1"}';
    await writeFile(join(path, "1.json"), event.slice(0, 20));
    await through(agent({ path, content: "resource" }), async ({ pass, later, settle, restart, intake }) => {
      await pass();
      later(3);
      await pass();
      expect(events(intake)).toEqual([]);
      await writeFile(join(path, "1.json"), event);
      await pass();
      expect(events(intake)).toEqual([]);
      later(3);
      await pass();
      expect(events(intake)).toEqual([event]);
      const { atime, mtime } = await stat(join(path, "1.json"));
      await rm(join(path, "1.json"));
      await settle();
      await writeFile(join(path, "1.json"), event);
      await utimes(join(path, "1.json"), atime, mtime);
      await restart();
      await settle();
      expect(intake.arrivals.map(({ mediaType }) => mediaType)).toContain("application/fhir+json");
    });
  });

  test("a Bundle's resources are events as they stand in its bytes; as a whole it is one where that is configured", async () => {
    const path = join(folder, "in");
    await mkdir(path);
    const resources = [
      '{ "resourceType": "AuditEvent",\n  "id": "1" }',
      '{"resourceType":"AuditEvent","id":"2"}',
    ];
    const entries = resources.map((resource) => `{"resource":${resource}}`).join(",");
    const bundle = `{"resourceType":"Bundle","type":"collection","entry":[${entries}]}`;
    await writeFile(join(path, "1.json"), bundle);
    for (const content of ["auto", "bundle"] as const) {
      await through(agent({ path, content }), async ({ settle, restart, intake }) => {
        await settle();
        await restart();
        await settle();
        expect(events(intake)).toEqual(resources);
        expect(intake.arrivals.every(({ mediaType }) => mediaType === "application/fhir+json")).toBe(true);
      });
    }
    await through(agent({ path, content: "resource" }), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual([bundle]);
    });
  });

  test("a file that is cut is taken once it stays so, whole or as a gap", async () => {
    const path = join(folder, "in");
    await mkdir(path);
    const cut = '{"resourceType":"AuditEvent",';
    await writeFile(join(path, "1.json"), cut);
    await through(agent({ path }), async ({ pass, later, settle, intake }) => {
      await pass();
      later(30);
      await pass();
      expect(events(intake)).toEqual([]);
      await settle();
      expect(intake.arrivals.map(({ bytes, notes }) => [text(bytes), notes])).toEqual([
        [cut, ["ends in the middle"]],
      ]);
    });
    await through(agent({ path, refuse: true }), async ({ settle, intake }) => {
      await settle();
      expect(gaps(intake)).toMatchObject([{ kind: "unreadable", octets: cut.length }]);
    });
  });

  test("a compressed document is a gap, for it is no event as it stands", async () => {
    const path = join(folder, "in");
    await mkdir(path);
    await writeFile(join(path, "1.json.gz"), gzipSync('{\n"resourceType":"AuditEvent"\n}'));
    await through(agent({ path }), async ({ settle, intake }) => {
      await settle();
      expect(gaps(intake)).toMatchObject([{ kind: "unreadable", detail: "compressed (gzip)" }]);
      expect(intake.arrivals.length).toBe(1);
    });
  });

  test("of a file above the limit a gap is told, of an empty one nothing", async () => {
    const path = join(folder, "in");
    await mkdir(path);
    await writeFile(join(path, "1.json"), "x".repeat(101));
    await writeFile(join(path, "2.json"), "");
    await through(agent({ path, content: "resource", limit: 100 }), async ({ settle, intake }) => {
      await settle();
      expect(gaps(intake)).toEqual([{ kind: "overlong", octets: 101 }]);
      expect(intake.arrivals.length).toBe(1);
    });
  });

  test.runIf(process.getuid?.() !== 0)(
    "without permission it is a trouble, until there is some",
    async () => {
      const path = join(folder, "in");
      await mkdir(path);
      await writeFile(join(path, "a.log"), "a\n");
      await through(agent({ path }), async ({ settle, intake, troubles }) => {
        await chmod(path, 0);
        await settle();
        expect([...troubles.keys()]).toEqual(["folder"]);
        await chmod(path, 0o700);
        await settle();
        expect(troubles.size).toBe(0);
        expect(events(intake)).toEqual(["a"]);
      });
    },
  );
});

describe("delimited files", () => {
  test("a row's bytes without its line end are the event, its header is a note, and quoted fields hold line ends", async () => {
    await writeFile(join(folder, "a.csv"), 'when,who,why\r\n1,a,"x\ny"\r\n2,b,"say ""no"""\r\n3,c');
    await through(agent({ path: join(folder, "a.csv"), closedAfter: 1 }), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual(['1,a,"x\ny"', '2,b,"say ""no"""', "3,c"]);
      expect(intake.arrivals.map(({ notes, mediaType }) => [notes, mediaType])).toEqual(
        Array(3).fill([["header 1"], "text/csv"]),
      );
      expect(JSON.parse(intake.cursor("header/1") ?? "")).toMatchObject({ header: ["when", "who", "why"] });
    });
  });

  test("files with other columns have another header, and the separator is told from the first row", async () => {
    const path = join(folder, "in");
    await mkdir(path);
    await writeFile(join(path, "1.txt"), "A|B\n1|2\n");
    await utimes(join(path, "1.txt"), 1, 1);
    await writeFile(join(path, "2.txt"), 'A\tB\n3\t"4\n5"\n');
    await through(agent({ path, content: "delimited" }), async ({ pass, restart, intake }) => {
      await pass();
      await restart();
      await appendFile(join(path, "2.txt"), "6\t7\n");
      await pass();
      expect(
        intake.arrivals.map(({ bytes, mediaType, notes }) => [text(bytes), mediaType, notes?.[0]]),
      ).toEqual([
        ["1|2", "text/csv", "header 1"],
        ['3\t"4\n5"', "text/tab-separated-values", "header 2"],
        ["6\t7", "text/tab-separated-values", "header 2"],
      ]);
    });
  });

  test("a first row without any of the preset's columns is no header, and so an event", async () => {
    await writeFile(join(folder, "a.csv"), "2026-11-28,U1\n2026-11-29,U2\n");
    for (const options of [{ preset: { "user.login": "USER_ID" } }, { header: false }]) {
      await through(agent({ path: join(folder, "a.csv"), ...options }), async ({ settle, intake }) => {
        await settle();
        expect(events(intake)).toEqual(["2026-11-28,U1", "2026-11-29,U2"]);
        expect(JSON.parse(intake.cursor("header/1") ?? "")).toMatchObject({ separator: ",", header: [] });
      });
    }
    const preset = { "user.login": "EMP.USER_ID" };
    await writeFile(join(folder, "b.csv"), "WHEN,USER_ID\n2026-11-28,U1\n");
    await through(agent({ path: join(folder, "b.csv"), preset }), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual(["2026-11-28,U1"]);
    });
  });

  test("a quote that is never closed loses no row", async () => {
    await writeFile(join(folder, "a.csv"), 'a,b\n1,"open\n2,x\n3,y\n');
    await through(agent({ path: join(folder, "a.csv"), closedAfter: 1 }), async ({ settle, intake }) => {
      await settle();
      expect(events(intake)).toEqual(['1,"open', "2,x", "3,y"]);
    });
  });
});

test("while the journal cannot be written the source waits, says so, and goes on from where it was", async () => {
  await writeFile(log, "1\n2\n");
  const intake = memoryIntake();
  const told: (string | undefined)[] = [];
  const stop = new AbortController();
  intake.fault = (take) => (take === 1 ? "before" : undefined);
  const running = openFiles(filesSchema.parse({ kind: "files", name: "ehr", path: log, poll: 0.05 }), {
    intake,
    signal: stop.signal,
    trouble: (key, what) => key === "reading" && told.push(what),
    count: () => undefined,
  }).run();
  await expect.poll(() => events(intake), { timeout: 30_000 }).toEqual(["1", "2"]);
  await expect.poll(() => told.at(-1), { timeout: 30_000 }).toBe(undefined);
  expect(told[0]).toBe("crashed before the take");
  stop.abort();
  await running;
});

// ---- any order of anything ----------------------------------------------------------------------------------------

type Step =
  | { do: "write"; bytes: number }
  | { do: "pass" | "kill" | "rename" | "copytruncate" | "gzip" | "wait" }
  | { do: "crash"; when: "before" | "after" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("write" as const), bytes: fc.nat(400) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "pass" as const,
        "pass" as const,
        "kill" as const,
        "rename" as const,
        "gzip" as const,
        "wait" as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("crash" as const),
      when: fc.constantFrom("before" as const, "after" as const),
    }),
  },
);
const stepWithCopies = fc.oneof(
  { weight: 4, arbitrary: step },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("copytruncate" as const) }) },
);

/** Renames every rotated file to the next number, as logrotate does. */
async function shift(): Promise<void> {
  for (let i = 20; i >= 1; i--) {
    for (const end of ["", ".gz"])
      await rename(`${log}.${i}${end}`, `${log}.${i + 1}${end}`).catch(() => undefined);
  }
}

async function play(steps: readonly Step[], lines: readonly string[]): Promise<void> {
  await rm(folder, { recursive: true });
  await mkdir(folder);
  await writeFile(log, "");
  let ahead = Buffer.from(lines.map((line) => `${line}\n`).join(""));
  await through(agent(), async (running) => {
    const { intake } = running;
    for (const next of steps) {
      if (next.do === "write") {
        await appendFile(log, ahead.subarray(0, next.bytes));
        ahead = ahead.subarray(next.bytes);
      } else if (next.do === "pass") await running.pass();
      else if (next.do === "wait") running.later(20);
      else if (next.do === "kill") await running.restart();
      else if (next.do === "crash") {
        intake.fault = () => next.when;
        await running.pass().catch(() => undefined);
        intake.fault = undefined;
        await running.restart();
      } else if (next.do === "rename" || next.do === "copytruncate") {
        // A writer ends its line before it goes to another file.
        const rest = ahead.indexOf("\n") + 1;
        const isWithin = (await readFile(log)).at(-1) !== 0x0a && (await stat(log)).size > 0;
        if (isWithin) {
          await appendFile(log, ahead.subarray(0, rest));
          ahead = ahead.subarray(rest);
        }
        await shift();
        if (next.do === "rename") await rename(log, `${log}.1`);
        else await copyFile(log, `${log}.1`);
        if (next.do === "rename") await writeFile(log, "");
        else await truncate(log);
      } else {
        for (const i of [1, 2, 3]) {
          const content = await readFile(`${log}.${i}`).catch(() => undefined);
          if (content === undefined) continue;
          await writeFile(`${log}.${i}.gz`, gzipSync(content));
          await unlink(`${log}.${i}`);
          break;
        }
      }
    }
    await appendFile(log, ahead);
    await running.settle();
    await running.restart();
    await running.settle();
    expect(events(intake).sort()).toEqual([...lines].sort());
  });
}

const manyLines = fc
  .array(fc.nat(120), { minLength: 1, maxLength: 40 })
  .map((lengths) => lengths.map((length, i) => `{"event":${i},"text":"${"x".repeat(length)}"}`));

/** More by hand. */
const RUNS = Number(process.env["KEDGE_RUNS"] ?? 25);
const time = 60_000 + 100 * RUNS;

test(
  "every line is an event once, whatever is written, rotated, compressed, killed and restarted meanwhile",
  async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), manyLines, play), { numRuns: RUNS });
  },
  time,
);

test(
  "the same with files that are copied and truncated",
  async () => {
    const steps = fc.array(stepWithCopies, { maxLength: 40 });
    await fc.assert(fc.asyncProperty(steps, manyLines, play), { numRuns: RUNS });
  },
  time,
);

test("a kill at every byte of what is written loses nothing and repeats nothing", async () => {
  const content = '\ufeff{"a":1}\r\n\n{"b":"é"}\n{"c":3}\n';
  const bytes = Buffer.from(content);
  for (let cut = 0; cut <= bytes.length; cut++) {
    await writeFile(log, bytes.subarray(0, cut));
    await through(agent(), async ({ pass, restart, intake }) => {
      await pass();
      await restart();
      await appendFile(log, bytes.subarray(cut));
      await pass();
      expect(intake.arrivals.map((arrival) => Buffer.from(arrival.bytes).toString())).toEqual([
        '{"a":1}\r',
        '{"b":"é"}',
        '{"c":3}',
      ]);
    });
    await rm(log);
  }
});
