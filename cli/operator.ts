/** What operators do under their own AWS credentials, or beside the process that serves the data folder. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { CliError, misuse, print, printJson } from "./output.ts";
import { type DeploymentFlags, readDeployment, withDeployment } from "./outputs.ts";

export function tenantCommand(command: Command): Command {
  withDeployment(command.command("create"))
    .description("create a tenant with a log and a key, under the operator's AWS credentials")
    .argument("<name>")
    .option("--out <file>", "where its credentials go", "credentials.json")
    .action(createTenant);
  return command;
}

export function vkeysCommand(command: Command): Command {
  return withDeployment(command)
    .option("--log <id>", "the vkeys of this log alone")
    .option("--policy", "the anchor log's as a C2SP tlog-policy, without witnesses")
    .option("--json", "as JSON")
    .action(showVkeys);
}

async function createTenant(name: string, flags: DeploymentFlags & { out: string }): Promise<void> {
  const { out } = flags;
  if (!/^\P{Cc}{1,100}$/u.test(name)) {
    throw misuse("A tenant's name has 1 to 100 characters, none of them a control character");
  }
  if (existsSync(out)) {
    throw misuse(`${out} exists: it may hold a tenant's only key, so name another file with --out`);
  }
  const deployment = readDeployment(flags);
  await asOperator(({ createTenantForOperator }) => createTenantForOperator({ name, out, deployment }));
  print(
    `The credentials of the tenant are in ${out}: hand them over safely, they hold its keys.`,
    `Try them: npx kedge demo --credentials ${out}`,
  );
}

type VkeysFlags = DeploymentFlags & { log?: string; policy?: boolean; json?: boolean };

async function showVkeys(flags: VkeysFlags): Promise<void> {
  const { log: id, policy, json } = flags;
  if (policy && (json || id !== undefined)) {
    throw misuse("--policy prints the anchor log's policy, as text: leave --log and --json out");
  }
  if (id !== undefined && !/^[a-z2-7]{19}$/.test(id)) {
    throw misuse("The id of a log has 19 characters of a-z and 2-7: kedge log list shows it");
  }
  const deployment = readDeployment(flags);
  const { anchor, log, logs } = await asOperator(({ vkeysForOperator }) =>
    vkeysForOperator({ log: id, deployment }),
  );
  if (policy) print(...anchor.vkeys.map((vkey) => `log ${vkey}`), "quorum none");
  else if (json) printJson(log ?? { anchor, logs });
  else if (log !== undefined) print(...log.vkeys);
  else {
    print(`The anchor log, ${anchor.origin}`, ...anchor.vkeys.map((vkey) => `  ${vkey}`));
    print(`Every log, ${logs.origins}: its vkeys end in`, ...logs.keys.map((key) => `  ${key}`));
    print("--log ID prints those of one log.");
  }
}

type Operator = typeof import("../local/operator.ts");

/** Loaded when it is needed, so that no other command loads AWS packages. */
async function asOperator<T>(run: (operator: Operator) => Promise<T>): Promise<T> {
  const operator = await import("../local/operator.ts");
  try {
    return await run(operator);
  } catch (cause) {
    // A ServiceError: its class is not for the CLI to import.
    if (!(cause instanceof Error && cause.name === "ServiceError" && "code" in cause)) throw cause;
    throw new CliError(cause.code === "invalid" ? "misuse" : "failed", cause.message, { cause });
  }
}
