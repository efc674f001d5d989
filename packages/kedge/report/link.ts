/** Where the QR code of a report leads: the verifier page at the operator's own domain, with what the pack must lead to. Pure. */
import type { JudgedPack } from "@kedge/verify/pack/pack";
import type { Place } from "@kedge/verify/proof/verify";
import { decodeBase64 } from "@kedge/verify/tlog/bytes";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";

/** A name, as in a URL, with a port perhaps. */
const HOST = /^[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?(?::\d{1,5})?$/;

/**
 * The verifier page at the operator's own domain, with what a pack must lead to, after `#`: the largest tree of the log that
 * the rows rest on, by `log`, `size`, `root` (hex), and `evidence`. Only of a document of one row, `index` and `leaf` too:
 * of several, none stands for the others. Nothing in it is of a patient, or can be linked to one without the tenant's key.
 */
export function linkOf({ rows, evidence }: JudgedPack): { host: string; url: string } | undefined {
  const proven = rows.filter(({ report }) => report?.proven && report.log !== undefined);
  let largest: Place | undefined;
  for (const { report } of proven) {
    const place = report?.log;
    if (place && (largest === undefined || BigInt(place.treeSize) > BigInt(largest.treeSize)))
      largest = place;
  }
  const [host = ""] = largest?.origin.split("/") ?? [];
  if (largest === undefined || !HOST.test(host)) return undefined;
  const fragment = new URLSearchParams({
    log: largest.origin,
    size: largest.treeSize,
    root: rootHex(largest),
  });
  const [only] = rows;
  if (rows.length === 1 && only !== undefined) {
    fragment.set("index", largest.index);
    fragment.set("leaf", bytesToHex(leafHash(hexToBytes(only.commitment))));
  }
  fragment.set("evidence", evidence);
  return { host, url: `https://${host}/verify.html#${fragment}` };
}

const rootHex = ({ root }: Place): string => bytesToHex(decodeBase64(root, "The root"));
