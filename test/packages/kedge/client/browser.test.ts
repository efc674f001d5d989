/** The client runs where there is no Node.js: in a page. */
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { formatVkey } from "@kedge/verify/tlog/note";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { API_KEY, LOG_ID, startServer } from "../../../support/fake-api.ts";
import { anchor, log } from "../../../support/proofs.ts";

const packageFolder = fileURLToPath(new URL("../../../../packages/kedge/", import.meta.url));
/** What every browser has, and nothing else: no process, no Buffer, no require. */
const GLOBALS = {
  ...{ fetch, URL, AbortController, AbortSignal, TextEncoder, TextDecoder, Uint8Array, ArrayBuffer, crypto },
  ...{ performance, setTimeout, clearTimeout, atob, btoa },
};
/** Minified bytes: 223,000 as it is, half of them the verifier's. With zod by its name, and not its namespace, 360,000 more. */
const MAX_BYTES = 240_000;

let client: { code: string; inputs: string[] };
let server: Awaited<ReturnType<typeof startServer>>;
beforeAll(async () => {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: `export { openClient } from "./client/api.ts";
        export { openVerifier } from "./client/verify.ts";
        export { commitEvent } from "@kedge/verify/events/commitment";`,
      ...{ resolveDir: packageFolder, loader: "ts" },
    },
    ...{ bundle: true, write: false, metafile: true, minify: true, logLevel: "silent" },
    ...{ platform: "browser", conditions: ["source"], format: "iife", globalName: "kedge" },
  });
  client = { code: outputFiles[0]?.text ?? "", inputs: Object.keys(metafile.inputs) };
  server = await startServer();
});
afterAll(() => server.stop());

test("it is bundled without Node.js, its proxies, or anything of the agent and the commands", () => {
  const wrong =
    /undici|lmdb|commander|pkijs|asn1js|saxes|node:|\/(?:cli|agent|journal|keys|numbering)\/|net\/proxy/;
  expect(client.inputs.filter((path) => wrong.test(path))).toEqual([]);
  expect(client.inputs.some((path) => path.endsWith("net/no-proxy.ts"))).toBe(true);
  console.info(`the client in a browser: ${client.code.length} bytes`);
  expect(client.code.length).toBeLessThan(MAX_BYTES);
});

const outcome = z.object({
  accepted: z.number(),
  followed: z.array(z.string()),
  verdicts: z.array(z.boolean()),
  aborted: z.string(),
  refused: z.string(),
});

test("where there are no globals but a browser's it commits, posts, follows, fetches and verifies", async () => {
  const context = createContext({ ...GLOBALS, onAccepted: () => server.seal().then(() => server.anchor()) });
  const settings = {
    ...{ url: server.url, apiKey: API_KEY, log: LOG_ID },
    ...{ logVkeys: [formatVkey(log.vkey)], anchorVkeys: [formatVkey(anchor.vkey)] },
  };
  const page = `(async () => {
    const { url, apiKey, log, logVkeys, anchorVkeys } = ${JSON.stringify(settings)};
    const client = kedge.openClient({ url, apiKey });
    const verify = kedge.openVerifier({ logVkeys, anchorVkeys, require: "anchored" });
    const events = [1, 2, 3].map((n) => new TextEncoder().encode(JSON.stringify({ resourceType: "AuditEvent", n })));
    const commit = (bytes) =>
      kedge.commitEvent({ bytes, mediaType: "application/fhir+json" }, { tenantKey: new Uint8Array(32).fill(7) });
    const committed = events.map(commit);
    const commitments = committed.map(({ commitment }) => commitment);
    const { accepted } = await client.post(log, commitments);
    await onAccepted();
    const followed = [];
    for await (const { assurance } of client.follow(log, commitments, { to: "anchored" })) followed.push(assurance);
    const verdicts = [];
    let at = 0;
    for await (const { proof } of client.proofs(log, commitments)) {
      const { opening } = committed[at];
      verdicts.push(verify({ event: events[at], proof, opening }).proven);
      verdicts.push(verify({ event: events[(at + 1) % 3], proof, opening }).proven);
      at += 1;
    }
    const reason = (error) => error.code ?? error.message;
    const controller = new AbortController();
    controller.abort(new Error("enough"));
    const aborted = await client.log(log, { signal: controller.signal }).then(() => "", reason);
    const refused = await kedge.openClient({ url, apiKey: "kedge_no" }).log(log).then(() => "", reason);
    return JSON.stringify({ accepted, followed, verdicts, aborted, refused });
  })()`;
  const said: unknown = await runInContext(`${client.code};${page}`, context);
  expect(outcome.parse(JSON.parse(z.string().parse(said)))).toEqual({
    accepted: 3,
    followed: ["anchored", "anchored", "anchored"],
    verdicts: [true, false, true, false, true, false],
    ...{ aborted: "enough", refused: "unauthorized" },
  });
});
