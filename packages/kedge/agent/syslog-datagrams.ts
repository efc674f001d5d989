/**
 * Syslog over UDP (RFC 5426): a message a datagram. Nobody is held and nothing comes again, so what there is no room for while
 * the journal is behind is counted and written down as lost, in its place.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { Listener } from "./listen.ts";
import type { Host } from "./source.ts";
import type { Framed } from "./syslog-framing.ts";
import type { Lost, Take } from "./syslog-intake.ts";

const MAX_DATAGRAMS = 10_000;
const MAX_OCTETS = 16 << 20;
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
  let writing: Promise<void> | undefined;

  socket.on("message", (bytes) => {
    const last = queue.at(-1);
    if (queue.length >= MAX_DATAGRAMS || octets + bytes.length > MAX_OCTETS) {
      if (last?.kind === "lost") {
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
    if (!host.signal.aborted) await once(host.signal, "abort");
    socket.close();
    await writing;
  };
  return { socket, run };
}
