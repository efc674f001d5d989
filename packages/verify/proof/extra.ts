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
  opening?: Opening;
};

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
  const { anchor, timestamps, opening, ...others } = value;
  if (Object.keys(others).length > 0 || !Array.isArray(timestamps)) throw malformed();
  if (anchor !== undefined && typeof anchor !== "string") throw malformed();
  return {
    ...(anchor === undefined ? {} : { anchor }),
    timestamps,
    ...(opening === undefined ? {} : { opening: parseOpening(opening) }),
  };
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
  return new TlogError("malformed", "The extra line is not a JSON object of anchor, timestamps and opening", {
    cause,
  });
}
