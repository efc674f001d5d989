/** What operators do under their own AWS credentials, or on the data folder. */
import { existsSync } from "node:fs";
import { LOG_ID, TENANT_ID } from "@kedge/cli/contract/ids";
import { collect, matching } from "@kedge/verify/cli/options";
import { CliError, misuse, print, printJson } from "@kedge/verify/cli/output";
import { Argument, type Command, Option } from "commander";
import { type DeploymentFlags, readDeployment, withDeployment } from "./outputs.ts";

const tenantId = matching(
  TENANT_ID,
  "The id of a tenant has 16 characters of a-z and 2-7: kedge tenant list shows it",
);
const logId = matching(LOG_ID, "The id of a log has 19 characters of a-z and 2-7: kedge log list shows it");
const restorable = matching(
  new RegExp(`${LOG_ID.source}|^all$|^anchor$`),
  "Name a log by its id of 19 characters of a-z and 2-7, or all, or anchor",
);

export function tenantCommand(command: Command): Command {
  withDeployment(command.command("create"))
    .description(
      "create a tenant with a log and a key: in a deployment under the operator's AWS credentials, else in the data folder of this machine (KEDGE_DATA), served or not",
    )
    .argument("<name>", "of the tenant")
    .option("--out <file>", "where its credentials go", "credentials.json")
    .action(createTenant);
  withDeployment(command.command("list"))
    .description("list the tenants and their logs")
    .option("--json", "as JSON")
    .action(listTenants);
  withDeployment(command.command("revoke"))
    .description("revoke every API key, session and link of a tenant at once; its logs and proofs stay")
    .argument("<tenant>", "its id", tenantId)
    .action(revokeTenant);
  withDeployment(command.command("sign-in"))
    .description(
      "register the identity provider of a tenant's people (OpenID Connect), in place of the one before; alone: show it",
    )
    .argument("<tenant>", "its id", tenantId)
    .option("--issuer <url>", "as the provider names itself: https://login.example.org")
    .option("--client-id <id>", "of the public client that is registered there for the console, with PKCE")
    .option("--claim <name>", "of the ID token, which says what a person is: groups, realm_access.roles")
    .option(
      "--role <value=role[:log,log]>",
      "what a person is whose claim has this value: engineer, officer or auditor, on all logs or those, or administrator; may be repeated, the first that fits counts",
      collect,
      [],
    )
    .option("--require <claim=value>", "must hold too, such as tid=… or hd=…; may be repeated", collect, [])
    .option("--scope <words>", "that are asked for", "openid profile")
    .option("--url <url>", "where people open the console; else the deployment's own address")
    .option("--remove", "nobody of the tenant signs in any more; who is signed in is signed out")
    .option("--json", "as JSON")
    .action(tenantSignIn);
  return command;
}

type SignInFlags = DeploymentFlags & {
  issuer?: string;
  clientId?: string;
  claim?: string;
  role: string[];
  require: string[];
  scope: string;
  url?: string;
  remove?: boolean;
  json?: boolean;
};

async function tenantSignIn(tenant: string, flags: SignInFlags): Promise<void> {
  const { issuer, clientId, claim, role, scope, url } = flags;
  const isSet = [issuer, clientId, claim, url, ...role, ...flags.require].some((each) => each !== undefined);
  if (flags.remove && isSet) throw misuse("--remove stands alone");
  if (isSet && (!issuer || !clientId || !claim || role.length === 0)) {
    throw misuse("name all of --issuer, --client-id, --claim and at least one --role");
  }
  const deployment = readDeployment(flags);
  if (flags.remove) {
    await asOperator((operator) => operator.removeProviderForOperator({ tenant, deployment }));
    print(
      `Nobody of ${tenant} signs in any more, and who was signed in is not. Its API keys and viewer links go on.`,
    );
    return;
  }
  if (issuer && clientId && claim) {
    const rule = { claim, roles: role.map(parseRole), require: parseRequired(flags.require) };
    const provider = { issuer, clientId, scope, rule };
    await asOperator((operator) =>
      operator.registerProviderForOperator({ tenant, provider, url, deployment }),
    );
  }
  const provider = await asOperator((operator) => operator.providerForOperator({ tenant, deployment }));
  if (flags.json) printJson(provider ?? {});
  else if (provider === undefined) print(`${tenant} has no identity provider: its people do not sign in.`);
  else print(...describeProvider(tenant, provider));
}

type ListedProvider = NonNullable<Awaited<ReturnType<Operator["providerForOperator"]>>>;

const describeProvider = (tenant: string, { issuer, clientId, origin, rule }: ListedProvider): string[] => [
  `Issuer         ${issuer}`,
  `Client id      ${clientId}`,
  ...Object.entries(rule.require).map(([name, value]) => `Required       ${name} = ${value}`),
  ...rule.roles.map(
    ({ value, role, logs }) =>
      `Role           ${rule.claim} = ${value}: ${role}${logs === undefined ? "" : ` on ${logs.join(", ")}`}`,
  ),
  `Redirect URI   ${origin}/`,
  `People open    ${origin}/ and enter ${tenant}`,
];

