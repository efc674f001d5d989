/**
 * CDISC ODM (1.2 to 2.0): audited changes of clinical data, a record with its ancestors' keys, or a file as a whole.
 *
 * A *record* is an element that has an AuditRecord: SubjectData, StudyEventData, FormData, ItemGroupData, ItemData and its
 * typed kin. Its event, of media type `application/vnd.kedge.odm-record`, is three parts joined by line feeds:
 *
 *     {"FormOID":"DM","ItemGroupOID":"DM","StudyEventOID":"SCREEN","StudyOID":"S1","SubjectKey":"0001"}
 *     <ItemData ItemOID="DM.SEX" Value="MALE"><AuditRecord>…</AuditRecord></ItemData>
 *     <AuditRecord ID="AR.1">…</AuditRecord>
 *
 * - the keys of the elements around it, a JSON object by RFC 8785, those of KEYS that they have;
 * - the element's bytes as they stand in the file, less those of its StudyEventData, FormData, ItemGroupData and ItemData
 *   children, which are records of their own or none;
 * - only where it names an AuditRecord by AuditRecordID: that one's bytes as they stand in AuditRecords.
 *
 * The hash covers these parts. It covers neither namespaces declared further out, nor the file's own attributes
 * (FileOID, CreationDateTime), nor data that has no AuditRecord: for those, commit the file. A file without one audit
 * record is one event, and so is any whose media type is `application/xml`: its hash covers all of its bytes.
 *
 * Source: https://www.cdisc.org/standards/data-exchange/odm-xml, ODM 1.3.2 §3.1.4.1.1 (AuditRecord), §2.5 (keys).
 */
import { joinBytes } from "../../tlog/bytes.ts";
import type { Json } from "../json.ts";
import { type Columns, columnsOf, MAX_SUBJECTS } from "./columns.ts";
import type { Format, Slice } from "./format.ts";
import { at, first, isObject, joined, lookAtJson } from "./json.ts";
import { malformedEvent } from "./malformed.ts";
import { type Element, readXml, type Tag, walkXml } from "./xml.ts";

const RECORD_TYPE = "application/vnd.kedge.odm-record";
const FILE_TYPE = "application/xml";
const NAMESPACE = /^http:\/\/www\.cdisc\.org\/ns\/odm\//;

/** The attributes that say which piece of data an element is (ODM 1.3.2 §2.5), in the order of RFC 8785. */
const KEYS = [
  "FormOID",
  "FormRepeatKey",
  "ItemGroupOID",
  "ItemGroupRepeatKey",
  "MetaDataVersionOID",
  "StudyEventOID",
  "StudyEventRepeatKey",
  "StudyOID",
  "SubjectKey",
];
/** What holds pieces of data, or is one. */
const DATA = /^(?:StudyEventData|FormData|ItemGroupData|ItemData\w*)$/;

export const odm: Format = {
  name: "odm",
  mediaTypes: [RECORD_TYPE],
  recognises: ({ root }) => root?.local === "ODM" && NAMESPACE.test(root.uri),
  read: (bytes) => (bytes[0] === OPEN_BRACE ? readRecord(bytes) : readFile(bytes)),
  split: (bytes) => (bytes[0] === OPEN_BRACE ? [{ bytes, mediaType: RECORD_TYPE }] : splitFile(bytes)),
};

const OPEN_BRACE = 0x7b;
const LF = 0x0a;

/** An element that is open. */
type Frame = {
  tag: Tag;
  keys: ReadonlyMap<string, string>;
  isAudited: boolean;
  /** What is left out of it. */
  cuts: Span[];
};
type Span = { start: number; end: number };
type Found = Span & { keys: ReadonlyMap<string, string>; cuts: readonly Span[]; auditRecordId?: string };

/** Goes through the file once; it never becomes a tree. */
function splitFile(bytes: Uint8Array): Slice[] {
  const open: Frame[] = [];
  const records: Found[] = [];
  const auditRecords = new Map<string, Span>();
  walkXml(
    bytes,
    {
      open(tag, depth) {
        if (depth === 1) checkRoot(bytes, tag);
        const parent = open.at(-1);
        if (tag.local === "AuditRecord" && parent !== undefined)
          parent.isAudited = parent.tag.local !== "AuditRecords";
        open.push({
          tag,
          keys: withKeys(parent),
          isAudited: tag.attributes.has("AuditRecordID"),
          cuts: [],
        });
      },
      close(_depth, end) {
        const frame = open.pop();
        if (frame === undefined) return;
        const { tag, keys, cuts, isAudited } = frame;
        const span = { start: tag.start, end };
        const id = tag.attributes.get("ID");
        if (tag.local === "AuditRecord" && id !== undefined) auditRecords.set(id, span);
        const auditRecordId = tag.attributes.get("AuditRecordID");
        if (isAudited)
          records.push({ ...span, keys, cuts, ...(auditRecordId !== undefined && { auditRecordId }) });
        if (DATA.test(tag.local)) open.at(-1)?.cuts.push(span);
      },
    },
    { isUtf8: true },
  );
  if (records.length === 0) return [{ bytes, mediaType: FILE_TYPE }];
  return records
    .sort((a, b) => a.start - b.start)
    .map((record) => ({ bytes: recordBytes(bytes, record, auditRecords), mediaType: RECORD_TYPE }));
}

