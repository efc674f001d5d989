/** What a section of the benchmark reports, and how figures are summed up and written. */

export type Section = {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** The plain numbers that targets are compared with. */
  readonly values: Readonly<Record<string, number>>;
};

/** The value that this share of the samples does not exceed. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

/** Three significant digits: the runs differ by more. */
export const figure = (value: number): string =>
  value.toLocaleString("en-US", { maximumSignificantDigits: 3, useGrouping: true });

/** The median of several runs, with the lowest and the highest. */
export const spread = (samples: readonly number[]): string =>
  `${figure(median(samples))} (${figure(Math.min(...samples))}–${figure(Math.max(...samples))})`;

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
