/** A number belongs to an event before anything is posted, and stays with it. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { keyId } from "@kedge/cli/keys/epoch-key";
import {
  copyNumbers,
  type NumberedSource,
  type OwnedNumbers,
  ownNumbers,
  readNumbers,
} from "@kedge/cli/numbering/numbers";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

let folder: string;
let of: NumberedSource;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-numbers-"));
  of = { folder, source: "ehr", tenantKeys: [new Uint8Array(32).fill(7)] };
});
afterEach(() => rm(folder, { recursive: true }));

const text = new TextEncoder();
const commitmentOf = (event: string, sequence: bigint) =>
  text.encode(`${event} ${sequence}`.padEnd(32)).slice(0, 32);

/** Numbers the events of one file. */
function numberFile(numbers: OwnedNumbers, events: readonly string[]): bigint[] {
  const given = tryNumberFile(numbers, events);
  return given.map((number) => {
    if (typeof number !== "bigint") throw number;
    return number;
  });
}

function tryNumberFile(numbers: OwnedNumbers, events: readonly string[], options = "") {
  const counts = new Map<string, number>();
  return numbers.assign(
    events.map((event) => {
      const occurrence = counts.get(event) ?? 0;
      counts.set(event, occurrence + 1);
      const commitAs = (sequence: bigint) => commitmentOf(event + options, sequence);
      return { bytes: text.encode(event), occurrence, commitAs };
    }),
  );
}

async function owning<T>(
  run: (numbers: OwnedNumbers) => T | Promise<T>,
  other: Partial<NumberedSource> = {},
): Promise<T> {
  const numbers = await ownNumbers({ ...of, ...other });
  try {
    return await run(numbers);
  } finally {
    await numbers.close();
  }
}

const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => "none",
    (error: { code?: string }) => error.code,
  );

test("files posted in any order, whole or in part, moved or grown: each event has one number, without gaps", async () => {
  const event = fc.constantFrom(..."abcdefgh");
  const file = fc.array(event, { minLength: 1, maxLength: 8 });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(file, { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat()),
      async (files, again) => {
        run += 1;
        const source = `source ${run}`;
        await owning(
          async (numbers) => {
            const first = files.map((events) => numberFile(numbers, events));
            // No event twice within a file, and nothing left out over all.
            for (const given of first) expect(new Set(given).size).toBe(given.length);
            const all = [...new Set(first.flat())].sort((a, b) => (a < b ? -1 : 1));
            expect(all).toEqual(all.map((_, i) => BigInt(i + 1)));
            for (const at of again) {
              const i = at % files.length;
              const part = (files[i] ?? []).slice(0, 1 + (at % 8));
              expect(numberFile(numbers, part)).toEqual(first[i]?.slice(0, part.length));
            }
            const grown = [...(files[0] ?? []), "new"];
            expect(numberFile(numbers, grown)).toEqual([...(first[0] ?? []), BigInt(all.length + 1)]);
          },
          { source },
        );
      },
    ),
    { numRuns: 30 },
  );
});

test("two equal lines of a file are two events, and the same lines elsewhere are those two", async () => {
  await owning((numbers) => {
    expect(numberFile(numbers, ["x", "y", "x"])).toEqual([1n, 2n, 3n]);
    expect(numberFile(numbers, ["x"])).toEqual([1n]);
    expect(numberFile(numbers, ["x", "x", "x"])).toEqual([1n, 3n, 4n]);
  });
});

test("numbers are there again for who opens the state later, and for who only reads, even beside the owner", async () => {
  expect(readNumbers(of)).toBeUndefined();
  await owning((numbers) => numberFile(numbers, ["a", "b"]));
  await owning(async (numbers) => {
    expect(numbers.isNew).toBe(false);
    const reader = readNumbers(of);
    expect(reader?.find({ bytes: text.encode("b"), occurrence: 0 })).toBe(2n);
    expect(reader?.find({ bytes: text.encode("b"), occurrence: 1 })).toBeUndefined();
    expect(numberFile(numbers, ["c", "a"])).toEqual([3n, 1n]);
    await reader?.close();
  });
  const later = readNumbers(of);
  expect(later?.find({ bytes: text.encode("c"), occurrence: 0 })).toBe(3n);
  await later?.close();
  expect(readNumbers({ ...of, source: "other" })).toBeUndefined();
});

test("another commitment for an event that has a number is refused, and the others of the batch are numbered", async () => {
  await owning((numbers) => {
    numberFile(numbers, ["a"]);
    const given = tryNumberFile(numbers, ["b", "a", "c"], " as text");
    expect(given).toEqual([2n, expect.objectContaining({ code: "differs" }), 3n]);
    expect(numberFile(numbers, ["a", "d"])).toEqual([1n, 4n]);
  });
});

test("sources are numbered apart, and another tenant key is refused", async () => {
  await owning((numbers) => numberFile(numbers, ["a", "b"]));
  expect(await owning((numbers) => numberFile(numbers, ["a"]), { source: "pacs" })).toEqual([1n]);
  expect(await codeOf(ownNumbers({ ...of, tenantKeys: [new Uint8Array(32).fill(8)] }))).toBe("other_key");
});

