/** A deployment, as an operator's commands see one: DynamoDB and KMS behind the AWS SDK, the API, and its schedules. */
import { setTimeout as sleep } from "node:timers/promises";
import { handler as anchor } from "../../functions/anchorer.ts";
import { createApp } from "../../functions/http/app.ts";
import { closeService, service } from "../../functions/open.ts";
import { handler as seal } from "../../functions/sealer.ts";
import { dynamodbClient } from "../../platform/dynamodb.ts";
import { createKey, startEmbedded, useEnvironment } from "../../platform/embedded/embedded.ts";
import { listen } from "../../platform/embedded/listen.ts";
import { createTable } from "../../platform/embedded/table.ts";

const RUN_EVERY_MS = 300;

/** This process is configured for it, as `environment` says. */
export async function startDeployment(folder: string) {
  const embedded = await startEmbedded(folder);
  await createTable(dynamodbClient(), "kedge");
  useEnvironment({
    KEDGE_STORE: "dynamodb:kedge",
    KEDGE_DOMAIN: "audit.example.org",
    KEDGE_PUBLICATION: new URL(`file://${folder}/published/`).href,
    KEDGE_INDEX: new URL(`file://${folder}/index/`).href,
    KEDGE_LOG_FILE: `${folder}/kedge.log`,
    KEDGE_LOG_KEY: await createKey("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_KEY: await createKey("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_MLDSA_KEY: await createKey("ML_DSA_44"),
  });
  const app = createApp(service());
  const server = await listen((request) => app.fetch(request), {
    host: "127.0.0.1",
    port: 0,
    portSetting: "",
  });
  const stopping = new AbortController();
  const schedule = async () => {
    while (!stopping.signal.aborted) {
      await seal({}).catch(() => undefined);
      await anchor().catch(() => undefined);
      await sleep(RUN_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const running = schedule();
  const ofService = Object.entries(process.env).filter(([name]) => /^(AWS|KEDGE)_/.test(name));
  return {
    url: server.url,
    environment: Object.fromEntries(ofService.map(([name, value = ""]): [string, string] => [name, value])),
    async close() {
      stopping.abort();
      await running;
      await server.close();
      await closeService();
      await embedded.close();
    },
  };
}
