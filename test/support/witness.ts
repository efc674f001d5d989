/** A witness in a few lines, by the text of c2sp.org/tlog-witness: for tests of what talks to one. */

import { equalBytes } from "@kedge/verify/tlog/bytes";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { decodeHash, EMPTY_ROOT, verifyConsistency } from "@kedge/verify/tlog/merkle";
import { formatVkey, type Vkey } from "@kedge/verify/tlog/note";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Exchange } from "../../service/witness-http.ts";
import {
  type Cosigner,
  cosignedBy,
  ed25519Cosigner,
  mldsaCosigner,
} from "../packages/verify/tlog/signers.ts";

export type Answer = {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Record<string, string>;
};
/** What is asked: an `add-checkpoint` body, or the origin hash of a monitoring read. */
export type Asked = { readonly post: string } | { readonly get: string };

export type FakeWitness = {
  readonly name: string;
  readonly url: string;
  readonly cosigners: readonly Cosigner[];
  /** The latest checkpoint that it cosigned. */
  latest: Checkpoint | undefined;
  /** Every body that was posted to it. */
  readonly posted: string[];
  /** Set: answers in the place of the honest witness, which it is given. */
  manner: ((asked: Asked, honest: (asked: Asked) => Answer) => Answer | Promise<Answer>) | undefined;
  answer(asked: Asked): Promise<Answer>;
};

export const WITNESS_TIME = 1_772_000_000n;

/** Honest until its manner is changed. @param kinds of keys that it cosigns with, each under the same name. */
export function fakeWitness(
  name: string,
  log: () => Vkey,
  kinds: readonly ("ed25519" | "mldsa44")[] = ["ed25519"],
): FakeWitness {
  const keyName = `${name}.example/witness`;
  const cosigners = kinds.map((kind) => (kind === "ed25519" ? ed25519Cosigner : mldsaCosigner)(keyName));
  let latest: Checkpoint | undefined;
  const witness: FakeWitness = {
    name,
    url: `https://${name}.example/submit`,
    cosigners,
    get latest() {
      return latest;
    },
    set latest(checkpoint) {
      latest = checkpoint;
    },
    posted: [],
    manner: undefined,
    async answer(asked) {
      if ("post" in asked) witness.posted.push(asked.post);
      return witness.manner ? await witness.manner(asked, honest) : honest(asked);
    },
  };
  const cosign = (checkpoint: Checkpoint): string =>
    cosigners.map((cosigner) => cosignedBy(cosigner, checkpoint, WITNESS_TIME)).join("");

  const honest = (asked: Asked): Answer => {
    const { name: origin } = log();
    if ("get" in asked) {
      const known = latest && asked.get === bytesToHex(sha256(new TextEncoder().encode(origin)));
      if (!known) return { status: 404 };
      return {
        status: 200,
        body: `${origin}\n${latest?.size}\n${root64(latest)}\n\n${cosign(latest ?? none)}`,
      };
    }
    const [head = "", ...rest] = asked.post.split("\n\n");
    const note = rest.join("\n\n");
    const [old = "", ...proof] = head.split("\n");
    const from = BigInt(old.slice(4));
    const { checkpoint } = parseCheckpoint(note);
    if (checkpoint.origin !== origin) return { status: 404 };
    try {
      openCheckpoint(note, { origin, vkeys: [log()] });
    } catch {
      return { status: 403 };
    }
    if (from > checkpoint.size) return { status: 400 };
    const { size, root } = latest ?? none;
    if (from !== size)
      return { status: 409, body: `${size}\n`, headers: { "Content-Type": "text/x.tlog.size" } };
    if (from === checkpoint.size && !equalBytes(root, checkpoint.root)) return { status: 422 };
    try {
      const hashes = proof.map((line) => decodeHash(line, "a proof line"));
      verifyConsistency({
        from,
        to: checkpoint.size,
        fromRoot: root,
        toRoot: checkpoint.root,
        proof: hashes,
      });
    } catch (error) {
      if (error instanceof TlogError) return { status: 422 };
      throw error;
    }
    latest = checkpoint;
    return { status: 200, body: cosign(checkpoint) };
  };
  return witness;
}

const none: Checkpoint = { origin: "", size: 0n, root: EMPTY_ROOT };
const root64 = (checkpoint: Checkpoint | undefined): string =>
  Buffer.from(checkpoint?.root ?? []).toString("base64");

/** A policy of these witnesses, of whom `quorum` must cosign; a witness of two keys counts when one of them has. */
export function policyOf(
  witnesses: readonly FakeWitness[],
  quorum: number | "none",
  urls?: string[],
): string {
  const lines = witnesses.flatMap(({ name, url, cosigners }, i) => [
    ...cosigners.map(({ vkey }, key) => `witness ${name}-${key} ${formatVkey(vkey)} ${urls?.[i] ?? url}`),
    `group ${name} any ${cosigners.map((_, key) => `${name}-${key}`).join(" ")}`,
  ]);
  const names = witnesses.map(({ name }) => name).join(" ");
  if (quorum === "none") return `${lines.join("\n")}\nquorum none\n`;
  return `${[...lines, `group all ${quorum} ${names}`, "quorum all"].join("\n")}\n`;
}

/** Reaches these witnesses without a network. */
export function exchangeWith(witnesses: readonly FakeWitness[]): Exchange {
  return async ({ url, body, signal }) => {
    const witness = witnesses.find((one) => url.startsWith(`${one.url}/`));
    if (witness === undefined) throw new Error("no such host");
    const path = url.slice(witness.url.length);
    const asked = body === undefined ? { get: path.split("/")[1] ?? "" } : { post: body };
    const gone = new Promise<never>((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
    const answer = await Promise.race([witness.answer(asked), gone]);
    const retryAfter = answer.headers?.["Retry-After"];
    return {
      status: answer.status,
      body: new TextEncoder().encode(answer.body ?? ""),
      ...(retryAfter !== undefined && { retryAfter }),
    };
  };
}
