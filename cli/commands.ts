/** The commands of an operator. */
import type { Commands } from "@kedge/verify/cli/program";

export const operatorCommands: Commands = {
  heading: "For operators:",
  commands: {
    serve: {
      summary: "run the whole service on this machine",
      load: async () => (await import("./serve.ts")).serveCommand,
    },
    demo: {
      summary: "from a tenant's credentials to a first verified proof, with made-up events",
      load: async () => (await import("./demo.ts")).demoCommand,
    },
    tenant: {
      summary: "create, list and off-board tenants",
      load: async () => (await import("./operator.ts")).tenantCommand,
    },
    "sign-in": {
      summary: "on this machine, a link that signs you in to the console once",
      load: async () => (await import("./operator.ts")).signInCommand,
    },
    vkeys: {
      summary: "the keys to verify with, as KMS has them",
      load: async () => (await import("./operator.ts")).vkeysCommand,
    },
    rotate: {
      summary: "on this machine, let another key take over",
      load: async () => (await import("./operator.ts")).rotateCommand,
    },
    restore: {
      summary: "bring a log that is behind its record forward",
      load: async () => (await import("./operator.ts")).restoreCommand,
    },
    index: {
      summary: "make anew what of a log's index is lost or altered",
      load: async () => (await import("./operator.ts")).indexCommand,
    },
    backup: {
      summary: "copy the data folder of this machine, while it is served",
      load: async () => (await import("./operator.ts")).backupCommand,
    },
    reopen: {
      summary: "let the logs of a backup go on, where all else is lost",
      load: async () => (await import("./operator.ts")).reopenCommand,
    },
    migrate: {
      summary: "bring a data folder of version 0.1.0 to this version",
      load: async () => (await import("./operator.ts")).migrateCommand,
    },
    witness: {
      summary: "cosign the checkpoints of others' logs, on this machine",
      load: async () => (await import("../witness/command.ts")).witnessCommand,
    },
  },
};
