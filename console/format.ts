/** Numbers, times and spans in the reader's language. */
import type { Language } from "@kedge/verify/pack/pack";
import { dateIn } from "./case/dates.ts";

export type Formats = ReturnType<typeof formatsOf>;

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

export function formatsOf(of: Language) {
  // Of the reader's own kinds of English or German, the one that the browser names.
  const language = navigator.languages.find((tag) => tag.split("-")[0] === of) ?? of;
  const number = new Intl.NumberFormat(language);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const time = dateIn(language);
  const clock = dateIn(language, "short");
  const ticks = {
    day: new Intl.DateTimeFormat(language, { day: "numeric", month: "short" }),
    clock: new Intl.DateTimeFormat(language, { timeStyle: "short" }),
  };
  type Display = "long" | "short";
  const span = (ms: number, unitDisplay: Display): string => {
    const seconds = Math.max(0, Math.round(ms / 1_000));
    const [unit, size] = UNITS.find(([, least]) => seconds >= least) ?? ["second", 1];
    return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay }).format(
      Math.round(seconds / size),
    );
  };
  return {
    number: (n: number | bigint): string => number.format(n),
    /** The zone that all times are in: the reader's, by its IANA name. */
    zone,
    /** Of RFC 3339; what is none is shown as it is. */
    time: (text: string): string => (Number.isNaN(Date.parse(text)) ? text : time(Date.parse(text), zone)),
    /** The time of the day. */
    clock: (ms: number): string => clock(ms, zone),
    /** At an axis that names the zone. */
    tick: (ms: number, of: keyof typeof ticks): string => ticks[of].format(ms),
    /** To the second below a minute, then to the larger unit. */
    span: (ms: number): string => span(ms, "long"),
    /** The same at an axis. */
    shortSpan: (ms: number): string => span(ms, "short"),
    list: (texts: readonly string[]): string =>
      new Intl.ListFormat(language, { style: "long", type: "conjunction" }).format(texts),
  };
}
