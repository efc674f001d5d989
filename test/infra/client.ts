/** Requests to a deployment as tenants and auditors make them, and which operations of its OpenAPI document succeeded. */
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import type { HttpAnswer, HttpRequest } from "../support/lambda-events.ts";

export type Ask = {
  readonly apiKey?: string;
  readonly query?: string;
  readonly json?: unknown;
  readonly octets?: Uint8Array;
  readonly headers?: readonly (readonly [string, string])[];
  readonly cookies?: readonly string[];
};

export type Client = {
  /** `method` and path in one, as `GET /healthz`. */
  ask(what: string, ask?: Ask): Promise<HttpAnswer>;
  /** The same, of an answer that must be a success. */
  bytes(what: string, ask?: Ask): Promise<Uint8Array>;
  text(what: string, ask?: Ask): Promise<string>;
  json<T>(schema: z.ZodType<T>, what: string, ask?: Ask): Promise<T>;
  /** Everything that was answered. */
  readonly answered: readonly { readonly what: string; readonly status: number }[];
};

export function clientOf(request: (request: HttpRequest) => Promise<HttpAnswer>): Client {
  const answered: { what: string; status: number }[] = [];

  async function ask(what: string, ask: Ask = {}): Promise<HttpAnswer> {
    const { apiKey, query, json, octets, headers = [], cookies } = ask;
    const [method = "", path = ""] = what.split(" ");
    const body = json === undefined ? octets : JSON.stringify(json);
    const type = json === undefined ? "application/octet-stream" : "application/json";
    const answer = await request({
      method,
      path,
      headers: [
        ...(apiKey === undefined ? [] : [["Authorization", `Bearer ${apiKey}`] as const]),
        ...(body === undefined ? [] : [["Content-Type", type] as const]),
        ...headers,
      ],
      ...(query !== undefined && { query }),
      ...(cookies !== undefined && { cookies }),
      ...(body !== undefined && { body }),
    });
    answered.push({ what, status: answer.status });
    return answer;
  }

  async function bytes(what: string, more?: Ask): Promise<Uint8Array> {
    const { status, body } = await ask(what, more);
    if (status < 200 || status > 299) throw new Error(`${what}: ${status} ${new TextDecoder().decode(body)}`);
    return body;
  }
  const text = async (what: string, more?: Ask) => new TextDecoder().decode(await bytes(what, more));
  return {
    ask,
    bytes,
    text,
    json: async (schema, what, more) => schema.parse(JSON.parse(await text(what, more))),
    answered,
  };
}

const documentSchema = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });

/** The operations of the OpenAPI document, `GET /v1/logs/{log}`, that none of these successes is of. */
export function unasked(document: unknown, answered: Client["answered"]): string[] {
  const { paths } = documentSchema.parse(document);
  const succeeded = answered.filter(({ status }) => status < 300).map(({ what }) => what);
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  return operations.filter((operation) => {
    // Of a tile's path, the parameter has slashes.
    const pattern = operation.replaceAll("{path}", ".+").replaceAll(/\{\w+\}/g, "[^/]+");
    return !succeeded.some((what) => new RegExp(`^${pattern}$`).test(what));
  });
}

const lineSchema = z.object({
  hash: z.string(),
  proof: z.string().optional(),
  problem: z.object({ type: z.string() }).optional(),
});

/**
 * The proofs of these hashes, asked for as a client is told to: again for those that no longer fitted into an answer.
 * @throws when there is none of one.
 */
export async function proofsOf(
  client: Client,
  log: string,
  apiKey: string,
  hashes: readonly string[],
): Promise<{ readonly proofs: ReadonlyMap<string, string>; readonly requests: number }> {
  const proofs = new Map<string, string>();
  let requests = 0;
  for (let left = [...hashes]; left.length > 0; requests++) {
    const text = await client.text(`POST /v1/logs/${log}/proofs`, { apiKey, json: { hashes: left } });
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => lineSchema.parse(JSON.parse(line)));
    for (const { hash, proof } of lines) if (proof !== undefined) proofs.set(hash, proof);
    const again = lines
      .filter(({ problem }) => problem?.type.endsWith(":response_full"))
      .map(({ hash }) => hash);
    const lost = lines.find(({ hash }) => !proofs.has(hash) && !again.includes(hash));
    if (lost !== undefined || again.length === left.length)
      throw new Error(`no proof: ${JSON.stringify(lost)}`);
    left = again;
  }
  return { proofs, requests };
}

export const newHashes = (count: number): string[] =>
  Array.from({ length: count }, () => bytesToHex(randomBytes(32)));
