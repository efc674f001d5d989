/**
 * What is kept in memory of runs: their headers and filters, by name. Least recently used goes first, so that they never take
 * more than the configuration allows. One for a process.
 */
import type { IndexPlace } from "../../platform/index-place.ts";

import { altered } from "./fault.ts";
import { type Filter, openFilter } from "./filter.ts";
import {
  checkFilter,
  headerSize,
  type Run,
  type RunFile,
  type RunHeader,
  readHeader,
  runPath,
} from "./run.ts";

/** A run that is to be asked. Without a filter its blocks are read for every leaf. */
export type OpenRun = {
  readonly path: string;
  readonly header: RunHeader;
  readonly filter: Filter | undefined;
};

export type Filters = {
  /**
   * @param leaves how many are looked for: for a few the filter is not worth reading
   * @throws RunAbsent; ServiceError `corrupt` when it is altered.
   */
  open(index: IndexPlace, log: string, run: Run, leaves: number): Promise<OpenRun>;
  /** The run with its filter, where both are in memory. */
  warm(log: string, run: Run): OpenRun | undefined;
  /** Keeps what the writer of a run has in hand. */
  keep(path: string, made: RunFile, run: Run): void;
  /** Runs this once no more than READING bytes are being read, these included. */
  reading<T>(bytes: number, run: () => Promise<T>): Promise<T>;
  /** Whether the log's runs of this name (sound.ts) are known to be the beginning of its tree. */
  knows(log: string, name: string): boolean;
  know(log: string, name: string): void;
  /** For the tests of the bound. */
  bytes(): number;
};

/** There is no file of this name: retired and deleted, if a newer cover does not name it. */
export class RunAbsent extends Error {
  readonly path: string;
  constructor(path: string) {
    super(`the run ${path} is absent`);
    this.path = path;
  }
}

/** Leaves asked of a run from which on its filter is read: until then a block for each is less. */
export const ENOUGH = 64;
/** Bytes that are being read at once, beside what is kept. */
const READING = 64 * 1024 * 1024;

/** Logs whose covers are known: some 200 bytes each. */
const COVERS = 10_000;

type Kept = { readonly open: OpenRun; readonly bytes: number; asked: number };

export function newFilters(limit: number): Filters {
  // In the order of their use.
  const kept = new Map<string, Kept>();
  let total = 0;
  const opening = new Map<string, Promise<OpenRun>>();
  const covers = new Map<string, string>();
  const reading = newGate(READING);

  const keep = (open: OpenRun, filterBytes: number, asked: number) => {
    forget(open.path);
    const bytes = open.header.size + filterBytes;
    kept.set(open.path, { open, bytes, asked });
    total += bytes;
    for (const oldest of kept.keys()) {
      if (total <= limit) break;
      forget(oldest);
    }
  };
  const forget = (path: string) => {
    total -= kept.get(path)?.bytes ?? 0;
    kept.delete(path);
  };

  const load = async (
    index: IndexPlace,
    path: string,
    run: Run,
    known: Kept | undefined,
    whole: boolean,
    asked: number,
  ) => {
    const size = known?.open.header.size ?? headerSize(run.count);
    const from = known === undefined ? 0 : size;
    const to = whole ? size + run.filterSize : size;
    const bytes = await reading(to - from, () => index.read(path, from, to));
    if (bytes === undefined) throw new RunAbsent(path);
    // Copies: what is kept must not hold on to more.
    const header = known?.open.header ?? readHeader(path, bytes.slice(0, size), run.headerHash);
    if (header.filterSize !== run.filterSize || header.count !== run.count) throw altered(path);
    const filter = whole ? openFilter(checkFilter(path, header, bytes.slice(size - from))) : undefined;
    const open: OpenRun = { path, header, filter };
    keep(open, whole ? run.filterSize : 0, asked);
    return open;
  };

  /** As the one that was used last. */
  const use = (path: string): Kept | undefined => {
    const known = kept.get(path);
    if (known === undefined) return undefined;
    kept.delete(path);
    kept.set(path, known);
    return known;
  };

  return {
    warm(log, run) {
      const known = use(runPath(log, run));
      return known?.open.filter === undefined ? undefined : known.open;
    },
    async open(index, log, run, leaves) {
      const path = runPath(log, run);
      const known = use(path);
      const asked = (known?.asked ?? 0) + leaves;
      if (known !== undefined) known.asked = asked;
      const whole = asked >= ENOUGH && run.filterSize > 0;
      if (known !== undefined && (known.open.filter !== undefined || !whole)) return known.open;
      const name = `${path} ${whole}`;
      const already = opening.get(name);
      if (already !== undefined) return await already;
      const loading = load(index, path, run, known, whole, asked).finally(() => opening.delete(name));
      opening.set(name, loading);
      return await loading;
    },
    keep(path, { file, header: size }, run) {
      const header = readHeader(path, file.slice(0, size), run.headerHash);
      const filter = openFilter(file.slice(size, size + run.filterSize));
      keep({ path, header, filter }, run.filterSize, ENOUGH);
    },
    knows: (log, name) => covers.get(log) === name,
    know(log, name) {
      covers.delete(log);
      covers.set(log, name);
      for (const oldest of covers.keys()) {
        if (covers.size <= COVERS) break;
        covers.delete(oldest);
      }
    },
    reading,
    bytes: () => total,
  };
}

/** So much at once; what is more than all of it goes alone. First come, first served. */
function newGate(limit: number) {
  let taken = 0;
  const waiting: { readonly amount: number; readonly go: () => void }[] = [];
  const next = () => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      if (taken > 0 && taken + first.amount > limit) return;
      taken += first.amount;
      waiting.shift();
      first.go();
    }
  };
  return async <T>(amount: number, run: () => Promise<T>): Promise<T> => {
    await new Promise<void>((go) => {
      waiting.push({ amount, go });
      next();
    });
    try {
      return await run();
    } finally {
      taken -= amount;
      next();
    }
  };
}
