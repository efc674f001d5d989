/** Files that are plainly no file of events, as `kedge post` refuses them. */
import { looksLikeRecord, type Oddity, oddFile } from "@kedge/verify/cli/recognise";

export type Refused = {
  /** What it is instead, in words. */
  what: string;
  /** Events may be in it, in a form that is not read here. */
  mayHoldEvents: boolean;
};

/** By a file's first bytes. undefined when it may well be of events. */
export const refusedAs = (head: Uint8Array): Refused | undefined => judge(head, "event.json").refused;

/** All of a file; `isCut` when it ends in the middle of its JSON or XML. */
export function judge(bytes: Uint8Array, name: string): { refused?: Refused | undefined; isCut: boolean } {
  const odd = oddFile(bytes, name);
  const isCut = odd?.is === "cut";
  const end = bytes.indexOf(0x0a);
  if (looksLikeRecord(end === -1 ? bytes : bytes.subarray(0, end))) {
    return { refused: refusal({ is: "record" }), isCut };
  }
  // UTF-16 is told of what is named as JSON alone.
  const found = odd ?? (name.endsWith(".json") ? undefined : oddFile(bytes, "event.json"));
  return { refused: found && refusal(found), isCut };
}

function refusal(odd: Oddity): Refused | undefined {
  switch (odd.is) {
    case "compressed":
      return { what: `compressed (${odd.format})`, mayHoldEvents: true };
    case "utf16":
      return { what: "text in UTF-16", mayHoldEvents: true };
    case "utf32":
      return { what: "text in UTF-32", mayHoldEvents: true };
    case "record":
      return { what: "records of kedge commit", mayHoldEvents: false };
    case "proof":
      return { what: "a proof", mayHoldEvents: false };
    case "credentials":
      return { what: "credentials or keys", mayHoldEvents: false };
    case "vkeys":
      return { what: "verifier keys", mayHoldEvents: false };
    default:
      return undefined;
  }
}
