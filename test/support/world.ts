/**
 * A world in memory for the crash matrix: one store, one publication and one pair of keys, shared by actors whose
 * every call can be made to fail, and an observer that sees what the store holds whatever the actors believe.
 */
import { isDeepStrictEqual } from "node:util";
import { parseCheckpoint, parseCheckpointBody } from "@kedge/verify/tlog/checkpoint";
import { makeVkey, type Vkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { listEntries } from "@kedge/verify/tlog/tile";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ServiceError } from "../../platform/error.ts";
import type { Publication } from "../../platform/publication.ts";
import type { Item, Store } from "../../platform/store.ts";
import type { AnchorContext } from "../../service/anchor.ts";
import { ANCHOR } from "../../service/anchor-items.ts";
import { headKey } from "../../service/head.ts";
import type { IndexContext, RunSizes } from "../../service/index/cover.ts";
import { newFilters } from "../../service/index/filters.ts";
import { logsKey } from "../../service/logs.ts";
import { decodeChunk, logOfPending } from "../../service/pending.ts";
import type { SealContext } from "../../service/seal.ts";
import { checkpointSigner } from "../../service/sign.ts";
import type { SweepContext } from "../../service/sweep.ts";
import { ed25519Key, inKms, type SigningKey } from "../packages/verify/tlog/signers.ts";
import { type MemoryIndex, memoryIndex } from "./memory-index.ts";
import { type MemoryStore, memoryStore } from "./memory-store.ts";

export const LOG = "aaaaaaaaaaaaaaaaaaa";
export const ORIGIN = `kedge.example/log/${LOG}`;
export const ANCHOR_ORIGIN = "kedge.example/anchor";

/**
 * How one call goes wrong: it fails and does nothing; it is done and reported as failed; it fails and is done later,
 * after others have moved on; half of a batch is done; the process dies there, before or after; or its answer is
 * lost and the SDK repeats it.
 */
export const FAULTS = [
  "fails",
  "persists-then-fails",
  "lands-late",
  "half",
  "dies",
  "persists-then-dies",
  "repeats",
] as const;
export type Fault = (typeof FAULTS)[number];
/** The fault of an actor's call number `at` (from 0). */
export type FaultPlan = { readonly at: number; readonly fault: Fault };

export class Died extends Error {}

export type World = {
  readonly store: MemoryStore;
  readonly publication: MemoryPublication;
  readonly index: MemoryIndex;
  /** What a reader without faults has; its calls are not counted. */
  readonly reading: IndexContext;
  readonly observed: Observed;
  readonly vkeys: { readonly log: Vkey; readonly anchor: Vkey };
  actor(plan?: readonly FaultPlan[], gate?: () => Promise<void>): Actor;
  /** Performs the calls that were to land late. */
  landLate(): Promise<void>;
  tick(): number;
};

export type Actor = SealContext &
  SweepContext &
  AnchorContext & {
    calls(): number;
    /** One more call that can be made to fail: of what a test adds. */
    call<T>(run: () => Promise<T>): Promise<T>;
  };

/** What really happened, by the store's and the keys' own account. */
export type Observed = {
  /** When each entry, in hex, was put among the pending ones: more than once where it came more than once. */
  readonly accepted: Map<string, Set<bigint>>;
  /** Every head ever committed: `log size root`. */
  readonly committed: Set<string>;
  /** Every signature ever made, by whoever asked. */
  readonly signed: {
    readonly log: string;
    readonly size: bigint;
    readonly root: string;
    readonly note: string;
  }[];
  /** Every checkpoint that became visible, in order. */
  readonly visible: { readonly log: string; readonly note: string; readonly snapshot: Item[] }[];
  /** All published files at each moment when another public checkpoint was in place. */
  readonly shown: ReadonlyMap<string, Uint8Array>[];
  /** Violations seen as they happened. */
  readonly violations: string[];
};

export type MemoryPublication = Publication & { readonly files: Map<string, Uint8Array> };

export function memoryPublication(files = new Map<string, Uint8Array>()): MemoryPublication {
  return {
    files,
    async read(path) {
      const bytes = files.get(path);
      return bytes && { bytes, tag: bytesToHex(bytes) };
    },
    async replace(path, bytes, tag) {
      const now = files.get(path);
      if ((now && bytesToHex(now)) !== tag) return false;
      files.set(path, bytes);
      return true;
    },
  };
}

const LOG_KEY = ed25519Key("the log");
const ANCHOR_KEY = ed25519Key("the anchor log");
const NO_WITNESSES = parsePolicy("quorum none\n");

