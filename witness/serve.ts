/** A witness on one machine: the same handler on a port, over embedded DynamoDB and KMS. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DescribeTableCommand, ResourceNotFoundException } from "@aws-sdk/client-dynamodb";
import { formatVkey } from "@kedge/verify/tlog/note";
import { z } from "zod";
import { dynamodbClient } from "../platform/dynamodb.ts";
import {
  createKey,
  openFolder,
  startEmbedded,
  useEnvironment,
  writePrivately,
} from "../platform/embedded/embedded.ts";
import { checkPort, type Listening, listen } from "../platform/embedded/listen.ts";
import { createTable } from "../platform/embedded/table.ts";
import { ServiceError } from "../platform/error.ts";
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

const TABLE_NAME = "kedge-witness";

/**
 * Starts on the data folder, which is made if absent and resumed if not.
 * @throws ServiceError `invalid` for a name, vkey or port that is none, or another name than the folder's;
 * `unavailable` when the folder or the port cannot be had; `corrupt` when part of the folder is missing.
 */
export async function startWitness(options: LocalWitnessOptions): Promise<LocalWitness> {
  const { data, host, port } = options;
  checkPort(port);
  const environment = (keys: Record<string, string>) => ({
    KEDGE_STORE: `dynamodb:${TABLE_NAME}`,
    KEDGE_WITNESS_NAME: options.name,
    KEDGE_WITNESS_LOGS: options.logs.join("\n"),
    ...keys,
  });
  // Wrong options are refused before anything is made.
  checkWitness(environment({ KEDGE_WITNESS_KEY: "none" }));
  const folder = await openFolder(data, "--data");
  const logFile = process.env["KEDGE_LOG_FILE"] || join(folder, "witness.log");
  const embedded = await startEmbedded(folder, {
    sync: true,
    repair:
      "start on another folder, with new keys, for no copy has all that was cosigned (docs/witness.md, A lost record)",
  });
  try {
    useEnvironment({ KEDGE_LOG_FILE: logFile });
    const witness = openWitness(environment(await openIdentity(folder, options.name)));
    const vkeys = (await witnessVkeys(witness.witness)).map(formatVkey);
    const app = createWitness(witness);
    const server = await listen((request) => app.fetch(request), { host, port, portSetting: "--port" });
    const close = async () => {
      await server.close();
      await embedded.close();
    };
    return { url: server.url, logFile, vkeys, origins: [...witness.logs.keys()], close };
  } catch (error) {
    await embedded.close();
    throw error;
  }
}

const identitySchema = z.strictObject({
  name: z.string(),
  KEDGE_WITNESS_KEY: z.string(),
  KEDGE_WITNESS_MLDSA_KEY: z.string(),
});

/**
 * The ids of the witness's keys, which are made at the first start. Keys belong to one name and to one record of what
 * they cosigned: without that record, the table, they must never sign again, or they could cosign a fork.
 */
async function openIdentity(folder: string, name: string): Promise<Record<string, string>> {
  const path = join(folder, "witness.json");
  const client = dynamodbClient();
  if (!existsSync(path)) {
    // In this order, so that keys never exist without their table.
    await createTable(client, TABLE_NAME);
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
  await client.send(new DescribeTableCommand({ TableName: TABLE_NAME })).catch((cause: unknown) => {
    if (!(cause instanceof ResourceNotFoundException)) throw cause;
    const message = `${folder} has keys and no record of what they cosigned: start on another folder, with new keys`;
    throw new ServiceError("corrupt", message, { cause });
  });
  return keys;
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
