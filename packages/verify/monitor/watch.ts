/** One look at the anchor log: what is new in its static files, and what is wrong with it. Its only I/O is `LogFiles`. */

import { ClientError } from "../error.ts";
import {
  checkEvidence,
  compareTrees,
  type Evidence,
  type Fork,
  prefixSizes,
  type SignedTree,
} from "../evidence/evidence.ts";
import type { LogFiles } from "../net/files.ts";
import { TlogError } from "../tlog/error.ts";
import { formatProof } from "../tlog/proof.ts";
import {
  bundlesChanged,
  decodeBundle,
  edgeOf,
  TILE_WIDTH,
  type Tile,
  tileKey,
  widthAt,
} from "../tlog/tile.ts";
import { consistencyTiles, inclusionProof, inclusionTiles, rootTiles } from "../tlog/tileproof.ts";
import {
  type Clash,
  finishReading,
  headFindings,
  keepOpen,
  MAX_CLOCK_AHEAD,
  MAX_FINDINGS,
  type MonitorCaveat,
  type MonitorFinding,
  type MonitorFindingKind,
  type MonitorState,
  type MonitorTrust,
  openHead,
  type PublicHead,
  type Reading,
  readEntries,
  startReading,
} from "./monitor.ts";
import { tellMonitorFinding } from "./words.ts";

export type WatchOptions = {
  /** ms since the epoch. */
  now: number;
  /** How old the newest checkpoint may be, in ms. */
  maxAge?: number;
  /** More new entries than this are refused before any is fetched. */
  maxEntries: bigint;
  /** On the first look, begin at the newest checkpoint and read nothing of what is below it. */
  fromNow?: boolean;
  /** Checkpoints of the log that others were given, to be held against this one. */
  others?: readonly string[];
};

export type Look = {
  /** What to keep; undefined when there is nothing yet. */
  state: MonitorState | undefined;
  /** The checkpoint that was served; undefined when the log has not signed it. */
  head: PublicHead | undefined;
  findings: MonitorFinding[];
  /** Findings of entries beyond those listed. */
  omitted: number;
  evidence: Evidence[];
  /** Entries read in this look. */
  read: bigint;
  /** What could not be checked. */
  caveats: MonitorCaveat[];
  /** Why the look ended before its end: something could not be read. */
  failure: ClientError | undefined;
  /** That is because there are more new entries than `maxEntries`. */
  tooMany: boolean;
};

/** Throws ClientError when not even a checkpoint can be read. */
export async function watch(
  files: LogFiles,
  state: MonitorState | undefined,
  trust: MonitorTrust,
  options: WatchOptions,
): Promise<Look> {
  const look: Look = {
    state,
    head: undefined,
    findings: [],
    omitted: 0,
    evidence: [],
    read: 0n,
    caveats: [],
    failure: undefined,
    tooMany: false,
  };
  const bytes = await files.checkpoint();
  try {
    look.head = openHead(bytes, trust, options.now);
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    look.findings.push({ kind: "bad_checkpoint", origin: trust.origin, cause: error });
    return look;
  }
  try {
    await follow(files, look, look.head, trust, options);
    await settle(files, look, trust, options.now);
    for (const note of options.others ?? []) await compareOther(files, look, note, trust, options.now);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    look.failure = error;
    // What the log signed binds it, even if it shows nothing more.
    look.state = look.state && keepOpen(look.state, look.head);
  }
  // A clock that was ahead when it was first seen: it counts from now.
  if (look.state !== undefined && look.state.seenAt > options.now + MAX_CLOCK_AHEAD) {
    look.state = { ...look.state, seenAt: options.now };
  }
  const known = look.state?.checkpoint.size === look.head.checkpoint.size ? look.state : undefined;
  const seenAt = known?.seenAt ?? options.now;
  look.findings.push(...headFindings(look.head, { ...options, seenAt }));
  look.state = look.state && remember(look.state, look.findings);
  return look;
}

async function follow(
  files: LogFiles,
  look: Look,
  head: PublicHead,
  trust: MonitorTrust,
  options: WatchOptions,
): Promise<void> {
  const { state } = look;
  const { size } = head.checkpoint;
  if (state !== undefined && size <= state.checkpoint.size) {
    const isSmaller = size < state.checkpoint.size;
    const relation = await relate(files, state, head).catch((error: unknown) => {
      if (isSmaller) rolledBack(look, state, head, "unknown");
      throw error;
    });
    if (typeof relation === "object") contradict(look, state, head, relation);
    else if (isSmaller) rolledBack(look, state, head, relation);
    else look.state = { ...state, note: head.note };
    return;
  }
  const fresh = size - (state?.checkpoint.size ?? 0n);
  if (state === undefined && options.fromNow) {
    look.state = await startHere(files, head, { trust, now: options.now });
    if (look.state === undefined) badEntries(look, undefined, head, "tiles");
    return;
  }
  if (fresh > options.maxEntries) {
    look.tooMany = true;
    const advice = "allow more, or begin anew at the newest checkpoint with an empty state";
    throw new ClientError("protocol", `${fresh} new entries are more than ${options.maxEntries}: ${advice}`);
  }
  const reading = startReading(state, trust);
  const next = await readAll(files, reading, head, options.now);
  if (next !== undefined) {
    look.state = next;
    look.findings.push(...reading.findings);
    look.omitted = reading.omitted;
    look.read = fresh;
    for (const clash of reading.clashes) look.evidence.push(await entriesEvidence(files, clash, head, trust));
    return;
  }
  // What was read does not lead to the signed root, whether or not it can be known why.
  const relation =
    state === undefined
      ? "same"
      : await relate(files, state, head).catch((error: unknown) => {
          badEntries(look, state, head, "entries");
          throw error;
        });
  if (state !== undefined && typeof relation === "object") contradict(look, state, head, relation);
  else badEntries(look, relation === "same" ? undefined : state, head, "entries");
}

