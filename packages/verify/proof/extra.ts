/** The extra line of a proof file: what Kedge adds to a C2SP tlog-proof. */
import { type Opening, parseOpening } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { type Json, readJson } from "../events/json.ts";
import { TlogError } from "../tlog/error.ts";
import { decodeExtra, formatProof, splitProof, type TlogProof } from "../tlog/proof.ts";

/**
 * What Kedge puts on the `extra` line of a proof. Nothing here is authenticated: `anchor` is a proof to verify, and the
 * opening is right when the commitment it leads to is in the log.
 */
export type Extra = {
  /** The tlog-proof of the tenant checkpoint in the anchor log. Absent while the entry is only sealed. */
  anchor?: string;
  /** Over the anchor checkpoint, each of a form that timestamps.ts knows, or another. */
  timestamps: unknown[];
  /** What `anchor` and `timestamps` were before the proof was renewed, oldest first. */
  earlier?: Anchoring[];
  opening?: Opening;
};

/** A place of the tenant checkpoint in a signed tree of the anchor log, and the timestamps over that tree's checkpoint. */
export type Anchoring = { anchor: string; timestamps: unknown[] };

/** A proof that is renewed each year has as many in sixty years; more would keep a verifier busy. */
export const MAX_ANCHORINGS = 64;

/** Timestamps of one checkpoint that are looked at: more would be somebody's attempt to keep the verifier busy. */
export const MAX_TIMESTAMPS = 16;

/** Every anchoring of a proof, oldest first. */
export function anchoringsOf({ anchor, timestamps, earlier = [] }: Extra): Anchoring[] {
  return anchor === undefined ? [] : [...earlier, { anchor, timestamps }];
}

/** A `.tlog-proof` file of Kedge: the proof in the tenant's log, and what stands on its extra line. */
export type ProofFile = { readonly proof: TlogProof; readonly extra: Extra };

/** What a proof's extra line holds: its bytes, and what they say. */
export type ExtraLine = { readonly bytes: Uint8Array; readonly extra: Extra };

/**
 * Verifies nothing. Throws as `parseProof`, whose parameters it has, and `parseExtra`.
 * @param readLine reads the extra line's base64 instead: for who keeps what it read.
 */
export function parseProofFile(
  input: string | Uint8Array,
  readCheckpoint?: (note: string) => unknown,
  readLine: (base64: string) => ExtraLine = readExtraLine,
): ProofFile {
  const { extra: line, ...proof } = splitProof(input, readCheckpoint);
  if (line === undefined) return { proof, extra: { timestamps: [] } };
  const { bytes, extra } = readLine(line);
  return { proof: { extra: bytes, ...proof }, extra };
}

/** Throws as `parseExtra`. */
export function readExtraLine(base64: string): ExtraLine {
  const bytes = decodeExtra(base64);
  return { bytes, extra: parseExtra(bytes) };
}

/** Reads the bytes of an extra line. Throws TlogError `malformed`, and EventError for the opening in it. */
export function parseExtra(bytes: Uint8Array): Extra {
  const value = readExtraJson(bytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed();
  const { anchor, timestamps, earlier, opening, ...others } = value;
  if (Object.keys(others).length > 0 || !Array.isArray(timestamps)) throw malformed();
  if (anchor !== undefined && typeof anchor !== "string") throw malformed();
  if (anchor === undefined && earlier !== undefined) throw malformed();
  return {
    ...(anchor === undefined ? {} : { anchor }),
    timestamps,
    ...(earlier === undefined ? {} : { earlier: parseEarlier(earlier) }),
    ...(opening === undefined ? {} : { opening: parseOpening(opening) }),
  };
}

function parseEarlier(value: Json): Anchoring[] {
  if (!Array.isArray(value) || value.length === 0 || value.length >= MAX_ANCHORINGS) throw malformed();
  return value.map((item) => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) throw malformed();
    const { anchor, timestamps, ...others } = item;
    if (typeof anchor !== "string" || !Array.isArray(timestamps) || Object.keys(others).length > 0) {
      throw malformed();
    }
    return { anchor, timestamps };
  });
}

/**
 * The same proof anchored anew: what it carries of before is kept.
 * Throws TlogError `out_of_range` when it has MAX_ANCHORINGS already.
 */
export function withAnchoring({ proof, extra }: ProofFile, renewed: Anchoring): ProofFile {
  const earlier = anchoringsOf(extra);
  if (earlier.length >= MAX_ANCHORINGS) {
    throw new TlogError(
      "out_of_range",
      `A proof has at most ${MAX_ANCHORINGS} anchorings, and this one has them`,
    );
  }
  return { proof, extra: { ...extra, ...renewed, ...(earlier.length > 0 && { earlier }) } };
}

/**
 * Of two proofs of one entry, one that has what both have: every anchoring that is of the same tenant checkpoint, and an
 * opening. Where the checkpoints differ, `before` stays if it is anchored. Throws as `withAnchoring`.
 */
export function uniteProofs(before: ProofFile, after: ProofFile): ProofFile {
  const opening = before.extra.opening ?? after.extra.opening;
  const known = anchoringsOf(before.extra);
  let united = before;
  if (before.proof.checkpoint === after.proof.checkpoint) {
    const fresh = anchoringsOf(after.extra).filter(
      ({ anchor }) => !known.some((one) => one.anchor === anchor),
    );
    for (const anchoring of fresh) united = withAnchoring(united, anchoring);
  } else if (known.length === 0) united = after;
  return { proof: united.proof, extra: { ...united.extra, ...(opening && { opening }) } };
}

/** The same proof with this opening on its extra line. Throws as `parseProof` and `parseExtra`. */
export function withOpening(proof: string, opening: Opening): string {
  const parsed = parseProofFile(proof);
  return formatProofFile({ ...parsed, extra: { ...parsed.extra, opening } });
}

/** The text of the file. Throws as `formatProof`. */
export function formatProofFile({
  proof,
  extra: { anchor, timestamps, earlier, opening },
}: ProofFile): string {
  const extra = { anchor, timestamps, earlier, opening };
  return formatProof({ ...proof, extra: new TextEncoder().encode(JSON.stringify(extra)) });
}

/** JSON with no member twice, so that no two readers see two openings. */
function readExtraJson(bytes: Uint8Array): Json {
  try {
    return readJson(bytes);
  } catch (cause) {
    if (!(cause instanceof EventError)) throw cause;
    throw malformed(cause);
  }
}

function malformed(cause?: unknown): TlogError {
  return new TlogError(
    "malformed",
    "The extra line is not a JSON object of anchor, timestamps, earlier and opening",
    {
      cause,
    },
  );
}
