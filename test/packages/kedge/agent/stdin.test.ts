/** Standard input: its lines in their order, each written before more is read. */
import { Readable } from "node:stream";
import { openStdin, stdinSchema } from "@kedge/cli/agent/stdin";
import fc from "fast-check";
import { expect, test } from "vitest";
import { memoryIntake } from "../../../support/memory-intake.ts";

function source(parts: Iterable<Uint8Array | string>, options: object = {}) {
  const intake = memoryIntake();
  const stop = new AbortController();
  const host = { intake, signal: stop.signal, trouble: () => undefined, count: () => undefined };
  const input = Readable.from(parts, { objectMode: true });
  return {
    intake,
    stop,
    run: openStdin(stdinSchema.parse({ kind: "stdin", name: "ehr", ...options }), host, input).run,
  };
}
const events = ({ arrivals }: ReturnType<typeof memoryIntake>) =>
  arrivals.map(({ bytes, mediaType }) => [Buffer.from(bytes).toString(), mediaType]);

test("its lines are events, the last one too, however they are cut", async () => {
  const bytes = Buffer.from('{"resourceType":"AuditEvent"}\nplain é\r\n\nthe end');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length)), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const { intake, run } = source(at.slice(1).map((end, i) => bytes.subarray(at[i], end)));
      await run();
      expect(events(intake)).toEqual([
        ['{"resourceType":"AuditEvent"}', "application/fhir+json"],
        ["plain é\r", "text/plain"],
        ["the end", "text/plain"],
      ]);
    }),
    { numRuns: 30 },
  );
});

test("rows may come this way too", async () => {
  const { intake, run } = source(['A|B\n1|"2\n', '3"\n'], { content: "delimited" });
  await run();
  expect(events(intake)).toEqual([['1|"2\n3"', "text/csv"]]);
  expect(intake.cursor("header/1")).toContain('"A","B"');
});

test("with `wait` it goes on after its end until it is stopped; the events are there before", async () => {
  const { intake, stop, run } = source(["1\n"], { atEnd: "wait" });
  let isOver = false;
  const running = run().then(() => {
    isOver = true;
  });
  await expect.poll(() => intake.arrivals.length, { timeout: 30_000 }).toBe(1);
  expect(isOver).toBe(false);
  stop.abort();
  await running;
});
