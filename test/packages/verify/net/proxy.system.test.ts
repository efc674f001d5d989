/** Requests go through the proxy that the environment names, and none to this machine does. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseTilePath } from "@kedge/verify/tlog/tile";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kedge } from "../../../cli/run.ts";
import { logFiles, tenantEntries } from "../../../support/anchor-log.ts";
import { policyText } from "../../../support/proofs.ts";
import { hasOpenssl } from "../../../support/tsa.ts";

let cwd: string;
const closing: (() => void)[] = [];
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "kedge-proxy-"));
  await writeFile(join(cwd, "policy"), policyText(2));
});
afterAll(async () => {
  for (const close of closing) close();
  await rm(cwd, { recursive: true });
});

async function listen(server: Server & { closeAllConnections?: () => void }): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  closing.push(() => {
    server.closeAllConnections?.();
    server.close();
  });
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A proxy for CONNECT, which leads to one port whatever is asked for; and what was. */
async function startProxy(port: number) {
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(500).end();
  });
  proxy.on("connect", (request: IncomingMessage, client: Socket) => {
    asked.push(request.url ?? "");
    const server = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      server.pipe(client).pipe(server);
    });
    for (const socket of [client, server]) socket.on("error", () => undefined);
    closing.push(() => client.destroy());
  });
  return { asked, url: `http://127.0.0.1:${await listen(proxy)}` };
}

const files = logFiles(tenantEntries(0, 10));
async function answer(path: string): Promise<Uint8Array> {
  return path === "checkpoint" ? await files.checkpoint() : await files.tile(parseTilePath(path));
}

const look = (url: string, env: Record<string, string>) =>
  kedge(["monitor", url, "--policy", "policy", "--state", `state-${Math.random()}`, "--timeout", "20"], {
    cwd,
    env: { HTTPS_PROXY: "", HTTP_PROXY: "", NO_PROXY: "", ...env },
  });

describe.skipIf(!hasOpenssl)("https to another machine, with a CA of one's own", () => {
  let proxy: Awaited<ReturnType<typeof startProxy>>;
  beforeAll(async () => {
    const subject = ["-subj", "/CN=audit.invalid", "-addext", "subjectAltName=DNS:audit.invalid"];
    const made =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout key.pem -out cert.pem";
    execFileSync("openssl", [...made.split(" "), ...subject], { cwd, stdio: "ignore" });
    const [key, cert] = await Promise.all(["key.pem", "cert.pem"].map((name) => readFile(join(cwd, name))));
    const server = createTlsServer({ ...(key && { key }), ...(cert && { cert }) }, (request, response) => {
      answer((request.url ?? "").replace("/anchor/", "")).then(
        (bytes) => response.end(bytes),
        () => response.writeHead(404).end(),
      );
    });
    proxy = await startProxy(await listen(server));
  });

  test.each(["HTTPS_PROXY", "HTTP_PROXY"])("goes through the one of %s", async (variable) => {
    proxy.asked.length = 0;
    const env = { [variable]: proxy.url, NODE_EXTRA_CA_CERTS: "cert.pem" };
    const { code, out } = await look("https://audit.invalid/anchor", env);
    expect([code, out]).toEqual([0, expect.stringMatching(/^GOOD/)]);
    expect(new Set(proxy.asked)).toEqual(new Set(["audit.invalid:443"]));
  });

  test("without that CA, or past the proxy by NO_PROXY, is not reached, and the variable is named", async () => {
    const HTTPS_PROXY = proxy.url;
    const strange = await look("https://audit.invalid/anchor", { HTTPS_PROXY });
    expect([strange.code, strange.out]).toEqual([3, expect.stringMatching(/SELF_SIGNED.*HTTPS_PROXY/)]);
    expect(strange.out).not.toContain(proxy.url);
    proxy.asked.length = 0;
    const past = await look("https://audit.invalid/anchor", { HTTPS_PROXY, NO_PROXY: "audit.invalid" });
    expect([past.code, proxy.asked]).toEqual([3, []]);
  });
});

test("what is on this machine is asked without a proxy", async () => {
  const server = createServer((request, response) => {
    answer((request.url ?? "").replace("/anchor/", "")).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  const port = await listen(server);
  const proxy = await startProxy(port);
  const env = { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url };
  expect((await look(`http://127.0.0.1:${port}/anchor`, env)).code).toBe(0);
  expect(proxy.asked).toEqual([]);
});
