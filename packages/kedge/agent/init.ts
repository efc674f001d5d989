/** What `kedge agent init` and `kedge agent unit` write: a configuration to begin with, and a unit for systemd. */

/** JSON whose members named `//…` are comments. */
export function initialConfig(): string {
  return `${JSON.stringify(INITIAL, undefined, 2)}\n`;
}

const INITIAL = {
  "//": "Configuration of kedge agent. Members whose name begins with // are comments. See: kedge agent check --config agent.json",
  "// data":
    "The folder of the journal, for its owner alone. Back it up: it has the numbers of your events, and what is not posted yet.",
  data: "/var/lib/kedge-agent",
  "// credentials":
    "As kedge tenant create wrote it: where the service is, the log, the API key (scopes write and read).",
  credentials: "/etc/kedge/credentials.json",
  "// health": "/healthz, /readyz and /metrics. false for none.",
  health: { listen: { address: "http://127.0.0.1:9465" } },
  "// alertAfter":
    "Seconds: an alert when what the service accepted is not sealed, and when what is journalled is not posted (lagAfter).",
  alertAfter: 900,
  lagAfter: 300,
  "// keepDays":
    'Days after which the events of a source leave the searchable journal, such as { "ehr": 730 }. Their openings stay.',
  keepDays: {},
  "// sources":
    "Each has a name of its own, which stands in every commitment: choose it for good. Listeners are on loopback, or have tls and a clientCa or a tokenFile.",
  sources: [
    {
      "//": "A file that is written to and rotated, or a folder of files: NDJSON, lines, FHIR resources and Bundles, delimited files.",
      kind: "files",
      name: "ehr",
      path: "/var/log/ehr.ndjson",
    },
    {
      "//": "Epic's extracts: a row an event.",
      kind: "files",
      name: "epic",
      path: "/srv/epic/access-log",
      pattern: "*.txt",
      content: "delimited",
      preset: "epic",
    },
    { "//": "Standard input, a line an event.", kind: "stdin", name: "stdin" },
  ],
};

/** For `systemctl`: the credentials come from systemd, so that they lie in no folder that others read. */
export const UNIT = `# /etc/systemd/system/kedge-agent.service
[Unit]
Description=Kedge agent: commits audit events and posts them to a Merkle log
Documentation=man:systemd.exec(5)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/env kedge agent --config /etc/kedge/agent.json
WorkingDirectory=/etc/kedge
DynamicUser=yes
StateDirectory=kedge-agent
StateDirectoryMode=0700
UMask=0077
# In agent.json: "credentials": "/run/credentials/kedge-agent.service/credentials.json", and so for a passphraseFile.
LoadCredential=credentials.json:/etc/kedge/credentials.json
Restart=always
RestartSec=5
# It stops its sources, posts what it can in 20 s, and keeps the rest for the next start.
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
