/** A log's past: how it grew, how long its entries waited, and when its checkpoints were anchored, cosigned and timestamped. */
import { useMemo } from "preact/hooks";
import type { Formats } from "../format.ts";
import type { Strings } from "../strings/en.ts";
import { type ShellProps, Table, Time } from "../ui.tsx";
import { type Common, type Line, type Picture, type Point, TimeChart } from "./time-chart.tsx";

export type TimelineOf = Awaited<ReturnType<ShellProps["client"]["timeline"]>>;
type Checkpoint = TimelineOf["checkpoints"][number];

type TimelineProps = {
  t: Strings;
  f: Formats;
  timeline: TimelineOf;
  /** The witnesses of today's policy. */
  witnesses: readonly string[];
};

export function Timeline({ t, f, timeline: { checkpoints, isSampled }, witnesses }: TimelineProps) {
  const pictures = useMemo(
    () => picturesOf(t, f, checkpoints, witnesses),
    [t, f, checkpoints, witnesses.join("\n")],
  );
  if (pictures === undefined) return <p>{t.log.empty}</p>;
  const { common, entries, lag, steps } = pictures;
  const chart = { t, f, ...common };
  return (
    <>
      {isSampled && <p class="hint">{t.log.chartSampled(checkpoints.length)}</p>}
      <h3>{t.log.entries}</h3>
      <TimeChart {...chart} {...entries} />
      <h3>{t.log.waiting}</h3>
      {lag === undefined ? (
        <p>{t.log.lagUnknown}</p>
      ) : (
        <>
          <p>{lag.longest}</p>
          <TimeChart {...chart} {...lag.picture} />
        </>
      )}
      {steps && (
        <>
          <h3>{t.log.steps}</h3>
          <TimeChart {...chart} {...steps} />
        </>
      )}
      <p class="hint">{t.log.timelineHint}</p>
      <details>
        <summary>{t.log.chartTable}</summary>
        <Checkpoints t={t} f={f} checkpoints={checkpoints} />
      </details>
    </>
  );
}

type CheckpointsProps = Pick<TimelineProps, "t" | "f"> & { checkpoints: readonly Checkpoint[] };

function Checkpoints({ t, f, checkpoints }: CheckpointsProps) {
  const { stages } = t.logs;
  const maybe = (at: string | undefined, none = t.log.notYet) =>
    at === undefined ? none : <Time f={f} at={at} />;
  const witnessed = checkpoints.findLastIndex(({ witnessedAt }) => witnessedAt !== undefined);
  return (
    <Table caption={t.log.chartCaption}>
      <thead>
        <tr>
          <th scope="col">{stages.sealed}</th>
          <th scope="col" class="number">
            {t.log.entries}
          </th>
          <th scope="col">{t.log.lag}</th>
          <th scope="col">{stages.anchored}</th>
          <th scope="col">{stages.witnessed}</th>
          <th scope="col">{t.log.witnesses}</th>
          <th scope="col">{stages.timestamped}</th>
        </tr>
      </thead>
      <tbody>
        {checkpoints.map((checkpoint, i) => {
          const waited = lagOf(checkpoint);
          const isJudged = i < witnessed || checkpoint.cosignatures.length > 0;
          return (
            <tr key={checkpoint.size}>
              <th scope="row">
                <Time f={f} at={checkpoint.sealedAt} />
              </th>
              <td class="number" data-label={t.log.entries}>
                {f.number(checkpoint.size)}
              </td>
              <td data-label={t.log.lag}>{waited === undefined ? t.log.unknown : f.span(waited)}</td>
              <td data-label={stages.anchored}>{maybe(checkpoint.anchoredAt)}</td>
              <td data-label={stages.witnessed}>
                {maybe(checkpoint.witnessedAt, isJudged ? t.log.notToday : t.log.notYet)}
              </td>
              <td data-label={t.log.witnesses}>
                {checkpoint.cosignatures.map(({ witness, at }) => (
                  <div key={witness}>
                    {witness}: <Time f={f} at={at} />
                  </div>
                ))}
              </td>
              <td data-label={stages.timestamped}>
                {checkpoint.timestamps.length === 0 && t.log.notYet}
                {checkpoint.timestamps.map(({ type, at }, i) => (
                  <div key={i}>
                    {t.log.timestampKinds[type]}: {at === undefined ? t.log.unknown : <Time f={f} at={at} />}
                  </div>
                ))}
              </td>
            </tr>
          );
        })}
      </tbody>
    </Table>
  );
}

/** How long a checkpoint's oldest entry had waited when it was published, ms; by two clocks, so it may be below zero. */
const lagOf = ({ pendingSince, sealedAt }: Checkpoint): number | undefined =>
  pendingSince === undefined ? undefined : Math.max(0, Date.parse(sealedAt) - Date.parse(pendingSince));

const seconds = (at: string): number => Date.parse(at) / 1_000;

