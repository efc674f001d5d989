// `kedge agent` as a process whose clock runs fast, for tests that want manifests of hours: a second is an hour. Of the
// compiled code, for it starts without vitest. Arguments: the configuration, and when the clock began (ms since the epoch).
import { runAgent } from "@kedge/cli/agent/agent";
import { readConfig } from "@kedge/cli/agent/config";
import { openKeyring } from "@kedge/cli/keys/keyring";
import { findTenantKey, namedLog, serviceConnection } from "@kedge/verify/cli/credentials";

const [path, began] = process.argv.slice(2);
const config = readConfig(path);
const fast = () => Number(began) + (Date.now() - Number(began)) * 3600;
const clock = {
  wall: fast,
  trusted: fast,
  ahead: () => undefined,
  isFresh: () => true,
  heard: () => undefined,
};
const flags = { credentials: config.credentials };
const keys = await openKeyring({ path: `${config.data}/keyring.json`, tenantKey: findTenantKey(flags) });
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
await runAgent(
  { config, connection: serviceConnection(flags), log: namedLog(flags), keys, clock },
  stop.signal,
);
