/** What every Publication must do; run against each implementation. */
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Publication } from "../../platform/publication.ts";

const RACERS = 12;
const LARGE = 1 << 16;

export function publicationContract(name: string, open: () => Publication): void {
  describe(`${name} keeps the publication's contract`, () => {
    const fresh = () => ({ publication: open(), path: `logs/${randomUUID()}/head` });

    test("what is absent reads as undefined", async () => {
      const { publication, path } = fresh();
      expect(await publication.read(path)).toBeUndefined();
    });

    test("any bytes come back as they were written, under a tag of their own", async () => {
      const { publication, path } = fresh();
      let tag: string | undefined;
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
          expect(await publication.replace(path, bytes, tag)).toBe(true);
          const file = await publication.read(path);
          expect(file?.bytes).toEqual(bytes);
          tag = file?.tag;
        }),
        { numRuns: 30 },
      );
    });

    test("files of different content never have the same tag", async () => {
      const { publication, path } = fresh();
      const tags = new Set<string | undefined>();
      for (const content of [[], [0], [0, 0], [1]]) {
        const before = await publication.read(path);
        await publication.replace(path, Uint8Array.from(content), before?.tag);
        tags.add((await publication.read(path))?.tag);
      }
      expect(tags.size).toBe(4);
    });

    test("with the tag of another content, or none, nothing is written", async () => {
      const { publication, path } = fresh();
      const [first, second] = [Uint8Array.of(1), Uint8Array.of(2)];
      expect(await publication.replace(path, first, "no such tag")).toBe(false);
      expect(await publication.read(path)).toBeUndefined();

      await publication.replace(path, first, undefined);
      const old = await publication.read(path);
      await publication.replace(path, second, old?.tag);
      for (const wrong of [old?.tag, undefined, "no such tag", "", "*"]) {
        expect(await publication.replace(path, Uint8Array.of(3), wrong)).toBe(false);
        expect((await publication.read(path))?.bytes).toEqual(second);
      }
    });

    test("with the tag of another file, one that is absent stays so", async () => {
      const { publication, path } = fresh();
      await publication.replace(`${path}.other`, Uint8Array.of(1), undefined);
      const other = await publication.read(`${path}.other`);
      expect(await publication.replace(path, Uint8Array.of(1), other?.tag)).toBe(false);
      expect(await publication.read(path)).toBeUndefined();
    });

    test("of racing replaces exactly one wins, when the file is absent and when it is there", async () => {
      const { publication, path } = fresh();
      for (const round of [0, 1, 2]) {
        const before = await publication.read(path);
        const contents = Array.from({ length: RACERS }, (_, i) => Uint8Array.of(round, i));
        const won = await Promise.all(contents.map((bytes) => publication.replace(path, bytes, before?.tag)));
        expect(won.filter((mine) => mine)).toHaveLength(1);
        expect((await publication.read(path))?.bytes).toEqual(contents[won.indexOf(true)]);
      }
    });

    test("files do not touch each other, however their replaces overlap", async () => {
      const { publication, path } = fresh();
      const paths = Array.from({ length: RACERS }, (_, i) => `${path}/${i}`);
      const won = await Promise.all(
        paths.map((one, i) => publication.replace(one, Uint8Array.of(i), undefined)),
      );
      expect(won).toEqual(paths.map(() => true));
      for (const [i, one] of paths.entries()) {
        expect((await publication.read(one))?.bytes).toEqual(Uint8Array.of(i));
      }
    });

    test("a reader beside a writer sees a whole file, and never none", async () => {
      const { publication, path } = fresh();
      const content = (n: number) => new Uint8Array(LARGE).fill(n);
      await publication.replace(path, content(0), undefined);
      let writing = true;
      const write = async () => {
        for (let n = 1; n <= 20; n++) {
          const before = await publication.read(path);
          expect(await publication.replace(path, content(n), before?.tag)).toBe(true);
        }
        writing = false;
      };
      const readers = [0, 1, 2].map(async () => {
        while (writing) {
          const bytes = (await publication.read(path))?.bytes ?? new Uint8Array();
          expect(bytes.length).toBe(LARGE);
          expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
          // In memory a read ends at once, and would never let the writer on.
          await new Promise(setImmediate);
        }
      });
      await Promise.all([write(), ...readers]);
    });
  });
}
