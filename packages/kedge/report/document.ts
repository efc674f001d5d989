/**
 * A tagged document, top to bottom, on pdfkit: PDF/A-2a and PDF/UA-1, fonts embedded, deflated by fflate
 * in Node too, so that the same calls make the same bytes everywhere. Each text is in the structure tree in reading order; lines, shades, repeated headers
 * and page footers are artifacts (PDF 32000-1 §14.7, §14.8; ISO 14289-1 §7).
 */
import PDFDocument, { type Reference, type Struct, type StructOptions } from "#pdfkit";
import type { Fonts, Weight } from "./fonts.ts";
import { drawLine, INKS, type Ink, number, openTypesetter, type SetLine } from "./typeset.ts";

/** A4, points. */
const MARGIN = 42;
const FOOTER = 34;
const FOOTER_SIZE = 7.5;
/** For how many pages there are. */
const TOTAL_ROOM = 18;
/** A cell of more lines is cut: no row is longer than a page. */
const MAX_CELL_LINES = 36;
const PADDING = 3;

export type Line = { text: string; bold?: boolean; ink?: Ink };
/** `span`: over how many columns. */
export type Cell = { lines: readonly Line[]; span?: number };
/** `width` is a share of the table's. */
export type Column = { title: string; width: number };
export type TableOptions = {
  columns: readonly Column[];
  size: number;
  /** What stands at the end of a cell that was cut. */
  cut: string;
};
export type Title = { title: string; lang: string; creator: string; date: Date };
/** `page` is followed by how many pages there are. */
export type Footer = { left: readonly [string, string]; page: (page: number) => string };
export type Document = ReturnType<typeof openDocument>;

