/** Posting: any number of commitments, as octets, one request after the other. Memory holds those of one request. */
import { ClientError } from "@kedge/verify/error";
import { COMMITMENT_BYTES } from "@kedge/verify/events/commitment";
import type { Connection } from "@kedge/verify/net/http";
import { request } from "@kedge/verify/net/http";
import { logPath, parseAnswer } from "@kedge/verify/net/log";
import { MAX_ENTRIES } from "../contract/limits.ts";
import type { Receipt } from "../contract/receipt.ts";
import { acceptedSchema } from "../contract/wire.ts";

/** 32 bytes each. Taken one after the other, and only as fast as they are sent. */
export type Commitments = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export type PostOptions = {
  /** Commitments in one request, at most MAX_ENTRIES, which it is when absent. */
  batch?: number;
  /** Is told of each request that was accepted, before the next one: to know where to go on after a failure. */
  onReceipt?: (receipt: Receipt) => void | Promise<void>;
};

/** The receipt of all of it, `receivedAt` that of the last. Throws ClientError, `invalid` when there is nothing to post. */
export async function post(
  connection: Connection,
  log: string,
  commitments: Commitments,
  { batch = MAX_ENTRIES, onReceipt }: PostOptions,
): Promise<Receipt> {
  let all: Receipt | undefined;
  for await (const body of requests(commitments, batch)) {
    connection.signal?.throwIfAborted();
    const postedAt = Date.now();
    const path = `${logPath(log)}/entries/octets`;
    const answer = await request(connection, { method: "POST", path, body, idempotent: true });
    const { accepted, receivedAt } = parseAnswer(acceptedSchema, answer);
    if (accepted * COMMITMENT_BYTES !== body.length) {
      throw new ClientError("protocol", "The service accepted another number than were sent: check the URL");
    }
    const receipt = { log, accepted, receivedAt, postedAt };
    await onReceipt?.(receipt);
    all = { ...receipt, postedAt: all?.postedAt ?? postedAt, accepted: (all?.accepted ?? 0) + accepted };
  }
  if (all === undefined) throw new ClientError("invalid", "There is no commitment to post");
  return all;
}

/** The bytes are copied when they are taken, so that who makes them may use one buffer for all. */
async function* requests(
  commitments: Commitments,
  most: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  if (!Number.isInteger(most) || most < 1 || most > MAX_ENTRIES) {
    throw new ClientError("invalid", `A request holds 1 to ${MAX_ENTRIES} commitments, not ${most}`);
  }
  let bytes = new Uint8Array(most * COMMITMENT_BYTES);
  let length = 0;
  for await (const commitment of commitments) {
    bytes.set(checked(commitment), length);
    length += COMMITMENT_BYTES;
    if (length < bytes.length) continue;
    yield bytes;
    bytes = new Uint8Array(most * COMMITMENT_BYTES);
    length = 0;
  }
  if (length > 0) yield bytes.subarray(0, length);
}

/** Throws ClientError `invalid`: a commitment that is none would be an entry all the same, were its length a multiple. */
export function checked(commitment: Uint8Array): Uint8Array {
  if (commitment.length === COMMITMENT_BYTES) return commitment;
  throw new ClientError(
    "invalid",
    `A commitment is ${COMMITMENT_BYTES} bytes, not ${commitment.length}: post what commitEvent makes`,
  );
}
