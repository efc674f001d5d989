/** A case in the worker: its files, its rows, their proofs, and what is made of them. */

import { completenessOf } from "@kedge/cli/evidence/completeness";
import { KeptProofs } from "@kedge/cli/evidence/kept-proofs";
import type { MadePack, MakeOptions } from "@kedge/cli/evidence/make";
import { claimOf, commitsOf, type OpenRest } from "@kedge/cli/evidence/open";
import { policyOfCase } from "@kedge/cli/evidence/policy";
import { reconcile } from "@kedge/cli/evidence/reconcile";
import type { Commits, OpenedEvent } from "@kedge/cli/evidence/types";
import { type SourceCompleteness, stretchesOf } from "@kedge/verify/audit/completeness";
import { ClientError } from "@kedge/verify/error";
import { startPace } from "@kedge/verify/pack/pace";
import type { Disclosure } from "@kedge/verify/pack/pack";
import { withOpening } from "@kedge/verify/proof/extra";
import { tellVerdict, VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { openVerifier, type VerifyReport } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { unzipSync } from "fflate";
import { openKeys } from "./keyring.ts";
import type {
  CallName,
  Calls,
  Detail,
  Example,
  Made,
  MakeAsk,
  Progress,
  Proven,
  Reconciled,
  SourceGaps,
} from "./messages.ts";
import { fetchProofs, openProofVerifier, prove, type Verify } from "./proving.ts";
import { readCase } from "./reading.ts";
import { type FileKind, LOOKED_AT, recognise } from "./recognise.ts";
import { makeReview } from "./review-document.ts";
import { openTable, type Table } from "./table.ts";
import { told } from "./told.ts";
import { type CaseTrust, givenTrust, NO_TRUST, serviceTrust } from "./trust.ts";
import { isWanted } from "./wanted.ts";

export type Handlers = {
  [Name in CallName]: (ask: Calls[Name]["ask"]) => Promise<Calls[Name]["answer"]> | Calls[Name]["answer"];
};

/** Bytes of an event that the page shows. */
const MAX_SHOWN = 1 << 20;
const SUMS = "SHA256SUMS";
/** Places of each kind that a reconciliation names. */
const MAX_EXAMPLES = 100;

export type CaseContext = {
  tell: (progress: Progress) => void;
  /** Of the long call that runs. */
  signal: () => AbortSignal;
};

export function openCase({ tell, signal }: CaseContext): Handlers {
  let table: Table = openTable();
  let rest: OpenRest = { unused: [], untold: 0 };
  let proofs = new KeptProofs();
  let isTrustGiven = false;
  let trust: CaseTrust = NO_TRUST;
  let authorities: readonly string[] = [];
  let verify: Verify | undefined;
  let marks = new Map<number, Disclosure>();

  async function reportOf(event: OpenedEvent | undefined): Promise<VerifyReport | undefined> {
    const claim = event && claimOf(event, proofs);
    if (claim === undefined) return undefined;
    verify ??= await openProofVerifier(trust, authorities);
    return await verify(claim);
  }

  function provenSoFar(stopped?: string): Proven {
    const isUnasked = ({ changedFrom }: OpenedEvent) =>
      changedFrom !== undefined && !proofs.has(changedFrom.commitment);
    const missing = table.count("unasked") + table.count("altered", isUnasked);
    const isPending = ({ changedFrom }: OpenedEvent) =>
      changedFrom !== undefined && proofs.get(changedFrom.commitment)?.noProof === "pending";
    const pending = table.count("pending") + table.count("altered", isPending);
    const rows = table.countRows();
    const unknown = table.count("unknown") + table.count("altered");
    const isElsewhere = rows > 1 && missing + pending === 0 && unknown === rows;
    return { missing, pending, isElsewhere, keysBy: trust.by, ...(stopped !== undefined && { stopped }) };
  }

  async function packOf({ form, wanted, verifier }: MakeAsk, options: MakeOptions = {}): Promise<MadePack> {
    const { withheld, kind, language, ...texts } = form;
    const said = Object.entries(texts).filter(([, text]) => text.trim() !== "");
    const disclosures = new Map<string, Disclosure>();
    for (const [row, disclosure] of kind === "disclosures" ? marks : []) {
      const event = table.row(row);
      const commits = event && commitsOf(event);
      if (commits !== undefined) disclosures.set(commits.commitment, disclosure);
    }
    // The report takes more code than all the rest.
    const { makePack } = await import("@kedge/cli/evidence/make");
    const given = { events: table.events(), proofs };
    return await makePack(
      {
        ...given,
        policy: policyOfCase(trust, { ...given, case: wanted }),
        authorities,
        case: {
          ...{ kind, language, filter: wanted.filter, zone: wanted.zone },
          ...Object.fromEntries(said),
          ...(withheld && { withheld: "patients" }),
        },
        ...(kind === "disclosures" && { disclosures }),
        page: verifier,
      },
      {
        onProgress: (share) => tell({ stage: "packing", done: Math.round(100 * share), total: 100 }),
        signal: signal(),
        ...options,
      },
    );
  }

  return {
    async recognise(files) {
      const kinds: FileKind[] = [];
      for (const file of files) {
        // What cannot be read is told once it is needed.
        const read = await file
          .slice(0, LOOKED_AT)
          .arrayBuffer()
          .catch(() => new ArrayBuffer(0));
        kinds.push(recognise(new Uint8Array(read), file.size <= LOOKED_AT));
      }
      return kinds;
    },

    async open({ files, passphrase }) {
      const end = signal();
      const keys: Uint8Array[] = [];
      for (const { file, is } of files) {
        if (is === "keys") keys.push(...(await openKeys(await file.text(), passphrase)));
      }
      const read = await readCase(files, keys, { tell, signal: end });
      const given = givenTrust(read.policies);
      ({ table, rest, authorities } = read);
      proofs = new KeptProofs();
      for (const { commitment, proof } of read.proofs) proofs.setProof(commitment, proof);
      isTrustGiven = given !== undefined;
      trust = given ?? NO_TRUST;
      verify = undefined;
      marks = new Map();
      const { problems } = read;
      const [rows, unopened, unread] = [table.countRows(), table.count("unopened"), table.countUnread()];
      return { rows, problems, unopened, unread };
    },

    async prove(service) {
      const end = signal();
      if (!isTrustGiven && service !== undefined) {
        try {
          trust = await serviceTrust(service.access, service.log, end);
        } catch (error) {
          if (end.aborted) throw error;
          return provenSoFar(told(error).code);
        }
      }
      verify = await openProofVerifier(trust, authorities);
      const options = { table, proofs, verify, tell, signal: end };
      return provenSoFar(await prove({ ...options, ...(service && { service }) }));
    },
    proven: () => provenSoFar(),

    show(wanted) {
      try {
        return table.show(isWanted(wanted, table), wanted.sort);
      } catch (error) {
        // What is no question has no rows: none may stand for its answer.
        table.show(() => false, wanted.sort);
        throw error;
      }
    },
    view: () => table.view(),
    window: ({ from, count }) => table.window(from, count),

    async detail({ row: number, language }): Promise<Detail | undefined> {
      const event = table.row(number);
      const row = table.tableRow(number);
      if (event === undefined || row === undefined) return undefined;
      const report = await reportOf(event);
      const disclosure = marks.get(number);
      const noProof = row.state === "pending" || row.state === "unknown" ? row.state : undefined;
      return {
        row,
        text: new TextDecoder().decode(event.bytes.subarray(0, MAX_SHOWN)),
        isCut: event.bytes.length > MAX_SHOWN,
        ...((report || noProof) && {
          told: tellVerdict(
            { verdict: row.verdict, ...(report ? { report } : noProof && { noProof }) },
            VERDICT_WORDS[language],
          ),
        }),
        ...(report && { report: tellReport(report) }),
        ...(disclosure && { disclosure }),
      };
    },
    mark({ row, disclosure }) {
      if (disclosure === undefined) marks.delete(row);
      else marks.set(row, disclosure);
      return marks.size;
    },

    proof(number): Made | undefined {
      const event = table.row(number);
      const commits = event && commitsOf(event);
      const text = commits && proofText(commits, proofs.proofOf(commits.commitment));
      if (text === undefined) return undefined;
      const name = `${commits?.commitment.slice(0, 8)}.tlog-proof`;
      return { ...made(name, text, "text/plain"), count: 1 };
    },
    proofs(): Made {
      const lines: string[] = [];
      for (const number of table.shown) {
        const event = table.row(number);
        const commits = event && commitsOf(event);
        const proof = commits && proofText(commits, proofs.proofOf(commits.commitment));
        if (event === undefined || commits === undefined || proof === undefined) continue;
        const { file, line } = event;
        const { commitment } = commits;
        lines.push(
          `${JSON.stringify({ event: file, ...(line !== undefined && { line }), commitment, proof })}\n`,
        );
      }
      return { ...made("proofs.ndjson", lines.join(""), "application/x-ndjson"), count: lines.length };
    },

    gaps: () => completenessOf(table.events(), proofs, openVerifier(trust)).map(sourceGaps),

    async reconcile(service): Promise<Reconciled> {
      const end = signal();
      const options = { proofs, service, tell, signal: end };
      const unused = rest.unused.map(({ commitment }) => commitment);
      let stopped: string | undefined;
      try {
        for await (const _ of fetchProofs(unused, options)) end.throwIfAborted();
      } catch (error) {
        // What is not known by now cannot be told, and is counted as that.
        if (!(error instanceof ClientError) || end.aborted) throw error;
        stopped = error.code;
      }
      const pace = startPace();
      const places = new Map<string, Example[]>();
      const note = (is: string, event: { file: string; line?: number }): void => {
        const noted = places.get(is) ?? [];
        places.set(is, noted);
        if (noted.length < MAX_EXAMPLES) noted.push(placeOf(event));
      };
      const rows = reconcile({
        events: table.events(),
        unused: rest.unused,
        proofs,
        verify: openVerifier(trust),
      });
      let done = 0;
      for (;;) {
        const { done: isDone, value } = rows.next();
        if (isDone) {
          const { counts, missing, sources } = value;
          const without = { withoutRow: 0, recordNotInLog: 0, recordCannotTell: 0 };
          for (const { record, is } of missing) {
            without[OF_RECORD[is]] += 1;
            note(OF_RECORD[is], { ...record, file: record.event });
          }
          const gaps = sources.flatMap(({ findings }) => findings);
          places.set("gap", gaps.slice(0, MAX_EXAMPLES));
          const found = [
            { is: "changed", count: counts.changed },
            { is: "notInLog", count: counts.unlogged },
            { is: "withoutRow", count: without.withoutRow },
            { is: "recordNotInLog", count: without.recordNotInLog },
            { is: "recordCannotTell", count: without.recordCannotTell },
            { is: "cannotTell", count: counts.pending + counts.unopened + counts.untold },
            { is: "copies", count: counts.copies },
            { is: "gap", count: gaps.length },
          ] as const;
          const findings = found.flatMap(({ is, count }) =>
            count === 0 ? [] : [{ is, count, examples: places.get(is) ?? [] }],
          );
          const { rows, unchanged } = counts;
          return { rows, unchanged, findings, ...(stopped !== undefined && { stopped }) };
        }
        done += 1;
        if (value.is === "changed") note("changed", value.event);
        else if (value.is === "unlogged") note("notInLog", value.event);
        else if (value.is !== "unchanged") note("cannotTell", value.event);
        if (value.isCopy) note("copies", value.event);
        if (done % 1_000 === 0) tell({ stage: "verifying", done, total: table.size });
        await pace.rest();
        end.throwIfAborted();
      }
    },

    async pack(ask): Promise<Made> {
      const { zip, judged, unopened } = await packOf(ask);
      const bytes = new Uint8Array(zip);
      const { [SUMS]: sums } = unzipSync(bytes, { filter: ({ name }) => name === SUMS });
      const digest = bytesToHex(sha256(sums ?? new Uint8Array()));
      const made = { name: `${ask.form.kind}.zip`, bytes, type: "application/zip", digest };
      return { ...made, count: judged.rows.length, left: unopened.length };
    },
    async patientPage(ask): Promise<Made> {
      const { patientPage } = await import("@kedge/cli/evidence/patient-page");
      // Nobody reads the report of the pack that the page is made of.
      const { judged } = await packOf(ask, { makeReport: async () => new Uint8Array() });
      const { html, rows } = patientPage(judged, ask.wanted.filter.patient ?? "");
      return { name: "patient.html", bytes: new Uint8Array(html), type: "text/html", count: rows };
    },

    review({ by, wanted, log }) {
      const view = table.show(isWanted(wanted, table), wanted.sort);
      const rows = [...table.shown].flatMap((row) => table.row(row) ?? []);
      const { name, zip, review } = makeReview({
        by,
        log,
        wanted,
        rows,
        counts: view.counts,
        now: Date.now(),
      });
      return { made: { name, bytes: zip, type: "application/zip", count: view.found }, review };
    },
  };
}

/** What a record without a row is found to be. The log has taken what is pending. */
const OF_RECORD = {
  ...({ logged: "withoutRow", pending: "withoutRow" } as const),
  ...({ unlogged: "recordNotInLog", untold: "recordCannotTell" } as const),
} as const;

const placeOf = ({ file, line }: { file: string; line?: number }): string =>
  line === undefined ? file : `${file}, ${line}`;

function sourceGaps({ source, periods, findings }: SourceCompleteness): SourceGaps {
  const verdicts = periods.map(({ verdict }) => verdict);
  const isIncomplete = findings.length > 0 || verdicts.includes("incomplete");
  const isComplete = verdicts.length > 0 && verdicts.every((verdict) => verdict === "complete");
  return {
    source,
    verdict: isIncomplete ? "incomplete" : isComplete ? "complete" : "untold",
    periods: stretchesOf(periods).map(({ from, to, count, verdict }) => ({
      ...{ from, to, verdict },
      count: Number(count),
    })),
    findings,
  };
}

const made = (name: string, text: string, type: string): Omit<Made, "count"> => ({
  ...{ name, type },
  bytes: new TextEncoder().encode(text),
});

/** The proof with the event's opening in it: all that it takes beside the event. */
const proofText = ({ opening }: Commits, proof: string | undefined): string | undefined =>
  proof === undefined ? undefined : withOpening(proof, opening);
