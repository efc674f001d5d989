/** The keys that go with a case: those of the logs that its rows are in, of all that are pinned. Runs in a browser. */

import { kept } from "@kedge/verify/proof/kept";
import { type Keys, policyText } from "@kedge/verify/proof/keys";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import type { Vkey } from "@kedge/verify/tlog/note";
import { parseProof } from "@kedge/verify/tlog/proof";
import { isManifest } from "./completeness.ts";
import { EvidenceError } from "./error.ts";
import { rowFilter } from "./filter.ts";
import type { PackInput } from "./make.ts";
import { commitsOf } from "./open.ts";

/**
 * The policy of a pack. The logs of a tenant share their public keys, each under its own name, and a policy has a public key
 * once (c2sp.org/tlog-policy): keys of logs that the rows of the case are not in are left out. Throws EvidenceError `case` where
 * they are in several that share one, `filter`.
 */
export function policyOfCase(
  { logVkeys, ...others }: Keys,
  input: Pick<PackInput, "events" | "proofs"> & { case: Pick<PackInput["case"], "filter" | "zone"> },
): string {
  const [first] = logVkeys;
  if (logVkeys.every(({ name }) => name === first?.name)) return policyText({ logVkeys, ...others });
  const { ofRows, ofManifests } = originsOf(input);
  const used = logVkeys.filter(({ name }) => ofRows.has(name));
  // Where no proof is of any of them, none shows anything: those of the log that was pinned first are as good as others.
  const own = used.length > 0 ? used : logVkeys.filter(({ name }) => name === first?.name);
  if (own.some((vkey) => own.some((other) => sharesKey(vkey, other))))
    throw new EvidenceError("case", SEVERAL_LOGS);
  for (const vkey of logVkeys)
    if (ofManifests.has(vkey.name) && !own.some((other) => sharesKey(vkey, other))) own.push(vkey);
  return policyText({ logVkeys: own, ...others });
}

const SEVERAL_LOGS =
  "The rows of the case are in several logs that one key signs, and a policy has each key once: make a pack of each log's rows";

const sharesKey = (a: Vkey, b: Vkey): boolean => a.name !== b.name && equalBytes(a.publicKey, b.publicKey);

/** As the proofs say: of one that lies, the keys show it. */
function originsOf({ events, proofs, case: { filter, zone } }: Parameters<typeof policyOfCase>[1]) {
  const isIn = rowFilter(filter, zone);
  const parse = kept(parseCheckpoint);
  const [ofRows, ofManifests] = [new Set<string>(), new Set<string>()];
  for (const event of events) {
    const proof = proofs.get(commitsOf(event)?.commitment ?? "")?.proof;
    const origins = isManifest(event) ? ofManifests : ofRows;
    if (proof === undefined || !(origins === ofManifests || isIn(event))) continue;
    try {
      origins.add(parse(parseProof(proof, parse).checkpoint).checkpoint.origin);
    } catch (error) {
      if (!(error instanceof TlogError)) throw error;
    }
  }
  return { ofRows, ofManifests };
}
