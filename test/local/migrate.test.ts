/** What `kedge migrate` refuses of a folder of version 0.1.0, and that a witness's record comes along. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { formatVkey } from "@kedge/verify/tlog/note";
import { originHash } from "@kedge/verify/tlog/witness";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrate } from "../../local/migrate.ts";
import { dynamodbStore } from "../../platform/dynamodb.ts";
import { startDynamodb } from "../../platform/embedded/dynamodb.ts";
import { createKey, useKms } from "../../platform/embedded/embedded.ts";
import { createTable } from "../../platform/embedded/table.ts";
import type { Store } from "../../platform/store.ts";
import { encodeCosigned } from "../../witness/items.ts";
import { startWitness } from "../../witness/serve.ts";
import { ed25519Cosigner } from "../packages/verify/tlog/signers.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-migrate-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Works on a table as version 0.1.0 kept it. */
async function onTable(dataDir: string, table: string, run: (store: Store) => Promise<void>): Promise<void> {
  const server = await startDynamodb({ dataDir });
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  const client = new DynamoDBClient({ endpoint: server.url, region: "us-east-1", credentials });
  await createTable(client, table);
  await run(dynamodbStore(client, table));
  client.destroy();
  await server.close();
}

test("a tile that does not lead to the signed tree head is refused, and no store is left", async () => {
  execFileSync("tar", ["xzf", new URL("./0.1.0/folder.tgz", import.meta.url).pathname, "-C", folder]);
  const data = join(folder, "data");
  await onTable(data, "kedge", async (store) => {
    for await (const { sk: log } of store.query({ pk: "logs" })) {
      const [tile] = await store.get([{ pk: `tile/${log}/0/0`, sk: "-" }]);
      if (tile?.["data"] instanceof Uint8Array)
        await store.put({ ...tile, data: tile["data"].fill(1, 0, 32) });
    }
  });
  await expect(migrate(data)).rejects.toMatchObject({
    code: "corrupt",
    message: expect.stringMatching(/does not lead to the tree head; bring it back from a backup/),
  });
  expect(existsSync(join(data, "store"))).toBe(false);
});

test("a folder that is of no earlier version is refused", async () => {
  await expect(migrate(folder)).rejects.toMatchObject({ code: "invalid" });
});

test("a witness goes on from what it had cosigned, with its keys", async () => {
  const { vkey } = ed25519Cosigner("log.example");
  const [name, note] = ["witness.example", "a checkpoint that it cosigned\n"];
  await onTable(folder, "kedge-witness", (store) =>
    store.put(encodeCosigned(originHash(vkey.name), { size: 5n, note })),
  );
  const kms = await useKms(folder);
  const identity = {
    name,
    KEDGE_WITNESS_KEY: await createKey("ECC_NIST_EDWARDS25519"),
    KEDGE_WITNESS_MLDSA_KEY: await createKey("ML_DSA_44"),
  };
  await kms.close();
  await writeFile(join(folder, "witness.json"), JSON.stringify(identity));

  const start = () =>
    startWitness({ name, logs: [formatVkey(vkey)], data: folder, host: "127.0.0.1", port: 0 });
  await expect(start()).rejects.toMatchObject({ message: expect.stringMatching(/kedge migrate/) });
  expect(await migrate(folder)).toMatchObject({ items: 1 });
  const witness = await start();
  const latest = await fetch(`${witness.url}/${originHash(vkey.name)}/checkpoint`);
  expect([latest.status, await latest.text()]).toEqual([200, note]);
  await witness.close();
});