/** undefined when the entries are not those of the checkpoint. */
async function readAll(
  files: LogFiles,
  reading: Reading,
  head: PublicHead,
  now: number,
): Promise<MonitorState | undefined> {
  try {
    for await (const entries of newEntries(files, reading.size, head.checkpoint.size)) {
      readEntries(reading, entries);
    }
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
  return finishReading(reading, head, now);
}

/** Bundles asked for at once: bounds memory, whatever is served. */
const PARALLEL = 4;

async function* newEntries(files: LogFiles, from: bigint, to: bigint): AsyncGenerator<Uint8Array[]> {
  const wanted = bundlesChanged(from, to)[Symbol.iterator]();
  const running: { tile: Tile; bytes: Promise<Uint8Array> }[] = [];
  const ask = () => {
    const { done, value: tile } = wanted.next();
    if (done) return;
    const bytes = files.tile(tile);
    bytes.catch(() => undefined); // it is awaited below, unless an earlier one failed
    running.push({ tile, bytes });
  };
  for (let i = 0; i < PARALLEL; i++) ask();
  for (let next = running.shift(); next !== undefined; next = running.shift()) {
    const entries = decodeWidest(await next.bytes, next.tile.width);
    ask();
    const first = next.tile.index * BigInt(TILE_WIDTH);
    yield entries.slice(first < from ? Number(from - first) : 0);
  }
}

/** A full bundle may have taken the place of the partial one. */
function decodeWidest(bytes: Uint8Array, width: number): Uint8Array[] {
  try {
    return decodeBundle(bytes, width);
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return decodeBundle(bytes, TILE_WIDTH).slice(0, width);
  }
}

async function startHere(
  files: LogFiles,
  head: PublicHead,
  { trust, now }: { trust: MonitorTrust; now: number },
): Promise<MonitorState | undefined> {
  const { size } = head.checkpoint;
  const tiles = edgeOf(size, await fetchTiles(files, rootTiles(size)));
  try {
    const state = finishReading({ ...startReading(undefined, trust), size, tiles }, head, now);
    return state && { ...state, from: size };
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}

/** Holds checkpoints that were open against what is known by now. */
async function settle(files: LogFiles, look: Look, trust: MonitorTrust, now: number): Promise<void> {
  for (const note of look.state?.open ?? []) {
    const { state } = look;
    const head = openKept(note, trust, now);
    if (state === undefined || head === undefined) continue;
    const relation = await relate(files, state, head);
    if (relation === "unknown") {
      look.caveats.push({ code: "never_shown", size: head.checkpoint.size });
      continue;
    }
    look.state = { ...state, open: state.open.filter((other) => other !== note) };
    if (relation !== "same") contradict(look, state, head, relation);
  }
}

/** undefined when the key that signed it then is no longer in the policy. */
function openKept(note: string, trust: MonitorTrust, now: number): PublicHead | undefined {
  try {
    return openHead(note, trust, now);
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}

/** Holds a checkpoint that somebody else was given against this log. */
async function compareOther(
  files: LogFiles,
  look: Look,
  note: string,
  trust: MonitorTrust,
  now: number,
): Promise<void> {
  const other = openHead(note, trust, now);
  const { state } = look;
  const { size } = other.checkpoint;
  if (state === undefined) {
    look.caveats.push({ code: "not_compared", size });
    return;
  }
  const relation = await relate(files, state, other);
  if (typeof relation === "object") {
    contradict(look, state, other, relation);
  } else if (relation === "unknown" && size > state.checkpoint.size) {
    look.caveats.push({ code: "ahead", size });
  } else if (relation === "unknown") {
    badEntries(look, state, other, "tiles");
  }
}

/** Whether a signed checkpoint is of the history that is known: by what is kept, then by what is served. */
async function relate(files: LogFiles, state: MonitorState, head: PublicHead): Promise<Relation> {
  const other: SignedTree = { ...head, tiles: new Map() };
  const known = compareTrees(state, other);
  if (known !== "unknown") return known;
  const [a, b] = [state.checkpoint.size, head.checkpoint.size];
  if (a < b) return compareTrees(state, { ...other, tiles: await prefixTiles(files, b, [a]) });
  // The tree that is known may still be served; if not, the one of this checkpoint is.
  const served = compareTrees({ ...state, tiles: await prefixTiles(files, a, [b]) }, other);
  if (served !== "unknown") return served;
  return compareTrees(state, { ...other, tiles: await prefixTiles(files, b, prefixSizes(b)) });
}

type Relation = ReturnType<typeof compareTrees>;

/** The tiles that show the roots of a tree at smaller sizes, as they are served: maybe too few, or wrong. */
async function prefixTiles(
  files: LogFiles,
  size: bigint,
  prefixes: readonly bigint[],
): Promise<Map<string, Uint8Array>> {
  const wanted = prefixes.flatMap((prefix) => [...consistencyTiles(prefix, size), ...rootTiles(prefix)]);
  // A tile of the smaller tree is wider in the larger one.
  const widest = wanted.map((tile) => ({ ...tile, width: widthAt(size, tile.level, tile.index) }));
  return await fetchTiles(files, widest).catch((error: unknown) => {
    if (error instanceof ClientError && !isPassing(error)) return new Map<string, Uint8Array>();
    throw error;
  });
}

/** Whether the tiles may well be there: nothing is to be said of a log that is only slow, or far away. */
function isPassing({ code }: ClientError): boolean {
  return code === "network" || code === "throttled" || code === "server";
}

/** A proof takes a few dozen at most. */
async function fetchTiles(files: LogFiles, wanted: readonly Tile[]): Promise<Map<string, Uint8Array>> {
  const tiles = new Map<string, Uint8Array>();
  for (const tile of wanted) {
    const key = tileKey(tile.level, tile.index);
    if (!tiles.has(key)) tiles.set(key, await files.tile(tile));
  }
  return tiles;
}

function contradict(look: Look, { checkpoint }: MonitorState, head: PublicHead, evidence: Fork): void {
  const { origin } = checkpoint;
  const sizes = [checkpoint.size, head.checkpoint.size] as const;
  look.findings.push({ kind: "fork", origin, sizes, prefix: evidence.size });
  look.evidence.push(evidence);
}

function rolledBack(look: Look, state: MonitorState, head: PublicHead, relation: "same" | "unknown"): void {
  const [{ size }, before] = [head.checkpoint, state.checkpoint.size];
  look.findings.push({ kind: "rollback", size, before, isOlder: relation === "same" });
  if (relation === "unknown") leaveOpen(look, state, head);
}

/** `state` is what the checkpoint was not shown to extend, if that is open. */
function badEntries(
  look: Look,
  state: MonitorState | undefined,
  head: PublicHead,
  what: "entries" | "tiles",
): void {
  look.findings.push({ kind: "bad_entries", size: head.checkpoint.size, what });
  if (state !== undefined) leaveOpen(look, state, head);
}

/** Both notes are kept: for whoever may ask the log, and until it shows more. */
function leaveOpen(look: Look, state: MonitorState, head: PublicHead): void {
  look.evidence.push({ kind: "unproven", checkpoints: [state.note, head.note] });
  look.state = keepOpen(state, head);
}

/** Without proofs when what is served does not give them: a tenant's key may be enough to judge then. */
async function entriesEvidence(
  files: LogFiles,
  clash: Clash,
  head: PublicHead,
  trust: MonitorTrust,
): Promise<Evidence> {
  const [first, second] = clash;
  const bare: Evidence = { kind: "entries", entries: [first.note, second.note] };
  try {
    const proofs = [
      await proofOf(files, first.index, head),
      await proofOf(files, second.index, head),
    ] as const;
    const proven: Evidence = { ...bare, proofs: [...proofs] };
    return checkEvidence(proven, trust.vkeys).convincing ? proven : bare;
  } catch (error) {
    if (error instanceof ClientError || error instanceof TlogError) return bare;
    throw error;
  }
}

async function proofOf(files: LogFiles, index: bigint, { note, checkpoint }: PublicHead): Promise<string> {
  const tiles = await fetchTiles(files, inclusionTiles(index, checkpoint.size));
  return formatProof({ index, hashes: inclusionProof(index, checkpoint.size, tiles), checkpoint: note });
}

/** Facts about the log that nothing later undoes: they are kept, and told in every report. */
const LASTING: ReadonlySet<MonitorFindingKind> = new Set<MonitorFindingKind>([
  ...(["fork", "bad_entry", "foreign_entry"] as const),
  ...(["tenant_signature", "tenant_two_roots", "tenant_shrinks"] as const),
]);

/** The same state with those of the findings that nothing later undoes, each once. */
function remember(state: MonitorState, found: readonly MonitorFinding[]): MonitorState {
  const known = new Set(state.findings.map(({ message }) => message));
  const lasting = found.filter(({ kind }) => LASTING.has(kind)).map(tellMonitorFinding);
  const fresh = lasting.filter(({ message }) => !known.has(message));
  return { ...state, findings: [...state.findings, ...fresh].slice(0, MAX_FINDINGS) };
}