/** Seconds between the ticks of lags. */
const LAG_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800,
];

type Pictures = {
  readonly common: Common;
  readonly entries: Picture;
  readonly lag?: { readonly longest: string; readonly picture: Picture };
  readonly steps?: Picture;
};

/** The pictures of one timeline; undefined where there is nothing to show. Each has the same times. */
function picturesOf(
  t: Strings,
  f: Formats,
  checkpoints: readonly Checkpoint[],
  witnesses: readonly string[],
): Pictures | undefined {
  const [first, last] = [checkpoints[0], checkpoints.at(-1)];
  if (first === undefined || last === undefined) return undefined;

  const sizes = (at: (checkpoint: Checkpoint) => string | undefined): Point[] =>
    checkpoints.flatMap((checkpoint) => {
      const time = at(checkpoint);
      return time === undefined ? [] : [{ at: seconds(time), value: checkpoint.size }];
    });
  const { stages } = t.logs;
  const entries: Line[] = [
    {
      name: stages.sealed,
      points: sizes(({ sealedAt }) => sealedAt),
      color: "--accent",
      steps: { dash: [] },
    },
    {
      name: stages.anchored,
      points: sizes(({ anchoredAt }) => anchoredAt),
      color: "--ink",
      steps: { dash: [8, 4] },
    },
    {
      name: stages.witnessed,
      points: sizes(({ witnessedAt }) => witnessedAt),
      color: "--good",
      steps: { dash: [2, 3] },
    },
    {
      name: stages.timestamped,
      points: sizes(({ timestamps }) => timestamps.flatMap(({ at }) => at ?? []).sort()[0]),
      color: "--violet",
      steps: { dash: [10, 3, 2, 3] },
    },
  ];

  const lags = checkpoints.flatMap((checkpoint) => {
    const lag = lagOf(checkpoint);
    return lag === undefined ? [] : [{ checkpoint, lag }];
  });
  const longest = lags.reduce((most, each) => (each.lag > most.lag ? each : most), lags[0] ?? NO_LAG);

  const cosigned = checkpoints.flatMap(({ cosignatures }) => cosignatures);
  const names = [...new Set([...witnesses, ...cosigned.map(({ witness }) => witness)])];
  const stamped = checkpoints.flatMap(({ timestamps }) => timestamps);
  const kinds = [...new Set(stamped.map(({ type }) => type))];
  const lanes = [
    ...names.map((name) => ({ name, at: cosigned.filter(({ witness }) => witness === name) })),
    ...kinds.map((kind) => ({
      name: t.log.timestampKinds[kind],
      at: stamped.filter(({ type }) => type === kind),
    })),
  ];
  const steps: Line[] = lanes.map(({ name, at }, i) => ({
    name,
    points: at.flatMap((each) => (each.at === undefined ? [] : [{ at: seconds(each.at), value: -i }])),
    color: i < names.length ? "--good" : "--violet",
  }));

  return {
    common: {
      ...rangeOf(seconds(first.sealedAt), [...entries, ...steps]),
      names: lanes.map(({ name }) => name),
    },
    entries: {
      lines: entries.filter(({ points }) => points.length > 0),
      label: t.log.chart(t.logs.entries(last.size), f.time(first.sealedAt), f.time(last.sealedAt)),
      height: 16.25,
      values: { text: (n) => f.number(n) },
    },
    ...(longest !== NO_LAG && {
      lag: {
        longest: t.log.lagLongest(
          f.span(longest.lag),
          f.time(longest.checkpoint.sealedAt),
          checkpoints.length - lags.length,
        ),
        picture: {
          lines: [
            {
              name: t.log.waiting,
              points: lags.map(({ checkpoint, lag }) => ({
                at: seconds(checkpoint.sealedAt),
                value: lag / 1_000,
              })),
              color: "--accent",
            },
          ],
          label: t.log.lagChart,
          height: 12,
          values: { steps: LAG_STEPS, text: (s) => f.shortSpan(s * 1_000) },
        },
      },
    }),
    ...(lanes.length > 0 && {
      steps: {
        lines: steps,
        label: t.log.stepsChart(f.list(lanes.map(({ name }) => name))),
        height: 5.5 + 1.75 * lanes.length,
      },
    }),
  };
}

const NO_LAG = { checkpoint: { size: 0, sealedAt: "", cosignatures: [], timestamps: [] }, lag: -1 };

/** What happened at once is a point within a minute. A time of another's clock that is still to come stretches nothing. */
function rangeOf(first: number, lines: readonly Line[]): Omit<Common, "names"> {
  const now = Date.now() / 1_000;
  const times = lines.flatMap(({ points }) => points.map(({ at }) => at)).filter((at) => at <= now);
  const until = Math.max(first, ...times);
  const room = until - first < 60 ? 30 : (until - first) / 50;
  return { from: first - room, to: until + room, until };
}
