/** What a source remembers of each file that it follows, as it lies in the journal's cursors. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { z } from "zod";
import type { Intake } from "../journal/types.ts";
import { type Fingerprint, NOTHING_READ } from "./fingerprint.ts";
import { LINE_CONTENTS } from "./line-events.ts";

const stateSchema = z.strictObject({
  /** Hashes of its name below the folder that is followed, as it was last seen, and of what that was before a rotation. */
  name: z.string(),
  family: z.string(),
  /** `device:inode`, also of a file that is gone. */
  inode: z.string(),
  /** No file has what was read here: it was truncated, written over, or taken away. */
  isGone: z.boolean().optional(),
  /** Bytes that the file had when it was last looked at; of a compressed one, unknown until its end. */
  size: z.number(),
  offset: z.number(),
  marks: z.array(z.string()),
  tail: z.string(),
  content: z.enum(LINE_CONTENTS),
  header: z.string().optional(),
  /** Of a compressed file: its own size and time, which tell whether it changed. Read to its end when `isEnded`. */
  gzip: z.string().optional(),
  isEnded: z.boolean().optional(),
  /** It is no file of events: what it is instead. */
  refused: z.string().optional(),
});

export type FileState = z.infer<typeof stateSchema>;

const FILE = "file/";
export const fileKey = (id: string): string => FILE + id;
export const stateValue = (state: FileState): string => JSON.stringify(state);

export const fingerprintOf = ({ offset, marks, tail }: FileState): Fingerprint => ({ offset, marks, tail });

export function newState(
  name: string,
  inode: string,
  size: number,
  content: FileState["content"],
): FileState {
  return { ...hashedNames(name), inode, size, content, ...NOTHING_READ, marks: [] };
}

export function readStates(intake: Intake): Map<string, FileState> {
  return new Map(
    intake
      .cursors(FILE)
      .map(([key, value]): [string, FileState] => [
        key.slice(FILE.length),
        stateSchema.parse(JSON.parse(value)),
      ]),
  );
}

// ---- names of rotated files ---------------------------------------------------------------------------------------

/** After the whole name, and within it, where `ehr-2.log` is a log of its own. */
const AFTER = /[._-](?:\d[\d._:T-]*|old)$/;
const WITHIN = /(?:[._-]\d{4}-?\d\d-?\d\d[\d._:T-]*|(?:\.\d{1,4})+)$/;

const split = (name: string): [folder: string, own: string] => {
  const own = basename(name);
  return [name.slice(0, name.length - own.length), own.replace(/\.gz$/, "")];
};

/**
 * What a rotated file was called before: `ehr.log` of `ehr.log.1`, `ehr.log-20261128.gz`, `ehr.2026-11-28.log` and `ehr.1.log.gz`;
 * any other name is its own.
 */
export function familyOf(name: string): string {
  const [folder, plain] = split(name);
  const own = plain.replace(AFTER, "");
  const extension = /\.[A-Za-z]+$/.exec(own)?.[0] ?? "";
  const stem = own.slice(0, own.length - extension.length).replace(WITHIN, "");
  return folder + (stem === "" ? own : stem + extension);
}

/** The names of which a rotation makes this one, for the file itself or for a copy of it. */
export function namesBefore(name: string): string[] {
  const [folder, plain] = split(name);
  const names = [folder + plain, folder + plain.replace(AFTER, ""), familyOf(name)];
  return [...new Set(names)].filter((before) => before !== name);
}

/** Names may say whose record it is, and cursors lie in the journal as they are. */
export const nameHash = (name: string): string =>
  createHash("sha256").update(name).digest("base64url").slice(0, 22);

export const hashedNames = (name: string): Pick<FileState, "name" | "family"> => ({
  name: nameHash(name),
  family: nameHash(familyOf(name)),
});

export const isRotationOf = (name: string, of: string): boolean => namesBefore(name).includes(of);
