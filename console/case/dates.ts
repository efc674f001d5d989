/** Times as people read them: each names how far it is from UTC, whatever the language. */

/** A function of ms since the epoch and an IANA zone: `14 Mar 2026, 11:32:05 UTC+1`. */
export function dateIn(language: string, style: TimeStyle = "medium"): (ms: number, zone: string) => string {
  const formatOf = formats((timeZone) => {
    const dateStyle = style === "medium" ? ({ dateStyle: "medium" } as const) : {};
    return new Intl.DateTimeFormat(language, { ...dateStyle, timeStyle: style, timeZone });
  });
  return (ms, zone) => `${formatOf(zone).format(ms)} ${offsetIn(ms, zone)}`;
}

/** Day and time to the second; the time of the day alone, to the minute. */
type TimeStyle = "medium" | "short";

const offsetOf = formats(
  (timeZone) => new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "shortOffset" }),
);

/** `UTC`, `UTC+1`, `UTC-3:30` */
function offsetIn(ms: number, zone: string): string {
  const name = offsetOf(zone)
    .formatToParts(ms)
    .find(({ type }) => type === "timeZoneName");
  return (name?.value ?? zone).replace("GMT", "UTC").replace(/\+0$/, "");
}

/** To make a format takes longer than to use it. */
function formats(make: (zone: string) => Intl.DateTimeFormat): (zone: string) => Intl.DateTimeFormat {
  const made = new Map<string, Intl.DateTimeFormat>();
  return (zone) => {
    const format = made.get(zone) ?? make(zone);
    made.set(zone, format);
    return format;
  };
}

/** `2026-03-14 10:32:05 UTC` */
export const utc = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
