/**
 * Kedge's own trail: who did what in it, each an event (trail-event.ts) in a system log of the tenant's, numbered. The log has
 * commitments alone; bodies and openings lie in `trail/<tenant>` by number, and are deleted after a configured time.
 *
 * An act is durable once it stands in the outbox. From there it is settled: it takes its number, is appended to the system log,
 * and leaves the outbox. Any number of processes may settle the same act at once, or begin again where one died.
 */
import { randomBytes } from "node:crypto";
import { commitEvent } from "@kedge/verify/events/commitment";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Item, type Key, parseItem, putIf, type Store, sortable } from "../platform/store.ts";
import { type AppendContext, append } from "./append.ts";
import { hasPassed } from "./clock.ts";
import { mayUse, type Principal } from "./principal.ts";
import { findTrailLog, systemLog, type TenantContext } from "./tenants.ts";
import { type Act, type Actor, eventOf, type Outcome } from "./trail-event.ts";

export type { Act, Actor } from "./trail-event.ts";

export type TrailContext = TenantContext & AppendContext;

/** In which log, and when. Under which number is settled later, and maybe by another process. */
export type Recorded = { readonly log: string; readonly at: bigint };

export const TRAIL_SOURCE = "kedge.trail";
const MEDIA_TYPE = "application/fhir+json";

// ---- items -----------------------------------------------------------------------------------------------------------

/** All tenants' in one partition, so that one query tells the sweep that there is nothing to do. */
const OUTBOX = "trail-outbox";
/** A note for each body, in the order of their times: what is to be deleted first. */
const EXPIRY = "trail-expiry";
const trailPartition = (tenant: string): string => `trail/${tenant}`;
const bodyKey = (tenant: string, number: bigint): Key => ({
  pk: trailPartition(tenant),
  sk: sortable(number),
});
/** The highest number whose body was deleted or lost: numbers go on after it. */
const floorKey = (tenant: string): Key => ({ pk: trailPartition(tenant), sk: "floor" });
/** Numbers sort before `floor`. */
const LAST_NUMBER = "9".repeat(16);

const bodySchema = z.object({
  at: z.bigint(),
  event: z.string(),
  opening: z.string(),
  /** Hex. */
  commitment: z.string(),
});

const floorSchema = z.object({ number: z.bigint() });

/** An act on its way: which number it is to take, as what, and what else is appended to which log (hex, spaces between). */
const actSchema = bodySchema.extend({
  log: z.string(),
  number: z.bigint(),
  also: z.string(),
  alsoLog: z.string(),
});
type Waiting = z.infer<typeof actSchema> & { readonly key: Key; readonly tenant: string };

// ---- recording -------------------------------------------------------------------------------------------------------

/**
 * Durable once it returns: the event is kept, and its commitment is pending or will be appended by the next sweep. Of a flood of
 * refused sign-ins all but the first of a minute are counted, and told together.
 * @throws ServiceError `throttled`, `unavailable`: then the act must not be done, or not be acknowledged.
 */
export async function recordAct(ctx: TrailContext, tenant: string, by: Actor, act: Act): Promise<void> {
  if (act.is === "sign_in_refused" && !(await isFirst(ctx, tenant, act.reason))) return;
  await record(ctx, tenant, by, act);
}

/** As `recordAct`. @param also what the event names and others made: entries of the log of reviews. */
export async function record(
  ctx: TrailContext,
  tenant: string,
  by: Actor,
  act: Act,
  { outcome = outcomeOf(act), also = [] }: { outcome?: Outcome; also?: readonly Uint8Array[] } = {},
): Promise<Recorded> {
  const { id: log } = await systemLog(ctx, tenant, "trail");
  const alsoLog = also.length === 0 ? "" : (await systemLog(ctx, tenant, "reviews")).id;
  const at = now(ctx);
  const event = new TextDecoder().decode(eventOf({ at, domain: ctx.domain, by, act, outcome }));
  const key = { pk: OUTBOX, sk: `${tenant}/${bytesToHex(randomBytes(16))}` };
  const waiting: Waiting = {
    ...{ key, tenant, log, at, event, also: also.map(bytesToHex).join(" "), alsoLog },
    ...numbered(event, await nextNumber(ctx.store, tenant)),
  };
  await ctx.store.put(itemOf(waiting));
  // From here on the sweep would do the rest.
  await settle(ctx, waiting).catch((error: unknown) => {
    if (!(error instanceof ServiceError)) throw error;
  });
  return { log, at };
}

