/** `kedge policy`: the public keys that others verify this log's proofs with, as the one file that is handed out. */
import { namedLog, pinnedKeys, type SettingFlags, withLog, withVkeys } from "@kedge/verify/cli/credentials";
import { replaceOwn } from "@kedge/verify/cli/files";
import { misuse, print, warn } from "@kedge/verify/cli/output";
import { type Keys, policyText } from "@kedge/verify/proof/keys";
import { isLogOrigin } from "@kedge/verify/proof/origins";
import { quoted } from "@kedge/verify/text";
import { TlogError } from "@kedge/verify/tlog/error";
import type { Vkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import type { Command } from "commander";

export function policyCommand(command: Command): Command {
  return withVkeys(withLog(command))
    .option("--out <file>", "where it goes (default: standard output)")
    .addHelpText(
      "after",
      "\nIt holds no secret. Witnesses and quorum are those of --policy, or none. Whoever gets it verifies with:" +
        "\n  kedge verify EVENT PROOF --policy FILE",
    )
    .action(writePolicy);
}

async function writePolicy(flags: SettingFlags & { out?: string }): Promise<void> {
  const { logVkeys, anchorVkeys, policy } = pinnedKeys(flags);
  const own = keysOfLog(logVkeys, flags);
  if (anchorVkeys.length === 0) {
    warn("No key of the anchor log is known: with this policy no proof is more than sealed");
  }
  const text = fileOf({ logVkeys: own, anchorVkeys, ...(policy && { policy }) });
  if (flags.out === undefined) {
    print(...text.trimEnd().split("\n"));
    return;
  }
  await replaceOwn(flags.out, text, "a policy", parsePolicy);
  print(
    `The keys of ${own[0]?.name} and of the anchor log are in ${flags.out}: hand it out. Who gets it checks it against another source.`,
  );
}

/** As `parsePolicy` reads it back: one key cannot stand in two lines (c2sp.org/tlog-policy, Defining a log). */
function fileOf({ logVkeys, anchorVkeys, policy }: Keys): string {
  const text = `${HEADER}${policyText({ logVkeys, anchorVkeys, ...(policy && { policy }) })}`;
  try {
    parsePolicy(text);
    return text;
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw misuse(`These keys make no policy. ${cause.message}`, cause);
  }
}

const HEADER = [
  "# Public keys to verify proofs of Kedge with (c2sp.org/tlog-policy): kedge verify EVENT PROOF --policy THIS_FILE",
  "# A log whose name ends in /log/<id> is the tenant's, in /anchor the operator's. Witnesses cosign the anchor log.",
  "",
].join("\n");

function keysOfLog(vkeys: readonly Vkey[], flags: SettingFlags): Vkey[] {
  const names = [...new Set(vkeys.map(({ name }) => name))];
  const [only, other] = names;
  if (other === undefined && flags.log === undefined && only !== undefined && isLogOrigin(only))
    return [...vkeys];
  const id = namedLog(flags);
  const own = vkeys.filter(({ name }) => name.endsWith(`/log/${id}`));
  if (own.length === 0)
    throw misuse(`No key of the log ${quoted(id)} is known: the keys are of ${names.join(", ")}`);
  return own;
}
