/**
 * XML 1.0 as the formats read it, by saxes, which is strict, and refuses what saxes lets pass: document types, and with them
 * entities of their own, internal or external; processing instructions after the prolog; more than 100 levels, 256
 * attributes of an element. Names are told by the URI of their namespace, never by their prefix.
 */
import { SaxesParser, type SaxesTagNS } from "saxes";
import type { Json, JsonObject } from "../json.ts";
import { MAX_BYTES } from "./json.ts";
import { hasByteOrderMark, malformedEvent } from "./malformed.ts";

const MAX_DEPTH = 100;
const MAX_ATTRIBUTES = 256;
/** Of what is only gone through. */
const MAX_ELEMENTS = 2_000_000;
/** Of elements and attributes, of what becomes a tree in memory. */
const MAX_NODES = 100_000;
const MAX_WALKED_BYTES = 64 << 20;
/** Characters, at least, of a step. */
const STEP = 1 << 15;

export type Tag = {
  /** The name without its prefix. */
  local: string;
  /** "" when it is in no namespace. */
  uri: string;
  /** Those without a namespace, by name. */
  attributes: ReadonlyMap<string, string>;
  /** Offset in bytes of its `<`. */
  start: number;
};

export type Walk = {
  /** `depth` is 1 for the root. */
  open?(tag: Tag, depth: number): void;
  text?(text: string): void;
  /** Of the element that was opened last and not closed: `end` is the offset in bytes after its `>`. */
  close?(depth: number, end: number): void;
};

export type XmlOptions = {
  /**
   * The namespace of every prefix that is not declared: for an element that was cut out of a document that declares it.
   * Without it such a prefix is refused.
   */
  undeclared?: string;
  /** Refuses another encoding: what is cut out of the document could not be read without the document's declaration. */
  isUtf8?: true;
  maxBytes?: number;
};

/** Goes through a document once, in order. Throws EventError `malformed_event`. */
export function walkXml(bytes: Uint8Array, walk: Walk, options: XmlOptions = {}): void {
  through(xmlSteps(bytes, walk, options));
}

/** Long work in steps of some ms: whoever has other things to do can do them between two. */
export type Steps<T> = Generator<undefined, T>;

/** All of it at once. */
export function through<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** As `walkXml`. */
export function* xmlSteps(bytes: Uint8Array, walk: Walk, options: XmlOptions = {}): Steps<void> {
  const { maxBytes = MAX_WALKED_BYTES } = options;
  if (bytes.length > maxBytes) throw malformedEvent(bytes, 0, `more than ${maxBytes >> 20} MiB`);
  const text = decode(bytes, options.isUtf8 === true);
  const offsetOf = offsets(bytes, text);
  const refuse = (position: number, reason: string) => malformedEvent(bytes, offsetOf(position), reason);
  const { undeclared } = options;
  const parser = new SaxesParser({
    xmlns: true,
    position: true,
    ...(undeclared === undefined ? {} : { resolvePrefix: (prefix: string) => UNDECLARED + prefix }),
  });
  let depth = 0;
  let start = 0;
  let elements = 0;
  let attributes = 0;
  let isAfterProlog = false;
  let isAtEnd = false;

  parser.on("error", ({ message }) => {
    // After a colon saxes quotes a name of the document.
    const reason = message.replace(/^\d+:\d+: /, "").replace(/[:.](?:\s.*)?$/su, "");
    throw refuse(isAtEnd ? text.length : Math.max(0, parser.position - 1), reason);
  });
  parser.on("doctype", () => {
    throw refuse(text.lastIndexOf("<!DOCTYPE", parser.position), "a document type declaration");
  });
  parser.on("processinginstruction", () => {
    if (isAfterProlog)
      throw refuse(text.lastIndexOf("<?", parser.position), "a processing instruction within the document");
  });
  parser.on("opentagstart", () => {
    start = text.lastIndexOf("<", parser.position - 1);
    attributes = 0;
    elements++;
    if (elements > MAX_ELEMENTS) throw refuse(start, `more than ${MAX_ELEMENTS} elements`);
    isAfterProlog = true;
    depth++;
    if (depth > MAX_DEPTH) throw refuse(start, `more than ${MAX_DEPTH} levels`);
  });
  parser.on("attribute", () => {
    attributes++;
    if (attributes > MAX_ATTRIBUTES)
      throw refuse(start, `more than ${MAX_ATTRIBUTES} attributes of an element`);
  });
  parser.on("opentag", (tag) => walk.open?.(tagOf(tag, offsetOf(start), undeclared), depth));
  parser.on("closetag", () => {
    walk.close?.(depth, offsetOf(parser.position));
    depth--;
  });
  if (walk.text !== undefined) {
    parser.on("text", (part) => walk.text?.(part));
    parser.on("cdata", (part) => walk.text?.(part));
  }
  for (let from = 0; from < text.length; ) {
    // After a tag's end, where nothing is cut in two.
    const end = text.indexOf(">", from + STEP);
    const to = end === -1 ? text.length : end + 1;
    parser.write(text.slice(from, to));
    from = to;
    if (from < text.length) yield;
  }
  isAtEnd = true;
  parser.close();
}

