#!/usr/bin/env node
/** The `kedge-verify` command. */
import { auditorCommands } from "./commands.ts";
import { run } from "./program.ts";

await run("kedge-verify", "Verifies Kedge proofs, audits logs and monitors the anchor log.", [
  auditorCommands,
]);
