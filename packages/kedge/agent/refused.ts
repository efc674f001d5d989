/** Files that are plainly no file of events, as `kedge post` refuses them. */
import { looksLikeRecord, type Oddity, oddFile } from "@kedge/verify/cli/recognise";

export type Refused = {
  /** What it is instead, in words. */
  what: string;
  /** Events may be in it, in a form that is not read here. */
  mayHoldEvents: boolean;
};

/** By a file's first bytes, or all of them. undefined when it may well be of events. */
export function refusedAs(head: Uint8Array): Refused | undefined {
  const odd = oddFile(head, "event.json");
  const firstLine = head.subarray(0, head.indexOf(0x0a) === -1 ? head.length : head.indexOf(0x0a));
  if (looksLikeRecord(firstLine)) return refusal({ is: "record" });
  return odd === undefined ? undefined : refusal(odd);
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
