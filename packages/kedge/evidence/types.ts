/** What the officer's exports become: events with what opens them, row by row. Runs in a browser. */
import type { Opening } from "@kedge/verify/events/commitment";
import type { Columns } from "@kedge/verify/events/formats/columns";
import type { Header } from "@kedge/verify/events/formats/header";
import type { CommitRecord } from "@kedge/verify/pack/lines";

/** A file that was given, by name and bytes; `/` between folders. */
export type GivenFile = {
  readonly name: string;
  /** Its path below what was named, or its own name: folders above that are nobody's choice. Absent: all of `name`. */
  readonly below?: string;
  readonly bytes: Uint8Array;
};

/** One event of an export. `bytes` may be a view of its file's. */
export type ExportedEvent = {
  readonly file: string;
  /** Where it begins, of a file of lines or rows, from 1. */
  readonly line?: number;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** Of a row of a delimited file. */
  readonly header?: Header;
  /** What else its bytes may have been when they were committed: a line with or without its carriage return. */
  readonly otherBytes?: readonly Uint8Array[];
  /** Of a part of a file: all of it, which may have been committed as one event. */
  readonly whole?: Uint8Array;
  /** The row that names the columns. It is an event only where it was committed as one. */
  readonly isHeader?: true;
};

/** What an event's commitment (hex) is, and the secret that opens it. */
export type Commits = { readonly commitment: string; readonly opening: Opening };

/** Made with a key, of these bytes. */
export type OtherCommits = Commits & { readonly bytes: Uint8Array };

/** A line that `kedge commit`, or `kedge find --export`, wrote. */
export type GivenRecord = Readonly<CommitRecord>;

/** One event with its commitment: from a record, or made with a tenant key. `opening` is a secret. */
export type OpenedEvent = ExportedEvent & {
  /** `{}` of what cannot be read. */
  readonly columns: Columns;
  readonly commitment?: string;
  readonly opening?: Opening;
  /** Made with a key: what it would be under another, or by other bytes. The log knows which it was. */
  readonly otherwise?: readonly OtherCommits[];
  /** A header, or a file as a whole: it is an event only if the log knows it. */
  readonly isPerhaps?: true;
  /** By its name or place this record is its own, and does not open it: it was changed. */
  readonly changedFrom?: GivenRecord;
};

/** What is known of a commitment: its proof as text, or why there is none, as the log says. */
export type KnownProof =
  | { readonly proof: string; readonly noProof?: undefined }
  | { readonly noProof: "pending" | "unknown"; readonly proof?: undefined };
/** By commitment, hex. What is absent was not asked for. */
export type Proofs = ReadonlyMap<string, KnownProof>;
