/** The opening of an event in the journal: it shows to whom it is given which event a commitment stands for. */
import { commitEvent, type Opening } from "@kedge/verify/events/commitment";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { JournalError } from "./error.ts";
import { NATIVE } from "./hashes.ts";
import type { Entry, EpochKeys } from "./types.ts";

/**
 * undefined when the key of its epoch was shredded, or was when its body was dropped.
 * @throws JournalError `damaged` when the bytes are not those that were committed to.
 */
export function openingOf(entry: Entry, keys: EpochKeys): Opening | undefined {
  const { source, number, mediaType, bytes, nonce, commitment } = entry;
  if (nonce !== undefined) {
    return {
      ...{ v: "kedge/v1", canonicalisation: "raw", mediaType, source, sequence: `${number}` },
      nonce: encodeBase64(nonce),
    };
  }
  const key = keys.of(entry.epoch);
  if (bytes === undefined || key === undefined) return undefined;
  const made = commitEvent({ bytes, mediaType, source, sequence: number }, key, NATIVE);
  if (Buffer.compare(made.commitment, commitment) === 0) return made.opening;
  throw new JournalError(
    "damaged",
    `The journal is damaged: number ${number} of its source is not the event that was committed to. Bring it back from a backup`,
  );
}
