/** What an event is about besides a patient: whom or what it names, for people to read, and what a trace looks for among it. */
import type { Columns } from "../events/formats/columns.ts";
import { type Epc, parseEpc } from "../events/formats/epc.ts";
import type { PackFilter } from "./pack.ts";

/** GTIN of 14 digits, lot, serial, as they are printed. */
export type Traced = Pick<PackFilter, "gtin" | "lot" | "serial">;
/** `text` as the event has it; `epc` is what stands on the box. */
export type Subject = { text: string; epc?: Epc };

const KEYS = ["gtin", "sscc", "lot", "serial"] as const satisfies readonly (keyof Epc)[];

/** What stands on the box, under its names. */
export const printedText = (epc: Epc, names: Record<keyof Epc, string>): string =>
  KEYS.flatMap((key) => (epc[key] === undefined ? [] : `${names[key]} ${epc[key]}`)).join(", ");

/** Those that are looked for come first. What an identifier says anyway is not told once more. */
export function subjectsOf({ subjects = [] }: Columns, traced: Traced = {}): Subject[] {
  const all = subjects.map((text): Subject => {
    const epc = parseEpc(text);
    return epc === undefined ? { text } : { text, epc };
  });
  const printed = new Set(all.flatMap(({ epc }) => (epc === undefined ? [] : Object.values(epc))));
  const told = all.filter(({ text, epc }) => epc !== undefined || !printed.has(text));
  if (Object.values(traced).every((text) => text === undefined)) return told;
  const isWanted = ({ epc }: Subject) => epc !== undefined && isTracedEpc(epc, traced);
  return [...told.filter(isWanted), ...told.filter((subject) => !isWanted(subject))];
}

/**
 * By what one identifier says, so that the GTIN of one is not taken with the serial of another. Where a serial is asked for and
 * found, an identifier that names no lot will do: the serial is of one item alone.
 */
export function isTracedEpc(epc: Epc, { gtin, lot, serial }: Traced): boolean {
  if (gtin !== undefined && padded(epc.gtin ?? "") !== padded(gtin.replace(/[\s-]/g, ""))) return false;
  if (serial !== undefined && epc.serial !== serial) return false;
  return lot === undefined || epc.lot === lot || (serial !== undefined && epc.lot === undefined);
}

/** GTIN-8, -12 and -13 are GTIN-14 with zeros before them (GS1 General Specifications §3.3.2). */
export const padded = (text: string): string => (/^\d{8,14}$/.test(text) ? text.padStart(14, "0") : text);
