/**
 * The fonts of the report: Noto Sans 5.3.0 as @fontsource cuts it by ranges of Unicode (OFL-1.1, fonts/LICENSE). They are
 * files of ours, so that a report has the same bytes for as long as they do.
 */
import { readBeside } from "#read-beside";

export type Weight = "regular" | "bold";
/** Of each weight: the first that has a character shows it. */
export type Fonts = Record<Weight, readonly Uint8Array[]>;

// Each is written out: that is how a bundler finds them.
const REGULAR = [
  new URL("./fonts/noto-sans-latin-400.woff", import.meta.url),
  new URL("./fonts/noto-sans-latin-ext-400.woff", import.meta.url),
  new URL("./fonts/noto-sans-greek-400.woff", import.meta.url),
  new URL("./fonts/noto-sans-cyrillic-400.woff", import.meta.url),
  new URL("./fonts/noto-sans-vietnamese-400.woff", import.meta.url),
];
const BOLD = [
  new URL("./fonts/noto-sans-latin-700.woff", import.meta.url),
  new URL("./fonts/noto-sans-latin-ext-700.woff", import.meta.url),
  new URL("./fonts/noto-sans-greek-700.woff", import.meta.url),
  new URL("./fonts/noto-sans-cyrillic-700.woff", import.meta.url),
  new URL("./fonts/noto-sans-vietnamese-700.woff", import.meta.url),
];

let kept: Promise<Fonts> | undefined;

/** Loaded once; again after a failure. */
export async function loadFonts(): Promise<Fonts> {
  kept ??= load();
  try {
    return await kept;
  } catch (error) {
    kept = undefined;
    throw error;
  }
}

async function load(): Promise<Fonts> {
  const [regular, bold] = await Promise.all(
    [REGULAR, BOLD].map(async (urls) => await Promise.all(urls.map(loadFont))),
  );
  return { regular: regular ?? [], bold: bold ?? [] };
}

const loadFont = async (url: URL): Promise<Uint8Array> => await unpacked(await readBeside(url));

/** Of a table in a WOFF file's directory, bytes (W3C WOFF 1.0 §4), and in a font file's (OpenType, "Table directory"). */
const PACKED_ENTRY = 20;
const ENTRY = 16;

/** The font in a WOFF file (W3C WOFF 1.0 §3–5). fontkit would inflate a table again for each glyph. */
async function unpacked(woff: Uint8Array): Promise<Uint8Array> {
  const from = new DataView(woff.buffer, woff.byteOffset, woff.byteLength);
  const count = from.getUint16(12);
  const font = new Uint8Array(from.getUint32(16));
  const to = new DataView(font.buffer);
  // Flavour and count; then what helps to search the directory.
  to.setUint32(0, from.getUint32(4));
  to.setUint16(4, count);
  const power = Math.floor(Math.log2(count));
  to.setUint16(6, ENTRY << power);
  to.setUint16(8, power);
  to.setUint16(10, ENTRY * count - (ENTRY << power));
  let at = 12 + ENTRY * count;
  for (let i = 0; i < count; i++) {
    const entry = 44 + PACKED_ENTRY * i;
    const [offset, packed, length] = [4, 8, 12].map((place) => from.getUint32(entry + place));
    if (offset === undefined || packed === undefined || length === undefined) continue;
    const table = woff.slice(offset, offset + packed);
    font.set(packed < length ? await inflated(table) : table, at);
    to.setUint32(12 + ENTRY * i, from.getUint32(entry));
    to.setUint32(12 + ENTRY * i + 4, from.getUint32(entry + 16));
    to.setUint32(12 + ENTRY * i + 8, at);
    to.setUint32(12 + ENTRY * i + 12, length);
    at += Math.ceil(length / 4) * 4;
  }
  return font;
}

async function inflated(table: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([table]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
