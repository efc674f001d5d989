import { configDefaults, defineConfig } from "vitest/config";

/** What takes long, or what a machine may lack, by file name: each has a script of its own, `npm run test:<name>`. */
const SUITES = ["artefact", "browser", "deploy", "fuzz", "interop", "package", "soak", "system"];
const suite = process.env["KEDGE_SUITE"];

export default defineConfig({
  // Tests and editors see the sources of the packages; what is installed has dist/.
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"] } },
  test: {
    include: [suite === undefined ? "test/**/*.test.ts" : `test/**/*.${suite}.test.ts`],
    exclude: [
      ...configDefaults.exclude,
      ...(suite === undefined ? SUITES : []).map((name) => `**/*.${name}.test.ts`),
    ],
    globalSetup: ["test/support/build.ts", ...(suite === "deploy" ? ["test/deploy/setup.ts"] : [])],
    // The slower suites start a dozen processes in a test, on a machine that may be busy.
    testTimeout: suite === undefined ? 60_000 : 300_000,
    hookTimeout: suite === undefined ? 60_000 : 300_000,
    // A second, as vitest has it, is less than a busy machine may keep a process waiting.
    expect: { poll: { timeout: 30_000 } },
    maxWorkers: 2,
    // The AWS SDK announces its end of support for Node 20 on every start.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
  },
});
