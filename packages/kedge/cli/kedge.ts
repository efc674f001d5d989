#!/usr/bin/env node
/** The `kedge` command that a tenant installs. */
import { run } from "@kedge/verify/cli/program";
import { auditingCommands, DESCRIPTION, tenantCommands } from "./commands.ts";

await run("kedge", DESCRIPTION, [tenantCommands, auditingCommands]);
