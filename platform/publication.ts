/**
 * The publication: files outside the table, which outlive it. Where they go is a URL in the configuration.
 *
 * `anchor/…` is the anchor log as anyone may read it (service/public-files.ts). All else is for the service alone:
 * `logs/<log>/…` is what a lost or older table is recognised and restored by (service/record.ts).
 */

import { formatVkey, type Vkey } from "@kedge/verify/tlog/note";
import { formatPolicy, type Policy } from "@kedge/verify/tlog/policy";
import { ServiceError } from "./error.ts";

/** A file and an opaque tag of its content, as an ETag. */
export type TaggedFile = { readonly bytes: Uint8Array; readonly tag: string };

/** A read sees every write that returned before it. Errors are ServiceErrors: `unavailable`, `throttled`, `corrupt`. */
export interface Publication {
  read(path: string): Promise<TaggedFile | undefined>;
  /**
   * Replaces the file, atomically, if its tag is still `tag`, or creates it if `tag` is undefined and it is absent.
   * @returns false when it is not, when another write is under way, or when this one's own answer was lost: read again.
   */
  replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean>;
}

/** Whether anyone may read the file. */
export const isPublic = (path: string): boolean => path.startsWith("anchor/");

export const NOTE_TYPE = "text/plain; charset=utf-8";

/** How a web server serves a file of the publication. What is written once is kept for ever; what is not public, by nobody. */
export function fileHeaders(path: string): { readonly contentType: string; readonly cacheControl: string } {
  const [, name] = path.split("/");
  if (!isPublic(path)) return { contentType: "application/octet-stream", cacheControl: "no-store" };
  switch (name) {
    case "tile":
      return { contentType: "application/octet-stream", cacheControl: FOR_EVER };
    case "checkpoints":
      return { contentType: NOTE_TYPE, cacheControl: FOR_EVER };
    case "checkpoint":
    case "timestamped":
      return { contentType: NOTE_TYPE, cacheControl: "public, max-age=5" };
    case "timestamps":
      return { contentType: "application/json", cacheControl: FOR_MINUTES };
    default:
      return { contentType: NOTE_TYPE, cacheControl: FOR_MINUTES };
  }
}

const FOR_EVER = "public, max-age=31536000, immutable";
const FOR_MINUTES = "public, max-age=300";

/** The policy in public, c2sp.org/tlog-policy: with the keys that the log signs with now. */
export const policyText = (policy: Policy, vkeys: readonly Vkey[]): string =>
  formatPolicy({ ...policy, logs: vkeys.map((vkey) => ({ vkey })) });

/** Verifier keys, c2sp.org/signed-note, a line each. */
export const vkeysText = (vkeys: readonly Vkey[]): string =>
  vkeys.map((vkey) => `${formatVkey(vkey)}\n`).join("");

/** More than the writers that can race for one file. A run that fails so is made good by the next. */
const MAX_TRIES = 20;

/**
 * Creates the file if it is absent: its name stands for one content for ever.
 * @returns what is there then, which may be another's.
 * @throws ServiceError `throttled` when others are at it all the time.
 */
export async function createFile(
  publication: Publication,
  path: string,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (await publication.replace(path, bytes, undefined)) return bytes;
    // Whoever was faster has written it; where nobody did, another write was under way and failed.
    const file = await publication.read(path);
    if (file !== undefined) return file.bytes;
  }
  throw contended(path);
}

/**
 * Changes the file by compare-and-swap. After a lost race, or a lost answer, `change` is asked again.
 * @param change what is to stand there instead of what does; undefined: what stands there stays.
 * @throws ServiceError `throttled` when others are at it all the time, and what `change` throws.
 */
export async function changeFile(
  publication: Publication,
  path: string,
  change: (bytes: Uint8Array | undefined) => Uint8Array | undefined,
): Promise<void> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const file = await publication.read(path);
    const next = change(file?.bytes);
    if (next === undefined || (await publication.replace(path, next, file?.tag))) return;
  }
  throw contended(path);
}

const contended = (path: string): ServiceError =>
  new ServiceError("throttled", `${path} is being written by others all the time; retry after a second`);
