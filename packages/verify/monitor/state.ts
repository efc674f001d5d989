/** A monitor's state as the JSON that is kept between runs. Ours, and read strictly all the same. Pure; no I/O. */
import { z } from "zod";
import { timeText } from "../rfc3339.ts";
import { decodeBase64, encodeBase64, equalBytes, parseDecimal } from "../tlog/bytes.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import { EMPTY_ROOT } from "../tlog/merkle.ts";
import { rightEdge, tileKey } from "../tlog/tile.ts";
import { rootFromTiles } from "../tlog/tileproof.ts";
import { FINDING_KINDS, type MonitorState, type TenantHead } from "./monitor.ts";

const stateSchema = z.strictObject({
  version: z.literal(1),
  checkpoint: z.string(),
  /** Base64, of the right edge, lowest level first. */
  tiles: z.array(z.string()),
  seenAt: z.iso.datetime(),
  from: z.string(),
  tenants: z.array(z.strictObject({ index: z.string(), checkpoint: z.string() })),
  open: z.array(z.string()),
  findings: z.array(z.strictObject({ kind: z.enum(FINDING_KINDS), message: z.string() })),
});

export function formatState(state: MonitorState): string {
  const tiles = rightEdge(state.checkpoint.size).map(({ level, index }) =>
    encodeBase64(state.tiles.get(tileKey(level, index)) ?? new Uint8Array()),
  );
  const value: z.input<typeof stateSchema> = {
    version: 1,
    checkpoint: state.note,
    tiles,
    seenAt: timeText(state.seenAt),
    from: String(state.from),
    tenants: [...state.tenants.values()].map(({ index, note }) => ({
      index: String(index),
      checkpoint: note,
    })),
    open: [...state.open],
    findings: [...state.findings],
  };
  return `${JSON.stringify(value, undefined, 1)}\n`;
}

/** The state of the log `origin`. Throws TlogError `malformed` for anything that `formatState` does not write. */
export function parseState(text: string, origin: string): MonitorState {
  const value = read(text);
  const { checkpoint } = parseCheckpoint(value.checkpoint);
  if (checkpoint.origin !== origin) {
    throw new TlogError("malformed", "It is of another log than the policy");
  }
  const edge = rightEdge(checkpoint.size);
  const tiles = new Map(
    edge.map(({ level, index }, i) => [
      tileKey(level, index),
      decodeBase64(value.tiles[i] ?? "", "A tile of the state"),
    ]),
  );
  const root = checkpoint.size === 0n ? EMPTY_ROOT : rootFromTiles(checkpoint.size, tiles);
  if (value.tiles.length !== edge.length || !equalBytes(root, checkpoint.root)) {
    throw new TlogError("malformed", "Its tiles are not those of its checkpoint");
  }
  return {
    note: value.checkpoint,
    checkpoint,
    tiles,
    seenAt: Date.parse(value.seenAt),
    from: parseDecimal(value.from, "The first index"),
    tenants: new Map(value.tenants.map(tenantHead)),
    open: value.open,
    findings: value.findings,
  };
}

function tenantHead({
  index,
  checkpoint: note,
}: {
  index: string;
  checkpoint: string;
}): [string, TenantHead] {
  const { origin, size, root } = parseCheckpoint(note).checkpoint;
  return [origin, { index: parseDecimal(index, "An index"), note, size, root }];
}

function read(text: string): z.infer<typeof stateSchema> {
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new TlogError("malformed", "It is not as kedge monitor writes it", { cause });
  }
}