/** So small that logs of hundreds have runs of every level, and merges. */
export const RUN_SIZES: RunSizes = { base: 64, fanout: 2, top: 2, uncovered: 1_024 };
const FILTER_BYTES = 1_000_000;

/** What to start from, e.g. a restored backup beside newer published files. */
type From = {
  readonly items?: readonly Item[];
  readonly files?: Map<string, Uint8Array>;
  readonly runs?: Map<string, Uint8Array>;
  readonly runSizes?: RunSizes;
};

export function newWorld(from: From = {}): World {
  const registered: Item = { ...logsKey(LOG), origin: ORIGIN, tenant: "t" };
  const store = memoryStore(from.items ?? [registered]);
  const publication = memoryPublication(from.files);
  const index = memoryIndex(from.runs);
  const { runSizes = RUN_SIZES } = from;
  const observed: Observed = {
    ...{ accepted: new Map(), committed: new Set() },
    ...{ signed: [], visible: [], shown: [], violations: [] },
  };
  const watched = watch(store, observed);
  const watchedFiles = watchFiles(publication, observed);
  const vkeys = {
    log: makeVkey(ORIGIN, 0x01, LOG_KEY.publicKey),
    anchor: makeVkey(ANCHOR_ORIGIN, 0x01, ANCHOR_KEY.publicKey),
  };
  const late: (() => Promise<unknown>)[] = [];
  let now = 1_700_000_000_000;
  // Coarse, so that different things happen in the same millisecond.
  const tick = () => {
    now += 0.2;
    return Math.floor(now);
  };

  const actor = (plan: readonly FaultPlan[] = [], gate?: () => Promise<void>): Actor => {
    let count = 0;
    let dead = false;
    const call = async <T>(run: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> => {
      const at = count++;
      await gate?.();
      if (dead) throw new Died();
      const fault = plan.find((p) => p.at === at)?.fault;
      if (fault === undefined) return await run();
      if (fault === "repeats") return await run().then(run);
      if (fault === "lands-late") late.push(run);
      if (fault === "half") await half?.();
      if (fault === "persists-then-fails" || fault === "persists-then-dies") await run();
      if (fault === "dies" || fault === "persists-then-dies") {
        dead = true;
        throw new Died();
      }
      throw new ServiceError("unavailable", `injected: ${fault}`);
    };

    const faulty: Store = {
      get: (keys) => call(() => watched.get(keys)),
      async *query(query) {
        const items: Item[] = [];
        await call(async () => {
          for await (const item of watched.query(query)) items.push(item);
        });
        yield* items;
      },
      put: (item, condition) => call(() => watched.put(item, condition)),
      write: (puts, deletes = []) =>
        call(
          () => watched.write(puts, deletes),
          () =>
            watched.write(
              puts.filter((_, i) => i % 2 === 0),
              deletes.filter((_, i) => i % 2 === 1),
            ),
        ),
    };
    const signer = (log: string, key: SigningKey) => {
      const signCheckpoint = checkpointSigner({ ed25519: [inKms(key)], mldsa44: [] }, tick);
      return (checkpoint: { origin: string; size: bigint; root: Uint8Array }) =>
        call(async () => {
          const { size } = checkpoint;
          const root = bytesToHex(checkpoint.root);
          const id = log === ANCHOR ? ANCHOR : (checkpoint.origin.split("/").at(-1) ?? "");
          if (!observed.committed.has(`${id} ${size} ${root}`)) {
            observed.violations.push(`I3: ${id} asked to sign size ${size}, which the store never committed`);
          }
          // A sealer that slept may find a later head recorded; one that is behind would be the fault.
          const recorded = publication.files.get(`logs/${id}/head`);
          const reached = recorded && parseCheckpointBody(new TextDecoder().decode(recorded)).size;
          if (reached === undefined || reached < size) {
            observed.violations.push(`I6: ${id} asked to sign size ${size}, recorded outside is ${reached}`);
          }
          const note = await signCheckpoint(checkpoint);
          observed.signed.push({ log: id, size, root, note });
          return note;
        });
    };
    return {
      store: faulty,
      publication: {
        read: (path) => call(() => watchedFiles.read(path)),
        replace: (path, bytes, tag) => call(() => watchedFiles.replace(path, bytes, tag)),
      },
      index: {
        read: (path, from, to) => call(() => index.read(path, from, to)),
        write: (path, bytes) => call(() => index.write(path, bytes)),
        list: index.list,
        remove: (path) => call(() => index.remove(path)),
      },
      // Of the process: another knows of no run.
      filters: newFilters(FILTER_BYTES),
      runSizes,
      clock: tick,
      signLog: signer("", LOG_KEY),
      signAnchor: signer(ANCHOR, ANCHOR_KEY),
      anchorOrigin: ANCHOR_ORIGIN,
      anchorVkeys: async () => [vkeys.anchor],
      policy: NO_WITNESSES,
      calls: () => count,
      call,
    };
  };

  return {
    store,
    publication,
    index,
    reading: { store, index, filters: newFilters(FILTER_BYTES), runSizes },
    observed,
    vkeys,
    actor,
    async landLate() {
      // Whether it still succeeds is the store's business; nobody waits for the answer.
      for (const run of late.splice(0)) await run().catch(() => undefined);
    },
    tick,
  };
}

/**
 * Calls of several racers wait at their gates, and go on one at a time.
 * @param choose which of those that wait, by the racers' names.
 */
export function newRace<Racer = void>(choose: (waiting: readonly Racer[]) => number | Promise<number>) {
  const waiting: { racer: Racer; go: () => void }[] = [];
  return {
    gate: (racer: Racer) => () => new Promise<void>((go) => waiting.push({ racer, go })),
    async run<T>(race: Promise<T>): Promise<T> {
      let over = false;
      const finished = race.finally(() => {
        over = true;
      });
      finished.catch(() => undefined);
      while (!over) {
        // Everything here runs in microtasks, so a turn of the event loop leaves each racer waiting or done.
        await new Promise(setImmediate);
        waiting.splice(await choose(waiting.map(({ racer }) => racer)), 1)[0]?.go();
      }
      return await finished;
    },
  };
}

/** Sees every write at the moment the store makes it. */
function watch(store: MemoryStore, observed: Observed): Store {
  /** Published history is written once; a tile only grows. */
  const check = (before: Item | undefined, after: Item) => {
    if (before === undefined) return;
    const name = `${after.pk} ${after.sk}`;
    const isHistory = /^(checkpoint|public)\//.test(after.sk) || after.pk.startsWith("anchored/");
    if (isHistory && !isDeepStrictEqual(before, after)) {
      observed.violations.push(`I4: ${name} was rewritten`);
    }
    const [narrow, wide] = [before["width"], after["width"]];
    if (typeof narrow === "bigint" && typeof wide === "bigint" && wide < narrow) {
      observed.violations.push(`I5: ${name} was narrowed`);
    }
  };
  return {
    ...store,
    async put(item, condition) {
      const [before] = await store.get([item]);
      await store.put(item, condition);
      check(before, item);
      if (logOfPending(item.pk) !== undefined) observeAccepted(observed, item);
      const log = /^log\/(.+)$/.exec(item.pk)?.[1];
      if (log !== undefined && item.sk === headKey(log).sk) observeHead(store, observed, log, before, item);
    },
    async write(puts, deletes) {
      const before = await store.get(puts);
      await store.write(puts, deletes);
      for (const [i, item] of puts.entries()) check(before[i], item);
    },
  };
}

/** What is published once stays as it is; the newest checkpoint only moves forward. */
function watchFiles(publication: MemoryPublication, observed: Observed): Publication {
  const { files } = publication;
  return {
    ...publication,
    async replace(path, bytes, tag) {
      const before = files.get(path);
      const done = await publication.replace(path, bytes, tag);
      if (!done) return false;
      const isFixed = /^(anchor\/(tile|checkpoints)\/|logs\/[^/]+\/batches\/)/.test(path);
      if (isFixed && before !== undefined) observed.violations.push(`I4: ${path} was replaced`);
      if (path === "anchor/checkpoint") observed.shown.push(new Map(files));
      return true;
    },
  };
}

function observeAccepted({ accepted }: Observed, item: Item): void {
  const { arrival, entries } = decodeChunk(item);
  for (const entry of listEntries(entries).map(bytesToHex)) {
    accepted.set(entry, (accepted.get(entry) ?? new Set()).add(arrival));
  }
}

function observeHead(
  store: MemoryStore,
  observed: Observed,
  log: string,
  before: Item | undefined,
  { size, root, checkpoint, published }: Item,
): void {
  if (!(root instanceof Uint8Array) || typeof checkpoint !== "string")
    throw new Error("a head without a root");
  observed.committed.add(`${log} ${size} ${bytesToHex(root)}`);
  if (before?.["published"] === published || checkpoint === "") return;
  if (parseCheckpoint(checkpoint).checkpoint.size !== published) {
    observed.violations.push(`${log}: published ${published}, its checkpoint says otherwise`);
  }
  observed.visible.push({ log, note: checkpoint, snapshot: store.items() });
}
