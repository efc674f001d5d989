/** An error as the page hears it: a code that a text stands for, and what happened. Nothing of an event is in it. */
import { EvidenceError } from "@kedge/cli/evidence/error";
import { ClientError, TimestampError } from "@kedge/verify/error";
import { TlogError } from "@kedge/verify/tlog/error";
import { KeysError } from "./keyring.ts";

export type Told = { code: string; message: string };

export const isUnreadable = (error: unknown): boolean =>
  error instanceof DOMException && (error.name === "NotReadableError" || error.name === "NotFoundError");

export function told(error: unknown): Told {
  if (error instanceof DOMException && error.name === "AbortError") return { code: "cancelled", message: "" };
  // A folder, a file that was moved, or one that was changed since it was chosen (File API §7).
  if (isUnreadable(error)) return { code: "unreadable", message: "" };
  if (error instanceof TimestampError) return { code: "authority", message: "" };
  if (error instanceof KeysError) return { code: `keys_${error.code}`, message: "" };
  if (error instanceof EvidenceError) {
    const { code, file, message } = error;
    return {
      code: `evidence_${code}`,
      message: file === undefined || message.includes(file) ? message : `${file}: ${message}`,
    };
  }
  if (error instanceof ClientError) return { code: error.code, message: error.message };
  if (error instanceof TlogError) return { code: "policy", message: error.message };
  // What is not expected here is a fault of ours; its text may hold anything, and is not shown.
  console.error(error instanceof Error ? error.name : typeof error);
  return { code: "fault", message: "" };
}
