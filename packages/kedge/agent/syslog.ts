/**
 * The source of kind `syslog`: a listener for the audit messages of IHE ATNA (ITI-20) over TLS, TCP or UDP. docs/decisions/0032
 * says what such a sender is told, and what it loses when nobody listens.
 */
import { type EventEmitter, once } from "node:events";
import * as z from "zod";
import { AgentError } from "./error.ts";
import { startForwarding } from "./forward.ts";
import { type Listener, listenSchema, openReady, readListener, urlOf } from "./listen.ts";
import type { Host, Source } from "./source.ts";
import { openDatagrams } from "./syslog-datagrams.ts";
import { openTake, type Take } from "./syslog-intake.ts";
import { openStreams, STREAM_LIMITS } from "./syslog-stream.ts";
import { sendSyslog, syslogUpstreamSchema } from "./syslog-upstream.ts";

export const SYSLOG_SCHEMES = ["tls", "tcp", "udp"] as const;
/** DICOM PS3.15 A.6.1: messages of 32,768 octets have to be taken. */
const MIN_MESSAGE = 32_768;

export const syslogSchema = z.strictObject({
  kind: z.literal("syslog"),
  name: z.string(),
  /** With the schemes tls, tcp and udp. */
  listen: listenSchema,
  /** What is no audit message: counted and passed by, or taken as a line of text. */
  foreign: z.enum(["passBy", "lines"]).default("passBy"),
  /** Octets; of a longer one is written down that it came. */
  maxMessage: z
    .int()
    .min(MIN_MESSAGE)
    .max(16 << 20)
    .default(1 << 20),
  maxConnections: z.int().min(1).max(100_000).default(1000),
  upstream: syslogUpstreamSchema.optional(),
});
export type SyslogOptions = z.output<typeof syslogSchema>;

/** @throws AgentError `config`. `run` rejects with AgentError `address`. */
export function openSyslog(options: SyslogOptions, host: Host): Source {
  const { listen, foreign, maxMessage, maxConnections } = options;
  const listener = readListener(listen, SYSLOG_SCHEMES);
  const send = options.upstream && sendSyslog(options.upstream, host);
  const { ready, listening, failed } = openReady();

  async function serve(take: Take): Promise<void> {
    if (listener.scheme === "udp") {
      const { socket, run } = openDatagrams({ listener, limit: maxMessage, take }, host);
      await bound(listener, socket, () => socket.bind(listener.port, listener.host));
      listening({ url: urlOf(listener, socket.address()) });
      return await run();
    }
    const limits = { ...STREAM_LIMITS, message: maxMessage, connections: maxConnections };
    const { server, run } = openStreams({ listener, listen, limits, take }, host);
    await bound(listener, server, () => server.listen(listener.port, listener.host));
    listening({ url: urlOf(listener, server.address()) });
    return await run();
  }
  return {
    ready: () => ready,
    async run() {
      const forwarding = send && startForwarding({ host, send });
      try {
        await serve(openTake(host, foreign, forwarding));
      } catch (error) {
        failed(error);
        throw error;
      } finally {
        await forwarding?.done;
      }
    },
  };
}

/** @throws AgentError `address` */
async function bound(
  { scheme, host, port }: Listener,
  emitter: EventEmitter,
  listen: () => void,
): Promise<void> {
  try {
    listen();
    await once(emitter, "listening");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const why =
      code === "EADDRINUSE"
        ? "is in use: name another"
        : code === "EACCES"
          ? "may not be listened on: take a port above 1023"
          : "cannot be listened on: name another";
    throw new AgentError("address", `The address ${scheme}://${host}:${port} ${why}`, { cause });
  }
  // A connection that cannot be taken, as with too many open files, is one sender's trouble.
  emitter.on("error", () => undefined);
}
