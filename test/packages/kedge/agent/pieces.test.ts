/** Lines and rows of a stream: no byte is lost or counted twice, however it is cut and however long they are. */
import { type Piece, pieces } from "@kedge/cli/agent/pieces";
import fc from "fast-check";
import { expect, test } from "vitest";

const part = fc
  .uint8Array({ maxLength: 12 })
  .map((bytes) => bytes.map((byte) => [0x0a, 0x0d, 0x22, 0x2c, 0x61][byte % 5] ?? 0));

function cut(parts: readonly Uint8Array[], options: Parameters<typeof pieces>[0], start = 0): Piece[] {
  const cutter = pieces(options, start);
  return [...parts.flatMap((one) => [...cutter.add(one)]), ...cutter.rest()];
}

test("pieces follow on each other from the first byte to the last, and none is longer than the limit", () => {
  fc.assert(
    fc.property(fc.array(part), fc.integer({ min: 1, max: 20 }), fc.boolean(), (parts, limit, isRows) => {
      const whole = Buffer.concat(parts);
      let at = 0;
      for (const piece of cut(parts, { limit, rows: isRows ? { separator: "," } : undefined })) {
        expect(piece.start).toBe(at);
        at = piece.end;
        const bytes = whole.subarray(piece.start, piece.end);
        if (piece.bytes === undefined) expect(piece.octets).toBeGreaterThan(limit);
        else {
          expect(piece.bytes.length).toBeLessThanOrEqual(limit);
          expect(bytes.toString("latin1").startsWith(Buffer.from(piece.bytes).toString("latin1"))).toBe(true);
          expect(bytes.subarray(piece.bytes.length).every((byte) => byte === 0x0a || byte === 0x0d)).toBe(
            true,
          );
        }
      }
      expect(at).toBe(whole.length);
    }),
  );
});

test("lines are cut the same whatever the parts, and wherever one begins to read", () => {
  fc.assert(
    fc.property(fc.array(part), fc.nat(10), (parts, nth) => {
      const all = cut(parts, { limit: 15 });
      expect(cut([Buffer.concat(parts)], { limit: 15 })).toEqual(all);
      const from = all[nth]?.start ?? 0;
      expect(cut([Buffer.concat(parts).subarray(from)], { limit: 15 }, from)).toEqual(
        all.slice(from === 0 ? 0 : nth),
      );
    }),
  );
});
