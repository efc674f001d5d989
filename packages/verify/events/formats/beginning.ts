/** What the beginning of an event says of its format: enough to choose one, without reading the event. Never throws. */

export type Beginning = {
  /** The members of a JSON object that begin within it: of a text its value, of all else "". */
  members?: ReadonlyMap<string, string>;
  /** Whether they are those of the first object of an array. */
  isArray?: boolean;
  root?: { local: string; uri: string };
};

const MAX_BEGINNING = 1 << 16;
const MAX_PROLOG = 1 << 12;

export function beginningOf(bytes: Uint8Array): Beginning {
  const first = firstByte(bytes);
  if (first === 0x7b || first === 0x5b) {
    const text = new TextDecoder().decode(bytes.subarray(0, MAX_BEGINNING));
    return { members: topMembers(text, first === 0x5b ? 2 : 1), isArray: first === 0x5b };
  }
  if (first !== 0x3c) return {};
  const root = rootOf(new TextDecoder().decode(bytes.subarray(0, MAX_PROLOG)));
  return root === undefined ? {} : { root };
}

/** The first byte that is not whitespace nor of a byte order mark. */
function firstByte(bytes: Uint8Array): number | undefined {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return bytes.subarray(start, start + MAX_PROLOG).find((byte) => byte > 0x20);
}

/** A string that is cut off ends with the text: so no text is gone through twice. */
const TOKEN = /"[^"\\]*(?:\\.?[^"\\]*)*(?:"|$)|[{}[\]:,]/gsu;

/** The members at a depth: of the outermost object at 1, of the first object of an array at 2. The text may be cut anywhere. */
function topMembers(text: string, wanted: number): Map<string, string> {
  const members = new Map<string, string>();
  let depth = 0;
  let name: string | undefined;
  let last: string | undefined;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") depth++;
    if (token === "}" || token === "]") depth--;
    if (depth < wanted && members.size > 0) break;
    if (depth !== wanted) continue;
    if (token === ":") {
      name = last;
      if (name !== undefined && !members.has(name)) members.set(name, "");
    } else if (token.startsWith('"')) {
      last = token.slice(1, -1);
      if (name !== undefined) members.set(name, last);
      name = undefined;
    } else {
      name = undefined;
      last = undefined;
    }
  }
  return members;
}

const PROLOG = /^(?:\s|\u{feff}|<\?[^>]*>|<!--[^-]*(?:-[^-]+)*-->|<!DOCTYPE[^>[]*(?:\[[^\]]*\])?[^>]*>)*/u;
const ROOT = /^<(?:([A-Za-z_][\w.-]*):)?([A-Za-z_][\w.-]*)([^<>]*)/u;
const XMLNS = /\sxmlns(?::([\w.-]+))?\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/gu;

function rootOf(text: string): { local: string; uri: string } | undefined {
  const prolog = PROLOG.exec(text)?.[0] ?? "";
  const [, prefix, local, attributes = ""] = ROOT.exec(text.slice(prolog.length)) ?? [];
  if (local === undefined) return undefined;
  const declared = [...attributes.matchAll(XMLNS)].find(([, name]) => name === prefix);
  return { local, uri: declared?.[2] ?? declared?.[3] ?? "" };
}