/**
 * Records a change, then makes it. Where it fails that is recorded too, and where that cannot be, the first event has said that
 * it might.
 * @param change false: it was not made, as another one was first.
 */
export async function recordChange<T>(
  ctx: TrailContext,
  tenant: string,
  by: Actor,
  act: Act,
  change: () => Promise<T>,
): Promise<T> {
  await recordAct(ctx, tenant, by, act);
  const recordFailure = (is: "not done" | "not known", code: string) =>
    record(ctx, tenant, by, act, { outcome: { is, code } }).catch(() => undefined);
  try {
    const made = await change();
    if (made === false) await recordFailure("not done", "conflict");
    return made;
  } catch (error) {
    const code = error instanceof ServiceError ? error.code : "failed";
    await recordFailure(NOT_DONE.has(code) ? "not done" : "not known", code);
    throw error;
  }
}

/** Codes of what was refused; with any other it may have been done. */
const NOT_DONE: ReadonlySet<string> = new Set([
  ...["condition_failed", "conflict", "forbidden", "invalid", "not_found"],
]);

/** By a clock before 1970 it is 1970: the time is part of a key. */
const now = ({ clock }: TrailContext): bigint => BigInt(Math.max(0, clock()));

/** Of what changes something the outcome is not known yet. */
function outcomeOf({ is }: Act): Outcome {
  switch (is) {
    case "signed_in":
    case "link_opened":
    case "reviewed":
    case "exported":
      return { is: "done" };
    case "sign_in_refused":
      return { is: "refused" };
    default:
      return { is: "begun" };
  }
}

/** A nonce stands for one message, so each number that is tried has another. */
function numbered(event: string, number: bigint): Pick<Waiting, "number" | "opening" | "commitment"> {
  const { commitment, opening } = commitEvent(
    {
      ...{ bytes: new TextEncoder().encode(event), mediaType: MEDIA_TYPE, canonicalisation: "jcs" },
      ...{ source: TRAIL_SOURCE, sequence: number },
    },
    { nonce: new Uint8Array(randomBytes(32)) },
  );
  return { number, opening: JSON.stringify(opening), commitment: bytesToHex(commitment) };
}

/** Numbers are 1, 2, 3, … without a gap: each is taken by a conditional write, and only once the one before it is. */
async function nextNumber(store: Store, tenant: string): Promise<bigint> {
  const newest = async () => {
    const last = { pk: trailPartition(tenant), to: LAST_NUMBER, reverse: true, limit: 1 };
    for await (const { sk } of store.query(last)) return BigInt(sk);
    return 0n;
  };
  const [last, [floor]] = await Promise.all([newest(), store.get([floorKey(tenant)])]);
  const deleted = floor === undefined ? 0n : parseItem(floorSchema, floor).number;
  return max(last, deleted) + 1n;
}

// ---- refused sign-ins ------------------------------------------------------------------------------------------------

const MINUTE = 60_000n;
/** Lost races for the count of a minute, after which a refusal is not counted: what is told is a lower bound. */
const MAX_COUNTING = 5;

/** In the tenant's trail until its minute is over: how many sign-ins were refused in it after the first, and why (codes, spaces between). */
const countSchema = z.object({ at: z.bigint(), count: z.bigint(), reasons: z.string() });
/** In the outbox meanwhile: that there is such a count, since when. */
const toTellSchema = z.object({ log: z.string(), since: z.bigint() });

