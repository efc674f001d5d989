/** Certificates for tests of TLS, made by openssl in a temporary folder. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export { hasOpenssl } from "../../../support/tsa.ts";

export type Pair = { cert: string; key: string };

/** Two authorities, and what the first has issued; `issue` makes more. Paths of files in PEM. */
export function makeCertificates() {
  const folder = mkdtempSync(join(tmpdir(), "kedge-certificates-"));
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, {
      cwd: folder,
      stdio: "ignore",
      env: { ...process.env, OPENSSL_CONF: "" },
    });
  };
  writeFileSync(
    join(folder, "openssl.cnf"),
    "[req]\ndistinguished_name = dn\n[dn]\n[ca]\nbasicConstraints = critical, CA:TRUE\n[leaf]\nsubjectAltName = IP:127.0.0.1, DNS:localhost\n",
  );
  const pair = (name: string): Pair => ({
    cert: join(folder, `${name}.pem`),
    key: join(folder, `${name}.key`),
  });
  const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "openssl.cnf"];
  const authority = (name: string): Pair => {
    const files = ["-keyout", `${name}.key`, "-out", `${name}.pem`];
    openssl("req", "-x509", ...KEY, "-extensions", "ca", "-subj", `/CN=${name}`, "-days", "2", ...files);
    return pair(name);
  };
  const issue = (name: string, by: string): Pair => {
    openssl("req", "-new", ...KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    const signer = ["-CA", `${by}.pem`, "-CAkey", `${by}.key`, "-CAcreateserial"];
    const as = ["-extfile", "openssl.cnf", "-extensions", "leaf", "-days", "2"];
    openssl("x509", "-req", "-in", `${name}.csr`, ...signer, ...as, "-out", `${name}.pem`);
    return pair(name);
  };
  return {
    folder,
    ca: authority("ca"),
    otherCa: authority("other-ca"),
    server: issue("server", "ca"),
    client: issue("client", "ca"),
    stranger: issue("stranger", "other-ca"),
    issue,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
