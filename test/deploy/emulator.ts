/** The emulator (emulator.py) as a process, and what asks it: commands as a person types them, and calls as the AWS CLI makes. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { z } from "zod";

export const REGION = "eu-central-1";
export const ACCOUNT = "111122223333";
/** As emulator.py names them. */
export const PATCHES = [
  "mldsa44",
  "object_lock",
  "metric_math",
  "leading_keys",
  "signing_keys",
  "principal_arn",
] as const;

const START_MS = 240_000;
const COMMAND_MS = 600_000;
const here = (file: string): string => join(import.meta.dirname, file);

const credentialsSchema = z.object({
  AccessKeyId: z.string(),
  SecretAccessKey: z.string(),
  SessionToken: z.string().optional(),
});
export type Credentials = z.infer<typeof credentialsSchema>;

const answerSchema = z.union([
  z.object({ result: z.unknown() }),
  z.object({ error: z.object({ Code: z.string(), Message: z.string().default("") }) }),
]);

/** What AWS refused, by its own code. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly code: string;
  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

const decisionSchema = z.object({
  who: z.string(),
  action: z.string(),
  resource: z.string(),
  denied: z.boolean(),
});
export type Decision = z.infer<typeof decisionSchema>;

export type Outcome = { readonly code: number; readonly output: string };

export type Emulator = {
  readonly port: number;
  /** Empty but for what the suite puts there; HOME is in it. */
  readonly folder: string;
  /** A method and its parameters are botocore's. @throws Refused */
  aws(service: string, method: string, parameters: object, credentials?: Credentials): Promise<unknown>;
  /** Runs a line of bash as the deployer, whose environment holds nothing of this process's but the PATH. */
  run(line: string, cwd: string): Promise<Outcome>;
  /** Every decision of IAM until now. */
  decisions(): Decision[];
  /** What the emulator and the functions have written. */
  log(): string;
  stop(): Promise<void>;
};

export async function startEmulator(
  python: string,
  patches: readonly (typeof PATCHES)[number][] = PATCHES,
): Promise<Emulator> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-emulator-"));
  const file = (name: string): string => join(folder, name);
  for (const name of ["home", "tmp"]) await mkdir(file(name));
  // A person confirms at the terminal what a deployment may do; here there is no terminal.
  await writeFile(file("home/.cdk.json"), JSON.stringify({ requireApproval: "never" }));
  const [certificate, key] = [file("certificate.pem"), file("key.pem")];
  await promisify(execFile)(python, [here("certificate.py"), certificate, key]);

  const port = await freePort();
  const path = `${dirname(process.execPath)}:${process.env["PATH"]}`;
  const base = {
    PATH: path,
    HOME: file("home"),
    TMPDIR: file("tmp"),
    NODE_EXTRA_CA_CERTS: certificate,
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  };
  const names = `--require ${here("preload.cjs")}`;
  const root = { AWS_ACCESS_KEY_ID: "root", AWS_SECRET_ACCESS_KEY: "root" };
  const log = openSync(file("log"), "a");
  const emulator = spawn(python, [here("emulator.py")], {
    // A group of its own, with the processes of the functions: emulator.py ends all of it when its standard input ends.
    detached: true,
    stdio: ["pipe", log, log],
    env: {
      ...base,
      ...root,
      NODE_OPTIONS: names,
      KEDGE_PATCHES: patches.join(","),
      KEDGE_DECISIONS: file("decisions"),
      BIND_HOST: "127.0.0.1",
      GATEWAY_PORT: String(port),
      MINISTACK_REGION: REGION,
      MINISTACK_ACCOUNT_ID: ACCOUNT,
      AUTH: "true",
      USE_SSL: "1",
      MINISTACK_SSL_CERT: certificate,
      MINISTACK_SSL_KEY: key,
      LAMBDA_EXECUTOR: "local",
      PERSIST_STATE: "0",
      IOT_MTLS_ENABLED: "0",
      SFTP_ENABLED: "0",
    },
  });
  const ended = once(emulator, "exit");
  const client = {
    ...base,
    AWS_ENDPOINT_URL: `https://127.0.0.1:${port}`,
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: file("none"),
    AWS_SHARED_CREDENTIALS_FILE: file("none"),
    AWS_CA_BUNDLE: certificate,
    NODE_OPTIONS: names,
  };
  await ready(port, certificate, emulator, () => readFileSync(file("log"), "utf8"));

  const asking = spawn(python, [here("aws.py")], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...client, ...root },
  });
  const answers = createInterface({ input: asking.stdout })[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();
  const ask = async (request: object): Promise<unknown> => {
    asking.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await answers.next();
    if (done === true) throw new Error("aws.py has ended");
    const answer = answerSchema.parse(JSON.parse(String(value)));
    if ("error" in answer) throw new Refused(answer.error.Code, answer.error.Message);
    return answer.result;
  };
  let deployer: Credentials | undefined;
  const aws: Emulator["aws"] = (service, method, parameters, credentials = deployer) => {
    const answer = turn.then(() => ask({ service, method, parameters, credentials }));
    turn = answer.catch(() => {});
    return answer;
  };
  deployer = await makeDeployer(aws);
  const keys = { AWS_ACCESS_KEY_ID: deployer.AccessKeyId, AWS_SECRET_ACCESS_KEY: deployer.SecretAccessKey };

  return {
    port,
    folder,
    aws,
    run: (line, cwd) =>
      new Promise((resolve) => {
        const env = { ...client, ...keys };
        const bash = ["-c", `exec 2>&1; ${line}`];
        const child = execFile("bash", bash, { cwd, env, timeout: COMMAND_MS }, (error, output) => {
          resolve({ code: error === null ? 0 : Number(error.code ?? 1), output });
        });
        child.stdin?.end();
      }),
    decisions: () =>
      readFileSync(file("decisions"), "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => decisionSchema.parse(JSON.parse(line))),
    log: () => readFileSync(file("log"), "utf8"),
    async stop() {
      asking.stdin.end();
      emulator.stdin?.end();
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = z.object({ port: z.int() }).parse(server.address());
  server.close();
  await once(server, "close");
  return port;
}

async function ready(port: number, certificate: string, emulator: ChildProcess, log: () => string) {
  const ca = readFileSync(certificate);
  const answers = (): Promise<boolean> =>
    new Promise((resolve) => {
      const url = `https://127.0.0.1:${port}/_ministack/health`;
      get(url, { ca }, (answer) => {
        answer.resume();
        resolve(answer.statusCode === 200);
      }).on("error", () => resolve(false));
    });
  for (const start = Date.now(); !(await answers()); await delay(100)) {
    if (emulator.exitCode !== null || Date.now() - start > START_MS)
      throw new Error(`the emulator did not start:\n${log()}`);
  }
}

/** Whoever deploys: no root, so that IAM decides. */
async function makeDeployer(aws: Emulator["aws"]): Promise<Credentials> {
  const UserName = "deployer";
  const PolicyArn = "arn:aws:iam::aws:policy/AdministratorAccess";
  await aws("iam", "create_user", { UserName });
  await aws("iam", "attach_user_policy", { UserName, PolicyArn });
  const made = await aws("iam", "create_access_key", { UserName });
  return z.object({ AccessKey: credentialsSchema }).parse(made).AccessKey;
}