/** Whether it is the tenant's first of the minute; any other is counted. */
async function isFirst(ctx: TrailContext, tenant: string, reason: string): Promise<boolean> {
  const at = now(ctx);
  const sk = `refused/${sortable(at / MINUTE)}`;
  const key = { pk: trailPartition(tenant), sk };
  for (let tries = 0; tries < MAX_COUNTING; tries++) {
    const [item] = await ctx.store.get([key]);
    if (item === undefined) {
      const { id: log } = await systemLog(ctx, tenant, "trail");
      await ctx.store.put({ pk: OUTBOX, sk: `${tenant}/${sk}`, log, since: at });
      if (await putIf(ctx.store, { ...key, at, count: 0n, reasons: "" }, { kind: "absent" })) return true;
      continue;
    }
    const { count, reasons } = parseItem(countSchema, item);
    const all = new Set([...reasons.split(" "), reason].filter((code) => code !== ""));
    const next = { ...key, at, count: count + 1n, reasons: [...all].join(" ") };
    if (await putIf(ctx.store, next, { kind: "equals", attribute: "count", value: count })) return false;
  }
  return false;
}

/** The count that an item of the outbox is of. */
function countKey({ sk }: Key): Key | undefined {
  const [tenant = "", ...rest] = sk.split("/");
  return rest[0] === "refused" ? { pk: trailPartition(tenant), sk: rest.join("/") } : undefined;
}

/** The count of a minute that is over, as an act on its way; undefined: it is not over, there is none, or another tells it. */
async function countedAct(ctx: TrailContext, item: Item, counted: Key): Promise<Waiting | undefined> {
  const { pk, sk } = item;
  const { log, since } = parseItem(toTellSchema, item);
  // Twice, for clocks differ. A minute of the future is a wrong clock's: nothing waits for it.
  if (!hasPassed(Number(2n * MINUTE), since, ctx.clock())) return undefined;
  const key = { pk, sk };
  const [found] = await ctx.store.get([counted]);
  const { at, count, reasons } = found === undefined ? NONE_REFUSED : parseItem(countSchema, found);
  if (count === 0n) {
    await ctx.store.write([], [counted, key]);
    return undefined;
  }
  const [tenant = ""] = sk.split("/");
  const act = { is: "sign_in_refused", reason: reasons } as const;
  const about = { at, since, count, domain: ctx.domain, by: { kind: "unknown" }, act } as const;
  const event = new TextDecoder().decode(eventOf({ ...about, outcome: { is: "refused" } }));
  const own = numbered(event, await nextNumber(ctx.store, tenant));
  const waiting = { key, tenant, log, at, event, also: "", alsoLog: "", ...own };
  const unchanged = { kind: "equals", attribute: "since", value: since } as const;
  return (await putIf(ctx.store, itemOf(waiting), unchanged)) ? waiting : undefined;
}
const NONE_REFUSED = { at: 0n, count: 0n, reasons: "" };

// ---- settling --------------------------------------------------------------------------------------------------------

/** Numbers lost to others in one go, after which it is left to the sweep. */
const MAX_TRIES = 30;

/**
 * Takes the act's number, appends it, and takes it out of the outbox. Who loses a number to another act takes the next.
 * @returns false where it is left to another process, or to the next sweep.
 */
