/**
 * Witnesses: have a checkpoint of the anchor log cosigned by the witnesses of the policy (c2sp.org/tlog-witness).
 *
 * All are asked at once. Cosignatures of a checkpoint that has no quorum yet are kept, and the next run asks for the
 * missing ones. The size that a witness cosigned last is remembered, as a hint: it says itself when it has another.
 */

import { type ParsedCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { formatNote, type NoteSignature, type Vkey } from "@kedge/verify/tlog/note";
import { evaluateQuorum, type Policy } from "@kedge/verify/tlog/policy";
import { uniteSignatures } from "@kedge/verify/tlog/witness-client";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import * as z from "zod";
import { type Item, ifVersion, type Key, putIf, type Store } from "../platform/store.ts";
import { ANCHOR } from "./anchor-items.ts";
import { ASKING, type Asking, askWitness, type WitnessAnswer } from "./ask-witness.ts";
import { consistency } from "./history.ts";
import { encodeKept, isBy, readKept } from "./kept-cosignatures.ts";
import { submissionPrefix } from "./policy.ts";

export type Witnessing = Asking & {
  /** For all witnesses together. */
  readonly deadlineMs: number;
  /** How long the others are waited for once there is a quorum. */
  readonly graceMs: number;
};

const WITNESSING: Witnessing = { ...ASKING, deadlineMs: 25_000, graceMs: 2_000 };

export type AskingContext = {
  readonly store: Store;
  readonly policy: Policy;
  /** What differs from the defaults. */
  readonly witnessing?: Partial<Witnessing>;
};

/** What a witness answered. `witness`: its names in the policy, one for each of its keys. */
export type AskedWitness = Omit<WitnessAnswer, "cosignatures" | "invalid"> & {
  readonly witness: string;
  /** Of the policy's witnesses, those whose cosignature in the answer does not verify. */
  readonly invalid: readonly string[];
};

export type CosignedNote = {
  /** The checkpoint with every valid cosignature that is known of it. */
  readonly note: string;
  /** Witnesses that were asked. */
  readonly asked: readonly AskedWitness[];
};

/** Lost races for one item after which a cosignature is not kept; the next run asks for it again. */
const MAX_RACES = 8;

/**
 * @param signed the checkpoint as the log signed it; its tree is published in the store, so that proofs can be made.
 * @param cosigned the same with cosignatures that are known otherwise.
 * @throws ServiceError of the store; nothing that a witness does throws.
 */
export async function cosign(ctx: AskingContext, signed: string, cosigned = signed): Promise<CosignedNote> {
  if (ctx.policy.witnesses.length === 0) return { note: cosigned, asked: [] };
  const parsed = parseCheckpoint(cosigned);
  const known = await readKept(ctx, parsed);
  // An earlier run had the quorum, and died before it made the checkpoint public.
  const enough = known.version > 0n && quorum(ctx.policy, known.valid);
  const { valid, asked } = enough
    ? { valid: known.valid, asked: [] }
    : await askAll(ctx, signed, parsed, known.valid);
  const added = valid.length > known.valid.length;
  const kept = added && !quorum(ctx.policy, valid) ? await keep(ctx, parsed, valid) : valid;
  return { note: withSignatures(parsed, ctx.policy, kept), asked };
}

/** A witness has one URL, and in the policy a line for each of its keys. */
type WitnessAddress = { readonly url: string; readonly names: string[] };

/** Those that have a URL and have not cosigned with all of their keys. */
function missing({ witnesses }: Policy, valid: readonly NoteSignature[]): WitnessAddress[] {
  const places = new Map<string, WitnessAddress>();
  for (const { name, vkey, url } of witnesses) {
    if (url === undefined || valid.some((signature) => isBy(vkey, signature))) continue;
    const prefix = submissionPrefix(name, url);
    const place = places.get(prefix) ?? { url: prefix, names: [] };
    place.names.push(name);
    places.set(prefix, place);
  }
  return [...places.values()];
}

async function askAll(
  ctx: AskingContext,
  note: string,
  checkpoint: ParsedCheckpoint,
  known: readonly NoteSignature[],
): Promise<{ valid: NoteSignature[]; asked: AskedWitness[] }> {
  const places = missing(ctx.policy, known);
  if (places.length === 0) return { valid: [...known], asked: [] };
  const limits = { ...WITNESSING, ...ctx.witnessing };
  const { size } = checkpoint.checkpoint;
  const remembered = (await ctx.store.get(places.map(({ url }) => witnessKey(digest(url))))).map(decodeSize);

  const stop = new AbortController();
  const timers = [setTimeout(() => stop.abort(), limits.deadlineMs)];
  let valid = [...known];
  const look = () => {
    if (!quorum(ctx.policy, valid) || timers.length > 1) return;
    timers.push(setTimeout(() => stop.abort(), limits.graceMs));
  };
  const ask = async ({ url, names }: WitnessAddress, i: number): Promise<AskedWitness> => {
    const had = remembered[i] ?? 0n;
    const { cosignatures, invalid, ...answer } = await askWitness(limits, {
      url,
      checkpoint,
      note,
      // It has a newer checkpoint of another anchorer: it will say so.
      oldSize: had < size ? had : size,
      prove: (from) => consistency(ctx.store, ANCHOR, { from, to: size }),
      vkeys: ctx.policy.witnesses.map(({ vkey }) => vkey),
      signal: stop.signal,
    });
    valid = uniteSignatures(valid, cosignatures);
    look();
    if (answer.outcome === "cosigned") await remember(ctx.store, url, size);
    return { ...answer, witness: names.join(" "), invalid: namesOf(ctx.policy, invalid) };
  };
  look();
  // If the store fails for one, the others are still waited for: nothing may run on in the background.
  const ends = await Promise.allSettled(places.map(ask));
  for (const timer of timers) clearTimeout(timer);
  return { valid, asked: ends.map(outcomeOf) };
}

function outcomeOf<T>(end: PromiseSettledResult<T>): T {
  if (end.status === "rejected") throw end.reason;
  return end.value;
}

/** The size that a witness cosigned last. @param digest of its URL. */
const witnessKey = (digest: string): Key => ({ pk: `log/${ANCHOR}`, sk: `witness/${digest}` });

const encodeSize = (url: string, size: bigint): Item => ({ ...witnessKey(digest(url)), size });

const sizeSchema = z.object({ size: z.bigint() });

/** Undefined when nothing, or nothing that can be read, is remembered: it is only a hint. */
const decodeSize = (item: Item | undefined): bigint | undefined => sizeSchema.safeParse(item).data?.size;

async function remember(store: Store, url: string, size: bigint): Promise<void> {
  await putIf(store, encodeSize(url, size), { kind: "absentOrBelow", attribute: "size", value: size });
}

/** Adds to what is kept of a checkpoint and takes nothing away. @returns all valid cosignatures then known. */
async function keep(
  ctx: AskingContext,
  checkpoint: ParsedCheckpoint,
  found: readonly NoteSignature[],
): Promise<NoteSignature[]> {
  let valid = [...found];
  for (let races = 0; races < MAX_RACES; races++) {
    const kept = await readKept(ctx, checkpoint);
    valid = uniteSignatures(valid, kept.valid);
    const signatures = uniteSignatures(
      [...checkpoint.note.signatures, ...kept.valid, ...valid],
      kept.signatures,
    );
    if (kept.version > 0n && signatures.length === kept.signatures.length) break;
    const note = formatNote({ text: checkpoint.note.text, signatures });
    const item = encodeKept(checkpoint.checkpoint.size, { note, version: kept.version + 1n });
    if (await putIf(ctx.store, item, ifVersion(kept.version))) break;
  }
  return valid;
}

/** The log's own signatures, then the cosignatures: in their place nothing that only claims to be one. */
function withSignatures(
  { note }: ParsedCheckpoint,
  { witnesses }: Policy,
  cosignatures: readonly NoteSignature[],
): string {
  const own = note.signatures.filter((line) => !witnesses.some(({ vkey }) => isBy(vkey, line)));
  return formatNote({ text: note.text, signatures: uniteSignatures(own, cosignatures) });
}

/** Whether these cosignatures, which were verified, are a quorum. */
function quorum(policy: Policy, valid: readonly NoteSignature[]): boolean {
  const names = policy.witnesses.filter(({ vkey }) => valid.some((signature) => isBy(vkey, signature)));
  return evaluateQuorum(policy, new Set(names.map(({ name }) => name)));
}

const namesOf = ({ witnesses }: Policy, vkeys: readonly Vkey[]): string[] =>
  witnesses.filter(({ vkey }) => vkeys.includes(vkey)).map(({ name }) => name);

const digest = (url: string): string => bytesToHex(sha256(new TextEncoder().encode(url))).slice(0, 32);
