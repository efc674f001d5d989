/** What proofs are held against: of the files and the text that were given, the keys, certificates and Bitcoin blocks in them. */
import { TimestampError } from "@kedge/verify/error";
import { joinKeys, type Keys, NO_KEYS, parseKeys } from "@kedge/verify/proof/keys";
import { decodedText } from "@kedge/verify/text";
import { parseBlock } from "@kedge/verify/time/ots";
import { parsePemCertificates } from "@kedge/verify/time/x509";
import { TlogError } from "@kedge/verify/tlog/error";
import type { Trust } from "./check.ts";
import { BLOCK_LINE, type GivenFile, pemOf } from "./given.ts";

/**
 * `malformed`, `refused`: what could not be read, and why. `isGiven`: whether there is any key. `leftOut`: names of files whose keys
 * do not count, as others were pasted.
 */
export type GivenTrust = Trust & {
  malformed?: string;
  refused: readonly { name: string; why: string }[];
  leftOut: readonly string[];
  isGiven: boolean;
};

export function readTrust(files: readonly GivenFile[], pasted: string): GivenTrust {
  const withKeys = files.filter(({ kind }) => kind === "keys");
  const own = readTexts([pasted]);
  // A folder that was handed over may have a key in it, and who pastes theirs may drop it whole.
  const isOwn = own.logVkeys.length + own.anchorVkeys.length > 0 || own.malformed !== undefined;
  const given = isOwn ? own : readTexts([...withKeys.map(({ bytes }) => decodedText(bytes)), pasted]);
  const leftOut = isOwn ? withKeys.map(({ name }) => name) : [];
  const refused: { name: string; why: string }[] = [];
  const tsaCerts = files
    .filter(({ kind }) => kind === "certificate")
    .flatMap(({ name, bytes }) => {
      try {
        return parsePemCertificates(pemOf(bytes));
      } catch (error) {
        if (!(error instanceof TimestampError)) throw error;
        refused.push({ name, why: error.message });
        return [];
      }
    });
  const isGiven = given.logVkeys.length + given.anchorVkeys.length > 0;
  return { ...given, tsaCerts, refused, leftOut, isGiven };
}

/** Keys, and Bitcoin blocks, each on a line of its own. */
function readTexts(texts: readonly string[]): Keys & Pick<GivenTrust, "bitcoinBlocks" | "malformed"> {
  const lines = texts.map((text) => text.split(/\r?\n/).map((line) => line.trim()));
  const isBlock = (line: string): boolean => BLOCK_LINE.test(line);
  try {
    const keys = joinKeys(lines.map((own) => parseKeys(own.filter((line) => !isBlock(line)).join("\n"))));
    return { ...keys, bitcoinBlocks: lines.flat().filter(isBlock).map(parseBlock) };
  } catch (error) {
    if (!(error instanceof TlogError || error instanceof TimestampError)) throw error;
    return { ...NO_KEYS, bitcoinBlocks: [], malformed: error.message };
  }
}
