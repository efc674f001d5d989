/**
 * What the report uses of the libraries that it comes bundled with: uqr, and pdfkit 0.20, which has no types of its own.
 * Of pdfkit, `_font`, `fonts`, `xobjects` and `push` are not documented.
 */
declare module "#uqr" {
  /** Modules of a QR code, dark ones true, row by row. Throws for more text than a code holds. */
  export function encode(text: string, options: { ecc: "L" | "M"; border: number }): { data: boolean[][] };
}

declare module "#pdfkit" {
  /** A part of the structure tree (PDF 32000-1 §14.7). */
  export type Struct = {
    dictionary: Reference;
    add(child: Struct | (() => void)): Struct;
    end(): void;
  };
  export type StructOptions = { scope?: "Column" | "Row"; alt?: string; bbox?: readonly number[] };
  /** An embedded font. `encode` takes its glyphs into the subset; widths are in thousandths of the size. */
  export type EmbeddedFont = {
    id: string;
    font: { hasGlyphForCodePoint(codePoint: number): boolean };
    encode(
      text: string,
      features: Record<string, boolean>,
    ): [glyphs: string[], positions: { xAdvance: number }[]];
    ref(): Reference;
  };
  /** An object of the file. */
  export type Reference = { data: Record<string, unknown>; write(text: string): void; end(): void };
  export type Page = {
    width: number;
    height: number;
    fonts: Record<string, Reference>;
    xobjects: Record<string, Reference>;
  };
  export type PageOptions = { size: string; layout: "portrait" | "landscape"; margin: number };

  export default class PDFDocument {
    constructor(options: {
      size: string;
      margin: number;
      pdfVersion: string;
      subset: string;
      tagged: boolean;
      displayTitle: boolean;
      lang: string;
      compress: boolean;
      autoFirstPage: boolean;
      font: null;
      info: Record<string, string | Date>;
    });
    page: Page;
    _font: EmbeddedFont;
    outline: { addItem(title: string): unknown };
    on(event: "pageAdded", listener: () => void): this;
    /** Takes each piece of the file, and null at its end. */
    push(piece: Uint8Array | null): boolean;
    registerFont(name: string, bytes: Uint8Array): this;
    font(name: string): this;
    addPage(options: PageOptions): this;
    continueOnNewPage(): this;
    ref(dictionary: Record<string, unknown>): Reference;
    addContent(operators: string): this;
    struct(type: string, options?: StructOptions): Struct;
    addStructure(struct: Struct): this;
    markContent(tag: "Artifact", options: { type: "Pagination" | "Layout" }): this;
    endMarkedContent(): this;
    appendXML(xml: string): void;
    end(): void;
  }
}
