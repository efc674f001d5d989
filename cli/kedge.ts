#!/usr/bin/env node
/** The `kedge` command of the repository. */
import { auditingCommands, DESCRIPTION, tenantCommands } from "@kedge/cli/cli/commands";
import { run } from "@kedge/verify/cli/program";
import { operatorCommands } from "./commands.ts";

// The AWS SDK announces its end of support for Node 20 on every start.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";

await run("kedge", DESCRIPTION, [tenantCommands, auditingCommands, operatorCommands]);
