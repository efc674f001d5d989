import { configDefaults, defineConfig } from "vitest/config";

/** Minutes long, so they have a script of their own: `npm run test:artefact`. */
const ARTEFACT = ["test/infra/artefact.test.ts", "test/infra/variants.test.ts"];
const isArtefact = process.env["KEDGE_SUITE"] === "artefact";

export default defineConfig({
  test: {
    include: isArtefact ? ARTEFACT : ["test/**/*.test.ts"],
    exclude: isArtefact ? configDefaults.exclude : [...configDefaults.exclude, ...ARTEFACT],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // The AWS SDK announces its end of support for Node 20 on every start.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
  },
});