function checkRoot(bytes: Uint8Array, { local, start }: Tag): void {
  if (local !== "ODM") throw malformedEvent(bytes, start, "no ODM file");
}

/** The keys around an element: those around its parent, and its parent's own. */
function withKeys(parent: Frame | undefined): ReadonlyMap<string, string> {
  if (parent === undefined) return new Map();
  const { attributes } = parent.tag;
  const own = [...attributes].filter(([name]) => KEYS.includes(name));
  return own.length === 0 ? parent.keys : new Map([...parent.keys, ...own]);
}

function recordBytes(file: Uint8Array, record: Found, auditRecords: ReadonlyMap<string, Span>): Uint8Array {
  const { keys, start, end, cuts, auditRecordId } = record;
  if (keys.size === 0) throw malformedEvent(file, start, "an audit record outside of ClinicalData");
  const ordered = KEYS.flatMap((key) => (keys.has(key) ? [[key, keys.get(key)]] : []));
  const parts: Uint8Array[] = [new TextEncoder().encode(`${JSON.stringify(Object.fromEntries(ordered))}\n`)];
  let from = start;
  for (const cut of cuts) {
    parts.push(file.subarray(from, cut.start));
    from = cut.end;
  }
  parts.push(file.subarray(from, end));
  if (auditRecordId !== undefined) {
    const named = auditRecords.get(auditRecordId);
    if (named === undefined) throw malformedEvent(file, start, "an AuditRecordID that no AuditRecord has");
    parts.push(Uint8Array.of(LF), file.subarray(named.start, named.end));
  }
  return joinBytes(parts);
}

function readRecord(bytes: Uint8Array): Columns {
  const lineEnd = bytes.indexOf(LF);
  if (lineEnd < 0) throw malformedEvent(bytes, bytes.length, "no record after its keys");
  const keys = lookAtJson(bytes.subarray(0, lineEnd));
  if (!isObject(keys) || Object.keys(keys).length === 0)
    throw malformedEvent(bytes, 0, "a record without keys");
  const [element, named] = elementsAfter(bytes, lineEnd);
  if (element === undefined) throw malformedEvent(bytes, lineEnd, "no record after its keys");
  return columnsOf(draftOf(keys, element, named));
}

/** The elements after the line of keys: in its place, of the same length, stands the beginning of an element around them. */
function elementsAfter(bytes: Uint8Array, lineEnd: number): Element[] {
  const opening = new TextEncoder().encode("<r>".padStart(lineEnd));
  const closing = new TextEncoder().encode("</r>");
  return readXml(joinBytes([opening, bytes.subarray(lineEnd), closing]), { undeclared: "" }).children;
}

function draftOf(keys: Json, element: Element, named: Element | undefined) {
  const audit = named ?? element.children.find(({ local }) => local === "AuditRecord");
  const text = (local: string) => first(audit?.children.find((child) => child.local === local)?.text);
  const oid = (local: string, name: string) =>
    audit?.children.find((child) => child.local === local)?.attributes.get(name);
  const own = (name: string) => element.attributes.get(name);
  const key = (name: string) => first(own(name), at(keys, name));
  return {
    when: text("DateTimeStamp"),
    user: { login: oid("UserRef", "UserOID"), department: oid("LocationRef", "LocationOID") },
    action: own("TransactionType"),
    recordType: joined(
      [
        element.local,
        joined([key("StudyEventOID"), key("FormOID"), key("ItemGroupOID"), own("ItemOID")], "/"),
      ],
      " ",
    ),
    reason: { explanation: text("ReasonForChange") },
    source: joined([key("StudyOID"), text("SourceID")], ": "),
    subjects: [key("SubjectKey")],
  };
}

/** Of a file: what it says of itself, and whom it is about. */
function readFile(bytes: Uint8Array): Columns {
  const subjects = new Set<string>();
  let root: Tag | undefined;
  walkXml(bytes, {
    open(tag, depth) {
      if (depth === 1) {
        checkRoot(bytes, tag);
        root = tag;
      }
      const subject = tag.attributes.get("SubjectKey");
      if (subject !== undefined && subjects.size < MAX_SUBJECTS) subjects.add(subject);
    },
  });
  const own = (name: string) => root?.attributes.get(name);
  return columnsOf({
    when: own("CreationDateTime"),
    action: own("FileType"),
    recordType: "ODM",
    source: first(own("SourceSystem"), own("Originator")),
    subjects: [...subjects],
  });
}
