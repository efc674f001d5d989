/**
 * A stand-in for Lambda: each instance of a function is a process of its own, with plain Node, the function's asset as
 * its folder and an environment that holds what it is given and nothing else. As many instances as events at a time.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import * as z from "zod";

export type FunctionSettings = {
  readonly name: string;
  readonly arn: string;
  /** The unpacked asset. */
  readonly folder: string;
  /** `<module>.<export>`, as in a template. */
  readonly handler: string;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly environment: Readonly<Record<string, string>>;
};

export type LambdaFunction = {
  /** @throws LambdaError when Lambda's caller would be told of an error. */
  invoke(event: unknown): Promise<unknown>;
  /** Ends every instance. @returns all that they have written. */
  close(): Promise<Written>;
};

/** `crashes` has a line for each instance that ended before it was told to. */
export type Written = {
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly crashes: readonly string[];
};

/** What Lambda answers in the place of a function's result. */
export class LambdaError extends Error {
  override readonly name = "LambdaError";
  readonly errorType: string;

  constructor(errorType: string, errorMessage: string) {
    super(errorMessage);
    this.errorType = errorType;
  }
}

/** Of an invocation that waits for its response (Lambda Developer Guide, "Lambda quotas"): 6 MB. */
const MAX_REQUEST_BYTES = 6 * 1024 * 1024;
/** Of a function's memory, what Lambda lets Node's heap have; the rest is for buffers and the runtime. */
const HEAP_SHARE = 0.9;

const answerSchema = z.union([
  z.strictObject({ response: z.string() }),
  z.strictObject({ errorType: z.string(), errorMessage: z.string() }),
]);

type Instance = {
  /** Undefined when the process has ended; without a message it waits until the handler is loaded. */
  ask(message?: object): Promise<unknown>;
  kill(): void;
  /** Lets it end. */
  release(): void;
  readonly ended: Promise<Written>;
};

export function lambdaFunction(settings: FunctionSettings): LambdaFunction {
  const { name, arn, memoryMb, timeoutSeconds } = settings;
  const all: Instance[] = [];
  const idle: Instance[] = [];

  async function coldStart(): Promise<Instance> {
    const instance = startInstance(settings);
    all.push(instance);
    if ((await instance.ask()) !== undefined) return instance;
    throw new LambdaError("Runtime.ExitError", (await instance.ended).crashes.join());
  }

  return {
    async invoke(event) {
      const payload = JSON.stringify(event);
      const bytes = Buffer.byteLength(payload);
      if (bytes > MAX_REQUEST_BYTES) throw new LambdaError("RequestEntityTooLarge", `${bytes} bytes`);

      const instance = idle.pop() ?? (await coldStart());
      const timeoutMs = timeoutSeconds * 1000;
      const context = {
        functionName: name,
        functionVersion: "$LATEST",
        invokedFunctionArn: arn,
        memoryLimitInMB: String(memoryMb),
        awsRequestId: randomUUID(),
        callbackWaitsForEmptyEventLoop: true,
        timeoutMs,
      };
      const kill = setTimeout(() => instance.kill(), timeoutMs);
      const answer = await instance.ask({ payload, context });
      clearTimeout(kill);
      if (answer === undefined) {
        const { crashes, stderr } = await instance.ended;
        throw new LambdaError("Runtime.ExitError", [...crashes, ...stderr].join("\n"));
      }
      idle.push(instance);
      const parsed = answerSchema.parse(answer);
      if ("errorType" in parsed) throw new LambdaError(parsed.errorType, parsed.errorMessage);
      return JSON.parse(parsed.response);
    },

    async close() {
      for (const { release } of all) release();
      const written = await Promise.all(all.map(({ ended }) => ended));
      return {
        stdout: written.flatMap(({ stdout }) => stdout),
        stderr: written.flatMap(({ stderr }) => stderr),
        crashes: written.flatMap(({ crashes }) => crashes),
      };
    },
  };
}

const RUNNER = join(import.meta.dirname, "lambda-runner.mjs");

function startInstance({ folder, handler, memoryMb, environment }: FunctionSettings): Instance {
  const heap = `--max-old-space-size=${Math.floor(memoryMb * HEAP_SHARE)}`;
  const child = spawn(process.execPath, [heap, RUNNER, handler], {
    cwd: folder,
    env: { ...environment },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let released = false;
  const exited = once(child, "exit");
  const ended = Promise.all([written(child.stdout), written(child.stderr), exited]).then(
    ([stdout, stderr, [code, signal]]) => ({
      stdout,
      stderr,
      crashes: released && code === 0 ? [] : [`${handler} ended with ${signal ?? code}`],
    }),
  );
  return {
    async ask(message) {
      const answered = once(child, "message").then(([answer]): unknown => answer);
      if (message !== undefined && child.connected) child.send(message);
      return await Promise.race([answered, ended.then(() => undefined)]);
    },
    kill: () => child.kill("SIGKILL"),
    release() {
      released = true;
      if (child.connected) child.disconnect();
    },
    ended,
  };
}

async function written(stream: Readable | null): Promise<string[]> {
  const all = stream === null ? "" : await text(stream);
  return all.split("\n").filter((line) => line !== "");
}
