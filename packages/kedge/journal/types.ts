/**
 * What the journal keeps, and how whatever takes events in hands them over. Every event of a source is written here, with
 * its number and its commitment, before its sender is told anything.
 */
import type { Receipt } from "../contract/receipt.ts";

export type { Receipt } from "../contract/receipt.ts";

/** An event as a source hands it over. */
export type Arrival = {
  bytes: Uint8Array;
  /** As `parseMediaType` takes it. */
  mediaType: string;
  /** What was seen of it and is outside the commitment, such as `byte order mark taken away`, `truncated`. No PHI. */
  notes?: readonly string[];
};

/** What is written in one transaction. Its bytes stay as they are until it is. */
export type Taking = {
  arrivals: readonly Arrival[];
  /** Where the source stands after them, by keys of its own; undefined removes one. */
  cursors?: ReadonlyMap<string, string | undefined>;
  /** The original messages, as they are to go on to the upstream of the source. */
  forward?: readonly Uint8Array[];
  /** Messages that were met and are no events of the source: only counted. */
  passedBy?: number;
};

/** One source's way into the journal. */
export type Intake = {
  readonly source: string;
  /**
   * Numbers the arrivals in their order and writes all of it. When it resolves, it survives a power cut; when it rejects
   * with JournalError, nothing of it is there. Many calls at a time share a commit; their order is kept.
   * @returns the numbers, in the order of the arrivals
   */
  take(taking: Taking): Promise<bigint[]>;
  /** What was last written under a key. */
  cursor(key: string): string | undefined;
  /** All whose keys begin so, in the order of their keys. */
  cursors(prefix: string): [key: string, value: string][];
  /** The oldest of what is to go on to the upstream. */
  forwards(limit: number): { id: bigint; message: Uint8Array }[];
  /** The upstream has them, up to this one. */
  forwarded(id: bigint): Promise<void>;
  /** Gives the source back, once all that was taken is written. */
  close(): Promise<void>;
};

/** Of an event that is on its way: posted in the order of its source's numbers. */
export type Outgoing = { source: string; number: bigint; commitment: Uint8Array };

/** An event as it lies in the journal. */
export type Entry = Outgoing & {
  /** When it was journalled, ms since the epoch: never before that of a lower number of its source. */
  at: number;
  mediaType: string;
  /** Of the tenant key that its nonce is derived from. */
  epoch: number;
  notes: readonly string[];
  /** Absent once the archive's retention has passed, or once its epoch was shredded. */
  bytes?: Uint8Array;
  /** That of its opening, in place of the bytes once retention has passed: `openingOf`. */
  nonce?: Uint8Array;
  /** Absent while it is not known to be sealed. */
  index?: bigint;
};

export type SourceState = {
  name: string;
  /** Events met, journalled or not. */
  seen: bigint;
  journalled: bigint;
  /** Of these: gaps that the agent saw. */
  gaps: bigint;
  /** Messages that the upstream does not have yet. */
  forwarding: bigint;
  posted: bigint;
  sealed: bigint;
  /** The last number given; absent when none is. */
  last?: bigint;
  /** When the oldest event that is posted and not sealed was posted, ms since the epoch. */
  unsealedSince?: number;
  /** When the oldest event that is not posted was journalled, ms since the epoch. */
  unpostedSince?: number;
};

/** Which events of a source: by number, both ends included, and by when they were journalled, ms since the epoch. */
export type EntryRange = {
  from?: bigint;
  to?: bigint;
  /** At this time or later. */
  since?: number;
  /** Before this time. */
  before?: number;
  /** Leaves `bytes` and `nonce` out, for who needs the commitments only. */
  withoutBytes?: boolean;
};

/** What is read of a journal, also beside the agent that writes it. All of it throws JournalError `damaged`. */
export type JournalReader = {
  /** In the order of their names. */
  sources(): SourceState[];
  /** In the order of their numbers. Lazy: what is journalled meanwhile is included. */
  entries(source: string, range?: EntryRange): Iterable<Entry>;
  /** What a source last wrote under a key of its cursors. */
  cursor(source: string, key: string): string | undefined;
  /** Those of them that are gaps. */
  gaps(source: string, range?: EntryRange): Iterable<Entry>;
  /** By when they were posted, ms since the epoch: `from` included, `to` not. */
  receipts(range?: { from?: number; to?: number }): Iterable<Receipt & { batch: readonly Outgoing[] }>;
  close(): Promise<void>;
};

export type Journal = JournalReader & {
  /**
   * Begins the source when it is new. One intake for each source at a time, in all processes; but of `SHARED_SOURCES` any
   * process may have one. Rejects with JournalError `in_use`.
   */
  intake(source: string): Promise<Intake>;
  /** What is not posted yet, by turns among the sources, each in the order of its numbers. */
  outbox(limit: number): Outgoing[];
  /** Of each source the next numbers that are not posted, as `outbox` gave them. Durable when it resolves. */
  posted(batch: readonly Outgoing[], receipt: Receipt): Promise<void>;
  /** Posted, and not yet known to be sealed: oldest first. */
  unsealed(limit: number): Outgoing[];
  /** Durable when it resolves. Places that are known are passed by. */
  sealed(places: readonly (Outgoing & { index: bigint })[]): Promise<void>;
  /** Resolves when there is something in the outbox, or rejects with the signal's reason. */
  whenOutgoing(signal: AbortSignal): Promise<void>;
  /**
   * Takes the bodies of events away that were journalled before; their numbers, commitments and what openings need stay.
   * @returns of how many
   */
  dropBodies(source: string, before: number): Promise<number>;
};

/** Sources of the agent itself that other commands add to beside it: `USES`, of searches and exports. */
export const SHARED_SOURCES: readonly string[] = ["kedge.journal"];

/** The tenant keys that the journal commits under, by their epochs. */
export type EpochKeys = {
  /** The one that events are committed under from now on. */
  current(): EpochKey;
  /** undefined for one that was shredded or never was. */
  of(epoch: number): EpochKey | undefined;
};
export type EpochKey = {
  epoch: number;
  /** 32 bytes. */
  tenantKey: Uint8Array;
  /** 32 bytes that the bodies of its events are encrypted under; absent when the journal is kept plain. */
  bodyKey?: Uint8Array;
};