/** `value=role`, or with the only logs `value=role:log,log`; a value may hold both signs. */
function parseRole(text: string) {
  const [, value, role, logs] =
    /^(.+)=(engineer|officer|auditor|administrator)(?::([a-z2-7,]+))?$/.exec(text) ?? [];
  const known = ROLE_NAMES.find((name) => name === role);
  const ids = logs?.split(",");
  if (value === undefined || known === undefined || ids?.some((id) => !LOG_ID.test(id))) {
    throw misuse(
      `--role ${text} is not value=role, with a role of ${ROLE_NAMES.join(", ")}, or value=role:log,log`,
    );
  }
  return { value, role: known, ...(ids !== undefined && { logs: ids }) };
}
const ROLE_NAMES = ["engineer", "officer", "auditor", "administrator"] as const;

function parseRequired(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      if (at <= 0 || at === text.length - 1) throw misuse(`--require ${text} is not claim=value`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

export function signInCommand(command: Command): Command {
  return command
    .argument("[tenant]", "its id; absent: the one of the data folder's credentials", tenantId)
    .addOption(
      new Option("--data <folder>", "of the process that serves").env("KEDGE_DATA").default(".kedge"),
    )
    .action(printStartLink);
}

async function printStartLink(tenant: string | undefined, { data }: { data: string }): Promise<void> {
  const url = await asOperator(({ startLinkForOperator }) => startLinkForOperator({ data, tenant }));
  print(url, "Open it in a browser on this machine: it signs in once, within 15 minutes.");
}

export function restoreCommand(command: Command): Command {
  return command
    .argument("<log>", "the id of a log, all, or anchor", restorable)
    .option("--whole", "rebuild it from its first entry")
    .option("--json", "as JSON")
    .action(restoreLogs);
}

export function indexCommand(command: Command): Command {
  command
    .command("rebuild")
    .description("make anew what of a log's index is lost or altered; everything else goes on meanwhile")
    .argument("<log>", "the id of a log, all, or anchor", restorable)
    .option("--json", "as JSON")
    .action(rebuildIndex);
  return command;
}

export function backupCommand(command: Command): Command {
  return command
    .addOption(new Option("--data <folder>", "to copy, served or not").env("KEDGE_DATA").default(".kedge"))
    .requiredOption("--out <folder>", "a new one, for its owner only; best on another disk")
    .action(backUpFolder);
}

async function backUpFolder(flags: { data: string; out: string }): Promise<void> {
  const { backUp } = await import("../local/backup.ts");
  const { folder, out } = await asOperator(() => backUp(flags.data, flags.out));
  print(
    `${out} has the store, the index, the publication, the numbers in sources/ and the keys of ${folder}.`,
    "It holds the private keys that sign (kms.json) and a tenant's (credentials.json): keep it where nobody else can read it.",
    "To go back to it: docs/operations.md, Back up and restore one machine. Never put its published/ in the place of a newer one.",
  );
}

export function reopenCommand(command: Command): Command {
  return command
    .addOption(new Option("--data <folder>", "a copy of the backup").env("KEDGE_DATA").default(".kedge"))
    .option(
      "--checkpoint <file>",
      "the newest signed checkpoint of a log, or proof, that a witness or a tenant has; may be repeated",
      collect,
      [],
    )
    .option("--nothing-newer", "nobody has a larger one of the logs that no checkpoint is given of")
    .action(reopenFolder);
}

type ReopenFlags = { data: string; checkpoint: string[]; nothingNewer?: boolean };

async function reopenFolder({ data, checkpoint, nothingNewer }: ReopenFlags): Promise<void> {
  const { reopen } = await import("../local/backup.ts");
  const logs = await asOperator(() => reopen(data, checkpoint, nothingNewer === true));
  for (const { origin, size, isCompared } of logs) {
    print(`${origin}  at size ${size}, ${isCompared ? "compared" : "by your word"}`);
  }
  print(`The logs of ${data} go on from there. Start it, then run: kedge restore all, kedge restore anchor`);
}

export function migrateCommand(command: Command): Command {
  return command
    .addOption(new Option("--data <folder>", "of version 0.1.0").env("KEDGE_DATA").default(".kedge"))
    .action(migrateFolder);
}

async function migrateFolder({ data }: { data: string }): Promise<void> {
  const { migrate } = await import("../local/migrate.ts");
  const { folder, items, logs } = await asOperator(() => migrate(data));
  print(
    `${folder} is of this version now: ${items} items are copied into store/, and the trees of ${logs} logs are as they were signed.`,
    "dynamodb/ stays as it was: never start version 0.1.0 on it again, and delete it once all is well.",
  );
}

export function rotateCommand(command: Command): Command {
  return command
    .addArgument(new Argument("<keys>", "whose key").choices(["log", "anchor", "anchor-mldsa"]))
    .option("--retire", "the second step: the first key signs no more")
    .addOption(
      new Option("--data <folder>", "of the process that serves").env("KEDGE_DATA").default(".kedge"),
    )
    .action(rotate);
}

async function rotate(which: string, flags: { retire?: boolean; data: string }): Promise<void> {
  const retire = flags.retire === true;
  const { rotateForOperator } = await import("../local/rotate.ts");
  const { signing, vkeys } = await asOperator(() => rotateForOperator({ data: flags.data, which, retire }));
  print(
    `From the next start on ${signing.length === 1 ? "one key signs" : "both keys sign"}: restart the server.`,
    ...vkeys.map((vkey) => `  ${vkey}`),
    retire
      ? "The retired key is kept; whoever verifies keeps it pinned, for old proofs."
      : `Then hand out the new vkey (kedge vkeys), have it pinned, and run: kedge rotate ${which} --retire`,
  );
}

export function vkeysCommand(command: Command): Command {
  return withDeployment(command)
    .option("--log <id>", "the vkeys of this log alone", logId)
    .addOption(
      new Option(
        "--policy",
        "the anchor log's, and with --log that log's, as a C2SP tlog-policy without witnesses",
      ).conflicts("json"),
    )
    .option("--json", "as JSON")
    .action(showVkeys);
}

async function createTenant(name: string, flags: DeploymentFlags & { out: string }): Promise<void> {
  const { out } = flags;
  if (existsSync(out)) {
    throw misuse(`${out} exists: it may hold a tenant's only key, so name another file with --out`);
  }
  const deployment = readDeployment(flags);
  // What finds the deployment sets the variables of it.
  const data = process.env["KEDGE_DATA"] || ".kedge";
  const isHere = deployment === undefined && !process.env["KEDGE_STORE"];
  const where = flags.outputsFile ?? (process.env["KEDGE_STORE"] || data);
  const { findServing } = await import("../local/open.ts");
  const isReached = !isHere || (await findServing(data)) !== undefined;
  const { url, logVkey } = await asOperator(({ createTenantForOperator }) =>
    createTenantForOperator({ name, out, deployment }),
  );
  const [domain] = logVkey.split("/log/");
  print(
    `The tenant is created in the deployment of ${domain} at ${url} (${where}).`,
    ...(isReached
      ? []
      : [`No server was reached for ${data}: if it is not to listen at ${url}, correct "url" in ${out}.`]),
    `The credentials of the tenant are in ${out}: hand them over safely, they hold its keys.`,
    `Try them: npx kedge demo --credentials ${out}`,
  );
}

async function listTenants(flags: DeploymentFlags & { json?: boolean }): Promise<void> {
  const deployment = readDeployment(flags);
  const tenants = await asOperator(({ tenantsForOperator }) => tenantsForOperator({ deployment }));
  if (flags.json) {
    printJson(tenants);
    return;
  }
  for (const { id, name, createdAt, logs, issuer } of tenants) {
    print(
      `${id}  ${createdAt}  ${name}`,
      ...logs.map((log) => `  log ${log}`),
      ...(issuer === undefined ? [] : [`  sign-in ${issuer}`]),
    );
  }
}

async function revokeTenant(tenant: string, flags: DeploymentFlags): Promise<void> {
  const deployment = readDeployment(flags);
  const revoked = await asOperator((operator) => operator.revokeTenantForOperator({ tenant, deployment }));
  print(
    `${revoked === 1 ? "The API key" : `${revoked} API keys`} of ${tenant} ${revoked === 1 ? "is" : "are"} revoked, and nobody of it is signed in. Its logs and all proofs stay as they are.`,
  );
}

async function restoreLogs(log: string, flags: { whole?: boolean; json?: boolean }): Promise<void> {
  const restored = await asOperator(({ restoreForOperator }) =>
    restoreForOperator({ log, whole: flags.whole === true }),
  );
  if (flags.json) printJson(restored);
  else
    for (const { log, entries, size, error } of restored)
      print(`${log}  ${error ?? `${entries} entries restored, at size ${size}`}`);
  const failed = restored.filter(({ error }) => error !== undefined);
  if (failed.length > 0) throw new CliError("failed", `${failed.length} logs were not restored`);
}

async function rebuildIndex(log: string, flags: { json?: boolean }): Promise<void> {
  const rebuilt = await asOperator(({ rebuildForOperator }) => rebuildForOperator({ log }));
  if (flags.json) printJson(rebuilt);
  else
    for (const { log, runs, covered, error } of rebuilt)
      print(`${log}  ${error ?? `${runs} runs made anew; ${covered} entries are in runs`}`);
  const failed = rebuilt.filter(({ error }) => error !== undefined);
  if (failed.length > 0) throw new CliError("failed", `the index of ${failed.length} logs was not rebuilt`);
}

type VkeysFlags = DeploymentFlags & { log?: string; policy?: boolean; json?: boolean };

async function showVkeys(flags: VkeysFlags): Promise<void> {
  const { log: id, policy, json } = flags;
  const deployment = readDeployment(flags);
  const { anchor, log, logs } = await asOperator(({ vkeysForOperator }) =>
    vkeysForOperator({ log: id, deployment }),
  );
  const forPolicy = [...(log?.vkeys ?? []), ...anchor.vkeys];
  if (policy) print(...forPolicy.map((vkey) => `log ${vkey}`), "quorum none");
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
