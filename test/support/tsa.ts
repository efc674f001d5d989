/** A real timestamping authority, OpenSSL's `ts`, with certificates made for the test in a temporary folder. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** False, with the reason printed, where there is no openssl: then the tests that need one are skipped. */
export const hasOpenssl = ((): boolean => {
  const { status, stdout } = spawnSync("openssl", ["version"], { encoding: "utf8" });
  const found = status === 0 && /^OpenSSL [1-9]/.test(stdout);
  if (!found)
    process.stderr.write("skipped: no openssl on the PATH, so no timestamping authority to test with\n");
  return found;
})();

const CONFIG = `
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[short_ca]
basicConstraints = critical, CA:TRUE, pathlen:0
[not_ca]
basicConstraints = CA:FALSE
[tsa]
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
[no_eku]
keyUsage = critical, digitalSignature
[eku_not_critical]
extendedKeyUsage = timeStamping
[eku_not_alone]
extendedKeyUsage = critical, timeStamping, codeSigning
[eku_other]
extendedKeyUsage = critical, codeSigning
[no_signing]
keyUsage = critical, keyEncipherment
extendedKeyUsage = critical, timeStamping
[https]
subjectAltName = IP:127.0.0.1
extendedKeyUsage = serverAuth
[unknown_critical]
extendedKeyUsage = critical, timeStamping
1.2.3.4.5.6 = critical, DER:0500
[ts]
default_tsa = sha256
[sha256]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
tsa_name = yes
ess_cert_id_alg = sha256
signer_digest = sha256
[sha512]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha512
signer_digest = sha512
[ess_v1]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha1
signer_digest = sha384
[sha1]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha1
[only_sha512]
serial = serial
default_policy = 1.2.3.4.1
digests = sha512
signer_digest = sha256
`;

export type KeyKind = "rsa" | "rsa1024" | "p256" | "p384";
const NEW_KEY: Record<KeyKind, string> = {
  rsa: "-newkey rsa:2048",
  rsa1024: "-newkey rsa:1024",
  p256: "-newkey ec -pkeyopt ec_paramgen_curve:P-256",
  p384: "-newkey ec -pkeyopt ec_paramgen_curve:P-384",
};

/** A certificate and its key, by the name of their files. */
export type Identity = { readonly name: string; readonly pem: string };

export type Tsa = ReturnType<typeof opensslTsa>;

export function opensslTsa() {
  const cwd = mkdtempSync(join(tmpdir(), "kedge-tsa-"));
  writeFileSync(join(cwd, "openssl.cnf"), CONFIG);
  writeFileSync(join(cwd, "serial"), "01\n");
  let count = 0;

  /** @param command words, with a space between them. @param more words that may have spaces. */
  const openssl = (command: string, ...more: readonly string[]): Buffer =>
    execFileSync("openssl", [...command.split(" "), ...more], {
      cwd,
      env: { ...process.env, OPENSSL_CONF: "openssl.cnf" },
      stdio: "pipe",
    });
  const write = (bytes: Uint8Array): string => {
    const name = `file${count++}`;
    writeFileSync(join(cwd, name), bytes);
    return name;
  };
  const identity = (name: string): Identity => ({
    name,
    pem: readFileSync(join(cwd, `${name}.pem`), "utf8"),
  });

  return {
    /** A self-signed root. */
    root(key: KeyKind = "rsa", more: string[] = []): Identity {
      const name = `root${count++}`;
      const subject = `-nodes -subj /O=Test/CN=${name} -days 3650 -extensions ca`;
      openssl(`req -x509 ${NEW_KEY[key]} ${subject} ${filesOf(name, "pem")}`, ...more);
      return identity(name);
    },
    /** A certificate with the extensions of a section of the configuration; `days` may be negative. */
    issue(
      issuer: Identity,
      extensions: string,
      options: { key?: KeyKind; days?: number; subject?: string } = {},
    ): Identity {
      const { key = "p256", days = 30, subject = `/O=Test/CN=${extensions}${count}` } = options;
      const name = `cert${count++}`;
      openssl(`req -new ${NEW_KEY[key]} -nodes ${filesOf(name, "csr")}`, "-subj", subject);
      const by = `-CA ${issuer.name}.pem -CAkey ${issuer.name}.key -set_serial ${count + 1000}`;
      const as = `-extfile openssl.cnf -extensions ${extensions} -days ${days} -out ${name}.pem`;
      openssl(`x509 -req -in ${name}.csr ${by} ${as}`);
      return identity(name);
    },
    /** The files of a certificate and its key. */
    paths: ({ name }: Identity) => ({ cert: join(cwd, `${name}.pem`), key: join(cwd, `${name}.key`) }),
    /** What the authority answers to a TimeStampReq. `chain` goes with it. */
    reply(
      signer: Identity,
      request: Uint8Array,
      options: { section?: string; chain?: Identity[] } = {},
    ): Uint8Array {
      const { section = "sha256", chain = [] } = options;
      const out = `reply${count++}`;
      const by = `-signer ${signer.name}.pem -inkey ${signer.name}.key -section ${section}`;
      const more =
        chain.length === 0 ? [] : ["-chain", write(Buffer.from(chain.map(({ pem }) => pem).join("")))];
      openssl(`ts -reply -config openssl.cnf -queryfile ${write(request)} ${by} -out ${out}`, ...more);
      return new Uint8Array(readFileSync(join(cwd, out)));
    },
    /** A token of an answer. */
    token(response: Uint8Array): Uint8Array {
      return new Uint8Array(openssl(`ts -reply -in ${write(response)} -token_out -config openssl.cnf`));
    },
    /** Throws unless OpenSSL follows the token to this root, over these bytes. */
    verify(token: Uint8Array, data: Uint8Array, root: Identity): void {
      openssl(`ts -verify -data ${write(data)} -in ${write(token)} -token_in -CAfile ${root.name}.pem`);
    },
    /** The TSTInfo of a token, signed again by somebody whom `ts` would refuse to sign for, in these CMS options. */
    resign(
      token: Uint8Array,
      signers: readonly Identity[],
      options: string[] = ["-cades", "-md", "sha256"],
      edit = (info: Uint8Array): Uint8Array => info,
    ): Uint8Array {
      const [info, out] = [`info${count++}`, `cms${count++}`];
      openssl(`cms -verify -noverify -inform DER -in ${write(token)} -binary -out ${info}`);
      writeFileSync(join(cwd, info), edit(new Uint8Array(readFileSync(join(cwd, info)))));
      const by = signers.map(({ name }) => `-signer ${name}.pem -inkey ${name}.key`).join(" ");
      const type = "-econtent_type 1.2.840.113549.1.9.16.1.4 -nodetach -binary -nosmimecap";
      openssl(`cms -sign ${type} ${by}`, ...options, "-in", info, "-outform", "DER", "-out", out);
      return new Uint8Array(readFileSync(join(cwd, out)));
    },
    close: () => rmSync(cwd, { recursive: true }),
  };
}

const filesOf = (name: string, kind: string): string => `-keyout ${name}.key -out ${name}.${kind}`;
