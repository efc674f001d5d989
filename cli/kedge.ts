#!/usr/bin/env node
/** The `kedge` command of the repository: the operator's commands, the tenant's and the auditor's in one. */
import { run } from "@kedge/verify/cli/program";
import { commands } from "./commands.ts";

// The AWS SDK announces its end of support for Node 20 on every start.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";

await run(
  {
    name: "kedge",
    description: "Anchors audit events in an append-only Merkle log that anyone can check, offline.",
  },
  commands,
  process.argv,
);
