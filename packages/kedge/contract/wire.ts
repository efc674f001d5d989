/**
 * Requests and answers of the HTTP API, with what its OpenAPI document says of them. The server checks requests by
 * these, strictly; a client checks answers, and leaves out members that it does not know.
 */
import { COMMITMENT_HEX } from "@kedge/verify/events/commitment";
import { checkpointSchema, checkpointsSchema as pageSchema } from "@kedge/verify/net/page";
import { ASSURANCES as PROVABLE } from "@kedge/verify/proof/verify";
import { isSayable } from "@kedge/verify/rfc3339";
import { timestampSchema } from "@kedge/verify/time/timestampform";
import * as z from "zod";
import { LOG_ID, SCOPES } from "./ids.ts";
import { MAX_ENTRIES, MAX_NAME, MAX_PROOFS } from "./limits.ts";

export { MAX_PAGE } from "@kedge/verify/net/page";
export { timeText } from "@kedge/verify/rfc3339";

/** How far an entry has come, lowest first: what is pending has no proof yet. */
const ASSURANCES = ["pending", ...PROVABLE] as const;

// ---- parts -------------------------------------------------------------------------------------------------------

const EXAMPLE_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
export const EXAMPLE_LOG = "k3v7q2m5xj4t6n2hbya";

export const hashSchema = z.string().regex(COMMITMENT_HEX, "64 lower-case hexadecimal digits").meta({
  id: "Hash",
  description: "A commitment: 32 bytes as lower-case hex.",
  example: EXAMPLE_HASH,
});

const sizeDoc = { description: "Entries in the tree.", example: 4096 };
const sizeSchema = z.int().nonnegative().meta(sizeDoc);

/** In an answer: RFC 3339, which a reader that only shows it need not check. */
const timeSchema = z.string().meta({ format: "date-time", example: "2026-03-01T08:30:00.000Z" });

/** Without flags and classes of Unicode, so that every reader of the document can compile it; `$` allows no newline here. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a name may not hold
const NO_CONTROLS = /^[^\u0000-\u001f\u007f-\u009f]*$/;
/** `maxLength` counts code points (JSON Schema Validation §6.3.1), `max` UTF-16 code units. */
export const nameSchema = z
  .string()
  .min(1)
  .refine((name) => [...name].length <= MAX_NAME, `at most ${MAX_NAME} characters`)
  .regex(NO_CONTROLS, "text without control characters")
  .refine((name) => !/\p{Surrogate}/u.test(name), "text of whole characters, without lone surrogates")
  .meta({ maxLength: MAX_NAME, example: "EHR access, ward 7" });

export const assuranceSchema = z.enum(ASSURANCES).meta({
  id: "Assurance",
  description: `How far the entry has come: ${ASSURANCES.join(" < ")}.`,
});

// ---- entries and their proofs ------------------------------------------------------------------------------------

export const newEntriesSchema = z.strictObject({ hashes: z.array(hashSchema).min(1).max(MAX_ENTRIES) });

export const acceptedSchema = z
  .object({
    accepted: z.int().meta({ example: 1, description: "Hashes in the request, repeated ones included." }),
    receivedAt: timeSchema,
    note: z.string().optional().meta({ description: "What this answer is worth." }),
  })
  .meta({
    id: "Accepted",
    description:
      "A receipt: what was accepted, and when by the operator's clock. It tells the tenant, and proves nothing to others, for it is not signed; an entry's proof does. What of it was new to the log is known once it is sealed.",
  });

const entryStatusParts = z.object({
  hash: hashSchema,
  assurance: assuranceSchema,
  index: sizeSchema.optional().meta({ description: "Index of the leaf. Absent while pending." }),
  treeSize: sizeSchema.optional().meta({ description: "Size of the tree that its proof is made for." }),
  sealedAt: timeSchema.optional(),
  anchoredAt: timeSchema.optional(),
});
export const entryStatusSchema = entryStatusParts.clone().meta({ id: "EntryStatus" });

export const statusRequestSchema = newEntriesSchema.clone();

export const proofsRequestSchema = z
  .strictObject({ hashes: z.array(hashSchema).min(1).max(MAX_PROOFS) })
  .meta({ id: "ProofsRequest" });

/** RFC 9457 problem details. */
export const problemSchema = z
  .object({
    type: z.string().meta({ description: "`urn:kedge:problem:<code>`: what programs switch on." }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: "What happened, and what to do next." }),
    instance: z.string().optional().meta({ description: "`urn:kedge:request:<X-Request-Id>`" }),
  })
  .meta({ id: "Problem" });

/** The answer of /readyz. */
export const readySchema = z.object({ status: z.literal("ready") }).meta({ id: "Ready" });
export const reasonSchema = z.object({
  part: z.enum(["store", "sealing", "anchoring"]),
  code: z.string().meta({
    example: "rollback",
    description:
      "`stale`, `witness_quorum`, `rollback`, `corrupt`, `signer`, `throttled`, `unavailable`, `failed`, ….",
  }),
  detail: z.string(),
});
export const notReadySchema = problemSchema
  .extend({ reasons: z.array(reasonSchema).min(1) })
  .meta({ id: "NotReady" });

const lineProblemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
});

export const statusLineSchema = entryStatusParts
  .extend({
    assurance: assuranceSchema.optional(),
    problem: lineProblemSchema.optional().meta({ description: "Instead of the rest. Type `not_found`." }),
  })
  .meta({ id: "StatusLine", description: "One line of the answer." });

export const proofLineSchema = z
  .object({
    hash: hashSchema,
    assurance: assuranceSchema.optional(),
    proof: z.string().optional().meta({ description: "The .tlog-proof file." }),
    problem: lineProblemSchema
      .optional()
      .meta({ description: "Instead of a proof. Type `not_found`, `pending` or `response_full`." }),
  })
  .meta({ id: "ProofLine", description: "One line of the answer." });