async function settle(ctx: TrailContext, found: Waiting): Promise<boolean> {
  let waiting = found;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (await takeNumber(ctx.store, waiting)) {
      const { log, tenant, number, at, commitment, also, alsoLog } = waiting;
      await ctx.store.write([expiryItem(tenant, at, number)]);
      await append(ctx, log, [hexToBytes(commitment)]);
      if (alsoLog !== "") await append(ctx, alsoLog, also.split(" ").map(hexToBytes));
      const counted = countKey(waiting.key);
      if (counted !== undefined) await ctx.store.write([], [counted]);
      await ctx.store.write([], [waiting.key]);
      return true;
    }
    const next = { ...waiting, ...numbered(waiting.event, await nextNumber(ctx.store, waiting.tenant)) };
    const unchanged = { kind: "equals", attribute: "commitment", value: waiting.commitment } as const;
    // Otherwise another process has it in hand.
    if (!(await putIf(ctx.store, itemOf(next), unchanged))) return false;
    waiting = next;
  }
  return false;
}

/** Whether the number is this act's: it may be by an earlier try, or by another process. */
async function takeNumber(store: Store, waiting: Waiting): Promise<boolean> {
  const { tenant, number, at, event, opening, commitment } = waiting;
  const key = bodyKey(tenant, number);
  if (await putIf(store, { ...key, at, event, opening, commitment }, { kind: "absent" })) return true;
  const [there] = await store.get([key]);
  return there?.["commitment"] === commitment;
}

function itemOf({ key, log, at, event, also, alsoLog, number, opening, commitment }: Waiting): Item {
  return { ...key, log, at, event, also, alsoLog, number, opening, commitment };
}

function decodeWaiting(item: Item): Waiting {
  const { pk, sk } = item;
  const [tenant = ""] = sk.split("/");
  return { key: { pk, sk }, tenant, ...parseItem(actSchema, item) };
}

const expiryItem = (tenant: string, at: bigint, number: bigint): Item => ({
  ...{ pk: EXPIRY, sk: `${sortable(at)}/${tenant}/${sortable(number)}` },
  ...{ tenant, number },
});

// ---- reading ---------------------------------------------------------------------------------------------------------

export type TrailEvent = {
  readonly at: bigint;
  readonly number: bigint;
  readonly event: string;
  readonly commitment: string;
  readonly opening: string;
};
export type TrailPage = {
  /** Absent while the tenant has no trail. */
  readonly log?: string;
  readonly events: readonly TrailEvent[];
  /** `before` of the next page; absent on the last. */
  readonly next?: bigint;
};

/**
 * Newest first; one query.
 * @param before only numbers below it.
 * @throws ServiceError `forbidden` for a principal that is limited to other logs.
 */
export async function readTrail(
  ctx: TenantContext,
  principal: Principal,
  { before, limit }: { readonly before?: bigint; readonly limit: number },
): Promise<TrailPage> {
  const { tenant, logs } = principal;
  const to = before === undefined ? LAST_NUMBER : sortable(before > 0n ? before - 1n : 0n);
  const events: TrailEvent[] = [];
  const log = await findTrailLog(ctx, tenant);
  if (log === undefined ? logs !== "all" : !mayUse(principal, log.id)) {
    throw new ServiceError("forbidden", "The trail tells of all logs: this is limited to some.");
  }
  if (log === undefined) return { events };
  for await (const item of ctx.store.query({ pk: trailPartition(tenant), to, reverse: true, limit })) {
    events.push({ number: BigInt(item.sk), ...parseItem(bodySchema, item) });
  }
  const last = events.at(-1)?.number;
  const isMore = events.length === limit && last !== undefined && last > 1n;
  return { log: log.id, events, ...(isMore && { next: last }) };
}

// ---- the sweep -------------------------------------------------------------------------------------------------------

export type TrailSweepContext = TrailContext & {
  /** For how many ms bodies and openings are kept. */
  readonly trailRetention: number;
};

/** Acts settled, and bodies deleted, in one sweep: what is left waits for the next. */
const AT_ONCE = 500;

export type SweptTrail = {
  readonly settled: number;
  readonly deleted: number;
  /** What could not be settled or deleted: each has kept nothing else from it. */
  readonly failed: readonly FailedItem[];
};
type FailedItem = { readonly item: string; readonly error: unknown };

