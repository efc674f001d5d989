/** A witness's configuration, from the environment; the AWS SDK reads its own variables itself. */
import { readFileSync } from "node:fs";
import { parseVkey, type Vkey } from "@kedge/verify/tlog/note";
import * as z from "zod";
import { parseEnvironment, refuseFolders } from "../platform/environment.ts";
import { ServiceError } from "../platform/error.ts";
import { type OpenStore, openStore, storePlace } from "../platform/open-store.ts";
import { kmsClient, kmsEd25519Signer, kmsMldsa44Signer } from "../platform/signer.ts";
import { reasonOf } from "../platform/words.ts";
import type { WitnessContext } from "./cosign.ts";

/** An ML-DSA-44 cosignature signs origin and cosigner name, each with its length in one byte. */
const MAX_NAME_BYTES = 255;
/** One cosigned checkpoint, with a signature of each of a log's keys, fits an item of the store. */
const MAX_KEYS_OF_LOG = 16;

const witnessName = z
  .string()
  .regex(/^[^\s+\p{C}]+$/u, "a schema-less URL such as witness.example.org, without spaces and plus signs")
  .refine((name) => !name.includes("://"), "a schema-less URL: leave out https://")
  .refine((name) => Buffer.byteLength(name) <= MAX_NAME_BYTES, `at most ${MAX_NAME_BYTES} bytes`);
const keyId = z.string().regex(/^[^\s,]+$/, "one KMS key id or ARN");

const schema = z
  .object({
    ...storePlace,
    KEDGE_WITNESS_NAME: witnessName,
    /** Ed25519. */
    KEDGE_WITNESS_KEY: keyId,
    /** Post-quantum: an ML_DSA_44 key. */
    KEDGE_WITNESS_MLDSA_KEY: keyId.optional(),
    /** The vkeys of the logs to watch, as `readLogs` takes them; a log may have several. */
    KEDGE_WITNESS_LOGS: z.string().optional(),
    /** The same in a file: the environment of a Lambda function is 4 kB, two ML-DSA-44 vkeys are 3.6 kB. */
    KEDGE_WITNESS_LOGS_FILE: z.string().min(1).optional(),
  })
  .refine((env) => (env.KEDGE_WITNESS_LOGS === undefined) !== (env.KEDGE_WITNESS_LOGS_FILE === undefined), {
    path: ["KEDGE_WITNESS_LOGS"],
    error: "the vkeys of the logs to watch, here or in KEDGE_WITNESS_LOGS_FILE",
  });

/** All that is told of a configuration without a client of AWS. @throws ServiceError `invalid`, as `openWitness`. */
export function checkWitness(
  env: NodeJS.ProcessEnv,
): z.output<typeof schema> & { logs: Map<string, Vkey[]> } {
  const config = parseEnvironment(schema, env);
  refuseFolders(env, ["KEDGE_STORE"]);
  const logs = readLogs(config.KEDGE_WITNESS_LOGS ?? readFile(config.KEDGE_WITNESS_LOGS_FILE ?? ""));
  return { ...config, logs };
}

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export function openWitness(env: NodeJS.ProcessEnv): WitnessContext & { readonly store: OpenStore } {
  const config = checkWitness(env);
  const kms = kmsClient();
  const mldsa = config.KEDGE_WITNESS_MLDSA_KEY;
  return {
    store: openStore(config.KEDGE_STORE),
    clock: Date.now,
    witness: {
      name: config.KEDGE_WITNESS_NAME,
      ed25519: kmsEd25519Signer(kms, config.KEDGE_WITNESS_KEY),
      ...(mldsa !== undefined && { mldsa44: kmsMldsa44Signer(kms, mldsa) }),
    },
    logs: config.logs,
  };
}

/**
 * Vkeys by the origin of their log: their name or, for a log whose origin is another (c2sp.org/tlog-checkpoint lets it),
 * what the line says after `origin=`.
 * @param text vkeys, separated by white space; `<vkey> origin=<the rest of the line>`.
 * @throws ServiceError `invalid` when there is none, one cannot be read, or one is given twice.
 */
export function readLogs(text: string): Map<string, Vkey[]> {
  const logs = new Map<string, Vkey[]>();
  for (const line of text.split("\n")) {
    const [, keys = line, origin] = /^(.*?)\s+origin=(.*)$/.exec(line.trim()) ?? [];
    const parts = keys.split(/\s+/).filter((part) => part !== "");
    for (const part of parts) addKey(logs, part, origin?.trim());
  }
  if (logs.size === 0) throw new ServiceError("invalid", "no log is named: give the vkey of at least one");
  return logs;
}

function addKey(logs: Map<string, Vkey[]>, part: string, given: string | undefined): void {
  const vkey = readVkey(part);
  const origin = given ?? vkey.name;
  if (origin === "") throw new ServiceError("invalid", `${shown(part)}: nothing stands after origin=`);
  const keys = logs.get(origin) ?? [];
  if (keys.some(({ id }) => id === vkey.id)) {
    throw new ServiceError("invalid", `the vkey ${shown(part)} is given twice: leave one out`);
  }
  logs.set(origin, [...keys, vkey]);
  if (keys.length >= MAX_KEYS_OF_LOG || Buffer.byteLength(origin) > MAX_NAME_BYTES) {
    const limits = `${MAX_KEYS_OF_LOG} keys and its origin ${MAX_NAME_BYTES} bytes`;
    throw new ServiceError("invalid", `${shown(part)}: a log has at most ${limits}`);
  }
}

function readVkey(text: string): Vkey {
  try {
    return parseVkey(text);
  } catch (cause) {
    const message = `the vkey ${shown(text)} cannot be used: ${reasonOf(cause)}`;
    throw new ServiceError("invalid", message, { cause });
  }
}

const shown = (vkey: string): string => (vkey.length > 60 ? `${vkey.slice(0, 60)}…` : vkey);

function readFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const message = `KEDGE_WITNESS_LOGS_FILE ${path} cannot be read: ${reasonOf(cause)}`;
    throw new ServiceError("invalid", message, { cause });
  }
}
