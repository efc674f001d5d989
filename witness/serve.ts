/** A witness on one machine: the same handler on a port, over a store in a folder and embedded KMS. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { takeOwnership } from "@kedge/cli/lmdb/owner";
import { formatVkey } from "@kedge/verify/tlog/note";
import { z } from "zod";
import {
  createKey,
  openFolder,
  useEnvironment,
  useKms,
  writePrivately,
} from "../platform/embedded/embedded.ts";
import { checkPort, type Listening, listen } from "../platform/embedded/listen.ts";
import { ServiceError } from "../platform/error.ts";
import { openWhole } from "../platform/lmdb-damage.ts";
import type { Key, Store } from "../platform/store.ts";
import { checkWitness, openWitness } from "./config.ts";
import { witnessVkeys } from "./cosign.ts";
import { createWitness } from "./http.ts";

export type LocalWitnessOptions = {
  readonly name: string;
  /** The vkeys of the logs to watch. */
  readonly logs: readonly string[];
  readonly data: string;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
};

export type LocalWitness = Listening & {
  readonly logFile: string;
  /** Its own verifier keys: type 0x04, then 0x06. */
  readonly vkeys: readonly string[];
  /** Origins of the logs that it watches. */
  readonly origins: readonly string[];
};

const STORE = "store";
/** In the place of the store in a folder of version 0.1.0. */
const OLD_STORE = "dynamodb";
/** In a store that keys were made for: without it the record of what they cosigned is another, or was lost. */
const MACHINE: Key = { pk: "machine", sk: "-" };
const REPAIR =
  "start on another folder, with new keys, for no copy has all that was cosigned (docs/witness.md, A lost record)";

/**
 * Starts on the data folder, which is made if absent and resumed if not.
 * @throws ServiceError `invalid` for a name, vkey or port that is none, or another name than the folder's;
 * `unavailable` when the folder or the port cannot be had; `corrupt` when part of the folder is missing.
 */
export async function startWitness(options: LocalWitnessOptions): Promise<LocalWitness> {
  const { data, host, port } = options;
  checkPort(port);
  const environment = (folder: string, keys: Record<string, string>) => ({
    KEDGE_STORE: pathToFileURL(join(folder, STORE)).href.replace(/^file:/, "lmdb:"),
    KEDGE_WITNESS_NAME: options.name,
    KEDGE_WITNESS_LOGS: options.logs.join("\n"),
    ...keys,
  });
  // Wrong options are refused before anything is made.
  checkWitness(environment(data, { KEDGE_WITNESS_KEY: "none" }));
  const folder = await openFolder(data, "--data");
  const logFile = process.env["KEDGE_LOG_FILE"] || join(folder, "witness.log");
  // In the order of opening, and closed in reverse.
  const open: { close(): Promise<void> }[] = [{ close: await lock(folder) }];
  const close = async () => {
    for (const part of open.splice(0).reverse()) await part.close();
  };
  try {
    refuseOldFolder(folder);
    open.push(await useKms(folder));
    useEnvironment({ KEDGE_LOG_FILE: logFile });
    const keys = await openIdentity(folder, options.name);
    const witness = openWitness(environment(folder, keys));
    open.push(witness.store);
    const vkeys = (await witnessVkeys(witness.witness)).map(formatVkey);
    const app = createWitness(witness);
    const server = await listen((request) => app.fetch(request), { host, port, portSetting: "--port" });
    open.push(server);
    return { url: server.url, logFile, vkeys, origins: [...witness.logs.keys()], close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One process at a time signs with the folder's keys. */
async function lock(folder: string): Promise<() => Promise<void>> {
  const release = await takeOwnership(folder, "\0serve");
  if (release !== undefined) return release;
  throw new ServiceError(
    "unavailable",
    `another process has ${folder} open: it runs there already, or is just starting or stopping`,
  );
}

function refuseOldFolder(folder: string): void {
  if (!existsSync(join(folder, OLD_STORE)) || existsSync(join(folder, STORE))) return;
  throw new ServiceError(
    "invalid",
    `${folder} is of version 0.1.0: run npx kedge migrate --data ${folder}, then start again`,
  );
}

const identitySchema = z.strictObject({
  name: z.string(),
  KEDGE_WITNESS_KEY: z.string(),
  KEDGE_WITNESS_MLDSA_KEY: z.string(),
});

/**
 * The ids of the witness's keys, which are made at the first start. Keys belong to one name and to one record of what
 * they cosigned: without that record, the store, they must never sign again, or they could cosign a fork.
 */
async function openIdentity(folder: string, name: string): Promise<Record<string, string>> {
  const path = join(folder, "witness.json");
  const store = await openWhole(join(folder, STORE), REPAIR);
  try {
    if (!existsSync(path)) {
      // In this order, so that keys never exist without their record.
      await store.put({ ...MACHINE, folder });
      await writePrivately(path, {
        name,
        KEDGE_WITNESS_KEY: await createKey("ECC_NIST_EDWARDS25519"),
        KEDGE_WITNESS_MLDSA_KEY: await createKey("ML_DSA_44"),
      });
    }
    const { name: known, ...keys } = await readIdentity(path);
    if (known !== name) {
      throw new ServiceError("invalid", `${folder} is of the witness ${known}: name that, or another folder`);
    }
    await checkRecord(folder, store);
    return keys;
  } finally {
    await store.close();
  }
}

async function checkRecord(folder: string, store: Store): Promise<void> {
  const [machine] = await store.get([MACHINE]);
  if (machine !== undefined) return;
  const message = `${folder} has keys and no record of what they cosigned: start on another folder, with new keys`;
  throw new ServiceError("corrupt", message);
}

async function readIdentity(path: string): Promise<z.infer<typeof identitySchema>> {
  try {
    return identitySchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new ServiceError("corrupt", `${path} cannot be read: start on another folder, with new keys`, {
      cause,
    });
  }
}
