/** Requests and answers of what people do in the console: sign in, viewer links, reviews, the trail. As wire.ts. */
import * as z from "zod";
import { ALL_SCOPES, LOG_ID, type ROLES } from "./ids.ts";
import { EXAMPLE_LOG, expirySchema, hashSchema, nameSchema } from "./wire.ts";

const time = z.string().meta({ format: "date-time", example: "2026-03-01T08:30:00.000Z" });
/** In a request: nothing but a time, so that nothing else can be told in it. */
const givenTime = z.iso.datetime({ offset: true }).max(40).meta({ example: "2026-03-01T00:00:00Z" });
const hash = hashSchema;
const logId = z.string().regex(LOG_ID, "the id of a log").meta({ example: EXAMPLE_LOG });
const roles = ["engineer", "officer", "auditor", "administrator"] as const satisfies (keyof typeof ROLES)[];

/** GET /v1/sign-in/{tenant}: where a person of this tenant signs in (OpenID Connect Core 1.0 §3.1.2.1). */
export const signInSchema = z.object({
  authorizationEndpoint: z.string(),
  clientId: z.string(),
  /** Space-separated, `openid` among them. */
  scope: z.string(),
});

/**
 * POST /v1/sign-in/{tenant}: what the identity provider sent back (RFC 6749 §4.1.2), and what only who began it knows:
 * the PKCE verifier (RFC 7636) and the nonce. The service exchanges the code itself.
 */
export const signInRequestSchema = z.strictObject({
  code: z.string().min(1).max(4_096),
  codeVerifier: z
    .string()
    .regex(/^(?:[A-Za-z0-9._~]|-){43,128}$/, "43 to 128 characters of RFC 7636 §4.1")
    .meta({ example: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" }),
  nonce: z
    .string()
    .regex(/^(?:[A-Za-z0-9_]|-){43,128}$/, "43 to 128 characters of base64url")
    .meta({ example: "n0S6_WzA2Mj1b4vTqkJxZk8r3uQd5oYcL7eHfGtVwXs" }),
  redirectUri: z.url().max(2_048),
  /** RFC 9207, where the provider sends it. */
  iss: z.string().max(2_048).optional(),
});

/** POST /v1/sign-in: with a viewer link's text after `#link=`, or the one-time text that `npm start` prints after `#start=`. */
export const linkSignInSchema = z.union([
  z.strictObject({ link: z.string().max(200) }),
  z.strictObject({ start: z.string().max(200) }),
]);

/** Who is signed in: GET /v1/session. */
export const sessionSchema = z.object({
  tenant: z.object({ id: z.string(), name: z.string() }),
  holder: z.string().meta({
    description:
      "The same in every session of one person or viewer link, and in no other's; it says nothing of who it is.",
  }),
  /** As the identity provider names the person; absent for a viewer link. */
  name: z.string().optional(),
  role: z.enum(roles).optional(),
  scopes: z.array(z.enum(ALL_SCOPES)),
  /** The only logs that it may use; absent: every log of the tenant. */
  logs: z.array(logId).optional(),
  expiresAt: time,
});
/** The answer to a sign-in: `token` is sent as `Authorization: Bearer`, and shown once. */
export const signedInSchema = sessionSchema.extend({ token: z.string() });

/** A viewer link: one log, read only, until it expires or is revoked. */
export const newLinkSchema = z.strictObject({ name: nameSchema, log: logId, expiresAt: expirySchema });
export const linkSchema = z.object({
  id: z.string(),
  name: z.string(),
  log: z.string(),
  createdAt: time,
  expiresAt: time,
  revokedAt: time.optional(),
});
/** `link` is the text after `#link=`, shown once. */
export const createdLinkSchema = linkSchema.extend({ link: z.string() });
export const linksSchema = z.object({ links: z.array(linkSchema) });

/** What may have been looked for, in this order: names of a filter's members and of nothing else, for they stand in the trail. */
export const REVIEW_FILTERS = [
  ...(["user", "patient", "action", "recordType", "breakTheGlass", "sameSurname"] as const),
  ...(["afterHours", "list", "gtin", "lot", "serial", "verdict"] as const),
] as const;

/**
 * POST /v1/logs/{log}/reviews: that somebody reviewed a period. Nothing of an event: the review itself stays with the officer, and
 * `commitment` is its commitment; the filter's members are named and not told.
 */
export const newReviewSchema = z.strictObject({
  commitment: hash,
  from: givenTime.optional(),
  to: givenTime.optional(),
  filter: z.array(z.enum(REVIEW_FILTERS)).max(REVIEW_FILTERS.length),
  count: z.int().nonnegative(),
  /** RFC 6962 root over the reviewed rows' commitments, in the order of their bytes, hex. */
  root: hash,
});

/** POST /v1/exports: what was done in the browser, by kind and count. `digest`: SHA-256 of a pack's SHA256SUMS, hex. */
export const newExportSchema = z.strictObject({
  kind: z.enum(["reconciliation", "proof", "proofs", "pack", "patient-page"]),
  log: logId.optional(),
  count: z.int().nonnegative(),
  digest: hash.optional(),
});

/** The answer to both: the act is an event of the trail, whose log this is. */
export const recordedSchema = z.object({ log: z.string(), at: time });

/** GET /v1/trail: events of the tenant's own trail, newest first, with what opens them; `log` is the system log they are in. */
export const trailEventSchema = z.object({
  at: time,
  /** The event's bytes: a FHIR R4 AuditEvent as JSON. */
  event: z.string(),
  commitment: hash,
  opening: z.unknown(),
});
export const trailSchema = z.object({
  log: z.string().optional().meta({ description: "Absent while the tenant has no trail." }),
  events: z.array(trailEventSchema),
  next: z.string().optional().meta({ description: "`before` of the next page." }),
});
