/** From framed messages to what the journal takes: events, gaps, what goes on to the upstream, and what is passed by. */
import type { Arrival, Taking } from "../journal/types.ts";
import type { Forwarding } from "./forward.ts";
import { gapArrival } from "./gap-arrival.ts";
import { insist } from "./insist.ts";
import type { Host } from "./source.ts";
import type { Framed } from "./syslog-framing.ts";
import { readContent } from "./syslog-message.ts";

/** What is no audit message: counted and passed by, or taken as a line of text with its header. */
export type Foreign = "passBy" | "lines";

/**
 * Resolves once all of it is in the journal: whoever reads waits for it, so that its sender is held meanwhile.
 * @returns false when the source was stopped before the journal took all
 */
export type Take = (messages: Iterable<Framed | Lost>) => Promise<boolean>;
/** Datagrams that there was no room for; their octets, where it was we who let them go. */
export type Lost = { kind: "lost"; datagrams: number; octets?: number };

// What is written at a time: of a piece that holds very many short messages not all become objects at once.
const MAX_MESSAGES = 256;
const MAX_OCTETS = 1 << 20;
/** Ms: senders are held, and datagrams lost, meanwhile. */
const PAUSES = { first: 200, most: 5000 };

/** @param forwarding of the source that has an upstream: it gets what is passed by, too. */
export function openTake(host: Host, foreign: Foreign, forwarding: Forwarding | undefined): Take {
  return async (messages) => {
    let group = newGroup();
    for (const message of messages) {
      add(group, message);
      if (group.messages < MAX_MESSAGES && group.octets < MAX_OCTETS) continue;
      if (!(await write(group))) return false;
      group = newGroup();
    }
    return group.messages === 0 || (await write(group));
  };

  function add(group: Group, framed: Framed | Lost): void {
    group.messages += 1;
    if (framed.kind !== "message") {
      const { kind, octets } = framed;
      const datagrams = kind === "lost" ? framed.datagrams : undefined;
      host.count(kind, datagrams ?? 1);
      const detail = datagrams === undefined ? {} : { detail: `${datagrams} datagrams` };
      group.arrivals.push(gapArrival({ kind, ...(octets !== undefined && { octets }), ...detail }));
      return;
    }
    const { bytes } = framed;
    group.octets += bytes.length;
    if (forwarding !== undefined && bytes.length > 0) group.forward.push(bytes);
    const content = readContent(bytes);
    const isCut = framed.isCut || (content.kind === "audit" && content.isCut);
    if (content.kind === "foreign" && foreign === "passBy") {
      group.passedBy += 1;
      return;
    }
    const { mediaType, notes } = content.kind === "audit" ? content : { mediaType: "text/plain", notes: [] };
    if (isCut) {
      host.count("truncated");
      group.arrivals.push(gapArrival({ kind: "truncated" }));
    }
    if (content.bytes.length === 0) return;
    group.arrivals.push({ bytes: content.bytes, mediaType, notes: isCut ? [...notes, "truncated"] : notes });
  }

  async function write({ arrivals, forward, passedBy }: Group): Promise<boolean> {
    const taking: Taking = { arrivals, forward, passedBy };
    // Retried for as long as it takes: there is no other way to refuse a syslog message than to read no further.
    const numbers = await insist(host, "journal", () => host.intake.take(taking), PAUSES);
    forwarding?.wake();
    return numbers !== undefined;
  }
}

type Group = {
  arrivals: Arrival[];
  forward: Uint8Array[];
  passedBy: number;
  messages: number;
  octets: number;
};
const newGroup = (): Group => ({ arrivals: [], forward: [], passedBy: 0, messages: 0, octets: 0 });
