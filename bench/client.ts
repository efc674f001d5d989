/**
 * The load client of race and soak: HTTP/1.1 over plain sockets and no more, because it shares two cores with the server that it
 * measures. It posts random commitments, closed loop (so many requests under way) or open loop (so many events a second).
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

export const COMMITMENT = 32;

export type Encoding = "octets" | "json";
/** Where commitments are posted to. */
export type Endpoint = {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly paths: Readonly<Record<Encoding, string>>;
};

export type Shape = {
  readonly encoding: Encoding;
  readonly perRequest: number;
  /** Requests under way at most. */
  readonly atOnce: number;
  /** Events a second; absent: as fast as they are answered. */
  readonly rate?: number;
  /** It goes on until both have passed. */
  readonly seconds: number;
  readonly least: number;
};

/** A request that was answered. Times are ms since the epoch. */
export type Posted = {
  readonly sent: number;
  readonly acknowledged: number;
  readonly last: Uint8Array;
  readonly answer: string;
};
export type Load = { readonly started: number; readonly posted: readonly Posted[]; readonly refused: number };

/** No server answers a request later, unless it hangs. */
const ANSWER_MS = 60_000;
/** After 429 or 503, whatever Retry-After says in whole seconds: the same for every server. */
const RETRY_MS = 100;

/** @throws when a request is answered by anything but 202, or 429 and 503, after which it is sent again. */
export async function post(endpoint: Endpoint, shape: Shape): Promise<Load> {
  const { perRequest, atOnce, rate, seconds, least } = shape;
  const started = Date.now();
  const posted: Posted[] = [];
  let next = 0;
  let refused = 0;
  const due = () => (rate === undefined ? Date.now() : started + (1000 * next * perRequest) / rate);
  const goesOn = () => due() - started < 1000 * seconds || next * perRequest < least;
  const run = async () => {
    const lane = openLane(endpoint, shape.encoding);
    while (goesOn()) {
      const early = due() - Date.now();
      next++;
      if (early > 0) await sleep(early);
      const commitments = randomBytes(perRequest * COMMITMENT);
      const body = shape.encoding === "octets" ? commitments : Buffer.from(jsonOf(commitments));
      const sent = Date.now();
      let answer = await lane.post(body);
      for (; answer.status === 429 || answer.status === 503; refused++) {
        await sleep(RETRY_MS);
        answer = await lane.post(body);
      }
      if (answer.status !== 202) throw new Error(`answered with ${answer.status}: ${answer.body}`);
      const last = Uint8Array.from(commitments.subarray(-COMMITMENT));
      posted.push({ sent, acknowledged: Date.now(), last, answer: answer.body });
    }
    lane.close();
  };
  await Promise.all(Array.from({ length: atOnce }, run));
  return { started, posted, refused };
}

function jsonOf(commitments: Buffer): string {
  const hex = commitments.toString("hex");
  const digits = 2 * COMMITMENT;
  const hashes = Array.from({ length: hex.length / digits }, (_, i) =>
    hex.slice(i * digits, (i + 1) * digits),
  );
  return `{"hashes":["${hashes.join('","')}"]}`;
}

type Answer = { readonly status: number; readonly body: string; readonly closes: boolean };

/** One request after the other, over one connection for as long as the server keeps it. */
function openLane(endpoint: Endpoint, encoding: Encoding) {
  let connection: Awaited<ReturnType<typeof openConnection>> | undefined;
  const close = () => {
    connection?.close();
    connection = undefined;
  };
  return {
    async post(body: Buffer): Promise<Answer> {
      connection ??= await openConnection(endpoint, encoding);
      const answer = await connection.post(body);
      if (answer.closes) close();
      return answer;
    },
    close,
  };
}