/**
 * Settles what a crash has left in the outbox, and deletes bodies and openings that were kept long enough; with nothing to do it
 * is two reads. The commitments stay in their logs.
 */
export async function sweepTrail(ctx: TrailSweepContext): Promise<SweptTrail> {
  const { settled, failed, needed } = await settleAll(ctx);
  const gone = needed === undefined ? { deleted: 0, failed: [] } : await deleteOld(ctx, needed);
  return { settled, deleted: gone.deleted, failed: [...failed, ...gone.failed] };
}

/**
 * Of acts that are left in the outbox. Each waits for a number, and its own body or another's under it tells the two apart: were
 * that one deleted, the number could be taken again. Where the number cannot be read, no body of the tenant's is deleted.
 */
type Needed = { readonly bodies: Set<string>; readonly tenants: Set<string> };

/** `needed` is undefined where the outbox has more than was looked at. */
async function settleAll(ctx: TrailContext) {
  const needed: Needed = { bodies: new Set(), tenants: new Set() };
  const failed: FailedItem[] = [];
  let [settled, lost] = [0, 0];
  for await (const item of ctx.store.query({ pk: OUTBOX })) {
    if (settled + lost + failed.length === AT_ONCE) return { settled, failed };
    const counted = item["event"] === undefined ? countKey(item) : undefined;
    try {
      const waiting = counted === undefined ? decodeWaiting(item) : await countedAct(ctx, item, counted);
      if (waiting === undefined) continue;
      if (await settle(ctx, waiting)) {
        settled++;
        continue;
      }
      lost++;
    } catch (error) {
      failed.push({ item: item.sk, error });
    }
    // A count has taken no number, or just now a new one.
    if (counted === undefined) need(needed, item);
  }
  return { settled, failed, needed };
}

function need({ bodies, tenants }: Needed, { sk, number }: Item): void {
  const [tenant = ""] = sk.split("/");
  if (typeof number === "bigint") bodies.add(`${tenant}/${number}`);
  else tenants.add(tenant);
}

const expirySchema = z.object({ tenant: z.string(), number: z.bigint() });

async function deleteOld({ store, clock, trailRetention }: TrailSweepContext, needed: Needed) {
  const before = BigInt(Math.max(0, clock() - trailRetention));
  const failed: FailedItem[] = [];
  const notes: (Key & z.infer<typeof expirySchema>)[] = [];
  for await (const item of store.query({ pk: EXPIRY, to: sortable(before) })) {
    if (notes.length === AT_ONCE) break;
    try {
      const { tenant, number } = parseItem(expirySchema, item);
      if (needed.tenants.has(tenant) || needed.bodies.has(`${tenant}/${number}`)) continue;
      notes.push({ pk: item.pk, sk: item.sk, tenant, number });
    } catch (error) {
      failed.push({ item: item.sk, error });
    }
  }
  if (notes.length === 0) return { deleted: 0, failed };
  const highest = new Map<string, bigint>();
  for (const { tenant, number } of notes) highest.set(tenant, max(number, highest.get(tenant) ?? 0n));
  for (const [tenant, number] of highest) await raiseFloor(store, tenant, number);
  const bodies = notes.map(({ tenant, number }) => bodyKey(tenant, number));
  // The notes last: they say what is left to do.
  await store.write([], bodies);
  await store.write([], notes);
  return { deleted: notes.length, failed };
}

async function raiseFloor(store: Store, tenant: string, number: bigint): Promise<void> {
  const above = { kind: "absentOrBelow", attribute: "number", value: number } as const;
  await putIf(store, { ...floorKey(tenant), number }, above);
}

/**
 * After the log came back from its record to a table that is older: events between are lost, and their numbers are not given
 * again, so that the gap is seen. No number of the log is above its size.
 */
export async function passLostNumbers(store: Store, tenant: string, size: bigint): Promise<void> {
  await raiseFloor(store, tenant, size);
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
