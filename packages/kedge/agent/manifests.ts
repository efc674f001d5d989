/**
 * Makes the manifest of each source and hour: in order, without a gap, once each, also for hours in which the agent was
 * down. A manifest, and that its hour has one, are written in one transaction; a crash before it made none.
 */
import { HOUR, MANIFEST_MEDIA_TYPE, manifestBytes, manifestSource } from "@kedge/verify/events/manifest";
import { extendFrontier, frontierRoot, leafHash } from "@kedge/verify/tlog/merkle";
import * as z from "zod";
import type { Intake, Journal } from "../journal/types.ts";
import type { Clock } from "./clock.ts";

/** Hours that are given one manifest each. Beyond, as after years in a cupboard or a leap of both clocks, one is for all. */
const MAX_HOURS = 24 * 31;
/** Entries that are read and hashed before others may go on. */
const CHUNK = 500;

/** Under this key of the intake: what the last manifest ended with. JSON. */
const STATE = "last";
const stateSchema = z.strictObject({ to: z.int(), last: z.string() });
/** `to`: where the next period begins. `last`: the last number that is in a manifest, 0 before any. */
type State = { to: number; last: bigint };

export type Manifests = {
  journal: Pick<Journal, "intake" | "sources" | "entries">;
  /** Sources that are taken in now. Another's chain ends with its last event, until it is taken in again. */
  sources: readonly string[];
  clock: Pick<Clock, "trusted">;
  signal: AbortSignal;
};

/** Returns what makes all manifests that are due, and how many that were. It rejects as `Intake.take` does, and may be called again. */
export function manifestMaker({ journal, sources, clock, signal }: Manifests): () => Promise<number> {
  const intakes = new Map<string, Intake>();
  const intakeOf = async (source: string): Promise<Intake> => {
    const intake = intakes.get(source) ?? (await journal.intake(manifestSource(source)));
    intakes.set(source, intake);
    return intake;
  };
  return async () => {
    let made = 0;
    for (const { name, last = 0n } of journal.sources()) {
      if (name.startsWith(manifestSource(""))) continue;
      const goesOn = sources.includes(name);
      if (!goesOn && last === 0n) continue;
      const intake = await intakeOf(name);
      for (;;) {
        const now = clock.trusted();
        if (now === undefined || signal.aborted) return made;
        const state = readState(intake);
        if (state === undefined) {
          await intake.take({
            arrivals: [],
            cursors: cursorOf({ to: beginning(journal, name, now), last: 0n }),
          });
          continue;
        }
        const isCovered = !goesOn && last <= state.last;
        if (isCovered || !(await makeNext(journal, intake, name, state, now))) break;
        made += 1;
      }
    }
    return made;
  };
}

/** Makes the one for the hour after the last; false when that one is not over. */
async function makeNext(
  journal: Manifests["journal"],
  intake: Intake,
  source: string,
  state: State,
  now: number,
): Promise<boolean> {
  const current = hourOf(now);
  if (current <= state.to) return false;
  const to = current - state.to > MAX_HOURS * HOUR ? current : state.to + HOUR;
  const { last, root } = await gather(journal, source, state.last + 1n, to, now);
  const previous = commitmentOfLast(journal, intake.source);
  const manifest = {
    ...{ source, from: state.to, to, root },
    ...(last > state.last && { numbers: { first: state.last + 1n, last } }),
    ...(previous && { previous }),
  };
  await intake.take({
    arrivals: [{ bytes: manifestBytes(manifest), mediaType: MANIFEST_MEDIA_TYPE }],
    cursors: cursorOf({ to, last }),
  });
  return true;
}

/**
 * The events from a number on that were journalled before `to`. What is journalled later than the present is of a clock
 * that had leapt ahead: it came before now, and waits for no manifest of years to come.
 */
async function gather(
  journal: Manifests["journal"],
  source: string,
  from: bigint,
  to: number,
  now: number,
): Promise<{ last: bigint; root: Uint8Array }> {
  let last = from - 1n;
  let size = 0n;
  let frontier: Uint8Array[] = [];
  let leaves: Uint8Array[] = [];
  const add = (): void => {
    frontier = extendFrontier(size, frontier, leaves);
    size += BigInt(leaves.length);
    leaves = [];
  };
  for (let next = from; ; ) {
    const range = { from: next, to: next + BigInt(CHUNK) - 1n, withoutBytes: true };
    const chunk = [...journal.entries(source, range)];
    const counted = chunk.findIndex(({ at }) => at >= to && at <= now + HOUR);
    for (const { number, commitment } of counted === -1 ? chunk : chunk.slice(0, counted)) {
      leaves.push(leafHash(commitment));
      last = number;
    }
    add();
    next = last + 1n;
    if (counted !== -1 || chunk.length < CHUNK) return { last, root: frontierRoot(frontier) };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function commitmentOfLast(journal: Manifests["journal"], ownSource: string): Uint8Array | undefined {
  const last = journal.sources().find(({ name }) => name === ownSource)?.last;
  if (last === undefined) return undefined;
  const [entry] = journal.entries(ownSource, { from: last, to: last, withoutBytes: true });
  return entry?.commitment;
}

/** The hour of the first event, or else this one. A clock that was years behind then makes no manifests of years. */
function beginning(journal: Manifests["journal"], source: string, now: number): number {
  const [first] = journal.entries(source, { from: 1n, to: 1n, withoutBytes: true });
  const at = first === undefined ? now : Math.min(first.at, now);
  return hourOf(Math.max(at, now - MAX_HOURS * HOUR));
}

const hourOf = (ms: number): number => Math.floor(ms / HOUR) * HOUR;

const cursorOf = ({ to, last }: State): ReadonlyMap<string, string> =>
  new Map([[STATE, JSON.stringify({ to, last: `${last}` })]]);

function readState(intake: Intake): State | undefined {
  const text = intake.cursor(STATE);
  if (text === undefined) return undefined;
  const { to, last } = stateSchema.parse(JSON.parse(text));
  return { to, last: BigInt(last) };
}
