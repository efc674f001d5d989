/** Reads what the report's PDFs have, with no library: objects by their offsets, text by ToUnicode, the structure tree. */
import { inflateSync } from "node:zlib";

/** A piece of text where it is drawn. `mcid` is absent in an artifact. Points, from the lower left. */
export type Drawn = { mcid?: number; tag?: string; text: string; x: number; y: number; right: number };
export type Element = { type: string; dictionary: string; kids: Element[]; text: string };
type Font = { unicode: string[]; widths: number[] };

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

export function readPdf(bytes: Uint8Array) {
  const file = latin1(bytes);
  const start = Number(/startxref\n(\d+)\n%%EOF/.exec(file)?.[1]);
  const offsets = [...file.slice(start).matchAll(/^(\d{10}) \d{5} n /gm)].map(([, at]) => Number(at));
  const inOrder = [...offsets, start].toSorted((a, b) => a - b);
  const ends = new Map(inOrder.map((at, i) => [at, inOrder[i + 1]]));
  const objects = offsets.map((at, i) => {
    const whole = file.slice(at, ends.get(at));
    if (!whole.startsWith(`${i + 1} 0 obj\n`)) throw new Error(`object ${i + 1} is not where it should be`);
    const stream = whole.indexOf("\nstream\n");
    const dictionary = whole.slice(0, stream < 0 ? undefined : stream);
    if (stream < 0) return { dictionary };
    const length = Number(/\/Length (\d+)/.exec(dictionary)?.[1]);
    const content = Buffer.from(whole.slice(stream + 8, stream + 8 + length), "latin1");
    return {
      dictionary,
      stream: latin1(dictionary.includes("/FlateDecode") ? inflateSync(content) : content),
    };
  });
  const object = (id: string | number | undefined) => {
    const found = objects[Number(id) - 1];
    if (found === undefined) throw new Error(`there is no object ${id}`);
    return found;
  };
  const refIn = (dictionary: string, name: string) => new RegExp(`/${name} (\\d+) 0 R`).exec(dictionary)?.[1];
  const dictionaryOf = (id: string | number | undefined) => object(id).dictionary;

  const trailer = file.slice(start);
  const root = dictionaryOf(refIn(trailer, "Root"));
  const pageIds = [
    ...(/\/Kids \[([^\]]*)\]/.exec(dictionaryOf(refIn(root, "Pages")))?.[1] ?? "").matchAll(/(\d+) 0 R/g),
  ].map(([, id]) => id ?? "");

  const fonts = new Map<string, Font>();
  function fontOf(id: string): Font {
    const before = fonts.get(id);
    if (before !== undefined) return before;
    const dictionary = dictionaryOf(id);
    const cmap = object(refIn(dictionary, "ToUnicode")).stream ?? "";
    const unicode = [...cmap.matchAll(/<([0-9a-f]{4})> <[0-9a-f]{4}> \[([^\]]*)\]/g)].flatMap(
      ([, , list = ""]) =>
        [...list.matchAll(/<([0-9a-f ]*)>/g)].map(([, codes = ""]) =>
          String.fromCharCode(...codes.split(" ").map((code) => Number.parseInt(code, 16))),
        ),
    );
    const descendant = dictionaryOf(/\/DescendantFonts \[(\d+) 0 R\]/.exec(dictionary)?.[1]);
    const widths = (/\/W \[0 \[([^\]]*)\]\]/.exec(descendant)?.[1] ?? "").split(" ").map(Number);
    const font = { unicode, widths };
    fonts.set(id, font);
    return font;
  }

  /** What a content stream draws; a form that it draws, too. */
  function drawnBy(stream: string, resources: string, at = { x: 0, y: 0 }): Drawn[] {
    const drawn: Drawn[] = [];
    const named = (name = "") => new RegExp(`/${name} (\\d+) 0 R`).exec(resources)?.[1] ?? "";
    let marked: Pick<Drawn, "mcid" | "tag"> | undefined;
    let [x, y, size, form] = [at.x, at.y, 0, at];
    let font: Font = { unicode: [], widths: [] };
    const operators =
      /\/(\w+) (<<[\s\S]*?>>) BDC|(EMC)|1 0 0 -1 ([-\d.]+) ([-\d.]+) (?:Tm|(cm))|\/(F\d+) ([\d.]+) Tf|<([0-9a-f]*)> Tj|\/(\w+) Do/g;
    for (const [, tag, options = "", end, tx, ty, isForm, name, points, hex, drawnForm] of stream.matchAll(
      operators,
    )) {
      if (tag !== undefined) {
        const mcid = /\/MCID (\d+)/.exec(options)?.[1];
        marked = { tag, ...(mcid === undefined ? {} : { mcid: Number(mcid) }) };
      } else if (end !== undefined) marked = undefined;
      else if (isForm !== undefined) form = { x: Number(tx), y: Number(ty) };
      else if (tx !== undefined) [x, y] = [Number(tx), Number(ty)];
      else if (name !== undefined) [font, size] = [fontOf(named(name)), Number(points)];
      else if (drawnForm !== undefined) {
        const { dictionary, stream: inner = "" } = object(named(drawnForm));
        for (const one of drawnBy(inner, dictionary, form)) drawn.push({ ...marked, ...one });
      } else if (hex !== undefined) {
        const codes = (hex.match(/.{4}/g) ?? []).map((code) => Number.parseInt(code, 16));
        const right = x + codes.reduce((sum, code) => sum + ((font.widths[code] ?? 0) / 1000) * size, 0);
        const text = codes.map((code) => font.unicode[code] ?? "\u{fffd}").join("");
        drawn.push({ ...marked, text, x, y, right });
        x = right;
      }
    }
    return drawn;
  }

  const pages = pageIds.map((id) => {
    const dictionary = dictionaryOf(id);
    const [, width, height] = /\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/.exec(dictionary)?.map(Number) ?? [];
    const resources = dictionaryOf(refIn(dictionary, "Resources"));
    const content = object(refIn(dictionary, "Contents")).stream ?? "";
    return { id, width: width ?? 0, height: height ?? 0, content, drawn: drawnBy(content, resources) };
  });
  const marked = new Map<string, string>();
  for (const { id, drawn } of pages) {
    for (const { mcid, text } of drawn) {
      const key = `${id}/${mcid}`;
      if (mcid !== undefined) marked.set(key, `${marked.get(key) ?? ""}${text}`);
    }
  }

  function element(id: string | undefined): Element {
    const { dictionary } = object(id);
    const page = refIn(dictionary, "Pg");
    const kids: Element[] = [];
    let text = "";
    const list = /\/K \[([\s\S]*?)\]\n/.exec(dictionary)?.[1] ?? "";
    const parts = /<<[\s\S]*?\/Pg (\d+) 0 R[\s\S]*?\/MCID (\d+)[\s\S]*?>>|(\d+) 0 R|(\d+)/g;
    for (const [, otherPage, otherMcid, kid, mcid] of list.matchAll(parts)) {
      if (kid !== undefined) kids.push(element(kid));
      else
        text += `${text === "" ? "" : " "}${marked.get(`${otherPage ?? page}/${otherMcid ?? mcid}`) ?? ""}`;
    }
    const type = /\/S \/(\w+)/.exec(dictionary)?.[1] ?? "";
    return { type, dictionary, kids, text: text.trimEnd() };
  }
  const tree = dictionaryOf(refIn(root, "StructTreeRoot"));
  const top = element(/\/K \[(\d+) 0 R\]/.exec(tree)?.[1]);
  return {
    file,
    root,
    trailer,
    objects,
    pages,
    top,
    info: dictionaryOf(refIn(trailer, "Info")),
    dictionaryOf,
  };
}

/** Elements in reading order. */
export const elementsOf = (top: Element): Element[] => [top, ...top.kids.flatMap(elementsOf)];

/** What a screen reader says, a piece a line. */
export const readingOf = (top: Element): string =>
  elementsOf(top)
    .flatMap(({ text }) => (text === "" ? [] : [text]))
    .join("\n");
