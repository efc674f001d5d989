/** The README's examples of the library are one program, which does what it says. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as letOthers } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { formatVkey } from "@kedge/verify/tlog/note";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { API_KEY, LOG_ID, startServer } from "../../support/fake-api.ts";
import { anchor, EVENT, log } from "../../support/proofs.ts";
import { codeOf } from "../../support/readme.ts";

const packageFolder = fileURLToPath(new URL("../../../packages/kedge/", import.meta.url));

let folder: string;
let server: Awaited<ReturnType<typeof startServer>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-readme-"));
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

test("an event is posted, and then a day of them, followed, proven and verified", async () => {
  const example = await codeOf("packages/kedge/README.md", "ts");

  await build({
    stdin: { contents: example, resolveDir: packageFolder, loader: "ts" },
    ...{ bundle: true, platform: "node", format: "esm", conditions: ["source"], external: ["undici"] },
    ...{ outfile: join(folder, "example.mjs"), logLevel: "silent" },
  });
  const credentials = {
    ...{ url: server.url, apiKey: API_KEY, log: LOG_ID, tenantKey: "07".repeat(32) },
    ...{ logVkey: formatVkey(log.vkey), anchorVkey: formatVkey(anchor.vkey) },
    anchorMldsaVkey: formatVkey(anchor.vkey),
  };
  await writeFile(join(folder, "credentials.json"), JSON.stringify(credentials));
  await writeFile(join(folder, "event.json"), EVENT.bytes);
  await writeFile(join(folder, "day.ndjson"), '{"n":1}\n{"n":2}\n{"n":3}\n');

  let ended = false;
  const running = promisify(execFile)(process.execPath, ["example.mjs"], { cwd: folder, timeout: 55_000 });
  const end = () => {
    ended = true;
  };
  running.then(end, end);
  while (!ended) {
    await server.seal();
    await server.anchor();
    await letOthers();
  }
  const lines = (await running).stdout.trimEnd().split("\n");
  const hash = "[0-9a-f]{64}";
  expect(lines).toEqual([
    expect.stringMatching(/^3 \d{4}-\d\d-\d\dT\S+Z$/),
    ...[1, 2, 3].map((index) => expect.stringMatching(new RegExp(`^${hash} anchored ${index}$`))),
    "true",
  ]);
});
