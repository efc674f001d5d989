/** The commands of a tenant, and what the `kedge` command says of itself. */
import { auditorCommands } from "@kedge/verify/cli/commands";
import type { Commands } from "@kedge/verify/cli/program";

export const DESCRIPTION =
  "Anchors audit events in an append-only Merkle log that anyone can check, offline.";

export const tenantCommands: Commands = {
  heading: "For tenants:",
  commands: {
    commit: {
      summary: "events to commitments and openings, offline",
      load: async () => (await import("./commit.ts")).commitCommand,
    },
    post: {
      summary: "post events, or the records that commit wrote",
      load: async () => (await import("./post.ts")).postCommand,
    },
    agent: {
      summary: "take events in, journal, number, commit and post them, for good",
      load: async () => (await import("./agent.ts")).agentCommand,
    },
    proof: {
      summary: "fetch, verify and write proof files",
      load: async () => (await import("./proof.ts")).proofCommand,
    },
    status: {
      summary: "how far the log, or a commitment, has come",
      load: async () => (await import("./status.ts")).statusCommand,
    },
    find: {
      summary: "search an agent's journal: events with their openings and proofs",
      load: async () => (await import("./find.ts")).findCommand,
    },
    evidence: {
      summary: "an evidence pack: the rows of a case with their proofs, a report, and the verifier page",
      load: async () => (await import("./evidence.ts")).evidenceCommand,
    },
    policy: {
      summary: "the public keys that others verify your proofs with, as one file",
      load: async () => (await import("./policy.ts")).policyCommand,
    },
    manifests: {
      summary: "what an agent counted, hour by hour, for an auditor",
      load: async () => (await import("./manifests.ts")).manifestsCommand,
    },
    keys: {
      summary: "list, rotate and seal the tenant keys that commitments are made under",
      load: async () => (await import("./keys.ts")).keysCommand,
    },
    shred: {
      summary: "destroy the tenant key of an epoch, for erasure, and have a record of it anchored",
      load: async () => (await import("./shred.ts")).shredCommand,
    },
    key: {
      summary: "create, list and revoke API keys for the service",
      load: async () => (await import("./manage.ts")).keyCommand,
    },
    trail: {
      summary: "who did what in Kedge, with openings and proofs, as files",
      load: async () => (await import("./trail.ts")).trailCommand,
    },
    log: { summary: "create and list logs", load: async () => (await import("./manage.ts")).logCommand },
  },
};

/** An auditor's commands where a tenant runs them: the keyring, and what was numbered here, are known. */
export const auditingCommands: Commands = {
  ...auditorCommands,
  commands: {
    ...auditorCommands.commands,
    audit: {
      summary: "check a whole log, and reconcile it with an export of events",
      async load() {
        const { auditCommand } = await import("@kedge/verify/cli/audit");
        const { openTenantKeys, withKeyring } = await import("./keyring.ts");
        return (command) =>
          auditCommand(
            withKeyring(command),
            async (flags) => (await openTenantKeys(flags, { mayAsk: false })).tenantKeys,
          );
      },
    },
    verify: {
      summary: "verify an event with its proof file, offline",
      async load() {
        const { verifyCommand } = await import("@kedge/verify/cli/verify");
        const { openTenant, withTenant } = await import("./numbered.ts");
        return (command) =>
          verifyCommand(
            withTenant(command),
            (flags) => openTenant(flags, { mayAsk: false }),
            async () => (await import("../report/pdf.ts")).reportPdf,
          );
      },
    },
  },
};
