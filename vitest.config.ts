import { configDefaults, defineConfig } from "vitest/config";

/** What takes long, or what a machine may lack: each has a script of its own, `npm run test:<name>`. */
const SUITES: Readonly<Record<string, readonly string[]>> = {
  artefact: ["test/infra/artefact.test.ts", "test/infra/variants.test.ts"],
  interop: ["test/interop/interop.test.ts"],
  system: [
    "test/cli/audit.test.ts",
    "test/cli/lifecycle.test.ts",
    "test/cli/monitor.test.ts",
    "test/cli/offline.test.ts",
    "test/cli/service.test.ts",
    "test/cli/timestamps.test.ts",
    "test/cli/split-view.test.ts",
    "test/cli/witness.test.ts",
    "test/infra/synth.test.ts",
    "test/infra/witness.test.ts",
    "test/cli/operator.test.ts",
    "test/service/witnesses.test.ts",
  ],
};
const suite = SUITES[process.env["KEDGE_SUITE"] ?? ""];

export default defineConfig({
  test: {
    include: [...(suite ?? ["test/**/*.test.ts"])],
    exclude: [...configDefaults.exclude, ...(suite === undefined ? Object.values(SUITES).flat() : [])],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // The AWS SDK announces its end of support for Node 20 on every start.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
  },
});
