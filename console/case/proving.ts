/**
 * The proofs of a case: fetched in bulk, kept as they come, verified. What was fetched stays when the service goes down
 * midway or the officer stops it; to go on asks for the rest.
 */

import { openClient, type ProofAnswer } from "@kedge/cli/client/api";
import { MAX_PROOFS } from "@kedge/cli/contract/limits";
import type { KeptProofs } from "@kedge/cli/evidence/kept-proofs";
import { claimOf, commitsOf } from "@kedge/cli/evidence/open";
import type { Commits, OpenedEvent, OtherCommits } from "@kedge/cli/evidence/types";
import { ClientError } from "@kedge/verify/error";
import { startPace } from "@kedge/verify/pack/pace";
import { loggedBy } from "@kedge/verify/proof/verdict";
import { openVerifier, type VerifyClaim, type VerifyReport } from "@kedge/verify/proof/verify";

import { hexToBytes } from "@noble/hashes/utils.js";
import { stateOf } from "./evidence-state.ts";
import type { Progress, Service } from "./messages.ts";
import type { Table } from "./table.ts";
import type { CaseTrust } from "./trust.ts";

export type Verify = (claim: VerifyClaim) => Promise<VerifyReport>;

/** @param pems certificates of timestamping authorities */
export async function openProofVerifier(trust: CaseTrust, pems: readonly string[]): Promise<Verify> {
  const verify = openVerifier(trust);
  if (pems.length === 0) return async (claim) => verify(claim);
  // X.509 takes as much code as all the rest.
  const { timestampVerifier } = await import("@kedge/verify/time/timestamps");
  const { parsePemCertificates } = await import("@kedge/verify/time/x509");
  const tsaCerts = pems.flatMap(parsePemCertificates);
  return timestampVerifier({ tsaCerts, bitcoinBlocks: [] }, verify);
}

/** Some seconds: then the officer hears that the service is down, and goes on when it is back. */
const ATTEMPTS = 4;

/** Rows that a proof may still be asked for. */
const OPEN = ["unasked", "altered", "pending", "unknown"] as const;

export type ProvingOptions = {
  table: Table;
  proofs: KeptProofs;
  verify: Verify;
  /** Absent when the officer works offline. */
  service?: Service;
  tell: (progress: Progress) => void;
  signal: AbortSignal;
};

/** Returns the code of the ClientError that ended it before its end. Throws the reason of the signal. */
export async function prove({
  table,
  proofs,
  verify,
  service,
  tell,
  signal,
}: ProvingOptions): Promise<string | undefined> {
  const pace = startPace();
  const judge = async (row: number): Promise<void> => {
    const event = table.row(row);
    const claim = event && claimOf(event, proofs);
    const commits = event && commitsOf(event);
    if (claim === undefined || commits === undefined) return;
    const report = await verify(claim);
    table.setEvidence(row, stateOf(report, commits.commitment), loggedBy(report)?.at);
    await pace.rest();
    signal.throwIfAborted();
  };
  const hasProof = (commits: { commitment: string } | undefined): boolean =>
    proofs.proofOf(commits?.commitment) !== undefined;

  const open = [...table.inState(...OPEN)];
  let done = 0;
  for (const row of open) {
    const { commitment, otherwise = [], changedFrom } = table.row(row) ?? {};
    if (commitment !== undefined && !hasProof({ commitment })) {
      const other = otherwise.find(hasProof);
      if (other !== undefined) table.settle(row, other);
      else if (hasProof(changedFrom)) table.settle(row);
    }
    await judge(row);
    done += 1;
    if (done % 1_000 === 0) tell({ stage: "verifying", done, total: open.length });
  }
  if (service === undefined) return undefined;

  /** Asks for these, each once: an event may stand in an export twice. */
  async function ask(wanted: ReadonlyMap<string, readonly Asked[]>): Promise<void> {
    for await (const { hash, state } of fetchProofs([...wanted.keys()], { proofs, service, tell, signal })) {
      for (const { row, other } of wanted.get(hash) ?? []) {
        if (other !== undefined && state !== "unknown") table.settle(row, other);
        if (state === "proof") await judge(row);
        // Of a row that was changed it is said of its record, and says nothing of the row.
        else if (table.stateOf(row) !== "altered" && (other === undefined || state === "pending"))
          table.setEvidence(row, state);
      }
    }
  }
  try {
    await ask(askedOf(table, OPEN, (event) => asked(commitsOf(event))));
    // The log does not know it: under another key, or with its line end, it may.
    await ask(
      askedOf(table, ["unknown"], ({ otherwise = [] }) =>
        otherwise.map((other) => ({ commitment: other.commitment, other })),
      ),
    );
    // Nor by any key: then what stands in the log is that of its record.
    const changed = [...table.inState("unknown")].filter((row) => table.row(row)?.changedFrom !== undefined);
    for (const row of changed) table.settle(row);
    const isChanged = new Set(changed);
    await ask(
      askedOf(table, ["altered"], (event, row) => (isChanged.has(row) ? asked(commitsOf(event)) : [])),
    );
  } catch (error) {
    if (error instanceof ClientError && !signal.aborted) return error.code;
    throw error;
  }
  return undefined;
}

const asked = (commits: Commits | undefined): { commitment: string }[] =>
  commits === undefined ? [] : [{ commitment: commits.commitment }];

/** Keeps what the service answers for each commitment, hex, and then tells of it. Throws ClientError. */
export async function* fetchProofs(
  hashes: readonly string[],
  {
    proofs,
    service,
    tell,
    signal,
  }: Pick<ProvingOptions, "proofs" | "tell" | "signal"> & { service: Service | undefined },
): AsyncGenerator<ProofAnswer> {
  if (service === undefined) return;
  const client = openClient({ ...service.access, attempts: ATTEMPTS, signal });
  /** What came is kept, whatever happens to the rest. */
  const ask = async (from: number): Promise<{ answers: ProofAnswer[]; error?: unknown }> => {
    const some = hashes.slice(from, from + MAX_PROOFS).map(hexToBytes);
    const answers: ProofAnswer[] = [];
    try {
      for await (const answer of client.proofs(service.log, some)) answers.push(answer);
      return { answers };
    } catch (error) {
      return { answers, error };
    }
  };
  // The next ones come while these are verified.
  let coming = ask(0);
  for (let from = 0; from < hashes.length; from += MAX_PROOFS) {
    tell({ stage: "proofs", done: from, total: hashes.length });
    const { answers, error } = await coming;
    if (error === undefined) coming = ask(from + MAX_PROOFS);
    for (const answer of answers) {
      if (answer.state === "proof") proofs.setProof(answer.hash, answer.proof);
      else proofs.setNone(answer.hash, answer.state);
      yield answer;
    }
    if (error !== undefined) throw error;
  }
  tell({ stage: "proofs", done: hashes.length, total: hashes.length });
}

/** A row, and which of its other commitments is asked for. */
type Asked = { row: number; other?: OtherCommits };

function askedOf(
  table: Table,
  states: readonly (typeof OPEN)[number][],
  commits: (event: OpenedEvent, row: number) => { commitment: string; other?: OtherCommits }[],
): Map<string, Asked[]> {
  const asked = new Map<string, Asked[]>();
  for (const row of table.inState(...states)) {
    const event = table.row(row);
    for (const { commitment, other } of event === undefined ? [] : commits(event, row)) {
      const one = { row, ...(other && { other }) };
      const same = asked.get(commitment);
      if (same === undefined) asked.set(commitment, [one]);
      else same.push(one);
    }
  }
  return asked;
}
