/**
 * What monitoring asks of the agent, over HTTP: `/healthz` (it runs), `/readyz` (nothing is wrong, or what), `/metrics`
 * (Prometheus text format 0.0.4). The metrics are named in docs/decisions/0026.
 */

import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { JournalError } from "../journal/error.ts";
import type { SourceState } from "../journal/types.ts";
import type { Clock } from "./clock.ts";
import { AgentError } from "./error.ts";
import { type Listen, mayEnter, readListener } from "./listen.ts";
import type { Report } from "./report.ts";

/** What one client may take of it. Ms. */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 5_000,
};
const MAX_CONNECTIONS = 20;

export type Health = { report: Report; clock: Clock; sources(): readonly SourceState[] };

/** Rejects with AgentError. */
export async function startHealth(
  listen: Listen,
  health: Health,
): Promise<{ url: string; close(): Promise<void> }> {
  const listener = readListener(listen, ["http", "https"]);
  const answer: RequestListener = (request, response) => {
    const isRead = request.method === "GET" || request.method === "HEAD";
    const { status, type, body } = !mayEnter(listener, request.headers.authorization)
      ? text(401, "a bearer token is needed\n")
      : isRead
        ? answerOf(request.url ?? "/", health)
        : text(405, "GET alone\n");
    response.writeHead(status, {
      "Content-Type": type,
      "Cache-Control": "no-store",
      ...(status === 401 && { "WWW-Authenticate": "Bearer" }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
    request.resume();
  };
  const server: Server = listener.tls
    ? createTlsServer({ ...LIMITS, ...listener.tls }, answer)
    : createServer(LIMITS, answer);
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(listener.port, listener.host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new AgentError(
      "address",
      `${listen.address} cannot be listened on: name another address for health`,
      { cause },
    );
  }
  server.on("error", () => undefined); // one client's trouble
  const bound = server.address();
  const port = typeof bound === "object" ? bound?.port : undefined;
  const host = listener.host.includes(":") ? `[${listener.host}]` : listener.host;
  return {
    url: `${listener.scheme}://${host}:${port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

type Answer = { status: number; type: string; body: string };
const text = (status: number, body: string): Answer => ({ status, type: "text/plain; charset=utf-8", body });

function answerOf(url: string, { report, clock, sources }: Health): Answer {
  const path = url.replace(/\?.*$/, "");
  if (path === "/healthz") return text(200, "ok\n");
  if (path === "/readyz") {
    const reasons = report
      .troubles()
      .map(({ scope, key, what, since }) => ({ scope, key, what, since: new Date(since).toISOString() }));
    const status = reasons.length === 0 ? 200 : 503;
    return {
      status,
      type: "application/json",
      body: `${JSON.stringify({ status: status === 200 ? "ready" : "troubled", reasons })}\n`,
    };
  }
  if (path !== "/metrics") return text(404, "GET /healthz, /readyz or /metrics\n");
  let body: string;
  try {
    body = exposition(sources(), report, clock);
  } catch (error) {
    // A journal whose disk has failed is opened anew, and asked again.
    if (error instanceof JournalError) return text(503, `${error.message}\n`);
    throw error;
  }
  return { status: 200, type: "text/plain; version=0.0.4; charset=utf-8", body };
}

type Sample = [labels: Record<string, string>, value: number];

/** https://prometheus.io/docs/instrumenting/exposition_formats/. Times are in seconds, and what only rises ends in _total. */
export function exposition(
  sources: readonly SourceState[],
  report: Report,
  clock: Pick<Clock, "wall" | "ahead">,
): string {
  const now = clock.wall();
  const of = (value: (state: SourceState) => bigint | number): Sample[] =>
    sources.map((state) => [{ source: state.name }, Number(value(state))]);
  const age = (since: number | undefined) => (since === undefined ? 0 : Math.max(0, now - since) / 1000);
  const ahead = clock.ahead();
  return [
    family(
      "seen_total",
      "counter",
      "Events met, journalled or not",
      of(({ seen }) => seen),
    ),
    family(
      "journalled_total",
      "counter",
      "Events journalled",
      of(({ journalled }) => journalled),
    ),
    family(
      "posted_total",
      "counter",
      "Events that the service accepted",
      of(({ posted }) => posted),
    ),
    family(
      "sealed_total",
      "counter",
      "Events that are known to be sealed",
      of(({ sealed }) => sealed),
    ),
    family(
      "gaps_total",
      "counter",
      "Gaps that the agent saw",
      of(({ gaps }) => gaps),
    ),
    family(
      "forwarding",
      "gauge",
      "Messages that the upstream does not have yet",
      of(({ forwarding }) => forwarding),
    ),
    family(
      "unposted_age_seconds",
      "gauge",
      "Age of the oldest event that is not posted",
      of(({ unpostedSince }) => age(unpostedSince)),
    ),
    family(
      "unsealed_age_seconds",
      "gauge",
      "Time since the oldest event that is not sealed was posted",
      of(({ unsealedSince }) => age(unsealedSince)),
    ),
    family(
      "occurrences_total",
      "counter",
      "What a source, or a part of the agent, counts",
      report.counts().map(({ source, counter, value }) => [{ source, counter }, value]),
    ),
    family("troubles", "gauge", "Troubles that are not over", [[{}, report.troubles().length]]),
    family(
      "clock_ahead_seconds",
      "gauge",
      "How far this clock is ahead of the service's",
      ahead === undefined ? [] : [[{}, ahead / 1000]],
    ),
    family("memory_bytes", "gauge", "Resident memory", [[{}, process.memoryUsage.rss()]]),
  ].join("");
}

function family(name: string, type: "counter" | "gauge", help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  const full = `kedge_agent_${name}`;
  const lines = samples.map(([labels, value]) => {
    const pairs = Object.entries(labels).map(([label, content]) => `${label}="${escaped(content)}"`);
    return `${full}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
  });
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join("")}`;
}

const escaped = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
