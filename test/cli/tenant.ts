/** A tenant's folder with its credentials, and the service that it talks to, in this process. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatVkey } from "@kedge/verify/tlog/note";
import { API_KEY, LOG_ID, startServer } from "../support/fake-api.ts";
import { anchor, log } from "../support/proofs.ts";

export type Tenant = Awaited<ReturnType<typeof startTenant>>;

export async function startTenant() {
  const [cwd, server] = await Promise.all([mkdtemp(join(tmpdir(), "kedge-tenant-")), startServer()]);
  const credentials = {
    url: server.url,
    tenant: "t",
    log: LOG_ID,
    apiKey: API_KEY,
    tenantKey: "07".repeat(32),
    logVkey: formatVkey(log.vkey),
    anchorVkey: formatVkey(anchor.vkey),
  };
  await mkdir(join(cwd, ".kedge"));
  await writeFile(join(cwd, ".kedge/credentials.json"), JSON.stringify(credentials), { mode: 0o600 });
  const stop = () => Promise.all([rm(cwd, { recursive: true }), server.stop()]);
  return { cwd, server, stop };
}
