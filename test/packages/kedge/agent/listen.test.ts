import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkListener, mayEnter, readListener } from "@kedge/cli/agent/listen";
import { afterAll, expect, test } from "vitest";

const SYSLOG = ["tcp", "udp", "tls"] as const;
const HTTP = ["http", "https"] as const;
const folder = mkdtempSync(join(tmpdir(), "kedge-listen-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const tls = { cert: "cert.pem", key: "key.pem" };
const withCa = { ...tls, clientCa: "ca.pem" };

test.each([
  [{ address: "tcp://127.0.0.1:6514" }, SYSLOG, { scheme: "tcp", host: "127.0.0.1", port: 6514 }],
  [{ address: "udp://localhost:514" }, SYSLOG, { scheme: "udp", host: "127.0.0.1", port: 514 }],
  [{ address: "tls://0.0.0.0:6514", tls: withCa }, SYSLOG, { scheme: "tls", host: "0.0.0.0", port: 6514 }],
  [{ address: "http://[::1]:0" }, HTTP, { scheme: "http", host: "::1", port: 0 }],
  [
    { address: "https://10.1.2.3:8443/", tls, tokenFile: "token" },
    HTTP,
    { scheme: "https", host: "10.1.2.3", port: 8443 },
  ],
])("%j may be listened on", (listen, schemes, address) => {
  expect(checkListener(listen, schemes)).toEqual(address);
});

test.each([
  ["in the clear to others", { address: "tcp://0.0.0.0:6514" }, SYSLOG, /not encrypted/],
  [
    "in the clear to others, with a token",
    { address: "http://10.1.2.3:80", tokenFile: "t" },
    HTTP,
    /not enc/,
  ],
  ["datagrams from others", { address: "udp://[::]:514" }, SYSLOG, /not encrypted/],
  ["an IPv6 address that only looks like loopback", { address: "tcp://[::2]:1" }, SYSLOG, /not encrypted/],
  [
    "an address that begins as loopback does",
    { address: "tcp://127.1.evil.example:1" },
    SYSLOG,
    /IP address/,
  ],
  ["TLS from anyone", { address: "tls://0.0.0.0:6514", tls }, SYSLOG, /from anyone: name a clientCa, or/],
  ["HTTPS from anyone", { address: "https://0.0.0.0:443", tls }, HTTP, /clientCa or a tokenFile/],
  ["TLS without a certificate", { address: "tls://127.0.0.1:6514" }, SYSLOG, /needs tls/],
  ["a certificate that is not used", { address: "tcp://127.0.0.1:6514", tls }, SYSLOG, /does not use/],
  [
    "a token that syslog cannot send",
    { address: "tls://0.0.0.0:1", tls, tokenFile: "t" },
    SYSLOG,
    /cannot send/,
  ],
  ["a scheme of another kind", { address: "http://127.0.0.1:80" }, SYSLOG, /tcp:\/\/127/],
  ["a port too high", { address: "tcp://127.0.0.1:65536" }, SYSLOG, /not an address/],
  ["no port", { address: "tcp://127.0.0.1" }, SYSLOG, /not an address/],
])("refused: %s", (_, listen, schemes, why) => {
  expect(() => checkListener(listen, schemes)).toThrow(
    expect.objectContaining({ code: "config", message: expect.stringMatching(why) }),
  );
});

test("only who sends the token may come in", () => {
  const token = "0123456789abcdefghijklmnop";
  const tokenFile = file("token", `${token}\n`);
  const listener = readListener({ address: "http://127.0.0.1:0", tokenFile }, HTTP);
  expect(JSON.stringify(listener)).not.toContain(token);
  expect(mayEnter(listener, `Bearer ${token}`)).toBe(true);
  expect(mayEnter(listener, `bearer ${token}`)).toBe(true);
  for (const wrong of [undefined, "", "Bearer", "Bearer ", `Basic ${token}`, `Bearer ${token}x`, token]) {
    expect(mayEnter(listener, wrong), wrong).toBe(false);
  }
  expect(mayEnter({ scheme: "http", host: "127.0.0.1", port: 0 }, undefined)).toBe(true);
});

test("a token that can be guessed, or a file that is not there, is refused", () => {
  const listen = (tokenFile: string) => () =>
    readListener({ address: "http://127.0.0.1:0", tokenFile }, HTTP);
  expect(listen(file("short", "secret"))).toThrow(/at least 22 characters/);
  expect(listen(file("empty", ""))).toThrow(/holds no token/);
  expect(listen(join(folder, "absent"))).toThrow(expect.objectContaining({ code: "config" }));
});
