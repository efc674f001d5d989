/** A server on a port of this machine, with bounds on what one client may take of it. */
import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { ServiceError } from "../error.ts";
import { errorFields, logLine } from "../log.ts";

export type Listening = { readonly url: string; close(): Promise<void> };

/** How long a close lets requests under way finish. */
const GRACE_MS = 2_000;

/** What one client may take of the port, who need not have an API key. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5_000 };
const IDLE_MS = 60_000;
/** `answerMs`: an answer that takes longer waits for its client, who sends or reads slowly. */
const CONNECTIONS = { most: 500, answerMs: 10_000 };
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
  connections = CONNECTIONS,
): Promise<Listening> {
  const server = createServer(LIMITS, getRequestListener(answer, { hostname: host }));
  server.timeout = IDLE_MS;
  boundConnections(server, connections);
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  const close = async () => {
    const cut = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    await new Promise((closed) => server.close(closed));
    clearTimeout(cut);
  };
  return new Promise((done, refuse) => {
    const refused = (cause: unknown) => {
      const isTaken = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
      const what = isTaken ? "is in use" : "cannot be opened";
      const message = `port ${port} of ${host} ${what}: name another with ${portSetting}`;
      refuse(new ServiceError("unavailable", message, { cause }));
    };
    server.once("error", refused);
    server.listen(port, host, () => {
      server.off("error", refused);
      // A connection that cannot be taken (too many open files) is one client's trouble.
      server.on("error", (error) => logLine("error", { event: "listen", ...errorFields(error) }));
      const address = server.address();
      const bound = typeof address === "object" ? address?.port : port;
      done({ url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`, close });
    });
  });
}

/**
 * Holds at most so many connections. A new one takes the place of the one that has been idle the longest, or else of the
 * one whose answer has taken longest, if it is too long: who only holds connections keeps nobody out.
 */
function boundConnections(server: Server, { most, answerMs }: typeof CONNECTIONS): void {
  // A Map yields its members in the order in which they came: since when, in ms.
  const idle = new Map<Socket, number>();
  const answering = new Map<Socket, number>();
  const move = (socket: Socket, to: Map<Socket, number>) => {
    idle.delete(socket);
    answering.delete(socket);
    if (!socket.destroyed) to.set(socket, performance.now());
  };
  server.on("connection", (socket) => {
    if (idle.size + answering.size >= most) {
      const [longest] = idle.keys();
      const [[slowest, since] = []] = answering;
      const late = since !== undefined && performance.now() - since > answerMs ? slowest : undefined;
      (longest ?? late ?? socket).destroy();
    }
    move(socket, idle);
    socket.once("close", () => move(socket, idle));
  });
  server.on("request", ({ socket }, response) => {
    move(socket, answering);
    response.once("close", () => move(socket, idle));
  });
}
