/** What `kedge agent init` and `kedge agent unit` write: a configuration to begin with, and a unit for systemd. */

/** JSON whose members named `//…` are comments. */
export function initialConfig(): string {
  return `${JSON.stringify(INITIAL, undefined, 2)}\n`;
}

/** Of each kind one, with what is wont to be set. */
export const EXAMPLES = [
  {
    "//": "A listener for others has tls, and a clientCa: syslog has no passwords. The upstream has each message as it came.",
    kind: "syslog",
    name: "atna-tls",
    listen: {
      address: "tls://0.0.0.0:6514",
      tls: {
        cert: "/etc/kedge/agent.crt",
        key: "/etc/kedge/agent.key",
        clientCa: "/etc/kedge/modalities.crt",
      },
    },
    upstream: { url: "tls://arr.example.org:6514" },
  },
  {
    "//": "A FHIR server that is asked for its AuditEvents every minute, and each time for the five minutes before once more.",
    kind: "poll",
    name: "hapi",
    url: "http://127.0.0.1:8080/fhir",
    every: 60,
    overlap: 300,
  },
  {
    "//": "A folder of Epic's extracts, a row an event.",
    kind: "files",
    name: "epic",
    path: "/srv/extracts",
    pattern: "*.txt",
    content: "delimited",
    separator: "|",
    preset: "epic",
  },
  { "//": "Standard input, a line an event.", kind: "stdin", name: "stdin" },
];

const INITIAL = {
  "//": "Configuration of kedge agent. Members whose name begins with // are comments. What it would do: kedge agent check --config agent.json",
  "// data":
    "The folder of the journal, for its owner alone. Back it up: it has the numbers of your events, and what is not posted yet.",
  data: "/var/lib/kedge-agent",
  "// credentials":
    "As kedge tenant create wrote it: where the service is, the log, the API key (scopes write and read). The keyring is beside it, or named by keyring, and its passphrase by passphraseFile.",
  credentials: "/etc/kedge/credentials.json",
  "// health": "Where /healthz, /readyz and /metrics are; false for none.",
  health: { listen: { address: "http://127.0.0.1:9465" } },
  "// alertAfter":
    "Seconds after which it is an alert that what the service accepted is not sealed, and (lagAfter) that what is journalled is not posted.",
  alertAfter: 900,
  lagAfter: 300,
  "// keepDays":
    "Days after which the events of a source leave the searchable journal; their openings stay. By default none leave.",
  keepDays: {},
  "// sources":
    "Each has a name of its own, which stands in every commitment: choose it for good. Listeners are on loopback, or have tls and ask for a certificate (clientCa) or a token (tokenFile).",
  sources: [
    {
      "//": "A file that is followed through its rotations, or a folder.",
      kind: "files",
      name: "ehr",
      path: "/var/log/ehr/audit.ndjson",
    },
    {
      "//": "Audit messages of IHE ATNA from this machine: tcp or udp here, tls for others.",
      kind: "syslog",
      name: "atna",
      listen: { address: "tcp://127.0.0.1:6514" },
    },
    {
      "//": "FHIR (create, batch, transaction), CloudEvents and plain POST.",
      kind: "fhir",
      name: "fhir",
      listen: { address: "http://127.0.0.1:8090" },
    },
  ],
  "// more sources": EXAMPLES,
};

/** For `systemctl`: configuration and credentials come from systemd, so that root alone reads them where they lie. */
export const UNIT = `# /etc/systemd/system/kedge-agent.service
[Unit]
Description=Kedge agent: commits audit events and posts them to a Merkle log
Documentation=man:systemd.exec(5)
Wants=network-online.target
After=network-online.target

[Service]
# In agent.json data is /var/lib/kedge-agent; its credentials do not count beside these.
LoadCredential=agent.json:/etc/kedge/agent.json
LoadCredential=credentials.json:/etc/kedge/credentials.json
# Once there is a keyring, and once it is sealed. They are read at the start: restart after a rotation.
#LoadCredential=keyring.json:/etc/kedge/keyring.json
#LoadCredential=kedge-passphrase:/etc/kedge/passphrase
# A group that may read the logs.
#SupplementaryGroups=adm
ExecStart=/usr/bin/env kedge agent --config \${CREDENTIALS_DIRECTORY}/agent.json --credentials \${CREDENTIALS_DIRECTORY}/credentials.json
WorkingDirectory=/var/lib/kedge-agent
DynamicUser=yes
StateDirectory=kedge-agent
StateDirectoryMode=0700
UMask=0077
Restart=always
RestartSec=5
# It stops its sources, posts for 10 s what is journalled, and keeps the rest for the next start.
TimeoutStopSec=40
# No core dump holds an event.
LimitCORE=0
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
`;
