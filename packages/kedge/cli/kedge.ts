#!/usr/bin/env node
/** The `kedge` command that a tenant installs. */
import { auditorCommands } from "@kedge/verify/cli/commands";
import { run } from "@kedge/verify/cli/program";
import { DESCRIPTION, tenantCommands } from "./commands.ts";

await run("kedge", DESCRIPTION, [tenantCommands, auditorCommands]);
