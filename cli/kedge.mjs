#!/usr/bin/env node
// The `kedge` command. The sources are TypeScript; tsx lets every supported Node run them.
import { fileURLToPath } from "node:url";
import { register } from "tsx/esm/api";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
// Named, so that the configuration of whatever folder the command runs in is not read.
process.env.TSX_TSCONFIG_PATH = fileURLToPath(new URL("../tsconfig.json", import.meta.url));

register();
const { main } = await import("./main.ts");
await main(process.argv);
