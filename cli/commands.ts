/** The commands of an operator: a tenant's and an auditor's are among them. */
import { tenantCommands } from "@kedge/cli/cli/commands";
import { misuse } from "@kedge/verify/cli/output";
import type { Commands } from "@kedge/verify/cli/program";
import type { Command } from "commander";

export const commands: Commands = {
  ...tenantCommands,
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
    load: async () => (await import("../witness/command.ts")).witnessCommand,
  },
  serve: { summary: "run the whole service on this machine", load: async () => serveCommand },
};

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
