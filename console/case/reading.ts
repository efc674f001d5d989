/** From the files that were given to rows, and what opens them. All of it happens here; nothing is asked of anybody. */

import { EvidenceError } from "@kedge/cli/evidence/error";
import { readExports } from "@kedge/cli/evidence/exports";
import {
  type GivenProof,
  ownName,
  readHeaders,
  readProofs,
  readRecords,
  recordsInProofs,
} from "@kedge/cli/evidence/given";
import { type OpenRest, openEvents } from "@kedge/cli/evidence/open";
import type { GivenFile } from "@kedge/cli/evidence/types";
import { startPace } from "@kedge/verify/pack/pace";
import { decodedText } from "@kedge/verify/text";
import type { KindFile, Problem, Progress } from "./messages.ts";
import type { FileKind } from "./recognise.ts";
import { openTable, type Table } from "./table.ts";
import { isUnreadable, told } from "./told.ts";

export type ReadCase = {
  /** Manifests are in it, and no rows. */
  table: Table;
  proofs: GivenProof[];
  /** Texts of policies and keys of logs, and of certificates. */
  policies: string[];
  authorities: string[];
  rest: OpenRest;
  problems: Problem[];
};

const PROGRESS_EVERY = 1_000;

/** @param tenantKeys the current one first. Throws the reason of the signal. */
export async function readCase(
  files: readonly KindFile[],
  tenantKeys: readonly Uint8Array[],
  { tell, signal }: { tell: (progress: Progress) => void; signal: AbortSignal },
): Promise<ReadCase> {
  const problems: Problem[] = [];
  const pace = startPace();
  const given = async (...kinds: readonly FileKind[]): Promise<GivenFile[]> => {
    const found: GivenFile[] = [];
    for (const { file, is } of files) {
      if (!kinds.includes(is)) continue;
      signal.throwIfAborted();
      try {
        found.push({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        problems.push({ file: file.name, ...told(error) });
      }
    }
    return found;
  };
  const texts = async (kind: FileKind) => (await given(kind)).map(({ bytes }) => decodedText(bytes));
  const onError = (error: EvidenceError): void => {
    problems.push({ file: error.file ?? "", ...told(error) });
  };

  /** What these files hold, each to its first line that cannot be read. */
  async function lines<T>(kind: FileKind, of: (files: GivenFile[]) => Iterable<T>): Promise<T[]> {
    const found: T[] = [];
    for (const file of await given(kind)) {
      try {
        for (const item of of([file])) {
          found.push(item);
          await pace.rest();
          signal.throwIfAborted();
        }
      } catch (error) {
        if (!(error instanceof EvidenceError)) throw error;
        onError(error);
      }
    }
    return found;
  }

  tell({ stage: "reading", done: 0 });
  const ofFiles = await lines("records", readRecords);
  const records = ofFiles.length > 0 ? ofFiles : await lines("proofs", recordsInProofs);
  const proofs = await lines("proofs", readProofs);
  const table = openTable();
  const columns = new Map(
    (await lines("headers", readHeaders)).map(([path, header]) => [ownName(path), header]),
  );
  const exported = await given("events", "manifests");
  const headers = new Map(columns);
  for (const { name } of exported) {
    const header = columns.get(ownName(name));
    if (header !== undefined) headers.set(name, header);
  }
  const exports = readExports(exported, { headers, onError });
  const events = openEvents(exports, { records, tenantKeys });
  for (;;) {
    const { done, value } = events.next();
    if (done) {
      const [policies, authorities] = [await texts("policy"), await texts("authority")];
      return { table, proofs, policies, authorities, rest: value, problems };
    }
    table.add(value);
    if (table.size % PROGRESS_EVERY === 0) tell({ stage: "opening", done: table.size });
    await pace.rest();
    signal.throwIfAborted();
  }
}