export function openDocument(fonts: Fonts, { title, lang, creator, date }: Title, footer: Footer) {
  const file = openFile();
  // Its own stream keeps every piece, and takes time with the square of their number.
  class Pdf extends PDFDocument {
    override push(piece: Uint8Array | null): boolean {
      if (piece !== null) file.write(piece);
      return true;
    }
  }
  const doc = new Pdf({
    size: "A4",
    margin: MARGIN,
    pdfVersion: "1.7",
    subset: "PDF/A-2a",
    tagged: true,
    displayTitle: true,
    lang,
    compress: true,
    autoFirstPage: false,
    font: null,
    info: { Title: title, Creator: creator, Producer: creator, CreationDate: date },
  });
  doc.appendXML(PDF_UA);
  const { linesOf } = openTypesetter(doc, fonts);
  const root = doc.struct("Document");
  doc.addStructure(root);
  let y = 0;

  const left = MARGIN;
  const width = () => doc.page.width - 2 * MARGIN;
  const bottom = () => doc.page.height - MARGIN - FOOTER;

  let pages = 0;
  /** How many pages there are, drawn on each, and known at the end alone: so each page is written once it is full. */
  const total = doc.ref({ Type: "XObject", Subtype: "Form", FormType: 1, BBox: [0, -4, 60, 12] });
  doc.on("pageAdded", () => {
    pages += 1;
    const at = doc.page.height - MARGIN - FOOTER + 11;
    artifact("Pagination", () => {
      rule(left, at, width());
      for (const [i, text] of footer.left.entries())
        footerLine(text, left, at + 5 + (i + 1) * FOOTER_SIZE * 1.4);
      const y = at + 5 + FOOTER_SIZE * 1.4;
      const [label] = linesOf(footer.page(pages), FOOTER_SIZE, 100, "regular");
      if (label === undefined) return;
      const x = left + width() - TOTAL_ROOM;
      drawLine(doc, label, { x: x - label.width - 2, y, size: FOOTER_SIZE, ink: "muted" });
      doc.page.xobjects["Total"] = total;
      doc.addContent(`q 1 0 0 -1 ${number(x)} ${number(y)} cm /Total Do Q`);
    });
  });

  function footerLine(text: string, x: number, at: number): void {
    const [line] = linesOf(text, FOOTER_SIZE, width() - 120, "regular");
    if (line !== undefined) drawLine(doc, line, { x, y: at, size: FOOTER_SIZE, ink: "muted" });
  }

  function newPage(layout: "portrait" | "landscape"): void {
    doc.addPage({ size: "A4", layout, margin: MARGIN });
    y = MARGIN;
  }

  /** Goes on with the marked content that is open, if any, on a page of the same kind. */
  function turn(): void {
    doc.continueOnNewPage();
    y = MARGIN;
  }

  /** Room for `height` on this page, or the next; never a page that is left empty. */
  function need(height: number): void {
    if (y + height > bottom() && y > MARGIN) turn();
  }

  function gap(height: number): void {
    if (y > MARGIN) y += height;
  }

  function artifact(type: "Pagination" | "Layout", draw: () => void): void {
    doc.markContent("Artifact", { type });
    draw();
    doc.endMarkedContent();
  }

  function addTo(parent: Struct, type: string, options: StructOptions, draw: () => void): void {
    const struct = doc.struct(type, options);
    parent.add(struct);
    struct.add(draw);
    struct.end();
  }

  const set = ({ text, bold }: Line, size: number, wide: number): SetLine[] =>
    linesOf(text, size, wide, weightOf(bold));

  /** Lines from `y` on, over as many pages as they take. */
  function flow(lines: readonly SetLine[], x: number, size: number, ink: Ink): void {
    const leading = size * 1.38;
    for (const line of lines) {
      need(leading);
      drawLine(doc, line, { x, y: y + size * 1.05, size, ink });
      y += leading;
    }
  }

  function heading(level: 1 | 2 | 3, text: string): void {
    const size = { 1: 19, 2: 13, 3: 10.5 }[level];
    const lines = linesOf(text, size, width(), "bold");
    gap({ 1: 0, 2: 16, 3: 9 }[level]);
    // A heading does not stand alone at the end of a page, nor with what introduces a table.
    need(lines.length * size * 1.38 + { 1: 42, 2: 104, 3: 42 }[level]);
    addTo(root, `H${level}`, {}, () => flow(lines, left, size, "black"));
    if (level < 3) doc.outline.addItem(text);
    y += { 1: 4, 2: 4, 3: 2 }[level];
  }

  function paragraph(line: Line, options: { size?: number; indent?: number; after?: number } = {}): void {
    const { size = 9.5, indent = 0, after = 5 } = options;
    const lines = set(line, size, width() - indent);
    addTo(root, "P", {}, () => flow(lines, left + indent, size, line.ink ?? "black"));
    y += after;
  }

  /** A list of sentences, each with a dash for the eye and a label for the reader. */
  function list(items: readonly Line[], size = 9.5): void {
    if (items.length === 0) return;
    const whole = doc.struct("L");
    root.add(whole);
    for (const item of items) {
      const lines = set(item, size, width() - 14);
      need(Math.min(lines.length, 3) * size * 1.38);
      const struct = doc.struct("LI");
      whole.add(struct);
      addTo(struct, "Lbl", {}, () => {
        for (const dash of linesOf("–", size, 14, "regular"))
          drawLine(doc, dash, { x: left + 2, y: y + size * 1.05, size, ink: "muted" });
      });
      addTo(struct, "LBody", {}, () => flow(lines, left + 14, size, item.ink ?? "black"));
      struct.end();
      y += 2.5;
    }
    whole.end();
    y += 3;
  }

  /** What stands out: a bar beside the first words of the document. */
  function verdict(headline: string, sentences: readonly string[], ink: Ink): void {
    const top = y;
    const inner = width() - 24;
    const first = linesOf(headline, 15, inner, "bold");
    const rest = sentences.map((text) => linesOf(text, 9.5, inner, "regular"));
    const height =
      14 + first.length * 15 * 1.38 + rest.reduce((sum, lines) => sum + lines.length * 9.5 * 1.38 + 3, 0);
    artifact("Layout", () => {
      doc.addContent(`0.955 0.96 0.965 rg ${rectangle(left, top, width(), height)} f`);
      doc.addContent(`${INKS[ink]} ${rectangle(left, top, 5, height)} f`);
    });
    y += 6;
    addTo(root, "P", {}, () => flow(first, left + 15, 15, ink));
    for (const lines of rest) {
      y += 3;
      addTo(root, "P", {}, () => flow(lines, left + 15, 9.5, "black"));
    }
    y = top + height + 9;
  }

  /** Names and what they are, as a table of two columns whose rows are headed by the first. */
  function facts(rows: readonly (readonly [string, readonly Line[]])[], share = 0.27, room = width()): void {
    const size = 9;
    const [first, second] = [room * share, room * (1 - share)];
    const whole = doc.struct("Table");
    root.add(whole);
    for (const [name, about] of rows) {
      const label = linesOf(name, size, first - 8, "regular");
      const lines = about.map((line) => ({ line, lines: set(line, size, second) }));
      const leading = size * 1.38;
      need(Math.min(Math.max(label.length, lines[0]?.lines.length ?? 1), 12) * leading + 2 * PADDING);
      artifact("Layout", () => rule(left, y, room));
      y += PADDING;
      const row = doc.struct("TR");
      whole.add(row);
      const top = y;
      addTo(row, "TH", { scope: "Row" }, () => flow(label, left, size, "muted"));
      const after = y;
      y = top;
      const page = doc.page;
      addTo(row, "TD", {}, () => {
        for (const { line, lines: own } of lines) flow(own, left + first, size, line.ink ?? "black");
      });
      row.end();
      y = (doc.page === page ? Math.max(y, after) : y) + PADDING;
    }
    whole.end();
    artifact("Layout", () => rule(left, y, room));
    y += 6;
  }

  function rule(x: number, at: number, wide: number): void {
    doc.addContent(
      `0.75 0.77 0.8 RG 0.5 w ${number(x)} ${number(at)} m ${number(x + wide)} ${number(at)} l S`,
    );
  }

  /** A table whose header stands on each page. Rows are added one by one; no row is broken. */
  function table({ columns, size, cut }: TableOptions) {
    const total = columns.reduce((sum, column) => sum + column.width, 0);
    const wide = columns.map((column) => (column.width / total) * width());
    const places = wide.map((_, i) => left + wide.slice(0, i).reduce((sum, one) => sum + one, 0));
    const leading = size * 1.3;
    const header = columns.map(({ title }, i) => linesOf(title, size, (wide[i] ?? 0) - 2 * PADDING, "bold"));
    const headerHeight = Math.max(...header.map((lines) => lines.length)) * leading + 2 * PADDING;
    const draw = (lines: readonly SetLine[], i: number, inks: readonly Ink[] = []) => {
      for (const [at, line] of lines.entries()) {
        const place = { x: (places[i] ?? 0) + PADDING, y: y + PADDING + at * leading + size };
        drawLine(doc, line, { ...place, size, ink: inks[at] ?? "black" });
      }
    };
    const shade = () => doc.addContent(`0.9 0.915 0.93 rg ${rectangle(left, y, width(), headerHeight)} f`);

    const whole = doc.struct("Table");
    root.add(whole);
    const head = doc.struct("THead");
    const titles = doc.struct("TR");
    need(headerHeight + 40);
    whole.add(head);
    head.add(titles);
    artifact("Layout", shade);
    for (const [i, lines] of header.entries()) addTo(titles, "TH", { scope: "Column" }, () => draw(lines, i));
    titles.end();
    head.end();
    y += headerHeight;
    const body = doc.struct("TBody");
    whole.add(body);

    function row(cells: readonly Cell[]): void {
      let column = 0;
      const drawn = cells.map((cell) => {
        const [at, span] = [column, cell.span ?? 1];
        column += span;
        const room = wide.slice(at, at + span).reduce((sum, one) => sum + one, 0) - 2 * PADDING;
        const lines: SetLine[] = [];
        const inks: Ink[] = [];
        for (const line of cell.lines) {
          for (const one of set(line, size, room)) {
            lines.push(one);
            inks.push(line.ink ?? "black");
          }
        }
        if (lines.length > MAX_CELL_LINES) {
          const end = linesOf(cut, size, room, "regular");
          lines.splice(MAX_CELL_LINES - end.length, lines.length, ...end);
        }
        return { at, span, lines, inks };
      });
      const height = Math.max(1, ...drawn.map(({ lines }) => lines.length)) * leading + 2 * PADDING;
      if (y + height > bottom()) {
        turn();
        artifact("Pagination", () => {
          shade();
          for (const [i, lines] of header.entries()) draw(lines, i);
        });
        y += headerHeight;
      }
      const struct = doc.struct("TR");
      body.add(struct);
      for (const { at, span, lines, inks } of drawn) {
        const one = doc.struct(at === 0 ? "TH" : "TD", at === 0 ? { scope: "Row" } : {});
        if (span > 1) one.dictionary.data["A"] = { O: "Table", ColSpan: span };
        struct.add(one);
        one.add(() => draw(lines, at, inks));
        one.end();
      }
      struct.end();
      y += height;
      artifact("Layout", () => rule(left, y, width()));
    }

    function end(): void {
      body.end();
      whole.end();
      y += 8;
    }
    return { row, end };
  }

  /** Squares of a QR code, beside what is written about it. `alt` is what a screen reader says. */
  function qr(
    modules: readonly (readonly boolean[])[],
    alt: string,
    beside: readonly Line[],
    side = 118,
  ): void {
    const size = 9;
    const texts = beside.map((line) => ({ line, lines: set(line, size, width() - side - 14) }));
    const height = texts.reduce((sum, { lines }) => sum + lines.length * size * 1.38 + 4, 0);
    need(Math.max(side, height) + 6);
    const top = y;
    const module = side / modules.length;
    let squares = "";
    for (const [line, row] of modules.entries()) {
      // Squares side by side are one: no line shows between them.
      for (let from = 0; from < row.length; from++) {
        if (!row[from]) continue;
        let to = from;
        while (row[to]) to++;
        squares += `${rectangle(left + from * module, top + line * module, (to - from) * module, module)} `;
        from = to;
      }
    }
    addTo(root, "Figure", { alt, bbox: [left, top, left + side, top + side] }, () => {
      doc.addContent(`0 0 0 rg ${squares}f`);
    });
    for (const { line, lines } of texts) {
      addTo(root, "P", {}, () => flow(lines, left + side + 14, size, line.ink ?? "black"));
      y += 4;
    }
    y = Math.max(y, top + side) + 6;
  }

  /** Lines to sign on, each with what it is for under it. They stay together. */
  function signatures(rows: readonly (readonly string[])[]): void {
    need(rows.length * 54);
    for (const labels of rows) {
      const wide = (width() - 18 * (labels.length - 1)) / labels.length;
      y += 36;
      artifact("Layout", () => {
        for (const [i] of labels.entries()) {
          const x = left + i * (wide + 18);
          doc.addContent(`0 0 0 RG 0.6 w ${number(x)} ${number(y)} m ${number(x + wide)} ${number(y)} l S`);
        }
      });
      const top = y + 2;
      for (const [i, label] of labels.entries()) {
        y = top;
        addTo(root, "P", {}, () =>
          flow(linesOf(label, 8, wide, "regular"), left + i * (wide + 18), 8, "muted"),
        );
      }
      y = top + 16;
    }
  }

  /** The bytes. */
  function finish(): Uint8Array {
    root.end();
    const fonts: Record<string, Reference> = {};
    let operators = "";
    for (const { glyphs } of linesOf(`${pages}`, FOOTER_SIZE, 60, "regular")) {
      for (const { font, hex } of glyphs) {
        fonts[font.id] = font.ref();
        operators += `/${font.id} ${FOOTER_SIZE} Tf <${hex}> Tj `;
      }
    }
    total.data["Resources"] = { Font: fonts };
    total.write(`${INKS.muted} BT ${operators}ET`);
    total.end();
    doc.end();
    return file.bytes();
  }

  return {
    newPage,
    heading,
    paragraph,
    list,
    verdict,
    facts,
    table,
    qr,
    signatures,
    finish,
  };
}

