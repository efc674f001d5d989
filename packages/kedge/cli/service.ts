/** The service that a command talks to, by the flags, variables and credentials. */
import { namedLog, type SettingFlags, serviceConnection } from "@kedge/verify/cli/credentials";
import type { Client } from "../client/api.ts";

export async function openService(flags: SettingFlags): Promise<Client> {
  const connection = serviceConnection(flags);
  const { openClient } = await import("../client/api.ts");
  return openClient(connection);
}

/** A client of the service and the id of the log. */
export async function openLog(flags: SettingFlags): Promise<{ client: Client; log: string }> {
  const log = namedLog(flags);
  return { client: await openService(flags), log };
}
