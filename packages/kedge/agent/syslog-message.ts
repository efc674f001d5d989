/**
 * What of a syslog message is the event: the audit message (DICOM PS3.15 A.5, RFC 3881) that it carries. The header is outside
 * the commitment, whichever it is: RFC 5424's, RFC 3164's, one that follows neither, or none.
 */

export type Content =
  /** `mediaType` and `notes` as an Arrival has them; `isCut`: the end of it is missing. */
  | { kind: "audit"; bytes: Uint8Array; mediaType: string; notes: string[]; isCut: boolean }
  /** Not an audit message. `bytes`: all of it, for its header says when and where from. */
  | { kind: "foreign"; bytes: Uint8Array };

/** IHE ITI TF-2 3.20.7.1 names it for what is posted; DICOM's own messages and RFC 3881's have one root element. */
const AUDIT_MEDIA_TYPE = "application/ihe+rfc3881";

const PRI = /^<\d{1,3}>/;
/** RFC 5424 §6.2, up to and with the space after MSGID; sizes as §6. */
const HEADER = /^<\d{1,3}>1 \S{1,64} \S{1,255} \S{1,48} \S{1,128} (\S{1,32}) /;
/** As IHE ITI-20 and DICOM PS3.15 A.6 have it, and as senders write it. */
const AUDIT_MSGID = /^(?:IHE|DICOM)\+RFC-?3881$/i;
/** The root element of DICOM PS3.15 A.5.1 and of RFC 3881, as a part of a pattern. */
export const ROOT = "(?:[\\w.-]{1,40}:)?AuditMessage";
const XML_BEGINS = new RegExp(`<\\?xml\\s|<${ROOT}[\\s>]`, "g");
const HAS_ROOT = new RegExp(`<${ROOT}[\\s>]`, "g");
const ROOT_ENDS = new RegExp(`</${ROOT}\\s{0,40}>`, "g");
const BOM = "\u00ef\u00bb\u00bf";

/** Never throws. `bytes` of what comes out are a part of the message. */
export function readContent(message: Uint8Array): Content {
  // An octet a character: places in the text are places in the message.
  const text = Buffer.from(message.buffer, message.byteOffset, message.length).toString("latin1");
  const end = endOf(message);
  const { from, msgId } = readHeader(text);
  HAS_ROOT.lastIndex = from;
  XML_BEGINS.lastIndex = from;
  const begins = HAS_ROOT.test(text) ? XML_BEGINS.exec(text)?.index : undefined;
  if (begins !== undefined) {
    ROOT_ENDS.lastIndex = begins;
    const hasBom = text.startsWith(BOM, begins - BOM.length) && begins >= from + BOM.length;
    return {
      kind: "audit",
      bytes: message.subarray(begins, end),
      mediaType: AUDIT_MEDIA_TYPE,
      notes: hasBom ? ["byte order mark taken away"] : [],
      isCut: !ROOT_ENDS.test(text),
    };
  }
  // Its sender calls it one: it is taken as it is, for whoever can tell what it should have been.
  if (AUDIT_MSGID.test(msgId) && from < end) {
    const start = text.startsWith(BOM, from) ? from + BOM.length : from;
    const notes = ["marked as an audit message, and no AuditMessage in it"];
    if (start > from) notes.push("byte order mark taken away");
    return {
      kind: "audit",
      bytes: message.subarray(start, end),
      mediaType: "text/plain",
      notes,
      isCut: false,
    };
  }
  return { kind: "foreign", bytes: message.subarray(0, end) };
}

/** Where the header ends, as far as it can be told: what else stands before the XML is passed over. */
function readHeader(text: string): { from: number; msgId: string } {
  const [header, msgId = ""] = HEADER.exec(text) ?? [];
  const from = header === undefined ? undefined : skipStructuredData(text, header.length);
  return from === undefined ? { from: PRI.exec(text)?.[0].length ?? 0, msgId: "" } : { from, msgId };
}

/** RFC 5424 §6.3, by a scan: the values of an element may hold brackets, and what looks like an audit message. */
function skipStructuredData(text: string, from: number): number | undefined {
  let at = from;
  let isInElement = false;
  let isInValue = false;
  for (; at < text.length; at++) {
    const character = text[at];
    if (isInValue) {
      if (character === "\\") at++;
      else if (character === '"') isInValue = false;
    } else if (isInElement) {
      if (character === '"') isInValue = true;
      else if (character === "]") isInElement = false;
    } else if (character === "[") isInElement = true;
    else break;
  }
  const isNil = at === from && text[at] === "-";
  const end = isNil ? at + 1 : at;
  return end > from && text[end] === " " ? end + 1 : undefined;
}

/** Line ends and NULs after a message are its framing, in a counted one and in a datagram too. */
function endOf(message: Uint8Array): number {
  let end = message.length;
  while (end > 0 && isLineEnd(message[end - 1])) end -= 1;
  return end;
}

const isLineEnd = (octet: number | undefined): boolean => octet === 0x0a || octet === 0x0d || octet === 0;
