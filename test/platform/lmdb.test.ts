import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { lmdbStore } from "../../platform/lmdb.ts";
import { storeContract } from "../support/store-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "kedge-lmdb-"));
const store = lmdbStore(folder);
afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

storeContract("LMDB", () => store);
