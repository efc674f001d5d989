/** The service in this process, on the store of one machine, with its calls counted: for what the HTTP API would hide. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { CreateKeyCommand, type KeySpec } from "@aws-sdk/client-kms";
import { startKms } from "../platform/embedded/kms.ts";
import { kmsClient } from "../platform/signer.ts";
import { append } from "../service/append.ts";
import { openService, type Service } from "../service/config-sealing.ts";
import { prove } from "../service/prove.ts";
import { seal } from "../service/seal.ts";
import { createLog, createTenant } from "../service/tenants.ts";
import { type Counter, counted } from "./counted.ts";

export type Stack = {
  readonly service: Service;
  readonly folder: string;
  readonly calls: Pick<Counter, "take" | "slow">;
  close(): Promise<void>;
};

export async function openStack(): Promise<Stack> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-bench-"));
  const kms = await startKms({ dataDir: folder });
  const inFolder = (name: string) => `${pathToFileURL(join(folder, name))}/`;
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_KMS: kms.url,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "local",
    AWS_SECRET_ACCESS_KEY: "local",
    KEDGE_STORE: inFolder("store").replace(/^file:/, "lmdb:"),
    KEDGE_DOMAIN: "localhost",
    KEDGE_PUBLICATION: inFolder("published"),
    KEDGE_INDEX: inFolder("index"),
  });
  process.env["KEDGE_LOG_KEY"] = await newKey("ECC_NIST_EDWARDS25519");
  process.env["KEDGE_ANCHOR_KEY"] = await newKey("ECC_NIST_EDWARDS25519");
  process.env["KEDGE_ANCHOR_MLDSA_KEY"] = await newKey("ML_DSA_44");

  const opened = openService(process.env);
  const { store, index, ...calls } = counted(opened.store, opened.index);
  return {
    service: { ...opened, store, index },
    folder,
    calls,
    async close() {
      await opened.close();
      await kms.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function newKey(KeySpec: KeySpec): Promise<string> {
  const { KeyMetadata } = await kmsClient().send(new CreateKeyCommand({ KeySpec, KeyUsage: "SIGN_VERIFY" }));
  return KeyMetadata?.KeyId ?? "";
}

export type BenchLog = { readonly id: string; readonly origin: string };

export async function newLog(service: Service): Promise<BenchLog> {
  const tenant = await createTenant(service, "bench");
  return await createLog(service, tenant.id, "bench");
}

export const randomCommitments = (count: number): Uint8Array[] =>
  Array.from({ length: count }, () => new Uint8Array(randomBytes(32)));

/** Appends random commitments, so many a request. */
export async function appendRandom(
  service: Service,
  log: BenchLog,
  events: number,
  perRequest: number,
): Promise<Uint8Array[]> {
  const entries = randomCommitments(events);
  for (const request of slices(entries, perRequest)) await append(service, log.id, request);
  return entries;
}

/** @throws when it sealed anything but what was expected: the figures would be of something else. */
export async function sealBatch(service: Service, log: BenchLog, events: number): Promise<void> {
  const done = await seal(service, { ...log, sign: service.signLog });
  const sealed = done.conflict ? 0 : done.sealed;
  if (sealed !== events) throw new Error(`a batch of ${events} was to be sealed, it was ${sealed}`);
}

const PER_REQUEST = 1_000;

/** A new log with this many entries, sealed in one batch. */
export async function sealedLog(
  { service }: Stack,
  events: number,
): Promise<{ readonly log: BenchLog; readonly entries: readonly Uint8Array[] }> {
  const log = await newLog(service);
  const entries = await appendRandom(service, log, events, PER_REQUEST);
  await sealBatch(service, log, events);
  return { log, entries };
}

/** @throws when one has no proof. */
export async function proveAll(
  { service }: Stack,
  log: BenchLog,
  entries: readonly Uint8Array[],
): Promise<string[]> {
  const found = await prove(service, log.id, entries);
  return found.map((proof) => {
    if (proof === undefined || proof === "pending") throw new Error("a sealed entry has no proof");
    return proof.proof;
  });
}

export function slices<T>(all: readonly T[], length: number): T[][] {
  const count = Math.ceil(all.length / length);
  return Array.from({ length: count }, (_, i) => all.slice(i * length, (i + 1) * length));
}
