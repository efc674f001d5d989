/** What the agent's own requests to other systems have in common: where a secret may go, and where it comes from. */
import { readRegular } from "@kedge/verify/cli/regular";
import { AgentError } from "./error.ts";

const MAX_TOKEN = 1 << 16;

/** Whether what is sent there cannot be read on the way. */
export function isGuarded(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || /^(127(\.\d+){3}|localhost|\[::1\])$/.test(hostname);
}

/** A file that holds one line. It is read anew each time, for whoever renews it. @throws AgentError `config` */
export function secretOf(path: string): string {
  const text = new TextDecoder().decode(readSecret(path)).trim();
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new AgentError("config", `${path} holds no token: it is one line without spaces.`);
}

export const bearerOf = (path: string): string => `Bearer ${secretOf(path)}`;

function readSecret(path: string): Uint8Array {
  try {
    return readRegular(path, MAX_TOKEN);
  } catch (cause) {
    throw new AgentError("config", cause instanceof Error ? cause.message : `${path} cannot be read`, {
      cause,
    });
  }
}
