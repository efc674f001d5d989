/** The source `files`: a file that is followed through its rotations, or a folder of files. */
import { resourceType } from "@kedge/verify/events/formats/fhir";
import { formatOf } from "@kedge/verify/events/formats/formats";
import { quoted } from "@kedge/verify/text";
import { z } from "zod";
import { type Found, openFollower } from "./follow-file.ts";
import { isBlank, type LineContent, lineMembers } from "./line-events.ts";
import { list } from "./listing.ts";
import { lookTroubles } from "./look-troubles.ts";
import { pause } from "./pause.ts";
import type { Host, Source } from "./source.ts";
import { openWholeFiles, type Split } from "./whole-files.ts";

/** What its files hold. Seconds are of this machine's clock. */
export const filesSchema = z.strictObject({
  kind: z.literal("files"),
  ...lineMembers,
  /** A file, with what it is rotated to beside it; or a folder, with all below it. A symbolic link is followed here alone. */
  path: z.string().min(1),
  /** Of the names below a folder: `*` is any text, `?` any character. */
  pattern: z.string().min(1).optional(),
  content: z.enum(["auto", "lines", "ndjson", "resource", "bundle", "delimited"]).default("auto"),
  /** Files are taken as they are that look like proofs, keys, records or text in UTF-16. */
  asBytes: z.boolean().optional(),
  /**
   * Seconds without a change after which a last line without its end is an event: 60 for all but the file that `path` names,
   * which waits unless this is given.
   */
  closedAfter: z.number().min(0).optional(),
  /** Seconds for which a file that is an event must not have changed. */
  settle: z.number().min(0).default(2),
  /** Seconds from one look to the next. */
  poll: z.number().min(0.05).default(1),
});

export type FilesOptions = z.infer<typeof filesSchema>;

const CLOSED_AFTER = 60;
/** A look over very many files is not begun again at once. */
const REST = 3;
const RETRY_MS = 1_000;

export type FilesSource = Source & {
  /**
   * One look over all, which `run` repeats.
   * @returns whether there was anything new
   */
  pass(): Promise<boolean>;
  close(): Promise<void>;
};

export function openFiles(options: FilesOptions, host: Host, now: () => number = Date.now): FilesSource {
  const { content, mediaType, refuse, asBytes, limit } = options;
  const closedAfter = 1_000 * (options.closedAfter ?? CLOSED_AFTER);
  const troubles = lookTroubles(host);
  const listing = list(options, troubles);
  const follower = openFollower({
    ...{ lines: options, asBytes, closedAfter, host, troubles, now },
    contentOf: (name, head, isClosed) => lineContent(content, name, head, isClosed),
  });
  const whole = openWholeFiles({
    ...{ mediaType, refuse, asBytes, limit, closedAfter, host, troubles, now },
    ...{ split: splitBy(content), settle: 1_000 * options.settle },
  });

  async function pass(): Promise<boolean> {
    const followed: Found[] = [];
    for await (const found of listing.files()) {
      if (host.signal.aborted) return false;
      if (isWhole(content, found)) await whole.offer(found);
      else followed.push({ ...found, isOpen: found.isOpen && options.closedAfter === undefined });
    }
    // What was rotated first, and the file that it was rotated from last.
    followed.sort((a, b) => Number(a.isOpen) - Number(b.isOpen) || compare(a.stats.mtimeNs, b.stats.mtimeNs));
    const isBusy = await follower.pass(followed, listing.isAll());
    const isAnyNew = (await whole.end()) || isBusy;
    troubles.end();
    return isAnyNew;
  }

  return {
    pass,
    close: () => follower.close(),
    ready: async () => ({}),
    async run() {
      try {
        while (!host.signal.aborted) {
          const began = performance.now();
          let rest = 0;
          try {
            if (!(await pass())) rest = Math.max(1_000 * options.poll, REST * (performance.now() - began));
            host.trouble("reading", undefined);
          } catch (error) {
            host.trouble("reading", error instanceof Error ? error.message : "reading failed");
            rest = RETRY_MS;
          }
          await pause(rest, host.signal);
        }
      } finally {
        await follower.close();
      }
    },
  };
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : Number(a > b));

// ---- what a file holds --------------------------------------------------------------------------------------------

/** By its name, below a folder; a file that is followed by its path holds lines, unless it is XML. */
function isWhole(content: FilesOptions["content"], { name, isNamed }: Found): boolean {
  if (content === "resource" || content === "bundle") return true;
  return content === "auto" && (isNamed ? /\.xml$/i : /\.(json|jsonld|xml)(\.gz)?$/i).test(name);
}

function lineContent(
  content: FilesOptions["content"],
  name: string,
  head: Uint8Array,
  isClosed: boolean,
): LineContent | undefined {
  if (content === "lines" || content === "ndjson" || content === "delimited") return content;
  if (/\.(ndjson|jsonl)$/i.test(name)) return "ndjson";
  if (/\.(csv|tsv|psv)$/i.test(name)) return "delimited";
  return isBlank(head) && !isClosed ? undefined : "text";
}

/** The events of a document. `auto` takes FHIR's Bundles apart and nothing else; `resource`, nothing. */
function splitBy(content: FilesOptions["content"]): Split {
  return (bytes, mediaType) => {
    const format = formatOf(bytes, mediaType);
    const isBundle = () => format.name === "fhir" && has(bytes, "Bundle") && resourceType(bytes) === "Bundle";
    return content === "bundle" || (content === "auto" && isBundle()) ? format.split?.(bytes) : undefined;
  };
}

/** Before it is read: a resource of another type mostly has no such word. */
const has = ({ buffer, byteOffset, length }: Uint8Array, word: string): boolean =>
  Buffer.from(buffer, byteOffset, length).includes(word);

/** For `kedge agent check`. */
export function describeFiles({ path, pattern, content, prefix, refuse }: FilesOptions): string[] {
  const named = pattern === undefined ? "" : ` whose names are ${quoted(pattern)}`;
  const what = {
    auto: "a line, a row or a file an event, by what it looks like; the resources of a Bundle each",
    lines: "a line an event",
    ndjson: "a line of JSON an event",
    resource: "a file an event",
    bundle: "each event of a file's document",
    delimited: "a row an event, its first row a header",
  }[content];
  return [
    `reads ${quoted(path)}, or the files below it${named}: ${what}`,
    ...(prefix ? ["takes what stands before the first { of a line away"] : []),
    ...(refuse ? ["refuses what is not of the format: a gap in its place"] : []),
  ];
}
