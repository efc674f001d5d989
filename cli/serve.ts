/** `kedge serve`: the whole system on this machine; on an empty data folder, with a demonstration first. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { demonstrate } from "./demo.ts";
import { print } from "./output.ts";

export async function serve(options: { host: string; port: number; data: string }): Promise<void> {
  const credentials = join(options.data, "credentials.json");
  // Loaded here, so that no other command loads AWS packages.
  const { startLocal } = await import("../local/start.ts");
  const { createTenantForOperator } = await import("../local/operator.ts");

  const local = await startLocal(options);
  stopOnSignals(local.close);
  if (existsSync(credentials)) {
    print(`Kedge is running again on ${options.data}.`);
  } else {
    const tenant = await createTenantForOperator({ name: "Demo Hospital", out: credentials });
    await demonstrate(tenant, join(options.data, "demo"));
  }
  print(...whatNext(local.url, options.data, credentials));
}

const whatNext = (url: string, data: string, credentials: string): string[] => [
  "",
  `API         ${url}`,
  `Reference   ${url}/docs`,
  `Anchor log  ${url}/anchor/checkpoint`,
  `Keys        ${credentials} (the kedge command reads it)`,
  `Log file    ${join(data, "kedge.log")}`,
  "",
  "Try, in another terminal:",
  `  npx kedge verify ${join(data, "demo", "break-the-glass.json")} ${join(data, "demo", "break-the-glass.json.tlog-proof")}`,
  "  npx kedge post <your events: a file, a folder or NDJSON> --wait anchored",
  "  npx kedge proof <the same> --out proofs",
  "  npx kedge verify <the same> proofs",
  "",
  "Ctrl-C stops it; the next start goes on where it was.",
];

/** The first signal stops cleanly, a second one at once: nothing acknowledged is lost either way. */
function stopOnSignals(close: () => Promise<void>): void {
  let stopping = false;
  const stop = () => {
    if (stopping) process.exit(1);
    stopping = true;
    print("", "Stopping…");
    close().then(() => process.exit(0));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}
