#!/usr/bin/env node
/** The `kedge` command that a tenant installs. The repository's own has the operator's commands too. */
import { run } from "@kedge/verify/cli/program";
import { tenantCommands } from "./commands.ts";

await run(
  {
    name: "kedge",
    description: "Anchors audit events in an append-only Merkle log that anyone can check, offline.",
  },
  tenantCommands,
  process.argv,
);