// ---- a log and its history ---------------------------------------------------------------------------------------

export const logSchema = z
  .object({
    id: z.string().meta({ example: EXAMPLE_LOG }),
    origin: z.string().meta({ example: `audit.example.org/log/${EXAMPLE_LOG}` }),
    name: z.string(),
    kind: z.literal("system").optional().meta({
      description:
        "`system`: the trail of who did what in Kedge, to which Kedge alone posts. Absent: a log of your own.",
    }),
    vkey: z.string().meta({ description: "Verifier key of its checkpoints, c2sp.org/signed-note." }),
    vkeys: z.array(z.string()).meta({
      description:
        "All that sign its checkpoints now, `vkey` first: while a key takes over from another, both do. Who serves a log cannot vouch for its keys: pin those of a source you trust.",
    }),
    createdAt: timeSchema,
  })
  .meta({ id: "Log" });
export const publishedSchema = z.object({
  size: sizeSchema.meta({ description: "Entries in the published tree." }),
  publishedAt: timeSchema.optional().meta({ description: "Of the newest checkpoint." }),
});
export const logStateSchema = logSchema.and(publishedSchema).meta({ id: "LogState" });
const stageSchema = z
  .object({ size: sizeSchema, at: timeSchema })
  .meta({ id: "Stage", description: "The entries of the log that have come so far, and since when." });
export const progressSchema = z
  .object({
    pendingSince: timeSchema.optional().meta({
      description: "Arrival of the oldest entry that is in no tree. Absent: none is.",
    }),
    sealed: stageSchema.optional(),
    anchored: stageSchema.optional(),
    witnessed: stageSchema.optional(),
    timestamped: stageSchema.optional(),
    waitsFor: z.array(z.string()).meta({
      description:
        "Names in `/anchor/policy` of the witnesses that the anchor log's newest checkpoint waits for.",
    }),
  })
  .meta({ id: "Progress" });
export const timelineSchema = z
  .object({
    checkpoints: z.array(
      z
        .object({
          size: sizeSchema,
          pendingSince: timeSchema.optional().meta({
            description:
              "Arrival of the oldest entry that no earlier checkpoint has. Absent: unknown, as of what a restore brought back.",
          }),
          sealedAt: timeSchema,
          anchoredAt: timeSchema.optional().meta({
            description: "When the anchor log first held it, or a later checkpoint of the log.",
          }),
          witnessedAt: timeSchema.optional().meta({
            description:
              "Since when it is below a public anchor checkpoint. Absent unless that one's cosignatures meet today's policy.",
          }),
          cosignatures: z.array(
            z.object({
              witness: z.string().meta({ description: "Its name in `/anchor/policy`." }),
              at: timeSchema.meta({ description: "By the witness's own clock." }),
            }),
          ),
          timestamps: z.array(
            z.object({
              type: z.enum(["rfc3161", "ots"]),
              at: timeSchema.optional().meta({
                description: "The time that it shows. Absent: read it in the timestamp itself.",
              }),
            }),
          ),
        })
        .meta({ id: "TimelinePoint" }),
    ),
    isSampled: z.boolean().meta({
      description: "There are more checkpoints: these are spread evenly over the log's entries.",
    }),
  })
  .meta({ id: "Timeline" });
export const logsSchema = z.object({ logs: z.array(logSchema) });
export const newLogSchema = z.strictObject({ name: nameSchema }).meta({ id: "NewLog" });

export const checkpointsSchema = pageSchema
  .extend({
    checkpoints: z.array(
      checkpointSchema
        .extend({ size: checkpointSchema.shape.size.meta(sizeDoc), publishedAt: timeSchema })
        .meta({ id: "Checkpoint" }),
    ),
    next: pageSchema.shape.next.meta({
      ...sizeDoc,
      description: "`after` of the next page. Absent on the last.",
    }),
  })
  .meta({ id: "Checkpoints" });

export const consistencySchema = z
  .object({
    from: sizeSchema,
    to: sizeSchema,
    proof: z.array(z.string()).meta({ description: "Hashes of RFC 6962 §2.1.2, base64." }),
  })
  .meta({ id: "ConsistencyProof" });

// ---- API keys ----------------------------------------------------------------------------------------------------

export const apiKeySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(z.enum(SCOPES)),
    log: z.string().optional().meta({ description: "The only log the key may use." }),
    createdAt: timeSchema,
    expiresAt: timeSchema.optional(),
    revokedAt: timeSchema.optional(),
  })
  .meta({ id: "ApiKey" });
export const secretSchema = z.object({
  apiKey: z.string().meta({ description: "The key itself: shown once, stored by its hash." }),
});
export const createdApiKeySchema = apiKeySchema.and(secretSchema).meta({ id: "CreatedApiKey" });
export const apiKeysSchema = z.object({ keys: z.array(apiKeySchema) });

/** In a request. */
export const expirySchema = z.iso
  .datetime({ offset: true })
  .refine((text) => isSayable(Date.parse(text)), "a time in the years to 9999, in UTC")
  .meta({ example: "2027-03-01T00:00:00Z" });

export const newApiKeySchema = z
  .strictObject({
    name: nameSchema,
    scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
    log: z
      .string()
      .regex(LOG_ID, "the id of a log")
      .optional()
      .meta({ description: "Limits the key to one log. Not for admin keys.", example: EXAMPLE_LOG }),
    expiresAt: expirySchema.optional(),
  })
  .meta({ id: "NewApiKey" });

// ---- the anchor log ----------------------------------------------------------------------------------------------

export const timestampsSchema = z.object({ timestamps: z.array(timestampSchema) }).meta({ id: "Timestamps" });
