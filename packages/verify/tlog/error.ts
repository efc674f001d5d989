/** The error of `tlog/`, and its closed set of codes. */

/**
 * Why a log's data was refused.
 *
 * - `malformed`: the bytes or text are not in the format of their specification
 * - `unsupported`: well-formed, but an algorithm or signature type that Kedge does not speak
 * - `unknown_key`: nothing here is signed by a key that the caller trusts
 * - `bad_signature`: a trusted key is named, and the signature is not its own
 * - `bad_proof`: a Merkle proof does not lead to the root
 * - `out_of_range`: an index, size, width or count outside the tree or the format
 * - `missing_tile`: a tile that the computation needs was not supplied, or is too narrow
 * - `quorum_not_met`: too few witnesses cosigned
 */
export type TlogErrorCode =
  | "malformed"
  | "unsupported"
  | "unknown_key"
  | "bad_signature"
  | "bad_proof"
  | "out_of_range"
  | "missing_tile"
  | "quorum_not_met";

/** The only error that `tlog/` throws. The message never quotes the content of an entry. */
export class TlogError extends Error {
  readonly code: TlogErrorCode;

  constructor(code: TlogErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "TlogError";
    this.code = code;
  }
}