/** What is written, one piece after another. */
function openFile() {
  let buffer = new Uint8Array(1 << 20);
  let length = 0;
  function write(piece: Uint8Array): void {
    if (length + piece.length > buffer.length) {
      const before = buffer;
      buffer = new Uint8Array(2 * (length + piece.length));
      buffer.set(before);
    }
    buffer.set(piece, length);
    length += piece.length;
  }
  return { write, bytes: () => buffer.slice(0, length) };
}

const weightOf = (bold: boolean | undefined): Weight => (bold ? "bold" : "regular");

const rectangle = (x: number, y: number, width: number, height: number): string =>
  `${number(x)} ${number(y)} ${number(width)} ${number(height)} re`;

/** Says that it is PDF/UA-1 as well (ISO 14289-1 §5), by an extension schema, which PDF/A asks for (ISO 19005-2 §6.6.2.3). */
const PDF_UA = `
        <rdf:Description rdf:about="" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">
            <pdfuaid:part>1</pdfuaid:part>
        </rdf:Description>
        <rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
            <pdfaExtension:schemas>
                <rdf:Bag>
                    <rdf:li rdf:parseType="Resource">
                        <pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>
                        <pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>
                        <pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
                        <pdfaSchema:property>
                            <rdf:Seq>
                                <rdf:li rdf:parseType="Resource">
                                    <pdfaProperty:name>part</pdfaProperty:name>
                                    <pdfaProperty:valueType>Integer</pdfaProperty:valueType>
                                    <pdfaProperty:category>internal</pdfaProperty:category>
                                    <pdfaProperty:description>Part of ISO 14289</pdfaProperty:description>
                                </rdf:li>
                            </rdf:Seq>
                        </pdfaSchema:property>
                    </rdf:li>
                </rdf:Bag>
            </pdfaExtension:schemas>
        </rdf:Description>
`;
