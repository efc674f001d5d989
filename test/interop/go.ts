import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { decodeBase64, encodeBase64 } from "@kedge/verify/tlog/bytes";
import { z } from "zod";

const run = promisify(execFile);
const MODULE = fileURLToPath(new URL(".", import.meta.url));
/** How long a network that never answers may hold up the tests. */
const DOWNLOAD_MS = 30_000;
/** No answer takes as long, so that a program that never ends is no burden after the tests. */
const ANSWER_MS = 50_000;
const MAX_OUTPUT = 64 << 20;

const bytes = z.string().transform((text) => decodeBase64(text, "A field"));
/** An int64, or a uint64: their libraries allow sizes and indexes that ours does not. */
const integer = z
  .string()
  .regex(/^(?:0|-?[1-9][0-9]{0,19})$/)
  .transform(BigInt);

const KeyId = z.strictObject({
  name: z.string(),
  id: z.int(),
  timestamp: integer.optional(),
});
const SignedNote = z.strictObject({ note: bytes, vkeys: z.array(z.string()) });
const OpenedNote = z.strictObject({ text: bytes, verified: z.array(KeyId) });
const OpenedCheckpoint = z.strictObject({
  origin: z.string(),
  size: integer,
  root: bytes,
  rest: bytes,
  verified: z.array(KeyId),
});
const Tile = z.strictObject({ level: z.int(), index: integer, width: z.int() });
const Hashes = z.strictObject({ hashes: z.array(bytes) });
const Holds = z.strictObject({});
const Proof = z.strictObject({
  index: integer,
  hashes: z.array(bytes),
  extra: bytes.optional(),
  checkpoint: bytes,
});

type Signer = { name: string; type: number };
type Tree = { folder: string; size: bigint; root: Uint8Array };
export type InclusionProof = {
  leaf: Uint8Array;
  index: bigint;
  size: bigint;
  root: Uint8Array;
  hashes: Uint8Array[];
};
export type ConsistencyProof = {
  from: bigint;
  to: bigint;
  fromRoot: Uint8Array;
  toRoot: Uint8Array;
  hashes: Uint8Array[];
};

/** What the libraries said to one request. */
export type Answer<Result> = { accepted: Result } | { refused: string };
type Verb<Request, Result> = (requests: readonly Request[]) => Promise<Answer<Result>[]>;

/** The verbs of `main.go`, with the types of its requests and answers. A tile of level -1 is a bundle. */
export type Go = {
  readVkey: Verb<{ vkey: string }, z.infer<typeof KeyId>>;
  signNote: Verb<{ text: Uint8Array; signers: Signer[] }, z.infer<typeof SignedNote>>;
  openNote: Verb<{ note: Uint8Array; vkeys: string[] }, z.infer<typeof OpenedNote>>;
  signCheckpoint: Verb<
    { origin: string; size: bigint; root: Uint8Array; signers: Signer[] },
    z.infer<typeof SignedNote>
  >;
  openCheckpoint: Verb<
    { note: Uint8Array; origin: string; logVkey: string; vkeys: string[] },
    z.infer<typeof OpenedCheckpoint>
  >;
  writeTilePath: Verb<z.infer<typeof Tile>, { path: string }>;
  readTilePath: Verb<{ path: string }, z.infer<typeof Tile>>;
  changedTiles: Verb<{ from: bigint; to: bigint }, { paths: string[] }>;
  writeTree: Verb<{ folder: string; size: bigint }, { root: Uint8Array }>;
  readLeaves: Verb<Tree, { entries: bigint }>;
  readEntries: Verb<Tree, { entries: bigint }>;
  proveInclusion: Verb<Tree & { from: bigint }, z.infer<typeof Hashes>>;
  proveConsistency: Verb<Tree & { from: bigint }, z.infer<typeof Hashes>>;
  checkInclusion: Verb<InclusionProof, z.infer<typeof Holds>>;
  checkConsistency: Verb<ConsistencyProof, z.infer<typeof Holds>>;
  writeProof: Verb<
    { index: bigint; hashes: Uint8Array[]; extra?: Uint8Array; checkpoint: Uint8Array },
    { proof: Uint8Array }
  >;
  checkProof: Verb<
    { proof: Uint8Array; leaf: Uint8Array; origin: string; logVkey: string },
    z.infer<typeof Proof>
  >;
};

