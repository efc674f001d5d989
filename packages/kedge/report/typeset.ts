/**
 * Text as it is set: which glyph of which font, how wide, where lines break. All text is hostile: what has no glyph, or
 * would not be seen as a character, stands as its code point, `[U+202E]`, so nothing can turn, hide or imitate a line.
 */
import type PDFDocument from "#pdfkit";
import type { EmbeddedFont } from "#pdfkit";
import type { Fonts, Weight } from "./fonts.ts";

/** `width` in points at size 1. */
type Glyph = { font: EmbeddedFont; hex: string; width: number };
/** A line that fits, glyph by glyph. */
export type SetLine = { glyphs: readonly Glyph[]; width: number };
export type Typesetter = ReturnType<typeof openTypesetter>;

/** Beside these, lines break at spaces; the rest of a word that is too long breaks anywhere. */
const BREAK_AFTER = /[-/_@;&=?|\\]|[.,:](?!\d)/g;
const UNSEEN = /[\p{C}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\u2800]/u;

export function openTypesetter(doc: PDFDocument, fonts: Fonts) {
  const embed = (weight: Weight) =>
    fonts[weight].map((bytes, i) => {
      doc.registerFont(`${weight}-${i}`, bytes).font(`${weight}-${i}`);
      return doc._font;
    });
  const embedded = { regular: embed("regular"), bold: embed("bold") };
  const known = { regular: new Map<string, readonly Glyph[]>(), bold: new Map<string, readonly Glyph[]>() };

  /** The glyphs of one character. */
  function glyphsOf(character: string, weight: Weight): readonly Glyph[] {
    const before = known[weight].get(character);
    if (before !== undefined) return before;
    const codePoint = character.codePointAt(0) ?? 0;
    const font = UNSEEN.test(character)
      ? undefined
      : embedded[weight].find((one) => one.font.hasGlyphForCodePoint(codePoint));
    const glyphs =
      font === undefined
        ? [...`[U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}]`].flatMap((one) =>
            glyphsOf(one, weight),
          )
        : [glyphOf(font, character)];
    known[weight].set(character, glyphs);
    return glyphs;
  }

  /** Lines of at most `width` points. Line ends in the text are kept; of white space, one space is left. */
  function linesOf(text: string, size: number, width: number, weight: Weight): SetLine[] {
    const limit = width / size;
    const space = glyphsOf(" ", weight);
    const spaceWidth = widthOf(space);
    const lines: SetLine[] = [];
    for (const paragraph of text.normalize("NFC").split(/\r\n|[\r\n]/)) {
      let line: Glyph[] = [];
      let used = 0;
      // Within a word, nothing is between two lines. Else there is a space, for who reads them one after the other.
      const end = (isInWord: boolean) => {
        lines.push({ glyphs: isInWord ? line : [...line, ...space], width: used * size });
        [line, used] = [[], 0];
      };
      for (const word of paragraph.split(/[\p{Zs}\t]+/u)) {
        if (word === "") continue;
        for (const [i, part] of partsOf(word).entries()) {
          const glyphs = [...part].flatMap((character) => glyphsOf(character, weight));
          const wide = widthOf(glyphs);
          const gap = i === 0 && line.length > 0 ? spaceWidth : 0;
          if (used + gap + wide <= limit) {
            if (gap > 0) line.push(...space);
            line.push(...glyphs);
            used += gap + wide;
            continue;
          }
          if (line.length > 0) end(i > 0);
          for (const glyph of glyphs) {
            if (line.length > 0 && used + glyph.width > limit) end(true);
            line.push(glyph);
            used += glyph.width;
          }
        }
      }
      end(false);
    }
    return lines;
  }

  return { linesOf };
}

const widthOf = (glyphs: readonly Glyph[]): number => glyphs.reduce((sum, { width }) => sum + width, 0);

function glyphOf(font: EmbeddedFont, character: string): Glyph {
  // Not composed of parts (OpenType's ccmp): a part alone would stand for no character when the text is read out.
  const [glyphs, positions] = font.encode(character, { ccmp: false });
  return {
    font,
    hex: glyphs.join(""),
    width: positions.reduce((sum, { xAdvance }) => sum + xAdvance, 0) / 1000,
  };
}

/** A word, cut where it may break. */
function partsOf(word: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (const { index } of word.matchAll(BREAK_AFTER)) {
    parts.push(word.slice(start, index + 1));
    start = index + 1;
  }
  if (start < word.length) parts.push(word.slice(start));
  return parts;
}

/** Black, and two that read well on white: at least 7 to 1. */
export const INKS = {
  black: "0 0 0 rg",
  muted: "0.3 0.33 0.37 rg",
  unchanged: "0.05 0.33 0.16 rg",
  changed: "0.55 0.05 0.07 rg",
  untold: "0.4 0.25 0 rg",
};
export type Ink = keyof typeof INKS;

/** Draws a line with its baseline at `y`, from the top of the page. Inside marked content. */
export function drawLine(
  doc: PDFDocument,
  { glyphs }: SetLine,
  at: { x: number; y: number; size: number; ink: Ink },
): void {
  let operators = "";
  let current: EmbeddedFont | undefined;
  let hex = "";
  const flush = () => {
    if (hex !== "") operators += `<${hex}> Tj `;
    hex = "";
  };
  for (const { font, hex: own } of glyphs) {
    if (font !== current) {
      flush();
      current = font;
      doc.page.fonts[font.id] ??= font.ref();
      operators += `/${font.id} ${number(at.size)} Tf `;
    }
    hex += own;
  }
  flush();
  // The page is drawn from its top, so text is turned back.
  if (operators !== "")
    doc.addContent(`${INKS[at.ink]} BT 1 0 0 -1 ${number(at.x)} ${number(at.y)} Tm ${operators}ET`);
}

/** Two places after the point are more than any printer shows. */
export const number = (n: number): string => `${Math.round(n * 100) / 100}`;
