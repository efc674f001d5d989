/** The extra line of a proof file: what Kedge adds to a C2SP tlog-proof. */
import { type Opening, parseOpening } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { type Json, readJson } from "../events/json.ts";
import { TlogError } from "../tlog/error.ts";
import { formatProof, parseProof, type TlogProof } from "../tlog/proof.ts";

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

/** Every anchoring of a proof, oldest first. */
export function anchoringsOf({ anchor, timestamps, earlier = [] }: Extra): Anchoring[] {
  return anchor === undefined ? [] : [...earlier, { anchor, timestamps }];
}

/** A `.tlog-proof` file of Kedge: the proof in the tenant's log, and what stands on its extra line. */
export type ProofFile = { readonly proof: TlogProof; readonly extra: Extra };

/** Verifies nothing. Throws as `parseProof`, whose parameters it has, and `parseExtra`. */
export function parseProofFile(...parameters: Parameters<typeof parseProof>): ProofFile {
  const proof = parseProof(...parameters);
  return { proof, extra: proof.extra === undefined ? { timestamps: [] } : parseExtra(proof.extra) };
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
 * Throws as `parseProof` and `parseExtra`, and TlogError `out_of_range` when it has MAX_ANCHORINGS already.
 */
export function withAnchoring({ proof, extra }: ProofFile, renewed: Anchoring): string {
  const earlier = anchoringsOf(extra);
  if (earlier.length >= MAX_ANCHORINGS) {
    throw new TlogError(
      "out_of_range",
      `A proof has at most ${MAX_ANCHORINGS} anchorings, and this one has them`,
    );
  }
  const { opening } = extra;
  const next: Extra = { ...renewed, ...(earlier.length > 0 && { earlier }), ...(opening && { opening }) };
  return formatProof({ ...proof, extra: new TextEncoder().encode(JSON.stringify(next)) });
}

/**
 * Of two proofs of one entry, one that has what both have: every anchoring that is of the same tenant checkpoint, and an
 * opening. Undefined when that is `before` itself. Throws as `withAnchoring`.
 */
export function uniteProofs(before: ProofFile, after: ProofFile): string | undefined {
  const isSameTree = before.proof.checkpoint === after.proof.checkpoint;
  const known = anchoringsOf(before.extra);
  // A proof of another tree takes its place only where nothing is lost by it.
  if (!isSameTree && known.length === 0) return formatFile(after);
  const fresh = isSameTree
    ? anchoringsOf(after.extra).filter(({ anchor }) => !known.some((one) => one.anchor === anchor))
    : [];
  let file = before;
  for (const anchoring of fresh) file = parseProofFile(withAnchoring(file, anchoring));
  const { opening } = after.extra;
  if (opening !== undefined && before.extra.opening === undefined) {
    file = { ...file, extra: { ...file.extra, opening } };
  }
  return file === before ? undefined : formatFile(file);
}

function formatFile({ proof, extra }: ProofFile): string {
  return formatProof({ ...proof, extra: new TextEncoder().encode(JSON.stringify(extra)) });
}

/** The same proof with this opening on its extra line. Throws as `parseProof` and `parseExtra`. */
export function withOpening(proof: string, opening: Opening): string {
  const parsed = parseProofFile(proof);
  const extra = new TextEncoder().encode(JSON.stringify({ ...parsed.extra, opening }));
  return formatProof({ ...parsed.proof, extra });
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