export type Element = Tag & {
  children: Element[];
  /** Its own, without its children's. */
  text: string;
};

/** Reads a whole document. Throws EventError `malformed_event`. */
export function readXml(bytes: Uint8Array, options: XmlOptions = {}): Element {
  const open: Element[] = [];
  let root: Element | undefined;
  let nodes = 0;
  walkXml(
    bytes,
    {
      open(tag) {
        nodes += 1 + tag.attributes.size;
        if (nodes > MAX_NODES)
          throw malformedEvent(bytes, tag.start, `more than ${MAX_NODES} elements and attributes`);
        const element = { ...tag, children: [], text: "" };
        open.at(-1)?.children.push(element);
        root ??= element;
        open.push(element);
      },
      text(text) {
        const here = open.at(-1);
        if (here !== undefined) here.text += text;
      },
      close() {
        open.pop();
      },
    },
    { maxBytes: MAX_BYTES, ...options },
  );
  if (root === undefined) throw malformedEvent(bytes, bytes.length, "no element");
  return root;
}

/** Elements as JSON has members: by their local names, an array each. */
export function byName(elements: readonly Element[], jsonOf: (element: Element) => Json): JsonObject {
  const members = new Map<string, Json[]>();
  for (const element of elements) {
    const others = members.get(element.local);
    if (others === undefined) members.set(element.local, [jsonOf(element)]);
    else others.push(jsonOf(element));
  }
  return Object.fromEntries(members);
}

function tagOf({ local, uri, attributes }: SaxesTagNS, start: number, undeclared = ""): Tag {
  const own = Object.values(attributes).filter((attribute) => attribute.uri === "");
  return {
    local,
    uri: uri.startsWith(UNDECLARED) ? undeclared : uri,
    start,
    attributes: new Map(own.map(({ name, value }) => [name, value])),
  };
}

/** Before a prefix: two that are not declared may have stood for two namespaces. */
const UNDECLARED = "undeclared:";

const ENCODING = /^(?:\u{feff})?<\?xml\s[^>]{0,100}?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']/u;
/** What stands a byte for a character. */
const SINGLE_BYTE = ["iso-8859-1", "windows-1252", "us-ascii"];

function decode(bytes: Uint8Array, isUtf8: boolean): string {
  const [, declared = "utf-8"] =
    ENCODING.exec(new TextDecoder("latin1").decode(bytes.subarray(hasByteOrderMark(bytes) ? 3 : 0, 200))) ??
    [];
  const encoding = declared.toLowerCase();
  if (SINGLE_BYTE.includes(encoding) && !isUtf8) return new TextDecoder("latin1").decode(bytes);
  if (encoding !== "utf-8") {
    throw malformedEvent(
      bytes,
      0,
      isUtf8 ? "a document to be cut up that is not UTF-8" : "an encoding other than UTF-8 and ISO-8859-1",
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformedEvent(bytes, validUtf8(bytes), "bytes that are not UTF-8");
  }
}

/** How many of the bytes from the first are UTF-8, by halves: the decoder does not say where it stopped. */
function validUtf8(bytes: Uint8Array): number {
  let low = 0;
  let high = bytes.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (isUtf8Beginning(bytes.subarray(0, middle))) low = middle;
    else high = middle - 1;
  }
  return low;
}

function isUtf8Beginning(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** From positions in the text, each at or after the one before in the long run, to offsets in the bytes. */
function offsets(bytes: Uint8Array, text: string): (position: number) => number {
  if (text.length === bytes.length) return (position) => position;
  let position = 0;
  let offset = 0;
  return (asked) => {
    if (asked < position) {
      position = 0;
      offset = 0;
    }
    for (; position < asked; position++) offset += utf8Length(text.charCodeAt(position));
    return offset;
  };
}

/** The second half of a surrogate pair adds nothing to the four bytes of the first. */
function utf8Length(unit: number): number {
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  if (unit >= 0xd800 && unit <= 0xdbff) return 4;
  return unit >= 0xdc00 && unit <= 0xdfff ? 0 : 3;
}
