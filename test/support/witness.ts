/** A witness without a store, for tests of what talks to one: honest, or of whatever manner a test gives it. */
import type { Checkpoint } from "@kedge/verify/tlog/checkpoint";
import { formatVkey, type Vkey } from "@kedge/verify/tlog/note";
import { admit, formatSize, judge, originHash, SIZE_TYPE } from "@kedge/verify/tlog/witness";
import type { Exchange } from "../../service/witness-http.ts";
import {
  type Cosigner,
  cosignedBy,
  ed25519Cosigner,
  mldsaCosigner,
  signed,
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
  const witness: FakeWitness = {
    name,
    url: `https://${name}.example/submit`,
    cosigners,
    latest: undefined,
    posted: [],
    manner: undefined,
    async answer(asked) {
      if ("post" in asked) witness.posted.push(asked.post);
      return witness.manner ? await witness.manner(asked, honest) : honest(asked);
    },
  };
  const linesFor = (checkpoint: Checkpoint): string[] =>
    cosigners.map((cosigner) => cosignedBy(cosigner, checkpoint, WITNESS_TIME));

  const honest = (asked: Asked): Answer => {
    const { latest } = witness;
    const vkey = log();
    if ("get" in asked) {
      if (latest === undefined || asked.get !== originHash(vkey.name)) return { status: 404 };
      return { status: 200, body: signed(latest, ...linesFor(latest)) };
    }
    const admitted = admit(asked.post, new Map([[vkey.name, [vkey]]]));
    if (admitted.status !== 200) return admitted;
    const verdict = judge(admitted, latest);
    if (verdict.status === 409) {
      return { status: 409, body: formatSize(verdict.size), headers: { "Content-Type": SIZE_TYPE } };
    }
    if (verdict.status !== 200) return verdict;
    witness.latest = admitted.parsed.checkpoint;
    return { status: 200, body: linesFor(witness.latest).join("") };
  };
  return witness;
}

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
    return {
      status: answer.status,
      body: new TextEncoder().encode(answer.body ?? ""),
      retryAfter: answer.headers?.["Retry-After"] ?? null,
    };
  };
}
