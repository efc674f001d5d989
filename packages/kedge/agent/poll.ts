/**
 * The source of kind `poll`: asks a FHIR server again and again for what it has stored since, by `_lastUpdated`. A server
 * stores in parallel and pages over what changes, so a time before the newest known is asked for again each time, and what
 * is known of it is told by id and version. Where the source stands is written with the events, in one transaction.
 */
import { ClientError } from "@kedge/verify/error";
import { EventError } from "@kedge/verify/events/error";
import { MAX_BYTES } from "@kedge/verify/events/formats/json";
import * as z from "zod";
import type { Arrival } from "../journal/types.ts";
import { gapArrival } from "./gap-arrival.ts";
import { authorizationSchema, openAuthorization, requestBytes, urlSchema } from "./http-client.ts";
import { type Backoff, backoff, pause } from "./pause.ts";
import { type Found, readPage } from "./poll-page.ts";
import type { Host, Source } from "./source.ts";

export const pollSchema = z.strictObject({
  kind: z.literal("poll"),
  name: z.string(),
  /** The base of the FHIR server. */
  url: urlSchema,
  resource: z
    .string()
    .regex(/^[A-Z][A-Za-z]{1,63}$/, "a resource type, such as AuditEvent")
    .default("AuditEvent"),
  /** Seconds. */
  every: z.int().min(1).max(86_400).default(60),
  /** Seconds before the newest known that are asked for again: longer than the server takes to store. */
  overlap: z.int().min(1).max(86_400).default(300),
  pageSize: z.int().min(1).max(1000).default(200),
  /** What was stored earlier is left out. Without it, nothing is. */
  from: z.iso.datetime({ offset: true }).optional(),
  /** Octets of the largest event: a larger one becomes a gap. */
  limit: z
    .int()
    .min(1024)
    .max(MAX_BYTES)
    .default(1 << 20),
  authorization: authorizationSchema.optional(),
});
export type PollOptions = z.output<typeof pollSchema>;

/** Of one round: then the next one goes on from where it came to. */
const MAX_PAGES = 10_000;
/** Characters of a page's address: those of a round are kept. */
const MAX_URL = 8192;
/** A server may compare by the second. */
const PRECISION = 1000;
/** Ms that a server's clock may be behind the newest that it has stored, before it is said. */
const CLOCK_TOLERANCE = 60_000;

export function openPoll(
  options: PollOptions,
  host: Host,
  pauses: Backoff = { first: 1000, most: 300_000 },
): Source {
  const poll = openPolling(options, host);
  return {
    ready: async () => ({}),
    async run() {
      let failures = 0;
      while (!host.signal.aborted) {
        let wait = options.every * 1000;
        try {
          if ((await poll()) === "more") wait = 0;
          failures = 0;
          host.trouble("poll", undefined);
        } catch (error) {
          if (host.signal.aborted) return;
          failures += 1;
          const asked = error instanceof ClientError ? (error.retryAfter ?? 0) : 0;
          wait = Math.max(asked, backoff(failures, pauses));
          host.trouble("poll", toldOf(error));
        }
        await pause(wait, host.signal);
      }
    },
  };
}

/** Errors of the journal and of this file are in our own words; all else is named by its kind, for it may quote what came. */
function toldOf(error: unknown): string {
  if (error instanceof EventError) return `A page of the server cannot be read. ${error.message}`;
  return error instanceof Error ? error.message : "The server cannot be asked";
}