/**
 * Builds the Go program beside this file, from pinned modules that are cached or can be downloaded. `missing` says
 * why there is none. Throws when the program does not build, or a module is not the one in go.sum.
 */
export async function buildGo(): Promise<{ go: Go; remove: () => Promise<void> } | { missing: string }> {
  try {
    await runGo(["version"]);
  } catch {
    return { missing: "there is no go on the PATH" };
  }
  try {
    await runGo(["mod", "download"], DOWNLOAD_MS);
  } catch (error) {
    if (error instanceof Error && error.message.includes("checksum mismatch")) {
      throw error;
    }
    return { missing: "Go is too old or its modules cannot be had: see `go mod download` in test/interop" };
  }
  const folder = await mkdtemp(join(tmpdir(), "kedge-interop-"));
  const program = join(folder, "interop");
  await runGo(["build", "-o", program, "."]);
  return { go: verbsOf(program), remove: () => rm(folder, { recursive: true }) };
}

/** Nothing is written beside the sources, no toolchain is downloaded, and the caller's own flags do not count. */
function runGo(args: readonly string[], timeout = 0): Promise<unknown> {
  const settings = {
    CGO_ENABLED: "0",
    GOFLAGS: "-mod=readonly -buildvcs=false",
    GOTOOLCHAIN: "local",
    GOWORK: "off",
  };
  return run("go", args, { cwd: MODULE, timeout, env: { ...process.env, ...settings } });
}

function verbsOf(program: string): Go {
  const verb =
    <Request, Result>(name: string, result: z.ZodType<Result>): Verb<Request, Result> =>
    async (requests) => {
      const answer = z.union([
        z.strictObject({ accepted: result }),
        z.strictObject({ refused: z.string().min(1) }),
      ]);
      const running = run(program, [name], { maxBuffer: MAX_OUTPUT, timeout: ANSWER_MS });
      running.child.stdin?.end(JSON.stringify(requests, encodeField));
      const { stdout } = await running;
      return z.array(answer).length(requests.length).parse(JSON.parse(stdout));
    };
  return {
    readVkey: verb("read-vkey", KeyId),
    signNote: verb("sign-note", SignedNote),
    openNote: verb("open-note", OpenedNote),
    signCheckpoint: verb("sign-checkpoint", SignedNote),
    openCheckpoint: verb("open-checkpoint", OpenedCheckpoint),
    writeTilePath: verb("write-tile-path", z.strictObject({ path: z.string() })),
    readTilePath: verb("read-tile-path", Tile),
    changedTiles: verb("changed-tiles", z.strictObject({ paths: z.array(z.string()) })),
    writeTree: verb("write-tree", z.strictObject({ root: bytes })),
    readLeaves: verb("read-leaves", z.strictObject({ entries: integer })),
    readEntries: verb("read-entries", z.strictObject({ entries: integer })),
    proveInclusion: verb("prove-inclusion", Hashes),
    proveConsistency: verb("prove-consistency", Hashes),
    checkInclusion: verb("check-inclusion", Holds),
    checkConsistency: verb("check-consistency", Holds),
    writeProof: verb("write-proof", z.strictObject({ proof: bytes })),
    checkProof: verb("check-proof", Proof),
  };
}

function encodeField(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") {
    return value.toString();
  }
  return value instanceof Uint8Array ? encodeBase64(value) : value;
}

/** The results, all of which the libraries must have accepted. */
export function accepted<Result>(answers: readonly Answer<Result>[]): Result[] {
  return answers.map((answer, i) => {
    if ("refused" in answer) {
      throw new Error(`request ${i} was refused there: ${answer.refused}`);
    }
    return answer.accepted;
  });
}

/** "accepted" or "refused" for each answer. */
export function verdicts(answers: readonly Answer<unknown>[]): ("accepted" | "refused")[] {
  return answers.map((answer) => ("accepted" in answer ? "accepted" : "refused"));
}
