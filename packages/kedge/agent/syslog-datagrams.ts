/**
 * Syslog over UDP (RFC 5426): a message a datagram. Nobody is held and nothing comes again, so what there is no room for, here
 * while the journal is behind or in the system's buffer, is counted and written down as lost.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { endianness } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Listener } from "./listen.ts";
import type { Host } from "./source.ts";
import type { Framed } from "./syslog-framing.ts";
import type { Lost, Take } from "./syslog-intake.ts";

const MAX_DATAGRAMS = 10_000;
const MAX_OCTETS = 16 << 20;
/** Once stopped: ms without a datagram after which nothing is left to read, and how often that is waited for. */
const QUIET = 50;
const MAX_QUIETS = 20;
/** Ms between two looks at what the system has dropped. */
const DROPS_EVERY = 10_000;
/** What the system is asked to hold for us; it may have a lower limit. */
const RECEIVE_BUFFER = 4 << 20;

export type DatagramSocket = {
  socket: Socket;
  /** Once it is bound: until the source is stopped and all that was read is written. */
  run(): Promise<void>;
};

export function openDatagrams(
  { listener, limit, take }: { listener: Listener; limit: number; take: Take },
  host: Host,
): DatagramSocket {
  const socket = createSocket({
    type: listener.host.includes(":") ? "udp6" : "udp4",
    recvBufferSize: RECEIVE_BUFFER,
  });
  let queue: (Framed | Lost)[] = [];
  let octets = 0;
  let received = 0;
  let writing: Promise<void> | undefined;

  socket.on("message", (bytes) => {
    received += 1;
    const last = queue.at(-1);
    if (queue.length >= MAX_DATAGRAMS || octets + bytes.length > MAX_OCTETS) {
      if (last?.kind === "lost" && last.octets !== undefined) {
        last.datagrams += 1;
        last.octets += bytes.length;
      } else queue.push({ kind: "lost", datagrams: 1, octets: bytes.length });
    } else if (bytes.length > limit) {
      queue.push({ kind: "overlong", octets: bytes.length });
    } else {
      octets += bytes.length;
      queue.push({ kind: "message", bytes, isCut: false });
    }
    writing ??= write();
  });
  async function write(): Promise<void> {
    while (queue.length > 0) {
      const taken = queue;
      queue = [];
      octets = 0;
      await take(taken);
    }
    writing = undefined;
  }

  const run = async (): Promise<void> => {
    const { port } = socket.address();
    let known = dropped(listener.host, port);
    const look = (): void => {
      const now = dropped(listener.host, port);
      if (now <= known) return;
      queue.push({ kind: "lost", datagrams: now - known });
      known = now;
      writing ??= write();
    };
    const looking = setInterval(look, DROPS_EVERY);
    if (!host.signal.aborted) await once(host.signal, "abort");
    clearInterval(looking);
    // The system holds what has come and was not read yet.
    for (let i = 0, before = -1; i < MAX_QUIETS && before !== received; i++) {
      before = received;
      await sleep(QUIET);
    }
    look();
    socket.close();
    await writing;
  };
  return { socket, run };
}

/**
 * How many datagrams the system has dropped on the way to the address since it was bound, for its buffer was full. Linux says
 * it in /proc/net/udp (proc(5)): a line a socket, its address first and its drops last. Elsewhere 0.
 */
function dropped(host: string, port: number): number {
  const isIpv6 = host.includes(":");
  const octets = host.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  const address = isIpv6 ? "" : (endianness() === "LE" ? octets.toReversed() : octets).join("");
  const wanted = `${address}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
  try {
    const table = readFileSync(isIpv6 ? "/proc/net/udp6" : "/proc/net/udp", "latin1");
    const lines = table.split("\n").map((line) => line.trim().split(/\s+/));
    return lines.reduce(
      (sum, columns) => sum + (columns[1]?.endsWith(wanted) ? Number(columns.at(-1)) : 0),
      0,
    );
  } catch {
    return 0;
  }
}
