/** What a GS1 identifier says of the thing that it is of: EPC URNs (TDS 2.0 §6) and GS1 Digital Link URIs (§2). */

/** GTIN of 14 digits, lot and serial as they are printed; SSCC of 18 digits, of what is shipped. Decoded. */
export type Epc = { gtin?: string; sscc?: string; lot?: string; serial?: string };

/** The company's prefix, and the item's with the indicator digit first. */
const ITEM = /^urn:epc:(id:sgtin|class:lgtin|idpat:sgtin):(\d{6,12})\.(\d)(\d{0,6})\.(.{1,60})$/s;
const SSCC = /^urn:epc:id:sscc:(\d{6,12})\.(\d)(\d{4,10})$/;
/** Application identifiers as path segments: 01 GTIN, 00 SSCC, 10 lot, 21 serial. */
const DIGITAL_LINK =
  /^https?:\/\/[^/]{1,255}\/(?:[^?#]{0,255}\/)?(01|00)\/(\d{8,18})(?:\/(10|21)\/([^/?#]{1,60}))?(?:\/(10|21)\/([^/?#]{1,60}))?/;

/** undefined of all else. Members stand in the order in which the identifier has them. */
export function parseEpc(text: string): Epc | undefined {
  const [, scheme, company, indicator, item = "", last = ""] = ITEM.exec(text) ?? [];
  if (company !== undefined) {
    const gtin = withCheckDigit(`${indicator}${company}${item}`);
    if (last === "*") return { gtin };
    return scheme === "class:lgtin" ? { gtin, lot: decoded(last) } : { gtin, serial: decoded(last) };
  }
  const [, prefix, extension, reference] = SSCC.exec(text) ?? [];
  if (prefix !== undefined) return { sscc: withCheckDigit(`${extension}${prefix}${reference}`) };
  const [, kind, key = "", ...others] = DIGITAL_LINK.exec(text.slice(0, 2048)) ?? [];
  if (kind === undefined) return undefined;
  const epc: Epc = kind === "01" ? { gtin: key } : { sscc: key };
  for (let at = 0; at < others.length; at += 2) {
    const [identifier, value] = others.slice(at, at + 2);
    if (identifier === "10" && value !== undefined) epc.lot ??= decoded(value);
    if (identifier === "21" && value !== undefined) epc.serial ??= decoded(value);
  }
  return epc;
}

/** GS1 General Specifications §7.9: weights 3 and 1 by turns from the right. */
export function withCheckDigit(digits: string): string {
  const sum = [...digits]
    .reverse()
    .reduce((total, digit, i) => total + Number(digit) * (i % 2 === 0 ? 3 : 1), 0);
  return `${digits}${(10 - (sum % 10)) % 10}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