/** @returns a function that asks for all that is new, and resolves once it is in the journal */
function openPolling(options: PollOptions, { intake, signal, count, trouble }: Host) {
  const { resource, limit, pageSize } = options;
  const overlap = options.overlap * 1000;
  const from = options.from === undefined ? undefined : Date.parse(options.from);
  const base = options.url.replace(/\/+$/, "");
  const { origin } = new URL(base);
  const authorization = openAuthorization(options.authorization);
  /** Of what was found at or after the beginning of the window: when it was updated, in ms. */
  const seen = new Map(intake.cursors(SEEN).map(([key, at]) => [key.slice(SEEN.length), Number(at)]));
  let newest = intake.cursor(NEWEST) === undefined ? undefined : Number(intake.cursor(NEWEST));
  /** By the server's clock, which may be set back: what it stores then is before the newest. */
  let serverTime: number | undefined;

  const begin = (): number | undefined =>
    newest === undefined
      ? from
      : Math.max(Math.min(newest, serverTime ?? newest) - overlap, from ?? Number.NEGATIVE_INFINITY);

  return async function poll(): Promise<"more" | "done"> {
    count("polls");
    const start = begin();
    const before = newest;
    let reached = newest;
    let last = Number.NEGATIVE_INFINITY;
    let isSorted = true;
    let rises = 0;
    let unasked = 0;
    const visited = new Set<string>();
    let url = new URL(`${base}/${resource}`);
    if (start !== undefined) url.searchParams.set("_lastUpdated", `ge${new Date(start).toISOString()}`);
    url.searchParams.set("_sort", "_lastUpdated");
    url.searchParams.set("_count", `${pageSize}`);

    for (let pages = 0; pages < MAX_PAGES; pages++) {
      visited.add(url.href);
      const { bytes, date } = await requestBytes(url, {
        ...{ authorization, signal, limit: MAX_BYTES },
        headers: { Accept: "application/fhir+json" },
      });
      serverTime = date ?? serverTime;
      const page = readPage(bytes, resource);
      const asked = page.found.filter(
        ({ updated }) => start === undefined || updated === undefined || updated >= start - PRECISION,
      );
      unasked += page.found.length - asked.length;
      for (const { updated } of asked) {
        if (updated === undefined) continue;
        isSorted &&= updated >= last;
        if (updated > last && last !== Number.NEGATIVE_INFINITY) rises++;
        last = updated;
        reached = Math.max(reached ?? updated, updated);
      }
      const fresh = [
        ...new Map(asked.filter(({ key }) => !seen.has(key)).map((found) => [found.key, found])).values(),
      ];
      // What comes in order is behind us; what does not is only once the last page is read.
      const isPassed = (isSorted && rises > 0) || page.next === undefined;
      await write(fresh, isPassed ? reached : before);
      if (page.others > 0) count("others", page.others);
      if (page.next === undefined) {
        const isBehind =
          serverTime !== undefined && newest !== undefined && serverTime < newest - CLOCK_TOLERANCE;
        const ignores =
          "The server gives what was stored before the time that was asked for: that is left out";
        trouble("filter", unasked > 0 ? ignores : undefined);
        trouble(
          "clock",
          isBehind ? "The server's clock is behind what it has stored: more is asked for again" : undefined,
        );
        return "done";
      }
      url = follow(page.next, url);
      if (visited.has(url.href)) throw new ClientError("protocol", "The server's pages go round in a circle");
    }
    if (newest !== before) return "more";
    throw new ClientError(
      "protocol",
      `The server's pages have no end: ${MAX_PAGES} were read, and nothing new came`,
    );
  };

  async function write(fresh: readonly Found[], place: number | undefined): Promise<void> {
    const cursors = new Map<string, string | undefined>();
    if (place !== newest) cursors.set(NEWEST, place?.toString());
    // Of what has no time: it is not of later than now.
    const stamped = fresh.map(({ key, updated }) => ({ key, at: updated ?? serverTime ?? Date.now() }));
    for (const { key, at } of stamped) cursors.set(SEEN + key, `${at}`);
    if (cursors.size === 0) return;
    // Nothing before this is asked for again, unless the server's clock is set back.
    const end =
      place === undefined ? undefined : Math.min(place, serverTime ?? place) - overlap - 2 * PRECISION;
    const gone = end === undefined ? [] : [...seen].filter(([, at]) => at < end).map(([key]) => key);
    for (const key of gone) cursors.set(SEEN + key, undefined);
    await intake.take({ arrivals: fresh.map(arrivalOf), cursors });
    newest = place;
    for (const key of gone) seen.delete(key);
    for (const { key, at } of stamped) seen.set(key, at);
    count("events", fresh.length);
  }

  function arrivalOf({ bytes }: Found): Arrival {
    if (bytes.length <= limit) return { bytes, mediaType: "application/fhir+json" };
    return gapArrival({ kind: "overlong", octets: bytes.length });
  }

  /** A token goes to no other server than the one that it is for. */
  function follow(next: string, from: URL): URL {
    if (next.length > MAX_URL)
      throw new ClientError("protocol", "The server's next page has no usable address");
    const url = URL.canParse(next, from.href) ? new URL(next, from) : undefined;
    if (url?.origin === origin && url.username === "" && url.password === "") return url;
    throw new ClientError(
      "protocol",
      "The server's next page is at another server: give it its own address as its base, or name that in url",
    );
  }
}

const SEEN = "seen/";
const NEWEST = "newest";
