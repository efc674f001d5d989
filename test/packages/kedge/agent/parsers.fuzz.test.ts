/** What of the agent reads what others wrote, on samples changed: see test/support/fuzz.ts. Each parser has an entry here. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "@kedge/cli/agent/config";
import { AgentError } from "@kedge/cli/agent/error";
import { Refusal } from "@kedge/cli/agent/fhir-answers";
import { initialConfig } from "@kedge/cli/agent/init";
import { pieces } from "@kedge/cli/agent/pieces";
import { readPage } from "@kedge/cli/agent/poll-page";
import { postedEvents } from "@kedge/cli/agent/posted-events";
import { type Framed, openFraming } from "@kedge/cli/agent/syslog-framing";
import { readContent } from "@kedge/cli/agent/syslog-message";
import { rotate } from "@kedge/cli/keys/keyring";
import { parseKeyringFile } from "@kedge/cli/keys/keyring-file";
import { EventError } from "@kedge/verify/events/error";
import { through } from "@kedge/verify/events/formats/xml";
import { HOUR, type Manifest, manifestBytes, parseManifest } from "@kedge/verify/events/manifest";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import {
  AUDIT_EVENT_R4,
  BUNDLE_JSON,
  CLOUD_EVENT,
  DICOM,
  EPIC_ROW,
  RFC_3881_BROKEN,
} from "../../../support/event-samples.ts";
import { fuzz, type Parser } from "../../../support/fuzz.ts";

const isEventError = (error: unknown): boolean => error instanceof EventError;
const never = (): boolean => false;
const failed = (what: string): never => {
  throw new Error(what);
};

const HEADER = "<85>1 2026-03-14T10:32:07.123Z pacs.example app 42 IHE+RFC-3881 - ";
const MESSAGES = [
  `${HEADER}\u{feff}${DICOM}`,
  `<13>Mar 14 10:32:07 host emr: ${RFC_3881_BROKEN}`,
  RFC_3881_BROKEN,
  "<34>1 2026-03-14T10:32:07Z host su - ID47 - 'su root' failed",
];
const octets = (text: string): string => `${Buffer.byteLength(text)} ${text}`;
const STREAMS = [
  MESSAGES.map(octets).join(""),
  MESSAGES.map((message) => message.replaceAll("\n", " ")).join("\n"),
  `${MESSAGES[3]}\u0000${octets(MESSAGES[1] ?? "")}${MESSAGES[0]}`,
];
const LIMIT = 2_000;

/** The messages do not depend on how the stream was cut, and no more is held than the limit. */
function framed(input: Uint8Array, size: number): Framed[] {
  const framing = openFraming(LIMIT);
  const messages: Framed[] = [];
  for (let at = 0; at < input.length; at += size) {
    for (const message of framing.push(input.subarray(at, at + size))) messages.push(copied(message));
    if (framing.held() > LIMIT + 1_024 + size) failed("The framing holds more than its limit");
  }
  for (const message of framing.end(true)) messages.push(copied(message));
  return messages;
}

const copied = (message: Framed): Framed =>
  message.kind === "message" ? { ...message, bytes: message.bytes.slice() } : message;

const hour = Date.UTC(2026, 2, 14, 10);
const MANIFESTS: Manifest[] = [
  { source: "ehr", from: hour, to: hour + HOUR, root: EMPTY_ROOT },
  {
    source: "ehr",
    from: hour,
    to: hour + HOUR,
    numbers: { first: 7n, last: 12n },
    root: new Uint8Array(32).fill(1),
    previous: new Uint8Array(32).fill(2),
  },
];

const folder = mkdtempSync(join(tmpdir(), "kedge-fuzz-"));
const keyring = join(folder, "keyring.json");
await rotate({ path: keyring, tenantKey: new Uint8Array(32).fill(7) }, hour);
const keyringSample = new Uint8Array(readFileSync(keyring));
rmSync(folder, { recursive: true });

const posted = (contentType: string) => (input: Uint8Array) => {
  through(postedEvents(new Headers({ "content-type": contentType }), input));
};
const refusesPost = (error: unknown): boolean => error instanceof Refusal || isEventError(error);

const PARSERS: Parser[] = [
  {
    name: "syslog framing",
    samples: STREAMS.map(utf8ToBytes),
    parse(input) {
      const whole = framed(input, input.length || 1);
      const cut = framed(input, 97);
      if (whole.length !== cut.length) failed("Pieces make other messages");
      for (const [i, message] of whole.entries()) {
        const other = cut[i];
        if (message.kind !== other?.kind) failed("Pieces make another message");
        if (
          message.kind === "message" &&
          other?.kind === "message" &&
          !equalBytes(message.bytes, other.bytes)
        )
          failed("Pieces make other bytes");
      }
    },
    declares: never,
  },
  {
    name: "syslog message",
    samples: MESSAGES.map(utf8ToBytes),
    parse(input) {
      const { bytes } = readContent(input);
      if (bytes.length > 0 && bytes.buffer !== input.buffer) failed("The event is no part of the message");
    },
    declares: never,
  },
  {
    name: "lines and rows in pieces",
    samples: [`a\r\n\n${EPIC_ROW}\r\n${EPIC_ROW}`, '{"a":1}\n{"a":2}\n'].map(utf8ToBytes),
    parse(input) {
      for (const rows of [undefined, { separator: "|" }]) {
        const reader = pieces({ limit: 300, rows });
        let end = 0;
        for (let at = 0; at < input.length; at += 61) {
          for (const piece of reader.add(input.subarray(at, at + 61))) {
            if (piece.end <= end) failed("The reader went back");
            end = piece.end;
          }
        }
        for (const piece of reader.rest()) end = piece.end;
        if (end > input.length) failed("The reader went beyond the end");
      }
    },
    declares: never,
  },
  {
    name: "a manifest",
    samples: MANIFESTS.map(manifestBytes),
    parse(input) {
      if (!equalBytes(manifestBytes(parseManifest(input)), input)) failed("A manifest has two spellings");
    },
    declares: isEventError,
  },
  {
    name: "the configuration",
    samples: [utf8ToBytes(initialConfig())],
    parse(input) {
      parseConfig(input);
    },
    declares: (error) => error instanceof AgentError,
  },
  {
    name: "the keyring",
    samples: [keyringSample],
    parse(input) {
      parseKeyringFile(new TextDecoder().decode(input));
    },
    declares: never,
  },
  {
    name: "a page of a FHIR search",
    samples: [
      BUNDLE_JSON,
      `{"resourceType":"Bundle","link":[{"relation":"next","url":"x"}],"entry":[{"resource":${AUDIT_EVENT_R4}}]}`,
    ].map(utf8ToBytes),
    parse(input) {
      readPage(input, "AuditEvent");
    },
    declares: isEventError,
  },
  {
    name: "a POST of CloudEvents",
    samples: [utf8ToBytes(`[${CLOUD_EVENT}]`)],
    parse: posted("application/cloudevents-batch+json"),
    declares: refusesPost,
  },
  {
    name: "a POST of lines",
    samples: [utf8ToBytes(`${JSON.stringify(JSON.parse(CLOUD_EVENT))}\r\n\n{"a":1}`)],
    parse: posted("application/x-ndjson"),
    declares: refusesPost,
  },
];

for (const parser of PARSERS) fuzz(parser);
