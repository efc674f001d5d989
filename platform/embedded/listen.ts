/** A server on a port of this machine, with bounds on what one client may take of it. */
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { ServiceError } from "../error.ts";

export type Listening = { readonly url: string; close(): Promise<void> };

/** How long a close lets requests under way finish. */
const GRACE_MS = 2_000;

/** What one client may take of the port, who need not have an API key. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5_000 };
const IDLE_MS = 60_000;
const MAX_CONNECTIONS = 500;
/** Node answers pipelined requests in their order and keeps the later answers in memory until then. */
const MAX_REQUESTS_PER_CONNECTION = 100;

/** 0 is a free one. @throws ServiceError `invalid` */
export function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ServiceError("invalid", `there is no port ${port}: name one from 0 to 65535`);
  }
}

/**
 * Serves a Fetch handler. @param portSetting what names another port, for the message.
 * @throws ServiceError `unavailable` when the port cannot be opened.
 */
export function listen(
  answer: (request: Request) => Response | Promise<Response>,
  { host, port, portSetting }: { host: string; port: number; portSetting: string },
): Promise<Listening> {
  const server = createServer(LIMITS, getRequestListener(answer, { hostname: host }));
  server.timeout = IDLE_MS;
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  const close = async () => {
    const cut = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    await new Promise((closed) => server.close(closed));
    clearTimeout(cut);
  };
  return new Promise((done, refuse) => {
    const refused = (cause: unknown) => {
      const message = `port ${port} of ${host} cannot be opened: name another with ${portSetting}`;
      refuse(new ServiceError("unavailable", message, { cause }));
    };
    server.once("error", refused);
    server.listen(port, host, () => {
      server.off("error", refused);
      const address = server.address();
      const bound = typeof address === "object" ? address?.port : port;
      done({ url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`, close });
    });
  });
}