test("over rotations an event keeps its number and the key it has it under; a key that was shredded stops nothing", async () => {
  const key = (n: number) => new Uint8Array(32).fill(n);
  const under = (first: number, ...rest: number[]) => ({
    tenantKeys: [key(first), ...rest.map(key)] as const,
  });
  const assign = (numbers: OwnedNumbers, ...events: string[]) => {
    const keys: (number | undefined)[] = [];
    const given = numbers.assign(
      events.map((event) => ({
        ...{ bytes: text.encode(event), occurrence: 0 },
        commitAs(sequence, tenantKey) {
          keys.push(tenantKey[0]);
          return commitmentOf(event + tenantKey, sequence);
        },
      })),
    );
    return [given, keys];
  };
  await owning((numbers) => assign(numbers, "a", "b"), under(7));
  const after = await owning((numbers) => assign(numbers, "b", "c", "a"), under(8, 7));
  expect(after).toEqual([
    [2n, 3n, 1n],
    [7, 8, 7],
  ]);
  const later = await owning((numbers) => assign(numbers, "c", "a", "d"), under(9, 8, 7));
  expect(later).toEqual([
    [3n, 1n, 4n],
    [8, 7, 9],
  ]);
  const reader = readNumbers({ ...of, ...under(9, 8, 7) });
  expect(reader?.find({ bytes: text.encode("a"), occurrence: 0 })).toBe(1n);
  await reader?.close();
  // Who has not heard of the rotation may not go on numbering.
  expect(await codeOf(ownNumbers({ ...of, ...under(8, 7) }))).toBe("other_key");
  const shredded = { ...under(10), shredded: [keyId(key(9))] };
  expect(await owning((numbers) => assign(numbers, "a", "e"), shredded)).toEqual([
    [5n, 6n],
    [10, 10],
  ]);
});

test("the state is for its owner alone, and holds neither events nor the tenant key", async () => {
  const event = "Anna Berg opened 4711";
  await owning((numbers) => numberFile(numbers, [event]));
  if (process.platform !== "win32") {
    for (const file of ["numbers.mdb", "numbers.mdb-lock", "sources"])
      expect((await stat(join(folder, file))).mode & 0o077).toBe(0);
  }
  const stored = await readFile(join(folder, "numbers.mdb"));
  const guess = createHash("sha256").update(event).digest().subarray(0, 8);
  for (const secret of [Buffer.from(of.tenantKeys[0]), guess]) expect(stored.includes(secret)).toBe(false);
});

describe("a copy", () => {
  const events = Array.from({ length: 500 }, (_, i) => `event ${i}`);

  test("that is taken while events are numbered and sources begun has what there was before it, and goes on", async () => {
    const to = join(folder, "copy");
    const before = await owning((numbers) => numberFile(numbers, events));
    await owning(async (numbers) => {
      const copying = copyNumbers(folder, to);
      for (const event of events.slice(0, 20)) numberFile(numbers, [`${event} later`]);
      await owning((others) => numberFile(others, ["a"]), { source: "pacs" });
      await copying;
    });
    if (process.platform !== "win32") {
      expect((await stat(to)).mode & 0o077).toBe(0);
      for (const file of ["numbers.mdb", "sources"])
        expect((await stat(join(to, file))).mode & 0o077).toBe(0);
    }
    await owning(
      (numbers) => {
        expect(numbers.isNew).toBe(false);
        expect(numberFile(numbers, events)).toEqual(before);
      },
      { folder: to },
    );
    await owning((numbers) => expect(numberFile(numbers, ["a"])).toEqual([1n]), {
      folder: to,
      source: "pacs",
    });
  });

  test("of no state is none, and of a damaged one is refused", async () => {
    const to = join(folder, "copy");
    expect(await copyNumbers(join(folder, "absent"), to)).toEqual([]);
    await owning((numbers) => numberFile(numbers, events));
    await truncate(join(folder, "numbers.mdb"), 9);
    expect(await codeOf(copyNumbers(folder, to))).toBe("damaged");
    await rm(join(folder, "numbers.mdb"));
    expect(await codeOf(copyNumbers(folder, to))).toBe("lost");
    expect(existsSync(to)).toBe(false);
  });
});

