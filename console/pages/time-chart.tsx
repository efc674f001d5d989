/** One picture of a log's timeline, by uplot; loaded with the page that shows it. The page has the same as a table. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useEffect, useRef } from "preact/hooks";
import type { Formats } from "../format.ts";
import type { Strings } from "../strings/en.ts";

/** `at` is in seconds since the epoch. */
export type Point = { readonly at: number; readonly value: number };

export type Line = {
  readonly name: string;
  readonly points: readonly Point[];
  /** A custom property of the stylesheet. */
  readonly color: `--${string}`;
  /** A stepped line holds its value until the next point, in these dashes (none: solid); else each point stands alone. */
  readonly steps?: { readonly dash: readonly number[] };
};

export type Picture = {
  readonly lines: readonly Line[];
  /** What a screen reader says in its place. */
  readonly label: string;
  /** In rem, as its letters. */
  readonly height: number;
  /** How values are written, and how far apart. Absent: they are 0, -1, …, and stand for the names. */
  readonly values?: { readonly steps?: number[]; text(value: number): string };
};

/** What all pictures of one timeline have in common. */
export type Common = {
  /** The first and last time in the picture, and the last of which anything is known: seconds since the epoch. */
  readonly from: number;
  readonly to: number;
  readonly until: number;
  /** Of the lines of the picture without values. */
  readonly names: readonly string[];
};

type Props = Picture & Common & { t: Strings; f: Formats };

export function TimeChart(props: Props) {
  const { t, f, from, to, until, names, lines, label, height, values } = props;
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const rem = Number.parseFloat(getComputedStyle(element).fontSize);
    let chart: uPlot | undefined;
    let width = 0;
    const draw = () => {
      chart?.destroy();
      width = element.clientWidth;
      chart = new uPlot(options(element, rem, props), data(lines, until), element);
    };
    draw();
    const size = new ResizeObserver(() => element.clientWidth !== width && draw());
    size.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      dark.removeEventListener("change", draw);
      size.disconnect();
      chart?.destroy();
    };
  }, [lines, values, height, from, to, until, names, t, f]);
  return (
    <div ref={ref} class="chart" role="img" aria-label={label} style={{ minHeight: `${height + 1.5}rem` }} />
  );
}

function options(host: HTMLElement, rem: number, props: Props): uPlot.Options {
  const { t, f, from, to, lines, height, values } = props;
  const color = (variable: string) => getComputedStyle(host).getPropertyValue(variable).trim();
  const grid = { stroke: color("--line"), width: 1 };
  const font = `${0.75 * rem}px system-ui, sans-serif`;
  const axes = { stroke: color("--ink"), grid, ticks: grid, font };
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  const width = Math.max(200, host.clientWidth);
  const beside = besideValues(props.names, font, width, rem);
  return {
    width,
    height: height * rem,
    // One time in all pictures.
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: "timeline" } },
    legend: {
      show: values !== undefined && lines.length > 1,
      live: false,
      markers: { dash: (_, i) => (lines[i - 1]?.steps?.dash.length ? "dashed" : "solid") },
    },
    scales: {
      x: { time: true, range: () => [from, to] },
      y: {
        range: (_, __, most) =>
          values === undefined ? [0.5 - lines.length, 0.5] : [0, Math.max(1, most * 1.05)],
      },
    },
    axes: [
      {
        ...axes,
        size: 3.1 * rem,
        space: 5 * rem,
        label: `${t.log.time} (${f.zone})`,
        labelSize: 1.4 * rem,
        labelFont: font,
        incrs: STEPS,
        values: (_, ticks, __, ___, step) => ticks.map((at) => tick(f, at, step)),
      },
      {
        ...axes,
        size: beside.size,
        ...(values === undefined
          ? {
              splits: lines.map((_, i) => -i),
              values: (_, ticks) => ticks.map((n) => beside.names[-n] ?? ""),
            }
          : {
              ...(values.steps && { incrs: values.steps }),
              values: (_, ticks) => ticks.map((n) => (Number.isInteger(n) ? values.text(n) : "")),
            }),
      },
    ],
    series: [
      { label: t.log.time },
      ...lines.map((line) => ({
        label: line.name,
        stroke: color(line.color),
        width: 2,
        ...(line.steps === undefined
          ? { paths: () => null, points: { show: true, size: 0.5 * rem, fill: color(line.color) } }
          : {
              dash: [...line.steps.dash],
              ...(stepped && { paths: stepped }),
              points: { show: line.points.length < 2, size: 0.5 * rem },
            }),
      })),
    ],
  };
}

/** Beside the values stands what takes most room of any picture, so that the times of all are below one another. */
function besideValues(names: readonly string[], font: string, width: number, rem: number) {
  const context = document.createElement("canvas").getContext("2d");
  if (context !== null) context.font = font;
  const widthOf = (text: string) => context?.measureText(text).width ?? 0;
  // The table has each name whole.
  const most = Math.max(3.4 * rem, width / 3);
  const shown = names.map((name) => {
    let length = name.length;
    const cut = () => (length === name.length ? name : `${name.slice(0, length)}…`);
    while (length > 1 && widthOf(cut()) > most) length--;
    return cut();
  });
  return { names: shown, size: Math.max(3.4 * rem, ...shown.map(widthOf)) + rem };
}

/** Seconds between ticks: no less than a minute, which is what they tell. */
const STEPS = [
  ...[1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => minutes * 60),
  ...[1, 2, 7, 14, 30, 90, 180, 365, 730].map((days) => days * 86_400),
];

/** The time of the day, and the day where one begins. */
function tick(f: Formats, at: number, step: number): string {
  const date = new Date(at * 1_000);
  const isDay = step >= 86_400 || (date.getHours() === 0 && date.getMinutes() === 0);
  return f.tick(at * 1_000, isDay ? "day" : "clock");
}

/** One column of times for all: where a line has no value it has null. */
function data(lines: readonly Line[], until: number): uPlot.AlignedData {
  const times = [...new Set([...lines.flatMap(({ points }) => points.map(({ at }) => at)), until])];
  times.sort((a, b) => a - b);
  const column = ({ points, steps }: Line): (number | null)[] => {
    const values = new Map(points.map(({ at, value }) => [at, value]));
    let held: number | null = null;
    return times.map((time) => {
      const value = values.get(time) ?? null;
      if (steps === undefined) return value;
      held = value ?? held;
      return held;
    });
  };
  return [times, ...lines.map(column)];
}
