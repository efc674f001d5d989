/** The `kedge` command line: each command's own module is loaded when it runs, or its help is asked for. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { EXIT_MISUSE, misuse, report } from "./output.ts";

/** What each command is for, and how it gets its options. Nothing else is loaded to list them. */
const COMMANDS: Record<string, { summary: string; load: () => Promise<(command: Command) => Command> }> = {
  commit: {
    summary: "events to commitments and openings, offline",
    load: async () => (await import("./commit.ts")).commitCommand,
  },
  post: {
    summary: "post events, or the records that commit wrote",
    load: async () => (await import("./post.ts")).postCommand,
  },
  proof: {
    summary: "fetch, verify and write proof files",
    load: async () => (await import("./proof.ts")).proofCommand,
  },
  verify: {
    summary: "verify an event with its proof file, offline",
    load: async () => (await import("./verify.ts")).verifyCommand,
  },
  monitor: {
    summary: "follow the public anchor log and find what is wrong with it",
    load: async () => (await import("./monitor.ts")).monitorCommand,
  },
  audit: {
    summary: "check a whole log, and reconcile it with an export of events (for auditors)",
    load: async () => (await import("./audit.ts")).auditCommand,
  },
  status: {
    summary: "how far the log, or a commitment, has come",
    load: async () => (await import("./status.ts")).statusCommand,
  },
  key: {
    summary: "create, list and revoke API keys",
    load: async () => (await import("./manage.ts")).keyCommand,
  },
  log: { summary: "create and list logs", load: async () => (await import("./manage.ts")).logCommand },
  tenant: {
    summary: "create tenants (for operators)",
    load: async () => (await import("./operator.ts")).tenantCommand,
  },
  restore: {
    summary: "bring a log that is behind its record forward (for operators)",
    load: async () => (await import("./operator.ts")).restoreCommand,
  },
  vkeys: {
    summary: "the keys to verify with, as KMS has them (for operators)",
    load: async () => (await import("./operator.ts")).vkeysCommand,
  },
  demo: {
    summary: "from a tenant's credentials to a first verified proof, with made-up events",
    load: async () => (await import("./demo.ts")).demoCommand,
  },
  witness: {
    summary: "cosign the checkpoints of others' logs, on this machine",
    load: async () => (await import("./witness.ts")).witnessCommand,
  },
  serve: { summary: "run the whole service on this machine", load: async () => serveCommand },
};

export async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on("error", (error) => {
    // A reader such as `head` that has seen enough is no failure of what was done by then.
    const isClosed = "code" in error && error.code === "EPIPE";
    if (!isClosed) report(misuse(`The output cannot be written: ${error.message}`, error));
    process.exit();
  });
  process.stderr.on("error", () => undefined); // nobody left to tell
  const program = new Command("kedge")
    .description("Anchors audit events in an append-only Merkle log that anyone can check, offline.")
    .version(readVersion())
    .exitOverride();
  const asked = argv[2] ?? "";
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
    const command = program.command(name).summary(summary).description(summary);
    if (name === asked || argv.includes("help")) (await load())(command);
  }
  try {
    await program.parseAsync(argv);
  } catch (error) {
    // Commander has printed what is wrong already; asking for help is no error.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_MISUSE;
    else report(error);
  }
}

function readVersion(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  const { version }: { version: string } = JSON.parse(manifest);
  return version;
}

function serveCommand(command: Command): Command {
  return command
    .option("--host <address>", "to listen on", "127.0.0.1")
    .option("--port <n>", "to listen on, 0 for a free one (KEDGE_PORT)", process.env["KEDGE_PORT"] || "8787")
    .option("--data <folder>", "where everything is kept (KEDGE_DATA)", process.env["KEDGE_DATA"] || ".kedge")
    .action(async ({ host, port, data }: { host: string; port: string; data: string }) => {
      if (!/^\d{1,5}$/.test(port)) throw misuse("--port is a number from 0 to 65535");
      const { serve } = await import("./serve.ts");
      await serve({ host, port: Number(port), data });
    });
}
