/** `kedge keys`: the tenant keys, which commitments are made under. API keys are `kedge key`. */
import { withCredentials, withTenantKey } from "@kedge/verify/cli/credentials";
import { misuse, print, printJson, warn } from "@kedge/verify/cli/output";
import { type Command, Option } from "commander";
import type { SealWith } from "../keys/sealing.ts";
import {
  askPassphrase,
  dropStoredKey,
  type KeyringFlags,
  keyringMisuse,
  keyringPlace,
  readPassphrase,
  withKeyring,
} from "./keyring.ts";

const HELP =
  "\nTenant keys make commitments and stay with you: events cannot be proven without them, or the openings they gave. " +
  "API keys, which let a program talk to the service, are `kedge key`.";

export function keysCommand(command: Command): Command {
  const sub = (name: string, description: string) =>
    withKeyring(withTenantKey(withCredentials(command.command(name)))).description(description);
  sub("list", "list the epochs of the tenant keys").option("--json", "as JSON").action(list);
  sub("rotate", "begin the next epoch: what is committed to from now on is under a new key").action(rotate);
  sub("seal", "keep the same keys in another way")
    .addOption(
      new Option("--by <way>", "passphrase, command, or plain: a file for its owner alone")
        .choices(["passphrase", "command", "plain"])
        .makeOptionMandatory(),
    )
    .option("--new-passphrase-file <file>", "with --by passphrase (default: asked for)")
    .option(
      "--command <json>",
      'with --by command: a program and its arguments, as ["/opt/kms", "key-1"]; it is run with wrap or unwrap as its last one, bytes over standard input and output',
    )
    .action(sealBy);
  return command.addHelpText("after", HELP);
}

async function list(flags: KeyringFlags & { json?: boolean }): Promise<void> {
  const { readKeyringFile } = await import("../keys/keyring-file.ts");
  const place = keyringPlace(flags);
  const found = await keyringMisuse(async () => readKeyringFile(place.path));
  if (found === undefined) {
    if (place.tenantKey === undefined)
      throw misuse(`There is no keyring at ${place.path}, and no tenant key`);
    const { keyId } = await import("../keys/epoch-key.ts");
    const epochs = [{ epoch: 0, id: keyId(place.tenantKey), state: "current" }];
    if (flags.json) printJson({ epochs });
    else
      print("epoch 0  current, the tenant key of the credentials: kedge keys rotate makes a keyring of it");
    return;
  }
  const { sealing, signer, epochs } = found.file;
  const told = epochs.map(({ epoch, id, createdAt, key, shred }, i) => ({
    ...{ epoch, id, createdAt },
    state:
      shred === undefined
        ? i === epochs.length - 1
          ? "current"
          : "kept"
        : key === undefined
          ? "shredded"
          : "being shredded",
  }));
  if (flags.json) {
    printJson({ path: place.path, sealing: sealing.by, signer: signer.vkey, epochs: told });
    return;
  }
  print(`${place.path}  ${SEALED[sealing.by]}`, `records of shredding are signed by ${signer.vkey}`);
  for (const { epoch, id, createdAt, state } of told) {
    const rest = state === "being shredded" ? `: kedge shred --epoch ${epoch} goes on with it` : "";
    print(`epoch ${epoch}  ${state}${rest}  since ${createdAt}  ${id}`);
  }
}

const SEALED = {
  plain: "plain: whoever can read the file has the keys",
  passphrase: "sealed with a passphrase",
  command: "sealed by a command",
};

async function rotate(flags: KeyringFlags): Promise<void> {
  const keyring = await import("../keys/keyring.ts");
  const place = keyringPlace(flags);
  const { epoch, isNew, sealing } = await keyringMisuse(() => keyring.rotate(place, Date.now()));
  print(
    `Epoch ${epoch} is current. What was committed before stays under its own key, and is found as before.`,
  );
  if (isNew) {
    print(
      `The keyring is ${place.path}. Back it up now: it alone has the new key. The tenant key of the credentials is its epoch 0.`,
    );
  }
  if (sealing === "plain")
    warn("the keyring is plain: kedge keys seal keeps it under a passphrase, or a command");
}

type SealFlags = KeyringFlags & {
  by: "passphrase" | "command" | "plain";
  newPassphraseFile?: string;
  command?: string;
};

async function sealBy(flags: SealFlags): Promise<void> {
  const keyring = await import("../keys/keyring.ts");
  const place = keyringPlace(flags);
  const { keyId } = await import("../keys/epoch-key.ts");
  const wish = await wishOf(flags);
  await keyringMisuse(() => keyring.sealAnew(place, wish, Date.now()));
  print(`${place.path}: ${SEALED[flags.by]}`);
  if (flags.by === "plain") return;
  // A key that is sealed in one file and plain in another is plain. What cannot be opened is not relied on.
  const opened = await keyringMisuse(() => keyring.openKeyring({ ...place, ...withWish(wish) }));
  for (const { tenantKey } of opened.all()) await dropStoredKey(flags, keyId(tenantKey));
  warn("copies of the keyring as it was before, in backups say, still hold the keys as they were then");
}

/** As it will be opened from now on. */
function withWish(wish: SealWith) {
  return wish.by === "passphrase" ? { passphrase: async () => wish.passphrase } : {};
}

async function wishOf({ by, newPassphraseFile, command }: SealFlags): Promise<SealWith> {
  switch (by) {
    case "plain":
      return { by };
    case "command":
      return { by, command: parseCommand(command) };
    case "passphrase":
      return { by, passphrase: await newPassphrase(newPassphraseFile) };
  }
}

function parseCommand(text: string | undefined): string[] {
  let value: unknown;
  try {
    value = text === undefined ? undefined : JSON.parse(text);
  } catch {
    // said below
  }
  if (Array.isArray(value) && value.every((part) => typeof part === "string")) return value;
  throw misuse('--by command needs --command with a JSON array of texts, such as ["/opt/kms", "key-1"]');
}

/** Typed twice: one that was mistyped would lose every key. */
async function newPassphrase(path: string | undefined): Promise<Uint8Array> {
  const given = path === undefined ? await askPassphrase("New passphrase: ") : readPassphrase(path);
  if (given === undefined)
    throw misuse("--by passphrase needs --new-passphrase-file, or a terminal to ask on");
  if (path !== undefined) return given;
  const again = await askPassphrase("The same again: ");
  if (again === undefined || !Buffer.from(given).equals(again))
    throw misuse("The two differ: nothing was changed");
  return given;
}