describe("two owners of one source", () => {
  test("are refused, of another source not, and the first may hand over", async () => {
    await owning(async () => {
      expect(await codeOf(ownNumbers(of))).toBe("in_use");
      await owning(() => undefined, { source: "pacs" });
    });
    await owning(() => undefined);
  });

  test("that is killed leaves no lock, and every number that it said was given", async () => {
    const script = `
      import { ownNumbers } from "@kedge/cli/numbering/numbers";
      const numbers = await ownNumbers({ folder: process.argv[1], source: "ehr", tenantKeys: [new Uint8Array(32).fill(7)] });
      for (let i = 0; ; i++) {
        const event = "event " + i;
        const commitAs = (n) => new TextEncoder().encode((event + " " + n).padEnd(32)).slice(0, 32);
        const [n] = numbers.assign([{ bytes: new TextEncoder().encode(event), occurrence: 0, commitAs }]);
        console.log(event + "=" + n);
      }`;
    const cwd = fileURLToPath(new URL("../../../..", import.meta.url));
    const owner = spawn(process.execPath, ["--input-type=module", "-e", script, folder], {
      ...{ cwd, stdio: ["ignore", "pipe", "inherit"] },
    });
    let said = "";
    const enough = new Promise<void>((resolve) => {
      owner.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
        said += chunk;
        if (said.split("\n").length > 20) resolve();
      });
    });
    await enough;
    expect(await codeOf(ownNumbers(of))).toBe("in_use");
    owner.kill("SIGKILL");
    await once(owner, "close");
    const lines = said.slice(0, said.lastIndexOf("\n")).split("\n");
    await owning((numbers) => {
      for (const line of lines) {
        const [event = "", number = ""] = line.split("=");
        expect(numberFile(numbers, [event])).toEqual([BigInt(number)]);
      }
    });
  });
});

describe("a state that is not as it was left", () => {
  beforeEach(() =>
    owning((numbers) =>
      numberFile(
        numbers,
        Array.from({ length: 500 }, (_, i) => `event ${i}`),
      ),
    ),
  );
  const path = () => join(folder, "numbers.mdb");

  test("without its database is lost, and nothing is numbered anew", async () => {
    await rm(path());
    for (const source of ["ehr", "pacs"]) expect(await codeOf(ownNumbers({ ...of, source }))).toBe("lost");
    expect(() => readNumbers(of)).toThrow(expect.objectContaining({ code: "lost" }));
  });

  test("with a database of before the source was begun is lost", async () => {
    await owning(() => undefined, { source: "pacs" });
    await copyFile(path(), join(folder, "old"));
    await owning((numbers) => numberFile(numbers, ["a"]), { source: "lab" });
    await copyFile(join(folder, "old"), path());
    expect(await codeOf(ownNumbers({ ...of, source: "lab" }))).toBe("lost");
  });

  test.each([0, 1, 4_000, 8_192, 30_000])("cut to %d bytes is damaged", async (size) => {
    await truncate(path(), size);
    expect(await codeOf(ownNumbers(of))).toBe("damaged");
    expect(() => readNumbers(of)).toThrow(expect.objectContaining({ code: "damaged" }));
  });

  test("that holds something else is damaged", async () => {
    await writeFile(path(), new Uint8Array(100_000).fill(7));
    expect(await codeOf(ownNumbers(of))).toBe("damaged");
    await writeFile(join(folder, "sources"), '"eh\n"pacs"\n');
    expect(await codeOf(ownNumbers(of))).toBe("damaged");
  });
});

test("what a first start leaves that was stopped at any point is begun anew, for nothing was numbered", async () => {
  await writeFile(join(folder, "numbers.mdb"), "");
  await writeFile(join(folder, "sources"), "");
  expect(await owning((numbers) => numberFile(numbers, ["a"]))).toEqual([1n]);
});

test("a name that a crash cut at any byte hinders no later start, and what else is no name is damage", async () => {
  await owning((numbers) => numberFile(numbers, ["a"]));
  const sources = join(folder, "sources");
  const whole = await readFile(sources);
  const name = Buffer.from(`${JSON.stringify('ward "7" \\ å')}\n`);
  const tails = Array.from({ length: name.length }, (_, i) => name.subarray(0, i));
  for (const [i, tail] of [...tails, Buffer.alloc(5)].entries()) {
    await writeFile(sources, Buffer.concat([whole, tail]));
    const source = `lab ${i}`;
    expect(await owning((numbers) => numberFile(numbers, ["a"]), { source })).toEqual([1n]);
    // The second start reads what the first has made of it.
    expect(await owning((numbers) => numberFile(numbers, ["a", "b"]), { source })).toEqual([1n, 2n]);
    expect(await owning((numbers) => numberFile(numbers, ["a"]))).toEqual([1n]);
    await readNumbers({ ...of, source })?.close();
  }
  // As the version before left it, and once more cut after that.
  await writeFile(sources, '"ehr"\n"lab 0\n"pa\n"lab 1"\n');
  expect(await owning((numbers) => numberFile(numbers, ["a"]))).toEqual([1n]);
  for (const damage of ["ehr", '"ehr" "lab 0"', '"eh"r', "{}", "7"]) {
    for (const more of ["", '\n"lab 0"\n']) {
      await writeFile(sources, `"ehr"\n${damage}${more}`);
      expect(await codeOf(ownNumbers(of))).toBe("damaged");
    }
  }
});

test("after thousands of commits the file is as long as it says, so that one cut short is told from one that is not", async () => {
  for (let i = 0; i < 5; i++) {
    await owning((numbers) => {
      for (let j = 0; j < 40; j++)
        numberFile(
          numbers,
          Array.from({ length: 50 }, (_, k) => `${i} ${j} ${k}`),
        );
    });
  }
  await owning((numbers) => expect(numberFile(numbers, ["last"])).toEqual([10_001n]));
});
