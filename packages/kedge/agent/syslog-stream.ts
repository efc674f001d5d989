/**
 * Syslog over TCP and TLS (RFC 5425, RFC 6587). Nothing is acknowledged: so no more is read while what was read is not in the
 * journal, and a connection is closed after its sender's end only when it is, else reset. An agent that is killed loses what
 * it had read and not written: docs/decisions/0032.
 */
import { once } from "node:events";
import { statSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { type Listen, type Listener, readListener } from "./listen.ts";
import type { Host } from "./source.ts";
import { openFraming } from "./syslog-framing.ts";
import type { Take } from "./syslog-intake.ts";

export type StreamLimits = {
  /** Octets of the longest message that is taken. */
  message: number;
  /** At a time; one more is refused. */
  connections: number;
  /** Ms that a message may take to come, once it has begun to. */
  patience: number;
  /** Octets held of messages that have not come to their end, in all connections. */
  held: number;
  /** Ms between two looks at the files of the certificate. */
  renewal: number;
};
export const STREAM_LIMITS = { patience: 60_000, held: 64 << 20, renewal: 30_000 };

const HANDSHAKE_TIMEOUT = 20_000;
/** Ms without a word after which the system asks a peer whether it is there: one that was switched off says nothing. */
const KEEP_ALIVE = 60_000;
const TICK = 100;
/** Once stopped: ms without anything new after which a connection is left, and after which each is. */
const QUIET = 150;
const GRACE = 2000;

type Connection = {
  socket: Socket;
  /** The same, or what is beneath TLS. */
  below: Socket;
  /** Octets of its message that has not come to its end. */
  held: number;
  /** When that began to come, and when something last came, as `performance.now()`. */
  since: number;
  heardAt: number;
  /** What it sent is being written: that no more comes is not its fault. */
  isBusy: boolean;
  done: Promise<void>;
};

export type StreamServer = {
  server: Server;
  /** Once it listens: until the source is stopped and all that was read is written. */
  run(): Promise<void>;
};

export function openStreams(
  {
    listener,
    listen,
    limits,
    take,
  }: { listener: Listener; listen: Listen; limits: StreamLimits; take: Take },
  host: Host,
): StreamServer {
  const connections = new Set<Connection>();
  let held = 0;

  function accept(socket: Socket): void {
    host.count("connections");
    socket.setKeepAlive(true, KEEP_ALIVE);
    const { remoteAddress, remotePort } = socket;
    const isBelow = (one: Socket): boolean =>
      one.remotePort === remotePort && one.remoteAddress === remoteAddress;
    const below = [...accepted].find(isBelow) ?? socket;
    const framing = openFraming(limits.message);
    const now = performance.now();
    const connection: Connection = {
      ...{ socket, below, held: 0, since: now, heardAt: now, isBusy: false },
      done: Promise.resolve(),
    };
    connections.add(connection);
    accepted.delete(below);
    const hold = (octets: number): void => {
      held += octets - connection.held;
      connection.held = octets;
    };
    const read = async (piece: Uint8Array): Promise<void> => {
      connection.isBusy = true;
      const before = connection.held;
      let ended = 0;
      const isTaken = await take(counting(framing.push(piece), () => (ended += 1)));
      // What the journal did not take before the stop is not ours: a reset tells its sender so.
      if (!isTaken) below.resetAndDestroy();
      connection.isBusy = false;
      connection.heardAt = performance.now();
      if (ended > 0 || before === 0) connection.since = connection.heardAt;
      hold(framing.held());
      if (held > limits.held) cutOldest();
    };
    let turn = Promise.resolve();
    socket.on("data", (piece: Uint8Array) => {
      socket.pause();
      turn = turn.then(() => read(piece)).then(() => void socket.resume());
    });
    socket.on("error", () => undefined);
    connection.done = (async () => {
      const isClean = await new Promise<boolean>((resolve) => {
        socket.once("end", () => resolve(true));
        socket.once("close", () => resolve(false));
      });
      await turn;
      if (await take(framing.end(isClean))) socket.destroySoon();
      else below.resetAndDestroy();
      hold(0);
      connections.delete(connection);
    })();
  }

  /** The message that has taken longest of all gives way. */
  function cutOldest(): void {
    let oldest: Connection | undefined;
    for (const connection of connections) {
      if (connection.held > 0 && connection.since < (oldest?.since ?? Number.POSITIVE_INFINITY))
        oldest = connection;
    }
    if (oldest !== undefined) cut(oldest);
  }

  function cut({ below }: Connection): void {
    host.count("connectionsCut");
    below.resetAndDestroy();
  }

  const { tls } = listener;
  const server =
    tls === undefined
      ? createServer({ allowHalfOpen: true }, accept)
      : createTlsServer({ ...tls, allowHalfOpen: true, handshakeTimeout: HANDSHAKE_TIMEOUT }, accept);
  /** Those beneath TLS whose handshake is under way. */
  const accepted = new Set<Socket>();
  if (tls !== undefined) {
    server.on("connection", (socket: Socket) => {
      accepted.add(socket);
      socket.once("close", () => accepted.delete(socket));
    });
  }
  server.maxConnections = limits.connections;
  server.on("drop", () => host.count("connectionsRefused"));
  server.on("tlsClientError", () => host.count("handshakesFailed"));

  let stoppedAt = Number.POSITIVE_INFINITY;
  const look = (): void => {
    const now = performance.now();
    for (const connection of connections) {
      const { isBusy, held, since, heardAt } = connection;
      if (isBusy || connection.socket.destroyed) continue;
      // A reset, which tells the sender that not all was read: the closing of TLS would not.
      if (held > 0 && now - since > limits.patience) cut(connection);
      else if (stoppedAt <= now && (now - Math.max(heardAt, stoppedAt) > QUIET || now - stoppedAt > GRACE))
        connection.below.resetAndDestroy();
    }
  };
  const run = async (): Promise<void> => {
    const ticking = setInterval(look, TICK);
    const renewing =
      "setSecureContext" in server ? renewCertificate(server, listen, limits.renewal, host) : undefined;
    if (!host.signal.aborted) await once(host.signal, "abort");
    stoppedAt = performance.now();
    const closed = once(server, "close");
    server.close();
    while (connections.size > 0) await Promise.all([...connections].map(({ done }) => done));
    for (const socket of accepted) socket.destroy();
    await closed;
    clearInterval(ticking);
    clearInterval(renewing);
  };
  return { server, run };
}

function* counting<T>(items: Iterable<T>, onItem: () => void): Generator<T> {
  for (const item of items) {
    onItem();
    yield item;
  }
}

/** A certificate lives for months or days and the agent for years: new files are used for new connections. */
function renewCertificate(server: TlsServer, listen: Listen, every: number, host: Host): NodeJS.Timeout {
  const { cert, key, clientCa } = listen.tls ?? {};
  const paths = [cert, key, clientCa].filter((path) => path !== undefined);
  const stamp = (): string =>
    paths.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs).join(" ");
  let known = stamp();
  return setInterval(() => {
    try {
      const now = stamp();
      if (now === known) return;
      const { tls } = readListener(listen, ["tls"]);
      if (tls !== undefined) server.setSecureContext(tls);
      known = now;
      host.trouble("certificate", undefined);
    } catch {
      // Certificate and key are two files: between the writing of one and the other they do not fit.
      host.trouble(
        "certificate",
        `The new certificate (${cert}) or its key cannot be used: the one before is`,
      );
    }
  }, every);
}