async function openConnection({ url, headers, paths }: Endpoint, encoding: Encoding) {
  const { host, hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, "connect");
  const answer = reader(socket);
  const type = encoding === "octets" ? "application/octet-stream" : "application/json";
  const own = Object.entries({ ...headers, Host: host, "Content-Type": type });
  const head = `POST ${paths[encoding]} HTTP/1.1\r\n${own.map(([name, value]) => `${name}: ${value}\r\n`).join("")}`;
  return {
    post(body: Buffer): Promise<Answer> {
      socket.cork();
      socket.write(`${head}Content-Length: ${body.length}\r\n\r\n`, "latin1");
      socket.write(body);
      socket.uncork();
      return answer();
    },
    close: () => void socket.destroy(),
  };
}

/** Reads one answer after the other; those of both servers say how long they are. */
function reader(socket: Socket): () => Promise<Answer> {
  let text = "";
  let settle: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;
  const failed = (error: Error) => settle?.reject(error);
  socket.setEncoding("latin1");
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error("a request was not answered in time")));
  socket.on("error", failed);
  socket.on("close", () => failed(new Error("the server closed the connection")));
  socket.on("data", (some: string) => {
    text += some;
    const end = text.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = text.slice(0, end);
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? Number.NaN);
    if (Number.isNaN(length)) return failed(new Error(`an answer of unknown length: ${text}`));
    if (text.length < end + 4 + length) return;
    const closes = /^connection: *close/im.test(head);
    settle?.resolve({ status: Number(head.slice(9, 12)), body: text.slice(end + 4), closes });
    text = "";
  });
  return () =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
}

/** A published checkpoint, and when it was published, ms since the epoch. */
export type Published = { readonly size: number; readonly at: number };

export const historyPage = z.object({
  checkpoints: z.array(
    z
      .object({ size: z.number(), publishedAt: z.string() })
      .transform(({ size, publishedAt }): Published => ({ size, at: Date.parse(publishedAt) })),
  ),
  next: z.number().optional(),
});

/** A server that was started for the measurement. */
export type Side = {
  readonly pid: number;
  readonly endpoint: Endpoint;
  /** The checkpoints of more entries than that, in order. */
  published(after: number): Promise<Published[]>;
  /** Where the last commitment of each of these requests stands. */
  indices(posted: readonly Posted[]): Promise<number[]>;
  stop(): Promise<void>;
};

/** How often it is asked whether all is sealed; no figure depends on it. */
const POLL_MS = 100;
/** A server that takes longer to seal what it accepted has failed. */
const DEADLINE_MS = 180_000;

/** The checkpoints of more than `before` entries, once they cover that many events more. */
export async function covering(
  side: Pick<Side, "published">,
  before: number,
  events: number,
): Promise<Published[]> {
  const deadline = Date.now() + DEADLINE_MS;
  const found: Published[] = [];
  for (;;) {
    found.push(...(await side.published(found.at(-1)?.size ?? before)));
    const size = found.at(-1)?.size ?? before;
    if (size >= before + events) return found;
    if (Date.now() > deadline)
      throw new Error(`only ${size - before} of ${events} events were sealed in time`);
    await sleep(POLL_MS);
  }
}

/** From acknowledgement to the publication of the covering checkpoint, ms, of so many requests at most, evenly chosen. */
export async function waits(
  side: Pick<Side, "indices">,
  published: readonly Published[],
  load: Load,
  most = 1_000,
): Promise<number[]> {
  const every = Math.ceil(load.posted.length / most);
  const some = load.posted.filter((_, i) => i % every === 0);
  const indices = await side.indices(some);
  return some.map(({ acknowledged }, i) => {
    const covered = published.find(({ size }) => size > (indices[i] ?? Number.POSITIVE_INFINITY));
    // A seal may publish what is stored before the acknowledgement of it has arrived.
    return Math.max(0, (covered?.at ?? Number.NaN) - acknowledged);
  });
}

/** CPU time that a process and its threads have taken, where Linux tells: in hundredths of a second (proc_pid_stat(5)). */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name, in brackets, is the second field.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
