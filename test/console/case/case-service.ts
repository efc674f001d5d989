/**
 * What `npm start` starts, behind an address that stays when it is killed and started anew. Everything that the page sends is
 * kept, so that a test sees what left the browser.
 */
import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openClient } from "@kedge/cli/client/api";
import { commitEvent } from "@kedge/verify/events/commitment";
import { bytesToHex } from "@noble/hashes/utils.js";
import { startLinkForOperator } from "../../../local/operator.ts";
import { addressIn, serve, stop } from "../../support/serve.ts";

export type Sent = { method: string; url: string; body: string };

export type CaseService = Awaited<ReturnType<typeof openCaseService>>;

export async function openCaseService() {
  const folder = await mkdtemp(join(tmpdir(), "kedge-case-"));
  const data = join(folder, "data");
  let child: ChildProcess | undefined;
  let target = "";
  const start = async (): Promise<void> => {
    const started = await serve({ cwd: folder, data });
    child = started.child;
    target = addressIn(started.output);
  };
  const kill = async (): Promise<void> => {
    if (child !== undefined) await stop(child, "SIGKILL");
    child = undefined;
  };
  await start();
  const credentials = JSON.parse(await readFile(join(data, "credentials.json"), "utf8"));
  const sent: Sent[] = [];
  /** Answers in place of the service; a test sets it. */
  let before: ((sent: Sent) => number | undefined) | undefined;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? "/";
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks);
    const one = { method: request.method ?? "", url, body: body.toString("latin1") };
    sent.push(one);
    const status = before?.(one);
    if (status !== undefined) {
      response
        .writeHead(status, { "Content-Type": "application/problem+json", "Retry-After": "0" })
        .end("{}");
      return;
    }
    const { authorization, "content-type": type } = request.headers;
    const answered = await fetch(`${target}${url}`, {
      method: one.method,
      headers: { ...(authorization && { authorization }), ...(type && { "content-type": type }) },
      ...(one.method === "GET" ? {} : { body }),
    });
    const headers = new Headers(answered.headers);
    for (const name of ["content-length", "content-encoding", "transfer-encoding", "connection"])
      headers.delete(name);
    response
      .writeHead(answered.status, Object.fromEntries(headers))
      .end(Buffer.from(await answered.arrayBuffer()));
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    log: String(credentials.log),
    tenantKey: String(credentials.tenantKey),
    /** A verifier key a line. */
    vkeys: [credentials.logVkey, credentials.anchorVkey].join("\n"),
    apiKey: String(credentials.apiKey),
    folder,
    sent,
    start,
    kill,
    refuse(answerInstead: typeof before) {
      before = answerInstead;
    },
    /** Good once. */
    async startLink() {
      const { hash } = new URL(await startLinkForOperator({ data }));
      return `http://127.0.0.1:${port}/${hash}`;
    },
    client: () => openClient({ url: target, apiKey: String(credentials.apiKey) }),
    async close() {
      server.close();
      server.closeAllConnections();
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Lines, committed to under random nonces: their records, and their commitments to post. */
export function commitLines(
  file: string,
  lines: readonly { line: number; text: string }[],
  mediaType: string,
) {
  const commitments: Uint8Array[] = [];
  const records: string[] = [];
  for (const { line, text } of lines) {
    const nonce = crypto.getRandomValues(new Uint8Array(32));
    const { commitment, opening } = commitEvent(
      { bytes: new TextEncoder().encode(text), mediaType },
      { nonce },
    );
    commitments.push(commitment);
    records.push(`${JSON.stringify({ event: file, line, commitment: bytesToHex(commitment), opening })}\n`);
  }
  return { commitments, records: records.join("") };
}
