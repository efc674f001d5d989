/** The commands of an auditor. */
import type { Commands } from "./program.ts";

export const auditorCommands: Commands = {
  heading: "For auditors:",
  commands: {
    verify: {
      summary: "verify an event with its proof file, offline",
      load: async () => (await import("./verify.ts")).verifyCommand,
    },
    audit: {
      summary: "check a whole log, and reconcile it with an export of events",
      load: async () => (await import("./audit.ts")).auditCommand,
    },
    monitor: {
      summary: "follow the public anchor log and find what is wrong with it",
      load: async () => (await import("./monitor.ts")).monitorCommand,
    },
  },
};
