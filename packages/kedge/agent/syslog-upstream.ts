/** Passes syslog messages on, each as it came: to the audit repository that the agent stands in front of. */
import { createSocket } from "node:dgram";
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { RegularFileError, readRegular } from "@kedge/verify/cli/regular";
import { quoted } from "@kedge/verify/text";
import * as z from "zod";
import { AgentError } from "./error.ts";
import type { Send } from "./forward.ts";
import type { Host } from "./source.ts";

export const syslogUpstreamSchema = z.strictObject({
  /** `tls://host:port`, `tcp://…` or `udp://…`. */
  url: z.string(),
  /**
   * Over TCP and TLS: a length before each message (RFC 5425, RFC 6587), or LF after it for an upstream that knows only that
   * (it takes a message with line ends of its own for several).
   */
  framing: z.enum(["counted", "lines"]).default("counted"),
  /** Over TCP and UDP to another machine everybody on the way can read the events: it has to be wanted. */
  unencrypted: z.boolean().default(false),
  /** Files in PEM: whose certificates the upstream may have, where not the system's; our own certificate and its key. */
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
});
export type SyslogUpstream = z.output<typeof syslogUpstreamSchema>;

/** Ms in which nothing of a batch goes on. */
const TIMEOUT = 60_000;
/** Ms between the last of a batch and our closing: who refuses the connection, or our certificate, closes within them. */
const SETTLING = 250;
/** Ms that an upstream which has all has to close in. One that leaves connections half open has it all the same. */
const CLOSING = 10_000;
const MAX_PEM = 1 << 20;
const LF = Buffer.from("\n");
const TOO_LONG = "A message is longer than a datagram: it is in the journal, and not there";

/** @throws AgentError `config` */
export function sendSyslog(
  upstream: SyslogUpstream,
  { count, trouble }: Pick<Host, "count" | "trouble">,
): Send {
  const { scheme, host, port } = parseUrl(upstream);
  if (scheme === "udp") {
    const tell = (isTooLong: boolean): void => {
      if (isTooLong) count("refusedByUpstream");
      trouble("upstream refuses", isTooLong ? TOO_LONG : undefined);
    };
    return (messages) => sendDatagrams({ host, port }, messages, tell);
  }
  // Read for each batch, for they are renewed; and here, so that what cannot be read is said at the start.
  const tls = (): ConnectionOptions | undefined =>
    scheme === "tls" ? tlsOptions(upstream, host) : undefined;
  tls();
  const framed = (message: Uint8Array): Uint8Array[] =>
    upstream.framing === "lines" ? [message, LF] : [Buffer.from(`${message.length} `), message];
  return async (messages, signal) => {
    const options = tls();
    const socket = options === undefined ? connect({ host, port }) : connectTls({ ...options, host, port });
    await sendStream(socket, Buffer.concat(messages.flatMap(framed)), signal);
    return messages.length;
  };
}

/**
 * Syslog has no acknowledgement, and what was written to a connection may never have arrived. So there is a connection for
 * each batch: when the upstream closes it after us, without a reset, it has read everything. An upstream that is about to
 * close of its own accord does so before: with what was written long arrived, and unread, its system resets.
 */
function sendStream(socket: Socket, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let isEnded = false;
    let step: NodeJS.Timeout | undefined;
    const settle = (why?: string, cause?: unknown): void => {
      clearTimeout(step);
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      if (why === undefined) resolve();
      else reject(new Error(`The upstream ${why}`, { cause }));
    };
    const onAbort = (): void => settle("did not take all before the stop");
    const onEnd = (): void => settle(isEnded ? undefined : "closes the connection before it has all");
    socket.setTimeout(TIMEOUT, () => settle("takes nothing, and does not answer"));
    signal.addEventListener("abort", onAbort);
    socket.on("error", (cause) =>
      settle(`cannot be reached, or breaks the connection (${codeOf(cause)})`, cause),
    );
    socket.on("end", onEnd);
    socket.on("close", onEnd);
    socket.resume();
    socket.write(bytes, (cause) => {
      if (cause) return;
      step = setTimeout(() => {
        isEnded = true;
        socket.end();
        step = setTimeout(settle, CLOSING);
      }, SETTLING);
    });
    if (signal.aborted) onAbort();
  });
}

async function sendDatagrams(
  to: { host: string; port: number },
  messages: readonly Uint8Array[],
  tell: (isTooLong: boolean) => void,
): Promise<number> {
  const socket = createSocket(isIP(to.host) === 6 ? "udp6" : "udp4");
  socket.on("error", () => undefined);
  let sent = 0;
  try {
    for (const message of messages) {
      const cause = await new Promise<Error | null>((resolve) =>
        socket.send(message, to.port, to.host, resolve),
      );
      // What is longer than a datagram never goes: it would hold up all after it, and it lies in the journal.
      const isTooLong = cause !== null && codeOf(cause) === "EMSGSIZE";
      if (cause !== null && !isTooLong) {
        if (sent > 0) break;
        throw new Error(`The upstream cannot be reached (${codeOf(cause)})`, { cause });
      }
      tell(isTooLong);
      sent += 1;
    }
  } finally {
    socket.close();
  }
  return sent;
}

function codeOf(cause: Error): string {
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
}

function parseUrl({ url, unencrypted, ca, cert, key }: SyslogUpstream): {
  scheme: string;
  host: string;
  port: number;
} {
  const refuse = (why: string): never => {
    throw new AgentError("config", `The upstream ${quoted(url)} ${why}`);
  };
  const [, protocol, ipv6, name, port] =
    /^(tls|tcp|udp):\/\/(?:\[([0-9a-f:.]+)\]|([\w.-]+)):(\d{1,5})\/?$/i.exec(url) ?? [];
  const scheme = protocol?.toLowerCase();
  const host = ipv6 ?? name;
  if (
    scheme === undefined ||
    host === undefined ||
    port === undefined ||
    Number(port) > 65_535 ||
    port === "0"
  ) {
    return refuse("is no address of one: write tls://<host>:<port>, or tcp:// or udp://");
  }
  if (scheme !== "tls" && !unencrypted && !/^(127(\.\d+){3}|localhost|::1)$/i.test(host)) {
    refuse('would get the events unencrypted: use tls://, or say "unencrypted": true');
  }
  if (scheme !== "tls" && (ca ?? cert ?? key) !== undefined)
    refuse("has certificates, which only tls:// uses");
  if ((cert === undefined) !== (key === undefined)) refuse("needs both, cert and key, or neither");
  return { scheme, host, port: Number(port) };
}

function tlsOptions({ ca, cert, key }: SyslogUpstream, host: string): ConnectionOptions {
  return {
    minVersion: "TLSv1.2",
    ...(isIP(host) === 0 && { servername: host }),
    ...(ca !== undefined && { ca: pem(ca) }),
    ...(cert !== undefined && { cert: pem(cert) }),
    ...(key !== undefined && { key: pem(key) }),
  };
}

function pem(path: string): Buffer {
  try {
    return Buffer.from(readRegular(path, MAX_PEM));
  } catch (cause) {
    if (cause instanceof RegularFileError) throw new AgentError("config", cause.message, { cause });
    throw cause;
  }
}
