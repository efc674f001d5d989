/** The core of the verifier runs where there is no Node.js and nothing but its few libraries: in a page. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { formatVkey } from "@kedge/verify/tlog/note";
import { build } from "esbuild";
import { beforeAll, expect, test } from "vitest";
import { anchor, EVENT, log, makeProof, policyText, witness1, witness2 } from "../../support/proofs.ts";

const packageFolder = fileURLToPath(new URL("../../../packages/verify/", import.meta.url));

/** Folders of the core. Of these files alone, which read and write files of the command line, zod is a part. */
const CORE = ["tlog", "events", "proof", "audit", "monitor", "evidence"];
const NOT_CORE = ["monitor/state.ts", "evidence/evidencefile.ts"];
/** Minified bytes: 202,000 as it is, most of them @noble's, 15,000 the verdicts in two languages. What a page loads before it can verify. */
const MAX_BYTES = 212_000;
/** The same of what verifies proofs, and says so, and nothing else: 113,000 as it is. */
const MAX_VERIFIER_BYTES = 127_000;

async function bundle(files: readonly string[]) {
  const contents = files.map((file, i) => `export * as part${i} from "./${file}";`).join("\n");
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: packageFolder, loader: "ts" },
    ...{ bundle: true, write: false, metafile: true, minify: true, logLevel: "silent" },
    ...{ platform: "browser", conditions: ["source"], format: "iife", globalName: "core" },
  });
  return { code: outputFiles[0]?.text ?? "", inputs: Object.keys(metafile.inputs) };
}

const filesOfCore = CORE.flatMap((folder) =>
  // Files alone: events/formats, which has an XML parser, is read by what shows events, and verifies nothing.
  readdirSync(`${packageFolder}${folder}`, { withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? `${folder}/${entry.name}` : [],
  ),
).filter((file) => !NOT_CORE.includes(file));

let verifier: Awaited<ReturnType<typeof bundle>>;
beforeAll(async () => {
  verifier = await bundle(["proof/verify.ts", "proof/words.ts", "tlog/note.ts", "tlog/policy.ts"]);
});

test("the core is bundled for a browser without pkijs, zod or Node.js, within its size", async () => {
  const { code, inputs } = await bundle(filesOfCore);
  expect(filesOfCore.length).toBeGreaterThan(20);
  expect(
    inputs.filter((path) => /pkijs|asn1js|zod|node:|packages\/verify\/(?:net|time|cli)\//.test(path)),
  ).toEqual([]);
  console.info(`the core: ${code.length} bytes; the verifier of proofs: ${verifier.code.length} bytes`);
  expect(code.length).toBeLessThan(MAX_BYTES);
  expect(verifier.code.length).toBeLessThan(MAX_VERIFIER_BYTES);
});

test("the formats of events are bundled for a browser too, with an XML parser and without Node.js", async () => {
  const { inputs } = await bundle(["events/formats/formats.ts"]);
  const libraries = inputs.flatMap((path) => /node_modules\/(@?[^/]+)\//.exec(path)?.[1] ?? []);
  expect([...new Set(libraries)].sort()).toEqual(["@noble", "@scure", "saxes", "xmlchars"]);
  expect(inputs.filter((path) => /node:/.test(path))).toEqual([]);
});

test("a proof is verified where there are no globals but those of every browser", () => {
  const context = createContext({ TextEncoder, TextDecoder, atob, btoa, crypto, Uint8Array });
  const { proof } = makeProof({ anchorSigners: [anchor, witness1, witness2] });
  const input = {
    proof,
    event: new TextDecoder().decode(EVENT.bytes),
    logVkey: formatVkey(log.vkey),
    anchorVkey: formatVkey(anchor.vkey),
    policy: policyText(2),
  };
  const run = `
    const [{ verifyEvent }, { tellReport }, { parseVkey }, { parsePolicy }] =
      [core.part0, core.part1, core.part2, core.part3];
    const { proof, event, logVkey, anchorVkey, policy } = ${JSON.stringify(input)};
    const trust = { logVkeys: [parseVkey(logVkey)], anchorVkeys: [parseVkey(anchorVkey)], policy: parsePolicy(policy) };
    const verify = (event) => tellReport(verifyEvent({ ...trust, proof, event: new TextEncoder().encode(event) }));
    JSON.stringify([verify(event), verify(event + "x")]);`;
  const [good, bad] = JSON.parse(runInContext(`${verifier.code};${run}`, context));
  expect(good).toMatchObject({ proven: true, assurance: "witnessed" });
  expect(good.statements.join("\n")).toMatch(/quorum has cosigned/);
  expect(bad).toMatchObject({ proven: false, failure: { step: "log", code: "bad_proof" } });
});
