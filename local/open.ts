/** The data folder's KMS and store: opened by the process that serves it and, where none does, by a command. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { takeOwnership } from "@kedge/cli/lmdb/owner";
import { withTimeout } from "@kedge/verify/net/exchange";
import { z } from "zod";
import { useEnvironment, useKms, writePrivately } from "../platform/embedded/embedded.ts";
import { ServiceError } from "../platform/error.ts";
import type { LmdbStore } from "../platform/lmdb.ts";
import { damaged, openWhole, saysDamage } from "../platform/lmdb-damage.ts";
import { openApiService } from "../service/config.ts";
import {
  BACKUP,
  checkFolder,
  checkSigners,
  checkStore,
  makeKeys,
  readDomain,
  readSigningKeys,
  refuseOlderKeys,
  STORE,
} from "./state.ts";

/** What a command that runs beside the server takes from it; there while it runs. */
export const ENVIRONMENT_FILE = "environment.json";
/** How long the server has to answer. */
const GRACE_MS = 2_000;

type Open = { close(): Promise<void> };
export type Environment = Readonly<Record<string, string>>;

/** The service's configuration but for its keys. KEDGE_DOMAIN and KEDGE_LOG_FILE of the environment count; so does KEDGE_POLICY. */
export const configuration = (folder: string) => ({
  KEDGE_STORE: storeOf(folder),
  KEDGE_INDEX: `${pathToFileURL(join(folder, "index"))}/`,
  KEDGE_DOMAIN: process.env["KEDGE_DOMAIN"] || "localhost",
  KEDGE_PUBLICATION: `${pathToFileURL(join(folder, "published"))}/`,
  KEDGE_LOG_FILE: process.env["KEDGE_LOG_FILE"] || join(folder, "kedge.log"),
});

const storeOf = (folder: string): string =>
  pathToFileURL(join(folder, STORE)).href.replace(/^file:/, "lmdb:");

/**
 * Starts KMS on the folder and sees whether its parts belong together, the store among them. This process is then
 * configured for them.
 * @param begin makes the keys of a folder that has none. @throws ServiceError `corrupt`, `unavailable`
 */
export async function openData(folder: string, { begin }: { begin: boolean }): Promise<Open> {
  const kms = await useKms(folder);
  try {
    useEnvironment(configuration(folder));
    await withStore(folder, async (store) => {
      const keys = await readSigningKeys(folder);
      if (keys !== undefined) await checkStore(folder, store);
      else if (!begin) throw new ServiceError("unavailable", `${folder} is just being started: try again`);
      useEnvironment(keys ?? (await makeKeys(folder, store)));
      const service = openApiService(process.env);
      try {
        await checkSigners(folder, service);
        if (keys !== undefined) await refuseOlderKeys(folder, kms.publicKeys, service);
      } finally {
        await service.close();
      }
    });
    return kms;
  } catch (error) {
    await kms.close();
    throw error;
  }
}

/** Runs on the folder's store. @throws ServiceError `corrupt` when it is damaged. */
export async function withStore(folder: string, run: (store: LmdbStore) => Promise<void>): Promise<void> {
  const store = await openWhole(join(folder, STORE), BACKUP);
  try {
    await run(store);
  } catch (error) {
    throw saysDamage(error) ? damaged(join(folder, STORE), BACKUP, error) : error;
  } finally {
    await store.close();
  }
}

/**
 * Runs a command of an operator on the data folder: beside the process that serves it or, where none does, on the folder
 * itself. This process is configured for it meanwhile.
 */
export async function withData<T>(data: string, run: () => Promise<T>): Promise<T> {
  const serving = await findServing(data);
  if (serving !== undefined) {
    useEnvironment(serving);
    return await run();
  }
  const folder = resolve(data);
  await checkFolder(folder);
  if (!existsSync(join(folder, STORE))) throw nothingAt(folder);
  const domain = await readDomain(folder);
  useEnvironment({
    KEDGE_URL: process.env["KEDGE_URL"] || likelyUrl(process.env["KEDGE_PORT"]),
    ...(domain !== undefined && { KEDGE_DOMAIN: domain }),
  });
  const kms = await openData(folder, { begin: false });
  try {
    return await run();
  } finally {
    await kms.close();
  }
}

/** Where the next start will listen, as far as is known: port 0 is a free one. */
const likelyUrl = (port = ""): string =>
  `http://127.0.0.1:${/^[1-9][0-9]{0,4}$/.test(port) && Number(port) <= 65_535 ? port : 8787}`;

const nothingAt = (folder: string, cause?: unknown): ServiceError =>
  new ServiceError(
    "unavailable",
    `nothing answers for ${folder}: is it running? Start it with npm start, or name its folder with KEDGE_DATA`,
    { cause },
  );

// ---- the process that serves ---------------------------------------------------------------------------------------

/** @returns what gives it back. @throws ServiceError `unavailable` while another process of this machine serves the folder. */
export async function lockData(folder: string): Promise<() => Promise<void>> {
  const release = await takeOwnership(folder, "\0serve");
  if (release !== undefined) return release;
  throw new ServiceError(
    "unavailable",
    `another process has ${folder} open: it runs there already, or is just starting or stopping`,
  );
}

const SHARED =
  /^(AWS_(ENDPOINT_URL_KMS|REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY)|KEDGE_(URL|STORE|INDEX|DOMAIN|PUBLICATION|LOG_FILE|\w+_KEY|POLICY))$/;

export function writeEnvironment(folder: string): Promise<void> {
  const shared = Object.entries(process.env).filter(([name]) => SHARED.test(name));
  return writePrivately(join(folder, ENVIRONMENT_FILE), Object.fromEntries(shared));
}

/** The environment of the process that serves this folder. @throws ServiceError `unavailable` when none does. */
export async function readEnvironment(folder: string): Promise<Environment> {
  try {
    const text = await readFile(join(folder, ENVIRONMENT_FILE), "utf8");
    const environment = z.record(z.string(), z.string()).parse(JSON.parse(text));
    // kill -9 leaves the file.
    const health = `${environment["KEDGE_URL"]}/healthz`;
    const { ok } = await withTimeout(GRACE_MS, (signal) => fetch(health, { signal }));
    if (!ok) throw new Error("it answers, and is not up");
    return environment;
  } catch (cause) {
    throw nothingAt(folder, cause);
  }
}

/** @returns undefined when no process serves the folder. */
export const findServing = (folder: string): Promise<Environment | undefined> =>
  readEnvironment(folder).catch(() => undefined);
