/**
 * The source of kind `fhir`: a listener for FHIR, CloudEvents and plain POST. The sender has the agent's own answer, with
 * the agent's Location, once its events are in the journal; what goes on to the upstream goes later, and what the upstream
 * says to it the sender never sees.
 */
import { createServer as createHttpServer, type Server, type ServerOptions } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { getRequestListener } from "@hono/node-server";
import { MAX_BYTES } from "@kedge/verify/events/formats/json";
import * as z from "zod";
import { AgentError } from "./error.ts";
import { createFhirApp } from "./fhir-endpoint.ts";
import { startForwarding } from "./forward.ts";
import { packRequest, sendRequests, upstreamSchema } from "./http-upstream.ts";
import {
  HTTP_SCHEMES,
  type Listener,
  listenSchema,
  mayEnter,
  openReady,
  readListener,
  urlOf,
} from "./listen.ts";
import { aborted } from "./pause.ts";
import type { Host, Source } from "./source.ts";

const MIB = 1 << 20;

export const fhirSchema = z.strictObject({
  kind: z.literal("fhir"),
  name: z.string(),
  listen: listenSchema,
  /** What the paths of the endpoint begin with, such as `/fhir`: senders keep those that they have. */
  path: z
    .string()
    .regex(/^(\/[A-Za-z0-9._-]+)*$/, "a path such as /fhir, without a slash at its end")
    .default(""),
  /** What is not as it says it is becomes a gap, and its sender is told; false commits to its bytes all the same. */
  refuse: z.boolean().default(true),
  /** Octets of the largest event: a larger one becomes a gap, and its sender is told. */
  limit: z.int().min(1024).max(MAX_BYTES).default(MIB),
  /** Octets of the largest body that may hold several events. */
  bundleLimit: z.int().min(1024).max(MAX_BYTES).default(MAX_BYTES),
  /** Answers `GET /AuditEvent` (ITI-81) out of the journal, to whoever may send events here. */
  search: z.boolean().default(false),
  upstream: upstreamSchema.optional(),
});
export type FhirOptions = z.output<typeof fhirSchema>;

/** What one client may take of the listener. A body that comes more slowly than this is cut off. */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 10_000,
  maxHeaderSize: 16_384,
};
const MAX_CONNECTIONS = 500;
/** Octets, of bodies that are being received at a time. */
const ROOM = 256 * MIB;
/** Ms that requests under way have once the source is stopped. */
const GRACE = 5_000;

/** Throws AgentError `config` for what its files do not hold. `run` rejects with AgentError `address`. */
export function openFhir(options: FhirOptions, host: Host, limits: ServerOptions = LIMITS): Source {
  const listener = readListener(options.listen, HTTP_SCHEMES);
  const send = options.upstream && sendRequests(options.upstream, host);
  const { ready, listening, failed } = openReady();
  return {
    ready: () => ready,
    async run() {
      const forwarding = send && startForwarding({ host, send });
      const app = createFhirApp({
        intake: {
          async take(taking) {
            const numbers = await host.intake.take(taking);
            forwarding?.wake();
            return numbers;
          },
        },
        path: options.path,
        mayEnter: (authorization) => mayEnter(listener, authorization),
        isOpen: listener.token === undefined,
        limits: { event: options.limit, bundle: Math.max(options.limit, options.bundleLimit) },
        refuse: options.refuse,
        room: { free: ROOM },
        ...(send && { forward: (request, sent) => packRequest(request, options.path, sent) }),
        ...(options.search && host.search && { search: host.search }),
        count: host.count,
        trouble(cause) {
          const what = cause instanceof Error ? cause.message : "the journal takes no events";
          host.trouble("journal", cause === undefined ? undefined : what);
        },
      });
      try {
        const server = await listen(listener, (request) => app.fetch(request), limits);
        listening({ url: urlOf(listener, server.address()) + options.path });
        await aborted(host.signal);
        await close(server);
      } catch (error) {
        failed(error);
        throw error;
      } finally {
        await forwarding?.done;
      }
    },
  };
}

type Answer = (request: Request) => Response | Promise<Response>;

/** @throws AgentError `address` */
function listen(
  { scheme, host, port, tls }: Listener,
  answer: Answer,
  limits: ServerOptions,
): Promise<Server> {
  const handle = getRequestListener(answer, {
    hostname: host,
    errorHandler: () => new Response(null, { status: 400 }),
  });
  const server: Server =
    scheme === "https" ? createHttpsServer({ ...limits, ...tls }, handle) : createHttpServer(limits, handle);
  server.timeout = LIMITS.requestTimeout;
  server.maxConnections = MAX_CONNECTIONS;
  return new Promise((resolve, reject) => {
    const refused = (cause: Error) => {
      const why = "code" in cause && cause.code === "EADDRINUSE" ? "is in use" : "cannot be listened on";
      const message = `${scheme}://${host}:${port} ${why}: name another address in listen`;
      reject(new AgentError("address", message, { cause }));
    };
    server.once("error", refused);
    server.listen(port, host, () => {
      server.off("error", refused);
      // A connection that cannot be taken (too many open files) is one client's trouble.
      server.on("error", () => undefined);
      resolve(server);
    });
  });
}

async function close(server: Server): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), GRACE);
  await new Promise((closed) => {
    server.close(closed);
    server.closeIdleConnections();
  });
  clearTimeout(cut);
}
