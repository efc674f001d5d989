import { readContent } from "@kedge/cli/agent/syslog-message";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const BOM = "\xef\xbb\xbf";
const DICOM =
  '<AuditMessage><EventIdentification EventActionCode="R"><EventID csd-code="110112" codeSystemName="DCM" originalText="Query"/></EventIdentification></AuditMessage>';
const RFC3881 =
  '<?xml version="1.0" encoding="ASCII"?>\n <AuditMessage>\n  <EventIdentification EventActionCode="R"><EventID code="eventIDcode" codeSystemName="DCM"/></EventIdentification>\n </AuditMessage>';

function audit(text: string) {
  const content = readContent(bytesOf(text));
  if (content.kind !== "audit") throw new Error("It is not taken as an audit message");
  return { ...content, bytes: Buffer.from(content.bytes).toString("latin1") };
}

const IHE = { kind: "audit", mediaType: "application/ihe+rfc3881", notes: [], isCut: false };

describe("the event in a message", () => {
  test.each([
    ["IHE ITI-20", `<85>1 2026-11-28T09:00:00.000Z host app 77 IHE+RFC-3881 - ${DICOM}`],
    ["DICOM PS3.15 A.6", `<84>1 2026-11-28T09:00:00Z host app 77 DICOM+RFC3881 - ${DICOM}`],
    ["MSGID without a hyphen", `<85>1 2026-11-28T09:00:00Z host app 77 IHE+RFC3881 - ${DICOM}`],
    ["no MSGID, another facility", `<13>1 - - - - - - ${DICOM}`],
    ["structured data", `<85>1 - h a 1 IHE+RFC-3881 [x@1 a="] <AuditMessage \\" "][y b="c"] ${DICOM}`],
    ["RFC 3164", `<85>Nov 28 09:00:00 host app[77]: ${DICOM}`],
    ["RFC 3164 with a time of its own", `<13>2026-11-28T10:00:00+01:00 host ${DICOM}`],
    ["PRI alone", `<85>${DICOM}`],
    ["no header", DICOM],
    ["a line's end after it", `${DICOM}\r\n`],
    ["NUL after it", `<85>1 - - - - - - ${DICOM}\0`],
  ])("is the XML after the header: %s", (_, message) => {
    expect(audit(message)).toEqual({ ...IHE, bytes: DICOM });
  });

  test("has its XML declaration, and is committed to as it stands where its code is the name of a variable", () => {
    expect(audit(`<13>2026-11-28T10:00:00+01:00 emr.example\n${RFC3881}`)).toEqual({
      ...IHE,
      bytes: RFC3881,
    });
    expect(audit(RFC3881)).toEqual({ ...IHE, bytes: RFC3881 });
  });

  test.each([
    ["RFC 5424", `<85>1 - h a 1 IHE+RFC-3881 - ${BOM}${DICOM}`],
    ["no header", `${BOM}${DICOM}`],
  ])("loses its byte order mark, and that is noted: %s", (_, message) => {
    expect(audit(message)).toEqual({ ...IHE, bytes: DICOM, notes: ["byte order mark taken away"] });
  });

  test("is the same 32 bytes' worth, whatever its header and framing", () => {
    const all = [`<85>1 - h a 1 IHE+RFC-3881 - ${BOM}${DICOM}`, `${DICOM}\n`, `<1>x ${DICOM}`].map(audit);
    expect(new Set(all.map(({ bytes, mediaType }) => `${mediaType} ${bytes}`)).size).toBe(1);
  });

  test("is cut when its root does not end", () => {
    const cut = DICOM.slice(0, 100);
    expect(audit(`<85>1 - h a 1 IHE+RFC-3881 - ${cut}`)).toEqual({ ...IHE, bytes: cut, isCut: true });
  });

  test("is text when its sender calls it an audit message and it is none", () => {
    expect(audit(`<85>1 - h a 1 IHE+RFC-3881 - ${BOM}user logged in`)).toEqual({
      kind: "audit",
      bytes: "user logged in",
      mediaType: "text/plain",
      notes: ["marked as an audit message, and no AuditMessage in it", "byte order mark taken away"],
      isCut: false,
    });
  });

  test.each([
    ["another program's", "<30>1 2026-11-28T09:00:00Z host sshd 1 - - session opened"],
    ["without a header", "session opened"],
    ["other XML", "<85>1 - h a 1 - - <?xml version='1.0'?><note/>"],
    ["an audit message in the structured data", '<85>1 - h a 1 - [x a="<AuditMessage >"] session opened'],
  ])("is not there in a foreign message, which keeps its header: %s", (_, message) => {
    expect(readContent(bytesOf(`${message}\n`))).toEqual({ kind: "foreign", bytes: bytesOf(message) });
  });
});

test("whatever is sent is read, and what is taken lies in it", () => {
  const piece = fc.constantFrom(
    ...[
      "<85>1 ",
      "- ",
      "[a ",
      'b="',
      '"]',
      "\\",
      "]",
      BOM,
      "<?xml ",
      "?>",
      "<AuditMessage ",
      "</AuditMessage>",
    ],
    ...["IHE+RFC-3881 ", "\n", "\0", "x", "<a:AuditMessage>", `<85>1 - h a 1 IHE+RFC-3881 - ${BOM}${DICOM}`],
  );
  const text = fc
    .array(fc.oneof(piece, fc.string({ unit: "binary-ascii", maxLength: 5 })))
    .map((all) => all.join(""));
  fc.assert(
    fc.property(text, (sent) => {
      const { bytes } = readContent(bytesOf(sent));
      expect(sent).toContain(Buffer.from(bytes).toString("latin1"));
    }),
    { numRuns: 200 },
  );
});
